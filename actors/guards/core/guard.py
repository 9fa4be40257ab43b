"""What a guard is: what it measures, which entries it admits, and how a drill breaches it. Pure.

A guard keeps nothing itself. Its state is a frozen msgspec Struct that the shell journals before
anything follows from it; given the same state and the same input it says the same, in a backtest,
live and on a tape played again.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from actors.guards.core.drill import Plan, Scene
from actors.guards.core.examples import Example
from actors.guards.core.limits import Reading
from actors.guards.core.params import GuardParams
from actors.guards.core.snapshot import DeskEvent, Input, Need, OrderRequested, Snapshot

Readings = tuple[Reading, ...] | None
"""None says nothing new: the readings before stand."""
type Measured[S] = tuple[S, tuple[Reading, ...]]
"""The state after a snapshot, and what was measured."""


class Nothing(msgspec.Struct, frozen=True):
    """The state of a guard that measures only what it is shown, and remembers nothing."""


NOTHING = Nothing()


class Guard[P: GuardParams, S: msgspec.Struct]:
    """A guard: derive from it in a file of your own, and name the class in a document's ``use``.

    A state that does not change is returned as the very same object, so that nothing is written.

    Parameters
    ----------
    params : GuardParams
        Of the class's `Config`.

    Attributes
    ----------
    Config : type of GuardParams
        Its parameters, with ranges and units.
    State : type of msgspec.Struct
        What it remembers: frozen, and readable back from JSON.
    unit : str
        In which its readings are measured, such as ``%`` or ``USDT``; empty for plain numbers.
    events : frozenset of type
        What `on_event` is shown of all that happens between snapshots. A rebalance makes hundreds
        of such things at one moment.
    needs : frozenset of Need
        Costly parts of a snapshot or an order request that it reads.
    example : Example
        Values just inside, at and outside one of its limits: the contract test plays them.
    """

    Config: ClassVar[type[GuardParams]]
    State: ClassVar[type[msgspec.Struct]] = Nothing
    unit: ClassVar[str] = ""
    events: ClassVar[frozenset[type]] = frozenset()
    needs: ClassVar[frozenset[Need]] = frozenset()
    example: ClassVar[Example]

    def __init__(self, params: P) -> None:
        self.params = params

    def start(self, snapshot: Snapshot) -> S:
        """Return the state at the first snapshot, which is measured next."""
        return self.State()  # type: ignore[return-value]

    def measure(self, state: S, snapshot: Snapshot) -> Measured[S]:
        """Return the state after a snapshot, and all of its readings."""
        raise NotImplementedError

    def on_event(self, state: S, event: DeskEvent) -> tuple[S, Readings]:
        """Return the state after one of `events`, and readings where there are new ones."""
        return state, None

    def admit(self, state: S, order: OrderRequested, snapshot: Snapshot) -> str | None:
        """Return why an entry may not leave at this moment, None when it may.

        Exits are never asked about. The newest snapshot comes with the order.
        """
        return None

    def released(self, state: S, snapshot: Snapshot, scope: str) -> S:
        """Return the state that measures anew from here: the trader accepted a breach on a scope.

        Peaks are now, counters zero.
        """
        return state

    def drill(self, scene: Scene) -> Plan:
        """Return how to breach it, just beyond its own limit."""
        raise NotImplementedError

    def observe(self, state: S, seen: Input) -> tuple[S, Readings]:
        """Take in a snapshot, or an event where it is one of `events`."""
        if isinstance(seen, Snapshot):
            return self.measure(state, seen)
        if type(seen) not in self.events:
            return state, None
        return self.on_event(state, seen)
