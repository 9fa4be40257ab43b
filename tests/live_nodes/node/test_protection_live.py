"""Protection on practice: the attached stop, our own orders, and a restart."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from nautilus_trader.model.events import OrderDenied, OrderRejected

from config.documents.scenario import LateAck, LatePush, RefusedOp
from live_nodes.node import live
from live_nodes.node.context import NodeContext
from live_nodes.node.excursions import OWNER
from live_nodes.node.report import RunOptions
from live_nodes.practice.exchange.requests import CancelRequest
from strategies.refusals import refusal_of
from tests.live_nodes.by_hand import BTC_ID
from tests.live_nodes.practice.still_market import BTC
from tests.live_nodes.stage import ACCOUNT, NAME, Desk, Stage, desk_node, stage
from tests.waiting import eventually, eventually_async

HOUR = 3_600 * 10**9
RULES = {"atr": 2, "stop": 2.0, "trail_atr": 1.0, "take": [{"at": 1.0, "fraction": 0.5}]}
HAND: dict[str, Any] = {"use": "tests.live_nodes.by_hand:ByHand", "params": {"protection": RULES}}
STOP, TAKE = "49800.1", "50200.1"
"""For an entry at 50,000.1: R is 2 ATR of 100."""
ASK = "50000.1"
OWN = {("Stop", STOP, "0.010"), ("take", TAKE, "0.005")}


@contextmanager
def protected(st: Stage, folder: Path, **settings: Any) -> Iterator[tuple[Desk, Any]]:
    """Run a node whose strategy knows a candle of a range of 100, and so an ATR of 100."""
    with desk_node(st, folder=folder, strategies={"hand": HAND}, **settings) as desk:
        candle(desk, 50_100.0, 50_000.0, 50_050.0, after=-2)
        yield desk, desk.strategy
        assert not any("no stop protects" in line for line in desk.said)


def candle(desk: Desk, high: float, low: float, close: float, after: int = 0) -> None:
    """Let a candle close that began ``after`` hours after now."""
    opened = time.time_ns() + after * HOUR
    protector = desk.strategy.broker.protector
    desk.do(lambda: protector.on_candle(BTC_ID, opened, opened + HOUR, high, low, close))


def resting(st: Stage) -> set[tuple[str, str, str]]:
    """Return kind, price and quantity of what rests at the exchange."""
    orders = st.open_orders().values()
    assert all(order.reduce_only for order in orders)
    return {
        (
            order.stop_order_type or "take",
            str(order.trigger_price or order.price),
            str(order.leaves),
        )
        for order in orders
    }


def enter(desk: Desk, st: Stage) -> tuple[str, str, str]:
    """Buy 0.010; wait until our own orders rest, and return the attached stop."""
    desk.do(lambda: desk.strategy.execute(BTC_ID, D("0.010"), "entry"))
    desk.until(lambda: len(resting(st)) == 3 and resting(st) > OWN, "what protects it")
    (attached,) = resting(st) - OWN
    # 3.5 ATR from the mid or the mark.
    assert attached[0] == "StopLoss"
    assert abs(D(attached[1]) - 49_650) < 1
    return attached


def cancel_stop(st: Stage) -> None:
    """Cancel our own stop by hand."""
    (stop,) = (o for o in st.open_orders().values() if o.stop_order_type == "Stop")
    by_hand = CancelRequest("linear", "BTCUSDT", order_id=stop.order_id)
    st.call(lambda: st.exchange.cancel(ACCOUNT, by_hand, st.server.venue.clock_ms()))


def halt(st: Stage) -> None:
    st.play("symbol_halted", at=D(0), seconds=D(60))
    eventually(lambda: st.call(lambda: st.exchange.market(BTC).halted), "the halt")


def flat(desk: Desk, st: Stage) -> None:
    desk.until(lambda: st.position() == desk.strategy.net() == 0, "the stop")
    desk.until(lambda: not st.open_orders(), "the end of the other orders")
    # The sweeps find that both sides are the same.
    desk.wait(2.5)
    assert not desk.halted()
    assert not desk.strategy.busy


def test_an_entry_carries_a_stop_and_our_own_orders_follow_the_position(tmp_path: Path) -> None:
    with stage() as st, protected(st, tmp_path) as (desk, strategy):
        kind, price, quantity = enter(desk, st)
        assert quantity == "0.010"
        assert not strategy.busy
        st.move("50300.0")
        left = {(kind, price, "0.005"), ("Stop", STOP, "0.005")}
        desk.until(lambda: resting(st) == left, "the smaller stop after the take-profit")
        candle(desk, 50_310.0, 50_210.0, 50_300.0)
        left = {(kind, price, "0.005"), ("Stop", "50130.0", "0.005")}
        desk.until(lambda: resting(st) == left, "the trailing stop")
        st.move("50100.0")
        flat(desk, st)
        (name,) = desk.journal.state_names(OWNER, "hand BTCUSDT-LINEAR.BYBIT ")
        assert b"5030" in (desk.journal.load_state(OWNER, name) or b"")


def test_a_protected_position_may_be_turned_up_to_its_cap(tmp_path: Path) -> None:
    """It is worth 500 on either side; with the attached stop as an entry it could come to 1,000."""
    cap = {
        "use": "actors.guards.position_cap:PositionCap",
        "params": {"limit_pct": None, "limit_currency": 600.0},
    }
    with stage() as st, protected(st, tmp_path, actors={"cap": cap}) as (desk, strategy):
        enter(desk, st)
        desk.do(lambda: strategy.execute(BTC_ID, D("-0.020"), "turn"))
        desk.until(lambda: st.position() == strategy.net() == D("-0.010"), "the other side")


def test_a_restart_takes_orders_up_before_anything_new(tmp_path: Path) -> None:
    """While the node is down the take-profit fills, and somebody cancels the stop."""
    with stage() as st:
        with protected(st, tmp_path) as (desk, _):
            kind, price, _ = enter(desk, st)
        cancel_stop(st)
        st.move("50300.0")
        eventually(lambda: st.position() == D("0.005"), "the take-profit")
        with protected(st, tmp_path) as (desk, _):
            left = {(kind, price, "0.005"), ("Stop", STOP, "0.005")}
            desk.until(lambda: resting(st) == left, "a stop for what is left, no new take-profit")
            candle(desk, 50_310.0, 50_210.0, 50_300.0)
            desk.until(lambda: ("Stop", "50130.0", "0.005") in resting(st), "the trailing stop")
            st.move("50100.0")
            flat(desk, st)


def test_orders_that_end_while_the_node_connects_end_in_its_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They rested when the recovery looked, and were gone when the engine took over."""
    connect = live.connect

    async def passed_meanwhile(context: NodeContext) -> None:
        st.move("49000.0")
        await eventually_async(lambda: st.position() == 0, "the stop")
        await connect(context)

    with stage() as st:
        with protected(st, tmp_path) as (desk, _):
            enter(desk, st)
        monkeypatch.setattr(live, "connect", passed_meanwhile)
        with protected(st, tmp_path) as (desk, strategy):
            assert desk.journal.unsettled() == []
            assert strategy.stopped == [BTC_ID]
            assert sum(fill.signed for fill in desk.fills()) == 0
            flat(desk, st)


