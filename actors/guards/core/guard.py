"""Base class of guards: what they measure, which entries they admit, how to drill them. Pure.

A guard stores nothing itself. Its state is a frozen msgspec Struct, which the shell journals before
it acts on it. The same state and input give the same result, in a backtest, live and on a replayed
tape.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from actors.guards.core.calm import Calm
from actors.guards.core.decisions import NO_DECISIONS, Decisions
from actors.guards.core.drill import Plan, Scene
from actors.guards.core.examples import Example
from actors.guards.core.limits import Reading
from actors.guards.core.params import GuardParams
from actors.guards.core.snapshot import DeskEvent, Input, Need, OrderRequested, Snapshot

Readings = tuple[Reading, ...] | None
"""None: no limit is reached or cleared; the next snapshot brings the readings."""
type Measured[S] = tuple[S, tuple[Reading, ...]]
"""The state after a snapshot, and its readings."""


class Nothing(msgspec.Struct, frozen=True):
    """The state of a guard that remembers nothing."""


NOTHING = Nothing()


class Guard[P: GuardParams, S: msgspec.Struct]:
    """Base class of guards: derive from it in your own file, and name it in a document's ``use``.

    Return a state that does not change as the same object, so that nothing is written.
    """

    Config: ClassVar[type[GuardParams]]  # parameters with ranges and units
    State: ClassVar[type[msgspec.Struct]] = Nothing  # frozen, and readable back from JSON
    unit: ClassVar[str] = ""  # of readings, such as ``%`` or ``USDT``; empty for plain numbers
    events: ClassVar[frozenset[type]] = frozenset()  # for `on_event`; a rebalance makes hundreds
    only_events: ClassVar[bool] = False  # nothing but its events brings it nearer to a limit
    needs: ClassVar[frozenset[Need]] = frozenset()  # costly parts of inputs that it reads
    example: ClassVar[Example]  # the contract test plays it

    counts_by_day: ClassVar[bool] = False  # a new day's decisions may trade again: none is covered

    def __init__(self, params: P) -> None:
        self.params = params
        self.decisions = NO_DECISIONS

    def join(self, decisions: Decisions) -> None:
        """Learn the decisions that a halt until the next day covers."""
        self.decisions = NO_DECISIONS if self.counts_by_day else decisions

    def start(self, snapshot: Snapshot) -> S:
        """Return the state at the first snapshot, which is measured next."""
        return self.State()  # type: ignore[return-value]

    def measure(self, state: S, snapshot: Snapshot) -> Measured[S]:
        """Return the state after a snapshot, and all readings."""
        raise NotImplementedError

    def calm(self, state: S, snapshot: Snapshot) -> Calm | None:
        """Return within what `measure` is sure to keep the state, with all readings clear.

        There readings are measured only when they are read. None where nothing is certain.
        """
        return None

    def on_event(self, state: S, event: DeskEvent) -> tuple[S, Readings]:
        """Return the state after one of `events`, and any new readings."""
        return state, None

    def admit(self, state: S, order: OrderRequested, snapshot: Snapshot) -> str | None:
        """Return why an entry must not leave now, None when it may; never called for exits."""
        return None

    def released(self, state: S, snapshot: Snapshot, scope: str) -> S:
        """Reset a scope after the trader accepted a breach: peaks are now, counters are zero."""
        return state

    def drill(self, scene: Scene) -> Plan:
        """Return the plan of a drill that breaches the guard just beyond its limit."""
        raise NotImplementedError

    def observe(self, state: S, seen: Input) -> tuple[S, Readings]:
        """Process a snapshot, or an event if it is one of `events`."""
        if isinstance(seen, Snapshot):
            return self.measure(state, seen)
        if type(seen) not in self.events:
            return state, None
        return self.on_event(state, seen)
