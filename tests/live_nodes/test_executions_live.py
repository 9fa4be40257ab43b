"""Executions of a live node: fills told late, positions that others change, a slow throttle."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from nautilus_trader.execution.reports import OrderStatusReport
from nautilus_trader.model.enums import OrderStatus, TimeInForce
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId

from config.documents.scenario import Http, LostRequest
from tests.live_nodes.by_hand import BTC_ID, BUY
from tests.live_nodes.practice.still_market import BTC
from tests.live_nodes.stage import ACCOUNT, Desk, Stage, desk_node, stage
from tests.waiting import slack

BID = "49999.9"
MAKER = {
    "tactic": "maker_first",
    "reprice_every": "1s",
    "least_rest": "1s",
    "deadline": "2s",
    "max_slippage_bps": 100,
}

# A loaded machine has time to trade against the order before its deadline.
PATIENT = {"least_rest": "3s", "deadline": "3s"}


def making(**changes: Any) -> dict[str, Any]:
    """Return a strategy that trades by maker_first, best bid first."""
    params = {"execution": MAKER | changes}
    return {"hand": {"use": "tests.live_nodes.by_hand:ByHand", "params": params}}


def rests(st: Stage, desk: Desk, quantity: str) -> None:
    """Start an execution and wait until its order is in the book."""
    desk.do(lambda: desk.strategy.execute(BTC_ID, D(quantity), "try"))
    desk.until(st.open_orders, "the order")


def traded(st: Stage) -> D:
    found = st.call(lambda: st.exchange.executions(ACCOUNT))
    return sum((row.qty for row in found if row.exec_type == "Trade"), D(0))


@pytest.mark.parametrize(
    ("scenario", "changes"), [("executions_late", {"by": D(5)}), ("late_fill_after_cancel", {})]
)
def test_what_was_filled_before_a_cancel_is_not_traded_again(
    scenario: str, changes: dict[str, Any]
) -> None:
    """Half of 0.010 is filled as the queue of 1.5 goes; the rest is taken at the deadline."""
    # The fill is told four or five seconds after it, the cancel comes before that.
    with stage() as st, desk_node(st, strategies=making(**PATIENT)) as desk:
        st.play(scenario, **changes)
        rests(st, desk, "0.010")
        st.hit("Sell", BID, "1.505")
        desk.until(lambda: st.position() == D("0.005"), "the fill at the venue")
        took = desk.until(lambda: not desk.strategy.busy, "the end")
        assert desk.strategy.net() == st.position() == traded(st) == D("0.010")
        assert took < slack(8)


def test_an_execution_is_not_continued_after_a_stop_that_closes_positions(tmp_path: Path) -> None:
    document = {"folder": tmp_path, "strategies": making(deadline="5m"), "on_stop": "flatten"}
    with stage() as st:
        with desk_node(st, **document, stop_deadline=5) as desk:
            rests(st, desk, "0.010")
            # The stop's cancels get no answer.
            st.call(lambda: st.faults.add("lost", LostRequest(op="order.cancel", times=1000)))
        st.end_faults()
        with desk_node(st, **document) as desk:
            assert desk.strategy.broker.live == ()
            assert (st.open_orders(), st.position()) == ({}, D(0))


def test_an_order_does_not_end_while_its_fills_can_not_be_asked_for() -> None:
    refusal = Http(path="/v5/execution/list", ret_code=10006, times=30)
    with stage() as st, desk_node(st, strategies=making(**PATIENT)) as desk:
        st.play("executions_late", by=D(60))
        rests(st, desk, "0.010")
        st.call(lambda: st.faults.add("asked", refusal))
        st.hit("Sell", BID, "1.505")
        desk.until(lambda: not st.open_orders(), "the cancel at the venue")
        desk.wait(2.0)
        assert desk.strategy.busy
        assert len(desk.strategy.cache.orders()) == 1
        st.end_faults()
        desk.until(lambda: not desk.strategy.busy, "the end")
        assert desk.strategy.net() == st.position() == traded(st) == D("0.010")


def test_what_the_venue_refuses_after_a_part_was_filled_is_a_cancel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 1.600 at the best ask there are 1.500."""
    told = OrderStatusReport.from_pyo3

    def refused(report: Any) -> OrderStatusReport:
        found = told(report)
        if found.order_status == OrderStatus.CANCELED:
            found.order_status = OrderStatus.REJECTED
        return found

    monkeypatch.setattr(OrderStatusReport, "from_pyo3", staticmethod(refused))
    with stage() as st, desk_node(st, strategies=making()) as desk:
        order = desk.do(
            lambda: desk.strategy.limit(BUY, "50000.1", "1.600", time_in_force=TimeInForce.IOC)
        )
        desk.until(lambda: desk.strategy.status(order) == "CANCELED", "the end")
        assert desk.strategy.net() == st.position() == D("1.500")


def by_hand(st: Stage, desk: Desk) -> None:
    st.order("Sell", "0.020")


def by_a_stop(st: Stage, desk: Desk) -> None:
    desk.do(lambda: desk.strategy.place_stop(BTC_ID, D(49900)))
    desk.until(lambda: len(st.open_orders()) == 2, "the stop")
    st.call(lambda: st.market.move(BTC, D("49890.0"), 0))


def by_the_venue(kind: Any) -> Callable[[Stage, Desk], None]:
    def close(st: Stage, desk: Desk) -> None:
        now = st.server.venue.clock_ms
        st.call(lambda: st.exchange.force_close(ACCOUNT, "BTCUSDT", D(1), kind, now()))
        st.call(lambda: st.server.venue.settle([BTC]))

    return close


