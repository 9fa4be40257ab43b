"""Error rate: too many things of the desk failed within a rolling window."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from actors.guards.core.guard import Readings, Rule
from actors.guards.core.limits import Reading, inside
from actors.guards.core.params import GuardParams, Release, Span, span_ns
from actors.guards.core.snapshot import ErrorEvent, Input, Snapshot
from actors.guards.core.windows import Stamps, added, below_from, counted


class ErrorRateParams(GuardParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many errors within a rolling window stop the desk's entries.

    Parameters
    ----------
    limit : int
        Errors.
    window : str
        Such as ``1m``.
    """

    release: Release = "5m"
    limit: Annotated[int, Meta(ge=1, le=1000)] = 5
    window: Span = "1m"


class Errors(msgspec.Struct, frozen=True):
    """When the newest errors came: as many as the limit."""

    stamps: Stamps = ()


def start(params: ErrorRateParams, snapshot: Snapshot) -> Errors:
    """Begin with none."""
    return Errors()


def step(state: Errors, seen: Input, params: ErrorRateParams) -> tuple[Errors, Readings]:
    """Count the errors of the window that ends now, up to the limit."""
    window = span_ns(params.window)
    if isinstance(seen, ErrorEvent):
        now, last = seen.ts, f"; the last: {seen.source}"
        stamps = added(state.stamps, now, window, params.limit)
        if stamps != state.stamps:
            state = Errors(stamps)
    elif isinstance(seen, Snapshot):
        now, last = seen.now, ""
    else:
        return state, None
    count = counted(state.stamps, now, window)
    over = count >= params.limit
    return state, (
        Reading(
            scope="desk",
            measured=count,
            limit=params.limit,
            over=over,
            clear=not over and inside(count, params.limit, params.hysteresis),
            action=params.asks,
            multiplier=params.multiplier,
            reason=f"{count} errors within {params.window}{last}" if over else "",
            until=below_from(state.stamps, params.limit, window) if over else None,
        ),
    )


def released(state: Errors, snapshot: Snapshot, scope: str, params: ErrorRateParams) -> Errors:
    """Forget the errors so far."""
    return Errors()


RULE = Rule(
    state=Errors,
    start=start,
    step=step,
    released=released,
    events=frozenset({ErrorEvent}),
)
