"""Error rate: too many failures of the desk in a rolling window."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from actors.guards.core.drill import Failures, Mended, Plan, Scene, plan, stage
from actors.guards.core.examples import NOON, Example
from actors.guards.core.guard import Guard, Measured, Readings
from actors.guards.core.params import GuardParams, Release, Span, span_ns
from actors.guards.core.snapshot import DeskEvent, ErrorEvent, Snapshot
from actors.guards.core.windows import Stamps, added, counted_reading


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
    """Times of the newest errors, at most as many as the limit."""

    stamps: Stamps = ()


class ErrorRate(Guard[ErrorRateParams, Errors]):
    """Stops the desk's entries after too many errors in a rolling window."""

    Config = ErrorRateParams
    State = Errors
    unit = "errors"
    events = frozenset({ErrorEvent})
    only_events = True
    example = Example(
        ErrorRateParams(limit=10),
        lambda count: tuple(
            ErrorEvent(ts=NOON + n, source="sweep", text="?") for n in range(int(count))
        ),
        (9, 10, 12),
        clear=9,
    )

    def measure(self, state: Errors, snapshot: Snapshot) -> Measured[Errors]:
        """Count the errors in the window that ends now, up to the limit."""
        return self._counted(state, snapshot.now, "")

    def on_event(self, state: Errors, event: DeskEvent) -> tuple[Errors, Readings]:
        """Count one more error."""
        assert isinstance(event, ErrorEvent)
        params = self.params
        stamps = added(state.stamps, event.ts, span_ns(params.window), params.limit)
        if stamps != state.stamps:
            state = Errors(stamps)
        return self._counted(state, event.ts, f"; the last: {event.text}")

    def _counted(self, state: Errors, now: int, last: str) -> Measured[Errors]:
        params, window = self.params, span_ns(self.params.window)
        words = f"errors within {params.window}{last}"
        found = counted_reading(params, "desk", state.stamps, now, window, params.limit, words)
        return state, (found,)

    def released(self, state: Errors, snapshot: Snapshot, scope: str) -> Errors:
        """Remove all errors."""
        return Errors()

    def drill(self, scene: Scene) -> Plan:
        """Let as many requests to the venue fail as the limit."""
        limit = self.params.limit
        within = (limit + 1) * scene.sweep_s
        halt = stage(self.params, scene.desk, Failures(limit, within), within=within)
        words = f"{limit} requests of the desk fail within {self.params.window}"
        return plan(self.params, words, scene.first, halt, after=(Mended(),))
