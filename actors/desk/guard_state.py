"""What a guard keeps in the journal, as another process reads it too."""

from __future__ import annotations

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
