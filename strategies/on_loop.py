"""Timers whose callbacks run on the event loop. Engine-specific."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from nautilus_trader.common.component import Clock, LiveClock
from nautilus_trader.common.events import TimeEvent

from strategies.schedule import next_fire


def on_loop(clock: Clock, callback: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return a timer callback that runs on the main event loop.

    A live clock calls timers from another thread, possibly during order events. A clock that
    records, or replays, has a method of its own for it.
    """
    if not isinstance(clock, LiveClock):
        return callback
    own: Callable[[Callable[[Any], None]], Callable[[Any], None]] | None
    own = getattr(clock, "on_loop", None)
    if own is not None:
        return own(callback)
    loop = asyncio.get_running_loop()

    def hop(event: Any) -> None:
        try:
            loop.call_soon_threadsafe(callback, event)
        except RuntimeError:
            # A timer may fire after the node's end; anything else is an error.
            if not loop.is_closed():
                raise

    return hop


def wake_in(clock: Clock, pause_ns: int, name: str, then: Callable[[TimeEvent], None]) -> None:
    """Set a timer that fires once after a pause; it replaces one of that name."""
    if name in clock.timer_names:
        clock.cancel_timer(name)
    clock.set_time_alert_ns(name, clock.timestamp_ns() + pause_ns, on_loop(clock, then))


def repeat(
    clock: Clock, schedule: tuple[int, int], name: str, then: Callable[[TimeEvent], None]
) -> None:
    """Set a timer by a schedule, period and offset; where one of its times is now, it fires."""
    first = next_fire(clock.timestamp_ns() - 1, *schedule)
    call = on_loop(clock, then)
    clock.set_timer_ns(name, schedule[0], first, 0, call, allow_past=False, fire_immediately=True)
