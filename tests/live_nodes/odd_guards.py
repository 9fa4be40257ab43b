"""Guards for tests in nodes and drills: recording, breaking, silent, blind and undrillable ones."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from actors.desk.guard import GuardActor
from actors.desk.risk_desk import RiskDesk
from actors.guards.core.guard import Guard, Measured, Nothing
from actors.guards.core.params import GuardParams
from actors.guards.core.snapshot import Input, Snapshot
from actors.guards.daily_loss import DailyLoss, DailyLossParams, Today
from strategies.state import StateStore
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
        return Looked(state.times + 1), ()


class Breaks(Counts):
    """It raises after some looks."""

    def measure(self, state: Looked, snapshot: Snapshot) -> Measured[Looked]:
        if state.times >= LOOKS:
            raise ZeroDivisionError("made to break")
        return super().measure(state, snapshot)


class Records(GuardActor):
    """Measures nothing; `tape` keeps each input in order, None where the desk publishes."""

    Config: ClassVar[type[GuardParams]] = GuardParams

    def __init__(self, key: str, params: GuardParams) -> None:
        super().__init__(key, Counts(params))
        self.tape: list[Input | None] = []

    def attach(self, desk: RiskDesk, store: StateStore | None = None) -> None:
        super().attach(desk, store)
        real = desk.publish

        def publish() -> None:
            self.tape.append(None)
            real()

        desk.publish = publish  # type: ignore[method-assign]

    def observe(self, seen: Input) -> None:
        self.tape.append(seen)
        super().observe(seen)


class Sleeps(GuardActor):
    """Ignores everything after some looks, silently."""

    Config: ClassVar[type[GuardParams]] = GuardParams

    def __init__(self, key: str, params: GuardParams) -> None:
        super().__init__(key, Counts(params))

    def observe(self, seen: Any) -> None:
        state = self.guard_state
        if not isinstance(state, Looked) or state.times < LOOKS:
            super().observe(seen)


class Blind(DailyLoss):
    """Measures as ever, and never finds anything over its limit."""

    def measure(self, state: Today, snapshot: Snapshot) -> Measured[Today]:
        state, readings = super().measure(state, snapshot)
        return state, tuple(msgspec.structs.replace(r, over=False, clear=True) for r in readings)


class Unknown(Guard[DailyLossParams, Nothing]):
    """Does not say how to breach it."""

    Config: ClassVar[type[GuardParams]] = DailyLossParams

    def measure(self, state: Nothing, snapshot: Snapshot) -> Measured[Nothing]:
        return state, ()
