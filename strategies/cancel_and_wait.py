"""Waits until a strategy's own orders are gone before anything is sized anew.

Engine-specific. In the simulated engine a cancel is done when the call returns; live it takes a
round trip in which the order may still fill, and a size taken from the position too early would be
wrong by that fill.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strategies.base import DeskStrategy

PATIENCE_NS = 60 * 10**9
"""How long cancels may take; the engine itself asks after one that is not answered in 5 s."""
_AGAIN_NS = 10**9


class Clearing:
    """At most one wait at a time: a new one takes the place of the one before.

    Parameters
    ----------
    strategy : DeskStrategy
        Whose orders they are.
    """

    def __init__(self, strategy: DeskStrategy) -> None:
        self._strategy = strategy
        self._instruments: Container[str] | None = None
        self._then: Callable[[], None] | None = None
        self._or_else: Callable[[], None] | None = None
        self._until = 0
        self._cancelling = False

    @property
    def active(self) -> bool:
        """Whether it is waiting."""
        return self._then is not None

    def begin(
        self,
        then: Callable[[], None],
        or_else: Callable[[], None],
        instruments: Container[str] | None,
    ) -> None:
        """Cancel the orders, and call ``then`` once none is left, ``or_else`` when time is up."""
        strategy = self._strategy
        self.drop()
        self._instruments, self._then, self._or_else = instruments, then, or_else
        self._cancelling = True
        strategy.stop_executing(instruments)
        strategy.cancel_waiting(instruments)
        self._cancelling = False
        if self.check():
            return
        now = strategy.clock.timestamp_ns()
        self._until = now + PATIENCE_NS
        strategy.clock.set_timer_ns(
            self._timer,
            interval_ns=_AGAIN_NS,
            start_time_ns=now,
            stop_time_ns=0,
            callback=strategy.in_turn(self._on_timer),
        )

    def check(self) -> bool:
        """Go on when the last order is gone; return whether it was."""
        then = self._then
        if then is None or self._cancelling:
            return False
        if self._strategy.orders_under_way(self._instruments):
            return False
        self.drop()
        then()
        return True

    def drop(self) -> None:
        """Wait no longer, and call nothing."""
        self._then = self._or_else = None
        if self._timer in self._strategy.clock.timer_names:
            self._strategy.clock.cancel_timer(self._timer)

    @property
    def _timer(self) -> str:
        return f"clear.{self._strategy.config.key}"

    def _on_timer(self, event: object) -> None:
        if self._then is None:
            return
        if self._strategy.clock.timestamp_ns() < self._until:
            # A cancel may have been refused, or have come before its order reached the venue.
            self._strategy.cancel_waiting(self._instruments)
            self.check()
            return
        or_else = self._or_else
        self.drop()
        assert or_else is not None
        or_else()
