"""How much of a basis is opened, and what is held back, by hand."""

from __future__ import annotations

import math
from decimal import Decimal as D
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.account_value import Margin
from strategies.basis import decide
from strategies.basis.edge import Costs, Edge, Funding, edge_of
from strategies.basis.threshold import Threshold
from strategies.basis_arbitrage import BasisConfig
from strategies.hedged.book import (
    Ended,
    PairBook,
    Plan,
    Terms,
    accept_fees,
    change_pairs,
    leave_dust,
    venue_traded,
)
from strategies.messages import Action, Verdict
from strategies.sizing.rounding import Lot
from strategies.tactics.two_leg import NONE, TwoLegRules

SPOT, PERP = LEGS = "BTCUSDT-SPOT.BYBIT", "BTCUSDT-LINEAR.BYBIT"
LOTS = Lot(D("0.000001"), D("0.000048"), D(5)), Lot(D("0.001"), D("0.001"), D(5))
HOUR = 3600 * 10**9
FREE = Verdict(action=Action.NONE)


def rules(**params: Any) -> BasisConfig:
    known = {"max_position": 1e9, "max_weight": 1.0, "max_gross": 1.0, "max_of_book": 1.0}
    return BasisConfig(key="b", instruments=LEGS, **({"pairs": (LEGS,)} | known | params))


def sized(fee: float = 0.001, **changes: Any) -> tuple[D, D]:
    """Return the size with 10,000 USDT at 50,000 and moves of 10 bps a minute."""
    known = {
        "equity": 10_000.0, "mid": 50_000.0, "volatility_bps": 10.0, "displayed": 100.0,
        "room": 1e9, "multiplier": 1.0, "lots": LOTS, "spot_fee": fee,
    }  # fmt: skip
    params = {n: changes.pop(n) for n in tuple(changes) if n not in known}
    return decide.size(rules(**params), **(known | changes))


@pytest.mark.parametrize(
    ("changes", "sold"),
    [
        # 50 USDT risked at 3 deviations of 10 bps: 16,667 USDT, more than all equity.
        ({}, "0.200"),
        ({"volatility_bps": 100.0}, "0.033"),
        ({"volatility_bps": 0.0}, "0.200"),
        ({"volatility_bps": 100.0, "risk": 0.01}, "0.066"),
        ({"volatility_bps": 100.0, "deviations": 6.0}, "0.016"),
        ({"max_position": 3_000.0}, "0.060"),
        ({"max_weight": 0.1}, "0.020"),
        ({"room": 1_049.0}, "0.020"),
        ({"multiplier": 0.5}, "0.100"),
        ({"displayed": 0.04, "max_of_book": 0.5}, "0.020"),
        ({"volatility_bps": math.nan}, "0"),
        ({"room": -1.0}, "0"),
        ({"max_position": 49.0}, "0"),
    ],
)
def test_the_smallest_of_risk_and_limits_is_sold_in_whole_lots(changes: Any, sold: str) -> None:
    assert sized(0.0, **changes) == (D(sold), -D(sold))


def test_coins_are_bought_for_the_fee_that_is_taken_out_of_them() -> None:
    bought, sold = sized(max_position=3_000.0)
    assert (bought, sold) == (D("0.060061"), D("-0.060"))
    assert D("0.060") <= bought * D("0.999") < D("0.060001")


def test_a_leg_below_twice_the_minimum_or_of_coarse_coins_is_not_opened() -> None:
    dear = Lot(D("0.000001"), D("0.000048"), D(50)), LOTS[1]
    assert sized(0.0, max_position=99.0, lots=dear) == NONE
    assert sized(0.0, max_position=101.0, lots=dear) == (D("0.002"), D("-0.002"))
    coarse = Lot(D("0.01"), D("0.01"), D(5)), LOTS[1]
    assert sized(lots=coarse) == NONE


@given(
    basis=st.floats(-300, 300), exit_=st.floats(-300, 300), rate=st.floats(-0.003, 0.003),
    hours=st.integers(0, 48), alone=st.booleans(), least=st.floats(0, 50),
)  # fmt: skip
def test_nothing_is_opened_at_a_loss_locked_in_unless_funding_is_the_reason_and_said(
    basis: float, exit_: float, rate: float, hours: int, alone: bool, least: float
) -> None:
    funding = Funding(rate, rate, 4 * HOUR, 8 * HOUR)
    edge = edge_of(basis, exit_, Costs(0.001, 0.00055, 1.0), funding, 0, hours * HOUR)
    found = rules(funding_alone=alone, min_edge_bps=least)
    if not decide.pays(found, edge):
        return
    assert edge.net_bps > least
    if edge.locked_bps <= 0.0:
        assert alone
        assert edge.funding_bps > -edge.locked_bps
        plan = decide.open_pair(
            found, decide.BasisMemory(), LEGS, (D(1), D(-1)), (D(1), D(1)), edge, 0, None
        )
        assert "for funding of" in plan.words[0]


