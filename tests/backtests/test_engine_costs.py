"""The mended engine books what the engine as it comes books, only faster."""

from __future__ import annotations

import pickle
import random
from typing import Any
from unittest.mock import Mock

import nautilus_trader.portfolio.portfolio as portfolio_module
import pytest
from nautilus_trader.analysis.analyzer import PortfolioAnalyzer

from backtests.engine.accountant import Accountant
from backtests.engine.engine_costs import mended
from backtests.engine.market import market_of
from tests.builders_engine import (
    USDT,
    A,
    B,
    Candles,
    Script,
    at,
    balance,
    desk_of,
    feed,
    info,
    slices,
    taker_fee,
    venue,
)

CANDLES = 60


def walk(seed: int) -> Candles:
    draw = random.Random(seed)
    cents = [10_000]
    for _ in range(CANDLES - 1):
        cents.append(max(cents[-1] + draw.randint(-150, 150), 5_000))
    return Candles([c / 100 for c in cents], closes=[(c + 7) / 100 for c in cents])


def run(seed: int) -> dict[str, Any]:
    """Open, enlarge or flip, and close two positions many times; return all that was booked."""
    draw = random.Random(seed)
    plan = {}
    for first in range(1, CANDLES - 4, 3):
        lots = {name: [draw.choice([-3, -2, 2, 3]) for _ in range(2)] for name in (A, B)}
        for step in range(3):
            sent = {n: [*pair, -sum(pair)][step] for n, pair in lots.items()}

            def trade_both(script: Script, sent: dict[str, int] = sent) -> None:
                for name, quantity in sent.items():
                    if quantity:
                        script.trade(name, str(quantity))

            plan[at(first + step)] = trade_both
    script = Script(plan)
    document = venue(fees=taker_fee("0.00055"))
    market = market_of([info(A), info(B)], document)
    desk = desk_of(market, document, script)
    feed(desk, slices(market, {A: walk(seed), B: walk(seed + 1)}, per_slice=24))
    kernel = desk.engine.kernel
    return {
        "balance": balance(desk.engine),
        "fills": [
            (f.ts_event, f.instrument_id.value, f.last_qty, f.last_px, f.commission)
            for f in script.fills
        ],
        "realized": [kernel.portfolio.realized_pnl(id_) for id_ in market.instrument_ids],
        "snapshots": len(kernel.cache.position_snapshots()),
        "ledger": desk.accountant.ledger,
    }


@pytest.fixture
def remembering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep closed positions in the engine as it comes: only then does it take snapshots."""
    monkeypatch.setattr(Accountant, "_forget_closed", lambda self, now: None)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_forgetting_closed_positions_changes_no_balance_and_no_fill(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = run(seed)
    monkeypatch.setattr(Accountant, "_forget_closed", lambda self, now: None)
    bare = run(seed)
    assert ours["snapshots"] == 0 < bare["snapshots"]
    for booked in ("balance", "fills", "ledger"):
        assert ours[booked] == bare[booked]


@pytest.mark.usefixtures("remembering")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_balances_and_fills_are_identical_with_and_without(seed: int) -> None:
    bare = run(seed)
    with mended():
        ours = run(seed)
    assert bare["snapshots"] > 20
    assert ours == bare
    assert bare["realized"][0].currency == USDT


@pytest.mark.usefixtures("remembering")
def test_each_snapshot_is_unpickled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it comes, the engine forgets an instrument's snapshots whenever another one's are read.

    Then it unpickles all of them again: so the cost grows with the square of the round trips.
    """
    counting = Mock(loads=Mock(side_effect=pickle.loads), dumps=pickle.dumps)
    with monkeypatch.context() as patch:
        patch.setattr(portfolio_module, "pickle", counting)
        bare = run(1)
    assert counting.loads.call_count > 5 * bare["snapshots"]

    counting.loads.reset_mock()
    monkeypatch.setattr("backtests.engine.engine_costs.pickle", counting)
    with mended():
        ours = run(1)
    assert counting.loads.call_count <= ours["snapshots"]


def test_closed_positions_are_not_recorded_by_the_analyzer() -> None:
    with mended():
        analyzer = PortfolioAnalyzer()
        analyzer.record_trade(None, None)
        assert analyzer.realized_pnls(USDT) is None


def test_the_engine_is_as_it_was_after_the_run_even_after_a_failed_one() -> None:
    before = (PortfolioAnalyzer.record_trade, portfolio_module.pickle)
    with mended():
        assert PortfolioAnalyzer.record_trade is not before[0]
        assert portfolio_module.pickle is not before[1]
    assert (PortfolioAnalyzer.record_trade, portfolio_module.pickle) == before
    with pytest.raises(ZeroDivisionError), mended():
        raise ZeroDivisionError
    assert (PortfolioAnalyzer.record_trade, portfolio_module.pickle) == before
    assert portfolio_module.pickle is pickle
