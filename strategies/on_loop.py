"""Timers whose callbacks run where everything else does. Engine-specific."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nautilus_trader.common.component import Clock, LiveClock
from nautilus_trader.common.events import TimeEvent

if TYPE_CHECKING:
    from strategies.base import DeskStrategy


def in_turn(clock: Clock, callback: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return the callback for a timer, made to run in the thread that runs everything else.

    A live clock calls timers from a thread of its own, in the midst of order events.
    """
    if not isinstance(clock, LiveClock):
        return callback
    loop = asyncio.get_running_loop()

    def hop(event: Any) -> None:
        loop.call_soon_threadsafe(callback, event)

    return hop


def wake_in(
    strategy: DeskStrategy, pause_ns: int, what: str, then: Callable[[TimeEvent], None]
) -> None:
    """Call a strategy once, a pause from now, in place of what it was to be called for as that."""
    clock, name = strategy.clock, f"{what}.{strategy.config.key}"
    if name in clock.timer_names:
        clock.cancel_timer(name)
    clock.set_time_alert_ns(name, clock.timestamp_ns() + pause_ns, strategy.in_turn(then))
