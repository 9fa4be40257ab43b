"""What the trader of a basis knows of funding, and what it does with pairs no longer given."""

from __future__ import annotations

from decimal import Decimal as D

from strategies.basis import decide
from strategies.basis.edge import USUAL_NS, Funding, Rates
from strategies.basis.trader import BasisTrader
from strategies.basis_arbitrage import BasisConfig
from strategies.hedged.book import PairBook, Plan, change_pairs
from strategies.state import MemoryState
from tests.strategies.basis.test_decide import FULL, HOUR, LEGS, TERMS, rules

OTHER = "ETHUSDT-SPOT.BYBIT", "ETHUSDT-LINEAR.BYBIT"


def test_nothing_is_known_of_funding_before_a_settlement_or_a_prediction() -> None:
    assert Rates().known == Funding()


def test_a_prediction_counts_until_its_settlement_and_each_interval_is_the_perpetuals_own() -> None:
    rates = Rates()
    rates.add(8 * HOUR, 0.0001)
    assert rates.known == Funding(0.0001, 0.0001, 8 * HOUR + USUAL_NS, USUAL_NS)
    rates.add(12 * HOUR, 0.0002)
    rates.add(12 * HOUR, 0.0002)
    assert rates.known == Funding(0.0002, 0.0002, 16 * HOUR, 4 * HOUR)
    rates.add(13 * HOUR, 0.0005, 16 * HOUR)
    assert rates.known == Funding(0.0002, 0.0005, 16 * HOUR, 4 * HOUR)
    rates.add(16 * HOUR, 0.0004)
    assert rates.known == Funding(0.0004, 0.0004, 20 * HOUR, 4 * HOUR)


def test_a_settlement_that_is_due_is_asked_for() -> None:
    rates = Rates()
    rates.add(8 * HOUR, 0.0001)
    assert not rates.lacks(99 * HOUR)
    rates.add(12 * HOUR, 0.0001)
    assert not rates.lacks(16 * HOUR - 1)
    assert rates.lacks(16 * HOUR)


def test_a_pair_that_is_no_longer_given_is_closed_whole_and_at_market() -> None:
    prices = (D(50_000),) * 2
    book, _ = change_pairs(PairBook(), [Plan("BTCUSDT", LEGS, FULL, prices)], TERMS, 0)
    assert decide.leave_unlisted(rules(), book, decide.BasisMemory()).plans == []
    without = BasisConfig(key="b", instruments=(*LEGS, *OTHER), pairs=(OTHER,))
    found = decide.leave_unlisted(without, book, decide.BasisMemory())
    assert found.plans == [Plan("BTCUSDT", LEGS, forced=True)]
    assert found.words == ["BTCUSDT: close, no longer among pairs"]


def test_nothing_is_decided_before_the_node_has_reconciled() -> None:
    trader = BasisTrader(rules())
    assert not trader._is_restarting
    trader.attach_state(MemoryState())
    assert trader._is_restarting
