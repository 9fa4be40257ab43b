"""Faults of one leg of a pair on practice: in the end both legs or none, whatever went wrong."""

from __future__ import annotations

import time
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from config.documents.scenario import (
    Deleveraging,
    Freeze,
    HaltFault,
    Liquidation,
    LostAck,
    LostRequest,
    RefusedOp,
)
from strategies.hedged.book import PairBook
from strategies.messages import Action, Verdict
from tests.live_nodes.hedged.pair_nodes import (
    FULL,
    NONE,
    PAIR,
    VALUE,
    at_venue,
    ends_at,
    pairs_node,
    unhedged,
)
from tests.live_nodes.practice.still_market import BTC as BITCOIN
from tests.live_nodes.practice.still_market import ETH
from tests.live_nodes.stage import Desk, Stage, stage
from tests.waiting import slack

TWO_LEG: dict[str, Any] = {"budget": 1500, "deadline": "20s"}
"""Half a second of one leg alone, then it is chased, a second, then it is cut."""
CREATE: dict[str, Any] = {"op": "order.create", "after": 1}
"""The second order that arrives, of whichever leg."""


def enter(desk: Desk, z: float = -2.5) -> None:
    desk.do(lambda: desk.strategy.decide(z))


def report(desk: Desk, st: Stage, fault: str, beyond: int = 0) -> None:
    """Print a line of a table; what stood unhedged at the exchange must be within the budget.

    ``beyond`` are seconds in which nothing could be sent.
    """
    seconds, total = unhedged(st)
    mine = sum(end.value_seconds for end in desk.strategy.ended)
    own = f"own measure {mine:,.0f}"
    print(f"{fault} | {total:,.0f} USDT s, {seconds:.2f} s ({own}) | {at_venue(st)}")
    budget = 2 * desk.strategy.config.two_leg.budget
    assert total < budget + VALUE * (beyond + slack(0.2))


def add(st: Stage, fault: Any) -> None:
    st.call(lambda: st.faults.add(type(fault).__name__, fault))


def test_both_legs_are_entered_and_left(tmp_path: Path) -> None:
    with stage() as st, pairs_node(st, tmp_path, two_leg=TWO_LEG) as desk:
        enter(desk)
        ends_at(desk, st, FULL)
        enter(desk, 0.0)
        ends_at(desk, st, NONE)
        report(desk, st, "none")
        assert len(st.orders()) == 4


def test_pairs_closed_at_the_stop_are_not_entered_again_by_the_next_start(tmp_path: Path) -> None:
    with stage() as st:
        with pairs_node(st, tmp_path, on_stop="flatten") as desk:
            enter(desk)
            ends_at(desk, st, FULL)
        assert at_venue(st) == NONE
        assert "unfinished" not in desk.told()
        with pairs_node(st, tmp_path, on_stop="flatten") as desk:
            assert desk.strategy.book == PairBook()
            assert desk.strategy.memory.trades == {}
            assert desk.strategy.memory.cooling == {PAIR}
            desk.wait(1.5)
        # Two entered, two closed.
        assert st.sent() == 4


def test_a_leg_in_the_throttle_at_a_stop_is_entered_by_the_next_start(tmp_path: Path) -> None:
    """Not cut as refused: the stop has withdrawn its order, nobody has refused it."""
    rules = {"two_leg": {"budget": 1_000_000, "deadline": "10m"}}
    with stage() as st:
        slow = {"per_second": 0.01, "burst": 1}
        with pairs_node(st, tmp_path, throttle=slow, **rules) as desk:
            enter(desk)
            desk.until(lambda: NONE != at_venue(st) != FULL, "one leg")
        assert NONE != at_venue(st) != FULL
        assert not desk.strategy.ended
        (change,) = desk.strategy.book.changes.values()
        assert (change.goal, change.cut) == (FULL, "")
        assert " refused " not in desk.told()
        assert ": not sent SELL 1.00 ETHUSDT-LINEAR.BYBIT: the node is stopping" in desk.told()
        with pairs_node(st, tmp_path, **rules) as desk:
            desk.until(lambda: at_venue(st) == FULL, "both legs")
            ends_at(desk, st, FULL)
        assert st.sent() == 2


def test_a_second_leg_refused_for_good_closes_the_first(tmp_path: Path) -> None:
    with stage() as st, pairs_node(st, tmp_path, two_leg=TWO_LEG) as desk:
        add(st, RefusedOp(ret_code=110007, message="ab not enough for new order", **CREATE))
        enter(desk)
        ends_at(desk, st, NONE, cut="refused")
        report(desk, st, "second leg refused for good")
        # Entered, refused, closed.
        assert st.sent() == 3


@pytest.mark.slow
def test_a_second_leg_refused_for_now_is_sent_again(tmp_path: Path) -> None:
    """Five seconds later, which a budget of 20,000 allows."""
    with stage() as st, pairs_node(st, tmp_path, two_leg=TWO_LEG | {"budget": 20_000}) as desk:
        add(st, RefusedOp(ret_code=10006, message="Too many visits", **CREATE))
        enter(desk)
        ends_at(desk, st, FULL)
        report(desk, st, "second leg refused for now")


def test_a_lost_answer_of_one_leg_changes_nothing(tmp_path: Path) -> None:
    with stage() as st, pairs_node(st, tmp_path, two_leg=TWO_LEG) as desk:
        add(st, LostAck(**CREATE))
        enter(desk)
        ends_at(desk, st, FULL)
        report(desk, st, "answer of one leg lost")
        assert st.sent() == 2