GOOD = Edge(60.0, 0.0, 31.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        ({"under_way": True}, "under_way"),
        ({"volatility_bps": math.nan}, "warm_up"),
        ({"edge": Edge(30.0, 0.0, 31.0, 0.0, 0.0)}, "edge"),
        ({"paused": True}, "pause"),
        ({"verdicts": [FREE, Verdict(action=Action.HALT_ENTRIES)]}, "halted"),
        ({"goal": NONE}, "too_small"),
        ({"carried": False}, "margin"),
    ],
)
def test_what_is_held_back_has_a_code(changes: Any, code: str | None) -> None:
    known: dict[str, Any] = {
        "edge": GOOD, "volatility_bps": 5.0, "goal": (D(1), D(-1)), "verdicts": [FREE, FREE],
        "under_way": False, "paused": False, "carried": True,
    }  # fmt: skip
    assert decide.held_back(rules(), **(known | changes)) == code


def test_all_pairs_share_one_budget_of_spot_legs() -> None:
    assert decide.room(rules(max_gross=0.5), 10_000.0, 6_500.0, [1_500.0, 2_000.0]) == 1_500.0


def test_no_more_coins_are_bought_than_the_cash_pays_with_fees() -> None:
    assert decide.room(rules(max_gross=1.0), 10_000.0, 3_507.0, [1_500.0]) == pytest.approx(3_500)


def test_margin_and_cash_must_carry_both_legs() -> None:
    """0.1 at 50,000: 5,000 of coins with fees, a fifth of it and fees as margin: 6,020."""
    goal = D("0.1"), D("-0.1")
    for free, carried in (("6020", True), ("6019", False)):
        margin = Margin(D(free), {PERP: D(5)})
        assert decide.carries(margin, LEGS, goal, D(50_000)) is carried
    assert decide.carries(None, LEGS, goal, D(50_000))


def test_a_pair_pauses_after_it_closed_or_was_cut() -> None:
    memory = decide.BasisMemory({"BTCUSDT": decide.Trade(1, 60.0, 29.0, 0.0)})
    held = D("0.06"), D("-0.06")
    assert decide.after(rules(), memory, Ended("BTCUSDT", held, "", 0, 0.0, 0.0), 0) == memory
    found = decide.after(rules(), memory, Ended("BTCUSDT", NONE, "", 0, 0.0, 0.0), 10)
    assert (found.trades, found.paused) == ({}, {"BTCUSDT": 10 + 500_000_000})
    cut = decide.after(rules(), memory, Ended("BTCUSDT", held, "budget", 0, 0.0, 0.0), 0)
    assert set(cut.trades) == set(cut.paused) == {"BTCUSDT"}


