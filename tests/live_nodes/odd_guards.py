"""Guards for tests in a real node: one that remembers, one that breaks, one that falls silent."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from actors.desk.guard import Guard
from actors.guards.core.guard import Rule
from actors.guards.core.params import GuardParams
from actors.guards.core.snapshot import Snapshot

LOOKS = 5
"""How often the odd ones look before they break or fall silent."""


class Looked(msgspec.Struct, frozen=True):
    """How often it looked."""

    times: int = 0


def _step(state: Looked, seen: Any, params: GuardParams) -> tuple[Looked, Any]:
    if not isinstance(seen, Snapshot):
        return state, None
    return Looked(state.times + 1), ()


def _break(state: Looked, seen: Any, params: GuardParams) -> tuple[Looked, Any]:
    state, readings = _step(state, seen, params)
    if state.times > LOOKS:
        raise ZeroDivisionError("made to break")
    return state, readings


COUNTS = Rule(state=Looked, start=lambda *_: Looked(), step=_step, needs=frozenset({"markets"}))


class Remembers(Guard):
    """Keeps everything that it was shown."""

    Config: ClassVar[type[GuardParams]] = GuardParams
    rule: ClassVar[Rule] = COUNTS

    def __init__(self, key: str, params: GuardParams) -> None:
        super().__init__(key, params)
        self.seen: list[Any] = []

    def observe(self, seen: Any) -> None:
        """Keep it."""
        self.seen.append(seen)
        super().observe(seen)


class Breaks(Guard):
    """Its rule raises after some looks."""

    Config: ClassVar[type[GuardParams]] = GuardParams
    rule: ClassVar[Rule] = Rule(state=Looked, start=lambda *_: Looked(), step=_break)


class Sleeps(Guard):
    """Hears nothing any more after some looks, without a word."""

    Config: ClassVar[type[GuardParams]] = GuardParams
    rule: ClassVar[Rule] = COUNTS

    def observe(self, seen: Any) -> None:
        """Hear it, at first."""
        state = self.rule_state
        if not isinstance(state, Looked) or state.times < LOOKS:
            super().observe(seen)
