"""A live clock calls from a thread of its own; what it calls must run where order events do."""

import asyncio
import threading
from types import SimpleNamespace

from nautilus_trader.common.component import LiveClock, TestClock

from strategies.base import DeskStrategy


async def heard_in(wrap) -> int:
    clock, heard = LiveClock(), []
    callback = wrap(clock, lambda event: heard.append(threading.get_ident()))
    clock.set_time_alert_ns("soon", clock.timestamp_ns() + 20_000_000, callback)
    for _ in range(200):
        await asyncio.sleep(0.01)
        if heard:
            return heard[0]
    raise AssertionError("the alert never came")


def test_the_engines_live_clock_calls_from_another_thread():
    assert asyncio.run(heard_in(lambda clock, call: call)) != threading.get_ident()


def test_on_loop_brings_it_back_to_the_thread_of_the_loop():
    def wrap(clock, call):
        return DeskStrategy.on_loop(SimpleNamespace(clock=clock), call)

    assert asyncio.run(heard_in(wrap)) == threading.get_ident()


def test_in_a_backtest_nothing_stands_between():
    call = print
    assert DeskStrategy.on_loop(SimpleNamespace(clock=TestClock()), call) is call


def test_a_timer_that_fires_after_the_loops_end_is_no_error():
    async def wrapped():
        return DeskStrategy.on_loop(SimpleNamespace(clock=LiveClock()), print)

    asyncio.run(wrapped())(None)
