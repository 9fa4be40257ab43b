"""Guards for tests in a real node: one that remembers, one that breaks, one that falls silent."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from actors.desk.guard import GuardActor
from actors.guards.core.guard import Guard, Measured
from actors.guards.core.params import GuardParams
from actors.guards.core.snapshot import Snapshot
from tests.actors.tiny_guards import EVENTS

LOOKS = 5
"""How often the odd ones look before they break or fall silent."""


class Looked(msgspec.Struct, frozen=True):
    """How often it looked."""

    times: int = 0


class Counts(Guard[GuardParams, Looked]):
    """Counts its looks."""

    Config: ClassVar[type[GuardParams]] = GuardParams
    State = Looked
    events = EVENTS
    needs = frozenset({"markets"})

    def measure(self, state: Looked, snapshot: Snapshot) -> Measured[Looked]:
        """Count one more."""
        return Looked(state.times + 1), ()


class Breaks(Counts):
    """It raises after some looks."""

    Config: ClassVar[type[GuardParams]] = GuardParams

    def measure(self, state: Looked, snapshot: Snapshot) -> Measured[Looked]:
        """Count one more, up to its end."""
        if state.times >= LOOKS:
            raise ZeroDivisionError("made to break")
        return super().measure(state, snapshot)


class Remembers(GuardActor):
    """Keeps everything that it was shown."""

    Config: ClassVar[type[GuardParams]] = GuardParams

    def __init__(self, key: str, params: GuardParams) -> None:
        super().__init__(key, Counts(params))
        self.seen: list[Any] = []

    def observe(self, seen: Any) -> None:
        """Keep it."""
        self.seen.append(seen)
        super().observe(seen)


class Sleeps(GuardActor):
    """Hears nothing any more after some looks, without a word."""

    Config: ClassVar[type[GuardParams]] = GuardParams

    def __init__(self, key: str, params: GuardParams) -> None:
        super().__init__(key, Counts(params))

    def observe(self, seen: Any) -> None:
        """Hear it, at first."""
        state = self.guard_state
        if not isinstance(state, Looked) or state.times < LOOKS:
            super().observe(seen)
