"""What a guard keeps in the journal, where other processes read it too; signs of life. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from actors.guards.core.halts import Latches
from actors.guards.core.limits import Reading

STATE, READINGS = "state", "readings"
"""Names under which a guard's store keeps what must survive, and what is only shown."""
FAILED = "failed"
"""Key of the latch that stands when the guard itself failed."""
UNKEPT = "unkept"
"""Key of the latch that stands while what the guard is to keep can't be kept."""


class Kept(msgspec.Struct, frozen=True):
    """What a guard keeps: the rule's state as JSON (null before a snapshot), and the latches."""

    state: msgspec.Raw
    latches: Latches


class Shown(msgspec.Struct, frozen=True):
    """The newest readings, and when they were made (UNIX nanoseconds, UTC)."""

    ts: int
    readings: tuple[Reading, ...]


class Heartbeats:
    """The newest sign of life of each guard: one that falls silent must not go unnoticed.

    Times are of a clock that never goes back (nanoseconds), or a change of the hour would pass for
    silence, or hide it.

    Parameters
    ----------
    names : iterable of str
        Who must give signs; each counts as silent until its first. Others may beat too.
    limit_ns : int
        Longest silence.
    """

    def __init__(self, names: Iterable[str], limit_ns: int) -> None:
        self.limit_ns = limit_ns
        self._names = tuple(names)
        self._last: dict[str, int] = {}

    def beat(self, name: str, now: int) -> None:
        """Take a sign of life in."""
        self._last[name] = now

    def since(self, name: str, now: int) -> int | None:
        """Return the nanoseconds since a name's newest sign, None when there never was one."""
        last = self._last.get(name)
        return None if last is None else now - last

    def silent(self, now: int) -> list[str]:
        """Return who has been silent for longer than the limit, in the order given."""
        ages = {name: self.since(name, now) for name in self._names}
        return [name for name, age in ages.items() if age is None or age > self.limit_ns]
