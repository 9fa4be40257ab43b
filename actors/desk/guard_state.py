"""State of a guard in the journal, and heartbeats of guards. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

from actors.guards.core.halts import Latches
from actors.guards.core.limits import Reading

STATE, READINGS = "state", "readings"
"""Names of a guard's saved state (needed after a restart) and of its readings (only shown)."""
FAILED = "failed"
"""Key of the latch of a guard that failed."""
UNKEPT = "unkept"
"""Key of the latch that stands while the guard's state can't be saved."""


class Kept(msgspec.Struct, frozen=True):
    """A guard's saved state: the rule's state as JSON (null before a snapshot) and the latches."""

    state: msgspec.Raw
    latches: Latches


class Shown(msgspec.Struct, frozen=True):
    """A guard's newest readings, their time (UNIX nanoseconds, UTC) and the guard's unit.

    A status has the unit from here, so that it need not import the guard's code.
    """

    ts: int
    readings: tuple[Reading, ...]
    unit: str = ""


class Heartbeats:
    """Heartbeats of guards, to detect a guard that stopped working.

    Times are nanoseconds of a monotonic clock, because a change of the wall clock could look like
    silence or hide it. Each of ``names`` counts as silent until its first heartbeat; other names
    may beat too.
    """

    def __init__(self, names: Iterable[str], limit_ns: int) -> None:
        self.limit_ns = limit_ns
        self._names = tuple(names)
        self._last: dict[str, float] = dict.fromkeys(self._names, -math.inf)

    def beat(self, name: str, now: int) -> None:
        """Record a heartbeat."""
        self._last[name] = now

    def since(self, name: str, now: int) -> int | None:
        """Return the nanoseconds since the last heartbeat, or None when there was none."""
        last = self._last.get(name, -math.inf)
        return None if last == -math.inf else int(now - last)

    def silent(self, now: int) -> list[str]:
        """Return the names without a heartbeat for longer than the limit, in the order given."""
        last, oldest = self._last, now - self.limit_ns
        # Each order asks.
        if min(last.values(), default=now) >= oldest:
            return []
        return [name for name in self._names if last[name] < oldest]
