"""Read every guard's status (value, limit, headroom, halts) from the journal of any node."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec.structs import replace

from actors.desk.guard_state import FAILED, READINGS, STATE, Kept, Shown
from actors.guards.core.halts import Latch
from actors.guards.core.limits import Reading
from actors.records.journal_reading import JournalReader, read
from config.documents import Node
from config.documents.setup import Setup
from live_nodes.local.mailbox import OPERATOR
from strategies.messages import Action

OWNER = "guard:"
"""Prefix of a guard's key in the journal."""


class GuardStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One limit of one guard; a guard without a measurement has one entry without numbers.

    `guard` is the component's key (``operator`` is the kill switch). Headroom is the distance from
    the limit, in the guard's unit, below zero beyond it; `headroom_share` is a fraction of the
    limit (None if the limit is zero). `action`, `multiplier` and `reason` are those of the standing
    halt (`latched`), else of the reading. Times are UNIX nanoseconds (UTC); no `until` means until
    released. `failed` guards measure no more. `unit` is the guard's; some readings have another by
    their key.
    """

    guard: str
    scope: str = ""
    key: str = ""
    measured: float | None = None
    limit: float | None = None
    over: bool = False
    headroom: float | None = None
    headroom_share: float | None = None
    action: str = "none"
    multiplier: float = 1.0
    reason: str = ""
    latched: bool = False
    release: str = ""
    since: int | None = None
    until: int | None = None
    last_beat: int | None = None
    failed: bool = False
    unit: str = ""


def risk_of(folder: Path, node: Setup | Node) -> list[GuardStatus]:
    """Return each enabled guard's status in the document's order, the operator last."""
    with read(folder) as journal:
        return guards_in(journal, node)


def guards_in(journal: JournalReader, node: Setup | Node) -> list[GuardStatus]:
    """Return what `risk_of` does, of an open journal."""
    kept, shown = journal.states(STATE), journal.states(READINGS)
    keys = [key for key, component in node.actors.items() if component.enabled]
    return [
        status
        for key in [*keys, OPERATOR]
        for status in of_guard(key, kept.get(OWNER + key), shown.get(OWNER + key))
    ]


def of_guard(key: str, kept: bytes | None, shown: bytes | None) -> list[GuardStatus]:
    """Return the latches and readings of a guard's saved state, sorted by scope and key."""
    latches = () if kept is None else msgspec.json.decode(kept, type=Kept).latches
    newest = None if shown is None else msgspec.json.decode(shown, type=Shown)
    readings = {} if newest is None else {(r.scope, r.key): r for r in newest.readings}
    stands = {(latch.scope, latch.key): latch for latch in latches}
    plain = GuardStatus(guard=key, failed=any(latch.key == FAILED for latch in latches))
    if newest is not None:
        plain = replace(plain, last_beat=newest.ts, unit=newest.unit)
    names = sorted(readings.keys() | stands.keys())
    return [_status(plain, readings.get(n), stands.get(n)) for n in names] or [plain]


def _status(plain: GuardStatus, reading: Reading | None, latch: Latch | None) -> GuardStatus:
    source, holds = reading or latch, latch or reading
    assert source is not None
    assert holds is not None
    measured, limit, over = source.measured, source.limit, reading is not None and reading.over
    gap = None if reading is None else abs(limit - measured) * (-1 if over else 1)
    return replace(
        plain,
        scope=source.scope,
        key=source.key,
        measured=measured,
        limit=limit,
        over=over,
        headroom=gap,
        headroom_share=None if gap is None or not limit else gap / abs(limit),
        action=Action(holds.action).name.lower(),
        multiplier=holds.multiplier,
        reason=holds.reason,
        latched=latch is not None,
        release="" if latch is None else latch.release,
        since=None if latch is None else latch.since,
        until=None if latch is None else latch.until,
    )
