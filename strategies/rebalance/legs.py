"""Sends the legs of a rebalance by a tactic, as many at a time as keep the book near its way.

Engine-specific only in its ids; which legs may leave is for `strategies.tactics.release`.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from nautilus_trader.model.identifiers import InstrumentId

from strategies.messages import Executed
from strategies.tactics.release import Leg, releasable

if TYPE_CHECKING:
    from strategies.broker import Broker


class Legs:
    """The legs of one rebalance.

    Parameters
    ----------
    broker : Broker
        Carries each of them out.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._legs: dict[InstrumentId, Leg] = {}
        self._quantities: dict[InstrumentId, Decimal] = {}
        self._goals: dict[InstrumentId, Decimal] = {}
        self._reason = ""
        self._bound = 0.0
        self._releasing = False

    @property
    def waiting(self) -> bool:
        """Whether some have not left yet."""
        return any(not leg.sent and not leg.ended for leg in self._legs.values())

    def begin(
        self,
        orders: Sequence[tuple[InstrumentId, Decimal, float]],
        *,
        goals: dict[InstrumentId, Decimal],
        bound: float,
        reason: str,
    ) -> None:
        """Send the first of the legs; the others follow as these fill.

        Parameters
        ----------
        orders : sequence of (InstrumentId, Decimal, float)
            Instrument, signed quantity in base coin, and what a coin costs in settlement currency;
            the most urgent first.
        goals : dict of InstrumentId to Decimal
            Positions to be reached by those legs that a crash may have interrupted.
        bound : float
            How far net exposure may stray, settlement currency.
        reason : str
            Tag of the orders.
        """
        self._legs = {
            name: Leg(name.value, float(quantity) * price) for name, quantity, price in orders
        }
        self._quantities = {name: quantity for name, quantity, _ in orders}
        self._goals, self._bound, self._reason = goals, bound, reason
        self.release()

    def release(self) -> None:
        """Send what may leave now."""
        if self._releasing:
            return
        self._releasing = True
        for name in self._broker.live:
            if name in self._legs:
                traded = float(self._broker.traded(name))
                self._legs[name] = replace(self._legs[name], filled=traded)
        while names := releasable(list(self._legs.values()), self._bound):
            for name in map(InstrumentId.from_str, names):
                self._legs[name] = replace(self._legs[name], sent=True)
                if name in self._goals:
                    self._broker.resume(name, self._goals[name], self._reason)
                    if name not in self._broker.live:
                        self._legs[name] = replace(self._legs[name], ended=True)
                else:
                    self._broker.start(name, self._quantities[name], self._reason)
        self._releasing = False

    def on_executed(self, done: Executed) -> None:
        """Take down what became of a leg, and send what may leave now."""
        name = InstrumentId.from_str(done.instrument)
        if name in self._legs:
            traded = float(done.notional)
            self._legs[name] = replace(self._legs[name], filled=traded, ended=True)
            self.release()

    def drop(self, instruments: Container[str] | None = None) -> None:
        """Send no more, of all legs or of those in some instruments."""
        for name, leg in self._legs.items():
            if not leg.sent and (instruments is None or name.value in instruments):
                self._legs[name] = replace(leg, ended=True)