def test_the_pause_after_a_cut_doubles_until_an_entry_is_carried_out() -> None:
    """Each try at a perpetual that is halted costs a round trip of the coins."""
    found, second = rules(cut_pause="10s", longest_pause="1m"), 10**9

    def after(memory: decide.BasisMemory, cut: Any, now: int = 0) -> decide.BasisMemory:
        held = NONE if cut else (D("0.06"), D("-0.06"))
        return decide.after(found, memory, Ended("BTCUSDT", held, cut, 0, 0.0, 0.0), now)

    memory, paused = decide.BasisMemory(), []
    for _ in range(2000):
        memory = after(memory, "refused")
        paused.append(memory.paused["BTCUSDT"] // second)
    assert paused == [10, 20, 40] + [60] * 1997
    # An exit of what a cut had left neither shortens the pause nor forgets the cuts.
    exited = decide.after(found, memory, Ended("BTCUSDT", NONE, "", 0, 0.0, 0.0), second)
    assert exited.paused["BTCUSDT"] == 60 * second
    assert after(exited, "budget", second).paused["BTCUSDT"] == 61 * second
    again = after(after(memory, ""), "budget", 100 * second)
    assert again.paused["BTCUSDT"] == 110 * second


def test_what_was_opened_for_funding_waits_while_some_is_expected_within_its_horizon() -> None:
    """Settled at 4 h, then each 8 h; entered at 1 h with a horizon of 12 h: 4 h and 12 h count."""

    def waits(at: int, rate: float = 0.0001, **facts: Any) -> bool:
        trade = decide.Trade(HOUR, -5.0, 4.0, 40.0, **({"for_funding": True} | facts))
        funding = Funding(rate, rate, 4 * HOUR, 8 * HOUR)
        return decide.awaits_funding(rules(horizon="12h"), trade, funding, at)

    assert waits(2 * HOUR)
    assert waits(4 * HOUR)
    assert waits(12 * HOUR - 1)
    # One at this moment is over.
    assert not waits(12 * HOUR)
    assert not waits(2 * HOUR, rate=-0.0001)
    assert not waits(2 * HOUR, for_funding=False)
    assert not decide.awaits_funding(rules(), None, Funding(), 0)


@given(
    since=st.integers(0, 50), held=st.integers(0, 50), hours=st.integers(1, 50),
    interval=st.sampled_from([0, 1, 4, 8]), rate=st.sampled_from([-1e-4, 0.0, 1e-4]),
)  # fmt: skip
def test_it_waits_where_the_rest_of_its_horizon_is_expected_to_pay(
    since: int, held: int, hours: int, interval: int, rate: float
) -> None:
    funding = Funding(rate, rate, 20 * HOUR, interval * HOUR)
    trade, now = decide.Trade(since * HOUR, -5.0, 4.0, 40.0, True), (since + held) * HOUR
    expected = funding.expected_bps(now, (since + hours) * HOUR)
    found = decide.awaits_funding(rules(horizon=f"{hours}h"), trade, funding, now)
    assert found is (expected > 0.0)


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"pairs": ((PERP, SPOT),)}, "pairs[0]"),
        ({"pairs": ((SPOT, "ETHUSDT-LINEAR.BYBIT"),)}, "pairs[0]"),
        ({"pairs": (LEGS, LEGS)}, "pairs[1]"),
        ({"threshold": Threshold(open_bps=2.0, close_bps=2.0)}, "threshold.close_bps"),
        ({"cut_pause": "2h"}, "longest_pause"),
    ],
)
def test_parameters_that_do_not_go_together_are_named(params: Any, field: str) -> None:
    config = BasisConfig(key="b", instruments=LEGS, **({"pairs": (LEGS,)} | params))
    assert field in [where for where, _ in config.check()]


# Coins in the book -----------------------------------------------------------------------------

FULL = D("0.060061"), D("-0.060")
TERMS = Terms({SPOT: D("0.000001"), PERP: D("0.001")}, TwoLegRules())


def opened() -> PairBook:
    book, _ = change_pairs(PairBook(), [Plan("BTCUSDT", LEGS, FULL, (D(50_000),) * 2)], TERMS, 0)
    return venue_traded(book, PERP, FULL[1], D(50_000), TERMS, 1, own=True)[0]


def test_coins_that_only_the_fee_lacks_end_an_entry_once_no_order_is_out() -> None:
    book, _ = venue_traded(opened(), SPOT, D("0.060000"), D(50_000), TERMS, 2, own=True)
    assert accept_fees(book, TERMS._replace(busy=frozenset({SPOT})), 3) == (book, [])
    found, ended = accept_fees(book, TERMS, 3)
    assert [(end.held, end.cut) for end in ended] == [((D("0.060000"), D("-0.060")), "")]
    assert found.pairs["BTCUSDT"].target == (D("0.060000"), D("-0.060"))
    assert not found.changes


def test_coins_of_which_more_lacks_are_still_bought() -> None:
    book, _ = venue_traded(opened(), SPOT, D("0.059000"), D(50_000), TERMS, 2, own=True)
    assert accept_fees(book, TERMS, 3) == (book, [])
    assert book.need(SPOT) == D("0.001061")


def test_coins_that_no_order_can_sell_end_an_exit_and_go_to_the_next_entry() -> None:
    book, _ = venue_traded(opened(), SPOT, D("0.060000"), D(50_000), TERMS, 2, own=True)
    book, _ = change_pairs(accept_fees(book, TERMS, 3)[0], [Plan("BTCUSDT", LEGS)], TERMS, 4)
    book, _ = venue_traded(book, PERP, D("0.060"), D(50_000), TERMS, 5, own=True)
    book, _ = venue_traded(book, SPOT, D("-0.059950"), D(50_000), TERMS, 6, own=True)
    assert leave_dust(book, [], TERMS, 7) == (book, [], {})
    found, ended, left = leave_dust(book, [SPOT], TERMS, 7)
    assert left == {SPOT: D("0.000050")}
    assert [end.held for end in ended] == [NONE]
    assert found.positions.held() == left
    again, _ = change_pairs(found, [Plan("BTCUSDT", LEGS, FULL, (D(50_000),) * 2)], TERMS, 8)
    assert again.pairs["BTCUSDT"].held == (D("0.000050"), D(0))