def test_a_stop_that_outlived_its_position_goes_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node was killed when the position had ended and before the cancel left."""
    with stage() as st:
        with protected(st, tmp_path) as (desk, strategy):
            enter(desk, st)
            with monkeypatch.context() as killed:
                killed.setattr(type(strategy.broker), "cancel", lambda *_: None)
                desk.do(lambda: strategy.execute(BTC_ID, D("-0.010"), "exit"))
                desk.until(lambda: st.position() == strategy.net() == 0, "the exit")
                desk.wait(0.5)
        assert resting(st) == {("Stop", STOP, "0.010")}
        with protected(st, tmp_path) as (desk, strategy):
            flat(desk, st)
            assert strategy.stopped == []


def test_a_cancel_that_the_venue_refuses_for_now_is_sent_again(tmp_path: Path) -> None:
    """Otherwise a stop would rest there without a position."""
    with stage() as st, protected(st, tmp_path) as (desk, strategy):
        enter(desk, st)
        busy = RefusedOp(op="order.cancel", ret_code=10006, message="Too many visits", times=2)
        st.call(lambda: st.faults.add("busy", busy))
        desk.do(lambda: strategy.execute(BTC_ID, D("-0.010"), "exit"))
        flat(desk, st)


@pytest.mark.parametrize("closed", [False, True])
def test_without_protection_take_profits_go_and_a_stop_stays_with_its_position(
    tmp_path: Path, closed: bool
) -> None:
    """``closed`` while the node is down, by hand."""
    with stage() as st:
        with protected(st, tmp_path) as (desk, _):
            attached = enter(desk, st)
        if closed:
            st.order("Sell", "0.010")
        plain = {"hand": {"use": HAND["use"]}}
        with desk_node(st, folder=tmp_path, strategies=plain) as desk:
            left = set() if closed else {attached, ("Stop", STOP, "0.010")}
            desk.until(lambda: resting(st) == left, "the cancel")
            (line,) = [line for line in desk.said if "protection" in line]
            gone = f"1 order, leaves {'0 stops' if closed else '1 stop'}"
            assert line.startswith(f"hand: protection is off: cancels {gone}")
            if not closed:
                st.move("49000.0")
                flat(desk, st)
        with desk_node(st, folder=tmp_path, strategies=plain) as desk:
            assert not [line for line in desk.said if "protection" in line]


@pytest.mark.parametrize("down", [False, True])
def test_a_fill_of_the_attached_stop_counts_as_the_position_s_own(
    tmp_path: Path, down: bool
) -> None:
    """The price jumps past both stops, and the attached one was there first."""
    with stage() as st:
        with protected(st, tmp_path) as (desk, strategy):
            enter(desk, st)
            if not down:
                st.move("49000.0")
                flat(desk, st)
                assert strategy.stopped == [BTC_ID]
        if down:
            st.move("49000.0")
            eventually(lambda: st.position() == 0, "the stop")
            with protected(st, tmp_path) as (desk, strategy):
                flat(desk, st)
                assert strategy.stopped == [BTC_ID]


def test_the_end_of_a_run_waits_for_a_stop_that_is_being_moved(tmp_path: Path) -> None:
    """The old one goes once the exchange has answered for the new one."""
    with stage() as st:
        with protected(st, tmp_path) as (desk, _):
            attached = enter(desk, st)
            late = {
                "answer": LateAck(op="order.create", by=D(1), times=1),
                "push": LatePush(topic="order", by=D(1), times=1),
            }
            for name, fault in late.items():
                st.call(lambda name=name, fault=fault: st.faults.add(name, fault))
            candle(desk, 50_020.0, 49_990.0, 50_000.0)
        assert resting(st) == {attached, ("Stop", "49940.0", "0.010"), ("take", TAKE, "0.005")}
        assert st.struck("push") == 1


def test_a_stop_of_the_node_that_flattens_closes_first_and_takes_no_stop_away_before(
    tmp_path: Path,
) -> None:
    with stage() as st:
        with protected(st, tmp_path, on_stop="flatten") as (desk, _):
            enter(desk, st)
        assert (st.position(), resting(st)) == (0, set())
        closed, _entry = st.call(lambda: st.exchange.executions(ACCOUNT))
        ended = [o for o in st.call(lambda: st.exchange.order_history(ACCOUNT)) if not o.filled]
        assert len(ended) == 3
        assert all(order.seq > closed.seq for order in ended)
        # The entry, its three orders and the exit.
        assert len(st.orders()) == 5


def test_a_dry_run_shows_the_stop_that_it_would_place_and_no_exit(tmp_path: Path) -> None:
    with stage() as st:
        with protected(st, tmp_path) as (desk, _):
            enter(desk, st)
        cancel_stop(st)
        with protected(st, tmp_path, options=RunOptions(dry_run=True)) as (desk, strategy):
            intended = desk.live.report.intended
            desk.until(lambda: intended, "the stop")
            desk.wait(0.5)
            assert {row["order_type"] for row in intended} == {"STOP_MARKET"}
            assert strategy.stopped == []


def test_a_position_that_no_stop_protects_for_lack_of_candles_is_named(tmp_path: Path) -> None:
    with stage() as st, desk_node(st, folder=tmp_path, strategies={"hand": HAND}) as desk:

        def named() -> int:
            return sum(line.startswith(f"hand: no stop protects {NAME}") for line in desk.said)

        desk.do(lambda: desk.strategy.execute(BTC_ID, D("0.010"), "entry"))
        desk.until(named, "the warning")
        candle(desk, 50_100.0, 50_000.0, 50_050.0)
        desk.until(lambda: ("Stop", STOP, "0.010") in resting(st), "the stop")
        desk.wait(0.5)
        assert named() == 1


def test_a_stop_refused_for_now_is_sent_again_and_one_that_is_passed_closes(tmp_path: Path) -> None:
    with stage() as st, protected(st, tmp_path) as (desk, strategy):
        kind, price, quantity = enter(desk, st)
        halt(st)
        candle(desk, 50_020.0, 49_990.0, 50_000.0)
        refused = [OrderRejected, OrderDenied]
        desk.until(lambda: any(type(e) in refused for e in strategy.events), "the refusal")
        assert ("Stop", STOP, "0.010") in resting(st)
        st.end_faults()
        moved = {(kind, price, quantity), ("Stop", "49940.0", "0.010"), ("take", TAKE, "0.005")}
        desk.until(lambda: resting(st) == moved, "the trailing stop")
        # A candle whose high moves the stop beyond the price: there is nothing to wait for.
        candle(desk, 50_310.0, 50_210.0, 50_300.0, after=1)
        flat(desk, st)
        assert strategy.stopped == [BTC_ID]


def test_a_stop_that_the_venue_says_is_passed_closes_at_once(tmp_path: Path) -> None:
    """A trade has reached it, although the best prices have not: the older stop lies further."""
    with stage() as st, protected(st, tmp_path) as (desk, strategy):
        enter(desk, st)
        words = "expect Falling, but trigger_price[49940.0] >= current[49940.0]??LastPrice"
        passed = RefusedOp(op="order.create", ret_code=110093, message=words)
        st.call(lambda: st.faults.add("passed", passed))
        candle(desk, 50_020.0, 49_990.0, 50_000.0)
        flat(desk, st)
        assert strategy.stopped == [BTC_ID]


def test_an_entry_with_its_stop_rests_as_a_maker_and_is_refused_like_any_other(
    tmp_path: Path,
) -> None:
    """Orders with an attached stop go by a request of their own, with answers of their own."""
    maker = HAND["params"] | {"execution": {"tactic": "maker_first", "deadline": "5m"}}
    hand = {"use": HAND["use"], "params": maker}
    with stage() as st, desk_node(st, folder=tmp_path, strategies={"hand": hand}) as desk:
        strategy = desk.strategy
        candle(desk, 50_100.0, 50_000.0, 50_050.0, after=-2)
        desk.until(lambda: strategy.market.top_of_book(BTC_ID), "the book")
        halt(st)
        desk.do(lambda: strategy.send_market(BTC_ID, D("0.010"), "entry"))
        desk.until(lambda: isinstance(strategy.events[-1], OrderRejected), "the refusal")
        assert refusal_of(strategy.events[-1].reason).code == "not_trading"
        st.end_faults()
        desk.until(
            lambda: not st.call(lambda: st.exchange.market(BTC).halted), "the end of the halt"
        )
        desk.do(lambda: strategy.execute(BTC_ID, D("0.010"), "entry"))
        desk.until(lambda: st.open_orders(), "the maker's order")
        (order,) = st.open_orders().values()
        assert (order.price, order.stop_loss) == (D("49999.9"), D("49649.9"))
        # The queue before it is 1.500.
        for part, held in (("1.504", "0.004"), ("0.006", "0.010")):
            st.hit("Sell", "49999.9", part)
            desk.until(lambda held=held: str(strategy.net()) == held, f"the fill up to {held}")
        own = {("Stop", "49799.9", "0.010"), ("take", "50199.9", "0.005")}
        whole = own | {("StopLoss", "49649.9", "0.010")}
        desk.until(lambda: resting(st) == whole, "the orders that grow with the position")
        assert not strategy.busy


def test_take_profits_make_room_for_an_exit_that_rests_and_come_back_after_it(
    tmp_path: Path,
) -> None:
    """The exchange cuts reduce-only orders that rest to what others leave: here, to nothing."""
    whole = {"protection": RULES | {"take": [{"at": 1.0, "fraction": 1}]}}
    maker = whole | {"execution": {"tactic": "maker_first", "deadline": "5m"}}
    hand = {"use": HAND["use"], "params": maker}
    with stage() as st, desk_node(st, folder=tmp_path, strategies={"hand": hand}) as desk:
        strategy = desk.strategy
        candle(desk, 50_100.0, 50_000.0, 50_050.0, after=-2)
        desk.until(lambda: strategy.market.top_of_book(BTC_ID), "the book")
        desk.do(lambda: strategy.send_market(BTC_ID, D("0.010"), "entry"))
        stop, take, exit_ = ("Stop", STOP, "0.010"), ("take", TAKE, "0.010"), ("take", ASK, "0.010")
        desk.until(lambda: {stop, take} < resting(st), "what protects it")
        for gives_up in (True, False):
            desk.do(lambda: strategy.execute(BTC_ID, D("-0.010"), "exit"))
            desk.until(lambda: exit_ in resting(st), "the exit in the book")
            assert stop in resting(st)
            assert take not in resting(st)
            if gives_up:
                desk.do(strategy.stop_executing)
                desk.until(lambda: {stop, take} < resting(st), "the take-profit again")
        st.hit("Buy", ASK, "2")
        flat(desk, st)
        assert not [e for e in strategy.events if isinstance(e, OrderDenied | OrderRejected)]