@pytest.mark.slow
def test_a_leg_that_never_arrived(tmp_path: Path) -> None:
    with stage() as st, pairs_node(st, tmp_path, two_leg=TWO_LEG) as desk:
        add(st, LostRequest(**CREATE))
        enter(desk)
        ends_at(desk, st, NONE, cut="budget")
        report(desk, st, "request of one leg lost")


@pytest.mark.parametrize("channel", [pytest.param("trade", marks=pytest.mark.slow), "private"])
def test_a_link_that_freezes_while_one_leg_is_out(tmp_path: Path, channel: Any) -> None:
    """The trade link with the second order, or the private one before the fill is told."""
    with stage() as st, pairs_node(st, tmp_path, two_leg=TWO_LEG) as desk:
        topic = "order.create" if channel == "trade" else "execution*"
        add(st, Freeze(channel=channel, topic=topic, after=1, seconds=D(3)))
        if channel == "trade":
            add(st, LostRequest(**CREATE))
        enter(desk)
        ends_at(desk, st, FULL, NONE, cut=None)
        report(desk, st, f"{channel} link frozen for 3 s", beyond=3)


def test_a_leg_filled_in_part_cuts_the_other_to_match(tmp_path: Path) -> None:
    with stage() as st, pairs_node(st, tmp_path, two_leg=TWO_LEG) as desk:
        bids(st, "0.40")
        desk.until(lambda: not st.market.changed, "the thin book")
        enter(desk)
        ends_at(desk, st, (D("0.024"), D("-0.40")), cut="budget")
        report(desk, st, "one leg filled by 40 %")


def test_a_leg_that_lags_is_chased(tmp_path: Path) -> None:
    maker = {"tactic": "maker_first", "deadline": "1m"}
    # Three seconds between chase and cut: a busy machine may not look for one of them.
    two_leg = TWO_LEG | {"budget": 9_000}
    with stage() as st, pairs_node(st, tmp_path, two_leg=two_leg, execution=maker) as desk:
        enter(desk)
        desk.until(lambda: len(st.open_orders()) == 2, "the makers' orders")
        st.hit("Sell", "49999.9", "1.560")
        ends_at(desk, st, FULL)
        report(desk, st, "maker of one leg not filled")


def bids(st: Stage, quantity: str) -> None:
    """Leave one bid for ether."""

    def thin() -> None:
        st.market.books[ETH] = ([(D("2999.99"), D(quantity))], st.market.books[ETH][1])
        st.market.set_bid = lambda *_: st.market.changed.add(BITCOIN)  # type: ignore[method-assign]
        st.market.changed.add(ETH)

    st.call(thin)


@pytest.mark.parametrize("part", ["0.060", "0.030"])
def test_a_stranger_who_closes_one_leg(tmp_path: Path, part: str) -> None:
    with stage() as st, pairs_node(st, tmp_path, two_leg=TWO_LEG) as desk:
        enter(desk)
        ends_at(desk, st, FULL)
        desk.strategy.ended.clear()
        st.order("Sell", part)
        left = D("0.060") - D(part)
        ends_at(desk, st, (left, -left * 50 / 3), cut="lost")
        report(desk, st, f"a stranger closes {part} of one leg")


@pytest.mark.parametrize("event", [Deleveraging, Liquidation])
def test_a_leg_that_the_venue_closes(tmp_path: Path, event: Any) -> None:
    with stage() as st, pairs_node(st, tmp_path, two_leg=TWO_LEG) as desk:
        enter(desk)
        ends_at(desk, st, FULL)
        desk.strategy.ended.clear()
        add(st, event(symbol="BTCUSDT"))
        ends_at(desk, st, NONE, cut="lost")
        report(desk, st, f"{event.__name__.lower()} of one leg")


def test_candles_a_moment_late_are_no_delay_to_name(tmp_path: Path) -> None:
    with stage() as st, pairs_node(st, tmp_path) as desk:
        strategy, now = desk.strategy, time.time_ns()
        soon = now + 3_600 * 10**9
        desk.do(lambda: strategy._decide(soon, now))
        assert strategy.busy
        assert not strategy.delay
        desk.do(lambda: strategy._decide(soon, now - 20 * 10**9))
        assert strategy.delay == "candles are missing"


def test_a_halt_of_entries_while_one_leg_is_out(tmp_path: Path) -> None:
    with stage() as st, pairs_node(st, tmp_path, two_leg=TWO_LEG | {"budget": 20_000}) as desk:
        add(st, RefusedOp(ret_code=10006, message="Too many visits", **CREATE))
        enter(desk)
        desk.until(lambda: desk.strategy.book.positions.held(), "one leg")
        halt = Verdict(action=Action.HALT_ENTRIES, scope="desk", guard="drawdown", reason="down")
        desk.do(lambda: desk.strategy.msgbus.publish("verdicts.drawdown", halt))
        ends_at(desk, st, NONE, cut="halted")
        report(desk, st, "entries halted while one leg is out")


def test_a_market_that_halts_while_one_leg_is_out(tmp_path: Path) -> None:
    with stage() as st, pairs_node(st, tmp_path, two_leg=TWO_LEG) as desk:
        add(st, HaltFault(symbol="ETHUSDT", seconds=D(60)))
        desk.until(lambda: st.call(lambda: st.exchange.market(ETH).halted), "the halt")
        enter(desk)
        ends_at(desk, st, NONE, cut="budget")
        report(desk, st, "market of one leg halted")
