"""Our own pace of requests: the bucket by table, the throttle on the gate of a real engine."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import CancelOrder
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.events import OrderSubmitted
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Quantity

from actors.gate.order_messages import cancel_facts
from actors.records.order_facts import OrderFacts
from backtests.engine.build import BacktestDesk
from backtests.engine.market import market_of
from config.documents.watch import ThrottleSettings as Pace
from config.durations import SECOND_NS as SECOND
from live_nodes.bybit.bucket import Bucket
from live_nodes.bybit.throttle import OrderThrottle
from live_nodes.node.stop import STOPPING
from tests.builders_engine import (
    A,
    B,
    Candles,
    Script,
    at,
    desk_of,
    feed,
    info,
    price,
    slices,
    trading,
    venue,
)


def test_a_bucket_gives_a_burst_and_then_its_rate() -> None:
    bucket = Bucket(2.0, 3)
    assert [bucket.take(1, 0) for _ in range(4)] == [True, True, True, False]
    assert bucket.wait(1, 0) == 0.5
    assert not bucket.take(1, SECOND // 2 - 1)
    assert bucket.take(1, SECOND // 2)
    # Three fit, however long it was idle.
    assert [bucket.take(1, 100 * SECOND) for _ in range(4)] == [True, True, True, False]


def test_the_pace_that_ships_stays_below_what_bybit_takes_in_any_second() -> None:
    """Bybit takes ten orders a second; a bucket of ten that refills lets twenty out in the first.

    https://bybit-exchange.github.io/docs/v5/rate-limit
    """
    pace = Pace()
    bucket = Bucket(pace.per_second, pace.burst)
    millisecond = SECOND // 1000
    left = [now for now in range(0, 5 * SECOND, millisecond) if bucket.take(1, now)]
    most = max(sum(begin <= at < begin + SECOND for at in left) for begin in left)
    assert most < 10
    assert len(left) >= 30


def test_more_than_fits_goes_at_once_and_lengthens_the_next_wait() -> None:
    bucket = Bucket(1.0, 2)
    assert bucket.take(5, 0)
    assert not bucket.take(1, 3 * SECOND)
    assert bucket.take(1, 4 * SECOND)


def test_a_clock_that_is_set_back_refills_nothing() -> None:
    bucket = Bucket(1.0, 1)
    assert bucket.take(1, 10 * SECOND)
    assert not bucket.take(1, 5 * SECOND)
    assert bucket.take(1, 6 * SECOND)


@given(
    st.lists(st.integers(0, 3 * SECOND), min_size=1, max_size=60),
    st.sampled_from([0.5, 1.0, 8.0]),
    st.integers(1, 10),
)
def test_no_stretch_ever_holds_more_than_the_burst_and_its_rate(
    gaps: list[int], rate: float, burst: int
) -> None:
    bucket, times = Bucket(rate, burst), list(itertools.accumulate(gaps))
    taken = [ts for ts in times if bucket.take(1, ts)]
    for first, last in itertools.combinations(range(len(taken)), 2):
        span = (taken[last] - taken[first]) / SECOND
        assert last - first + 1 <= burst + rate * span + 1e-6


# On the gate --------------------------------------------------------------------------------------


def played(
    *steps: tuple[int, Callable[[Script], None]],
    pace: Pace,
    hold: Callable[[OrderFacts], str | None] | None = None,
) -> tuple[OrderThrottle, Script, BacktestDesk]:
    """Play steps on a market that stands at 100 with the throttle on the gate."""
    script = Script(dict(steps))
    market = market_of([info(A), info(B)], venue())
    desk = desk_of(market, venue(), script, before={A: 100.0, B: 100.0})
    clock, names = desk.engine.kernel.clock, itertools.count()

    def call_later(seconds: float, what: Callable[[], None]) -> None:
        then = clock.timestamp_ns() + round(seconds * SECOND)
        script.clock.set_time_alert_ns(f"throttle {next(names)}", then, lambda event: what())

    throttle = OrderThrottle(desk.gate, pace, clock.timestamp_ns, call_later)
    desk.gate.sender = script.throttle = throttle  # type: ignore[attr-defined]
    if hold is not None:
        desk.gate.hold(hold)
    feed(desk, slices(market, {n: Candles([100.0] * 6) for n in (A, B)}))
    return throttle, script, desk


def limits(count: int) -> Callable[[Script], None]:
    """Return a step that sends resting buys at 90, 89, 88, …"""

    def step(script: Script) -> None:
        for n in range(count):
            name, quantity = InstrumentId.from_str(A), Quantity.from_str("1.000")
            make = script.order_factory.limit
            script.submit_order(make(name, OrderSide.BUY, quantity, price(90 - n)))

    return step


def sent(script: Script) -> list[tuple[str, float]]:
    """Return each order that left, with the seconds after the third candle opened."""
    events = [e for e in script.heard if isinstance(e, OrderSubmitted) and e.ts_event > at(2)]
    orders = [script.cache.order(event.client_order_id) for event in events]
    return [
        (str(o.price) if o.has_price else o.side_string(), (event.ts_event - at(2)) / SECOND)
        for o, event in zip(orders, events, strict=True)
    ]


def test_what_is_beyond_the_burst_waits_its_turn() -> None:
    throttle, script, _ = played((at(2, 5), limits(4)), pace=Pace(per_second=1, burst=2))
    assert [name for name, _ in sent(script)] == ["90.00", "89.00", "88.00", "87.00"]
    times = [round(seconds, 1) for _, seconds in sent(script)]
    assert times == [5.0, 5.0, 6.0, 7.0]
    assert (throttle.delayed, throttle.waiting) == (2, 0)
    assert script.denials == []


def test_an_exit_overtakes_entries_that_wait() -> None:
    def rush(script: Script) -> None:
        limits(3)(script)
        script.trade(B, "-5", reduce_only=True)

    _, script, desk = played(
        (at(1, 5), trading(B, "5")), (at(2, 5), rush), pace=Pace(per_second=1, burst=1)
    )
    assert [name for name, _ in sent(script)] == ["90.00", "SELL", "89.00", "88.00"]
    assert desk.accountant.position(B) == 0


def test_what_waits_out_a_broken_link_does_not_leave_late() -> None:
    """The link breaks while two wait: at their turn they are denied, not sent after it."""
    broken = False

    def breaks(script: Script) -> None:
        nonlocal broken
        broken = True

    throttle, script, _ = played(
        (at(2, 5), limits(3)),
        (at(2, 5.2), breaks),
        pace=Pace(per_second=1, burst=1),
        hold=lambda facts: "trade link down" if broken else None,
    )
    assert [name for name, _ in sent(script)] == ["90.00"]
    assert script.denials == ["order gate: trade link down"] * 2
    assert throttle.waiting == 0


@pytest.mark.parametrize("all_at_once", [True, False])
def test_an_order_cancelled_before_it_left_never_leaves(all_at_once: bool) -> None:
    def take_back(script: Script) -> None:
        waiting = [o for o in script.cache.orders() if o.price == price(88)]
        if all_at_once:
            script.cancel_all_orders(InstrumentId.from_str(A))
        else:
            script.cancel_order(waiting[0])

    _, script, _ = played(
        (at(2, 5), limits(3)), (at(2, 5.2), take_back), pace=Pace(per_second=1, burst=1)
    )
    assert "88.00" not in [name for name, _ in sent(script)]
    assert "order gate: cancelled before it left" in script.denials


def test_a_list_that_waits_goes_whole_when_one_of_its_orders_is_cancelled() -> None:
    def send_list(script: Script) -> None:
        one, make = Quantity.from_str("1.000"), script.order_factory
        orders = [
            make.limit(InstrumentId.from_str(A), OrderSide.BUY, one, price(at_price))
            for at_price in (87, 86)
        ]
        script.submit_order_list(make.create_list(orders))

    def take_back(script: Script) -> None:
        script.cancel_order(next(o for o in script.cache.orders() if o.price == price(86)))

    throttle, script, _ = played(
        (at(2, 5), limits(1)),
        (at(2, 5.1), send_list),
        (at(2, 5.2), take_back),
        pace=Pace(per_second=1, burst=1),
    )
    assert [name for name, _ in sent(script)] == ["90.00"]
    assert script.denials == ["order gate: cancelled before it left"] * 2
    assert throttle.waiting == 0


def test_an_order_is_cancelled_once_and_not_at_all_once_it_has_ended() -> None:
    def cancel(script: Any) -> None:
        rests, _, waits = sorted(script.cache.orders(), key=lambda o: -o.price)
        script.cancel_order(waits)
        for order in (rests, rests, waits):
            command = CancelOrder(
                trader_id=order.trader_id,
                strategy_id=order.strategy_id,
                instrument_id=order.instrument_id,
                client_order_id=order.client_order_id,
                venue_order_id=None,
                command_id=UUID4(),
                ts_init=0,
            )
            script.throttle(command, [cancel_facts(command, 0)])
        # The order at 89, and one cancel of that at 90.
        assert script.throttle.waiting == 2

    _, script, _ = played(
        (at(2, 5), limits(3)), (at(2, 5.2), cancel), pace=Pace(per_second=1, burst=1)
    )
    assert [(name, round(seconds)) for name, seconds in sent(script)] == [
        ("90.00", 5),
        ("89.00", 7),
    ]


def test_entries_that_wait_are_dropped_when_the_node_stops() -> None:
    def stop(script: Any) -> None:
        assert script.throttle.drop(STOPPING) == 2

    _, script, _ = played(
        (at(2, 5), limits(3)), (at(2, 5.2), stop), pace=Pace(per_second=1, burst=1)
    )
    assert [name for name, _ in sent(script)] == ["90.00"]
    assert script.denials == ["order gate: the node is stopping"] * 2