@pytest.mark.parametrize(
    "close",
    [by_hand, by_a_stop, by_the_venue("BustTrade"), by_the_venue("AdlTrade")],
    ids=["by hand", "by a stop", "by liquidation", "by deleveraging"],
)
def test_an_exit_whose_position_goes_away_opens_nothing(
    close: Callable[[Stage, Desk], None],
) -> None:
    """Closed while the exit rests: the venue cancels it, and nothing follows."""
    with stage() as st, desk_node(st, strategies=making(deadline="4s")) as desk:
        desk.do(lambda: desk.strategy.market_order(BUY, "0.020"))
        desk.until(lambda: desk.strategy.net() == D("0.020"), "the position")
        rests(st, desk, "-0.020")
        close(st, desk)
        desk.until(lambda: st.position() == 0, "the close")
        desk.until(lambda: not desk.strategy.busy, "the end")
        desk.wait(1.0)
        assert desk.strategy.net() == st.position() == 0
        assert not st.open_orders()
        opened = st.call(lambda: st.exchange.executions(ACCOUNT))
        assert sum(row.qty for row in opened if row.exec_type != "Funding") == D("0.040")


def test_an_entry_that_others_made_in_part_buys_the_rest() -> None:
    settings = {
        "strategies": making(deadline="4s"),
        "watch": {"policies": {"external_positions": "report"}},
    }
    with stage() as st, desk_node(st, **settings) as desk:
        rests(st, desk, "0.020")
        st.order("Buy", "0.015")
        desk.until(lambda: not desk.strategy.busy, "the end")
        assert desk.strategy.net() == st.position() == D("0.020")


@pytest.mark.parametrize(("at_deadline", "held"), [("take", D("1.00")), ("give_up", D(0))])
def test_an_order_in_the_throttle_at_the_deadline_is_not_given_up(
    at_deadline: str, held: D
) -> None:
    """One order a second: the fourth would leave at 3 s, its deadline is at 2 s."""
    ids = [InstrumentId.from_str(f"C{n:02}USDT-LINEAR.BYBIT") for n in range(4)]
    settings = {
        "strategies": making(at_deadline=at_deadline),
        "universe": {"instruments": tuple(name.value for name in ids)},
        "watch": {"throttle": {"per_second": 1.0, "burst": 1}},
    }
    with stage(coins=4) as st, desk_node(st, **settings) as desk:
        market = desk.strategy.market
        desk.do(lambda: [market.watch(name) for name in ids])
        desk.until(lambda: all(map(market.top_of_book, ids)), "the books")
        for name in ids:
            desk.do(lambda name=name: desk.strategy.execute(name, D("1.00"), "try"))
        desk.until(lambda: not desk.strategy.busy, "the end")
        assert [desk.strategy.holding(name) for name in ids] == [held] * 4
        # Each was in the market, whether it was taken in the end or left.
        sent = {o.instrument_id for o in desk.strategy.cache.orders() if o.venue_order_id}
        assert sent == set(ids)


def test_an_order_cancelled_before_the_engine_has_passed_it_on_never_leaves() -> None:
    """The engine queues orders, but no cancels: a cancel overtakes its order."""
    with stage() as st, desk_node(st) as desk:
        strategy = desk.strategy

        def send_and_cancel() -> ClientOrderId:
            name = strategy.limit(BUY, "49000.0")
            strategy.broker.cancel(strategy.broker.order(name))
            return name

        before = st.sent("order.cancel")
        order = desk.do(send_and_cancel)
        desk.until(lambda: strategy.status(order) == "DENIED", "the denial")
        assert strategy.reasons(order) == ["order gate: cancelled before it left"]
        desk.wait(1.0)
        assert (st.sent(), st.sent("order.cancel")) == (0, before)


def test_what_others_trade_is_taken_off_a_market_order_in_the_throttle() -> None:
    """The first takes the only turn of three seconds; of the 0.020 that waits, others buy 0.015."""
    other = InstrumentId.from_str("C00USDT-LINEAR.BYBIT")
    settings = {
        "strategies": making(tactic="taker"),
        "universe": {"instruments": (BTC_ID.value, other.value)},
        "watch": {
            "throttle": {"per_second": 0.3, "burst": 1},
            "policies": {"external_positions": "report"},
        },
    }
    with stage(coins=1) as st, desk_node(st, **settings) as desk:
        for name, size in ((other, "1.00"), (BTC_ID, "0.020")):
            desk.do(lambda name=name, size=size: desk.strategy.execute(name, D(size), "try"))
        st.order("Buy", "0.015")
        desk.until(lambda: not desk.strategy.busy, "the end")
        assert desk.strategy.net() == st.position() == D("0.020")


def test_an_order_that_never_left_is_cancelled_once_and_delays_no_other() -> None:
    settings = {"strategies": making(), "watch": {"throttle": {"per_second": 0.3, "burst": 1}}}
    with stage() as st, desk_node(st, **settings) as desk:
        strategy, throttle = desk.strategy, desk.live.built.gate.sender
        for _ in range(2):
            desk.do(lambda: strategy.send_market(BTC_ID, D("0.010"), "try"))
        desk.until(lambda: throttle.waiting and strategy.net(), "one order in the throttle")
        (waits,) = (order.client_order_id for order in strategy.orders_under_way())
        # The trade link asks by a cancel of no order.
        before = st.sent("order.cancel")
        desk.do(lambda: [strategy.cancel_waiting() for _ in range(5)])
        desk.until(lambda: strategy.status(waits) == "DENIED", "the denial")
        assert (throttle.waiting, st.sent("order.cancel")) == (0, before)
        asked = desk.journal.intents(waits.value)
        assert [row["operation"] for row in asked] == ["submit", "cancel"]
