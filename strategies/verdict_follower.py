"""What a strategy does at once when a guard asks it to leave, or to enter no more. Engine-specific.

Only what is new is acted on: a verdict that is said again, as after each look of its guard, must
not send exits again.
"""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING

from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.orders import Order

from strategies.messages import Action, Verdict
from strategies.sizing.rounding import ZERO
from strategies.verdicts import halted_for_good

if TYPE_CHECKING:
    from strategies.base import DeskStrategy

EXIT = "flatten"
"""Reason that the exits carry."""


class Obedience:
    """How one strategy follows the verdicts that it hears.

    Parameters
    ----------
    strategy : DeskStrategy
        Who obeys.
    """

    def __init__(self, strategy: DeskStrategy) -> None:
        self._strategy = strategy
        self._waiting: set[str] = set()
        self._leaving: set[str] = set()
        self._halting: set[str] = set()

    def begin(self) -> None:
        """Take what stands at the start for known: it is no news."""
        self._leaving, self._halting = self.to_leave(), self._halted()

    def follow(self, verdict: Verdict) -> None:
        """Act on what the verdict, which is on the board already, changes."""
        strategy = self._strategy
        left, halted = self._leaving, self._halting
        self.begin()
        leave = self._leaving - left
        recall = self._halting - halted - leave
        if leave:
            strategy.on_flatten(leave, verdict)
        if recall:
            strategy.on_halt(recall, verdict)

    def to_leave(self) -> set[str]:
        """Return the ids that a verdict says to leave."""
        strategy = self._strategy
        return {n for n in strategy.ids if strategy.verdict_on(n).action == Action.FLATTEN}

    def left_to_leave(self) -> set[str]:
        """Return those of them in which something is held."""
        held = self._strategy.holdings()
        return {name for name in self.to_leave() if held.get(name)}

    def leave(self, instruments: Container[str]) -> None:
        """Cancel the own orders in the instruments, then close what is held there, at market."""
        # One wait takes the place of the one before, which may have been for other instruments.
        self._waiting |= {name for name in self._strategy.ids if name in instruments}
        self._strategy.when_clear(
            self._exit, or_else=self._give_up, instruments=frozenset(self._waiting)
        )

    def recall(self, instruments: Container[str]) -> None:
        """Take back the entries that wait or rest in the instruments; exits go on."""
        strategy = self._strategy
        entering = {name for name in strategy.executions_entering() if name in instruments}
        if entering:
            strategy.stop_executing(entering)
        for order in strategy.orders_under_way(instruments):
            if self._is_entry(order) and not order.is_pending_cancel:
                strategy.cancel_order(order)

    def _exit(self) -> None:
        waiting, self._waiting = self._waiting, set()
        strategy = self._strategy
        for instrument_id in strategy.instrument_ids:
            held = strategy.holding(instrument_id)
            if instrument_id.value in waiting and held != ZERO:
                strategy.send_market(instrument_id, -held, EXIT, decision_id="")

    def _give_up(self) -> None:
        self._waiting = set()
        self._strategy.could_not_clear()

    def _is_entry(self, order: Order) -> bool:
        left = order.quantity.as_decimal() - order.filled_qty.as_decimal()
        signed = left if order.side == OrderSide.BUY else -left
        return not order.is_reduce_only and not self._strategy.shrinks(order.instrument_id, signed)

    def _halted(self) -> set[str]:
        strategy = self._strategy
        return {n for n in strategy.ids if halted_for_good(strategy.verdicts_on(n))}
