"""Consecutive losses: several losing round trips in a row."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache, partial
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from actors.guards.core.decisions import Decisions
from actors.guards.core.drill import Plan, Scene, plan, round_trips, stage
from actors.guards.core.examples import COIN, NOON, Example
from actors.guards.core.guard import Guard, Measured, Readings
from actors.guards.core.halts import end_of
from actors.guards.core.limits import Reading, limit_reading, notable_readings
from actors.guards.core.params import Release, ResultParams, counted_scope
from actors.guards.core.snapshot import DeskEvent, RoundTripEvent, Snapshot


class ConsecutiveLossesParams(ResultParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many round trips in a row may lose.

    A round trip is a position from flat to flat; it lost when it brought less than nothing, net of
    fees and funding. One that brought exactly nothing did not lose: it ends the row as a win does.
    A row goes on over midnight and over restarts. Once it has been answered by a halt, it is
    counted anew from that halt's end.

    Parameters
    ----------
    losses : int
        Round trips in a row at which it halts.
    of : {"desk", "strategies", "instruments"}
        Whose round trips are one row: all of the desk's, each strategy's, or each instrument's over
        all strategies. Only what lost is held back.
    release : str
        ``recovered`` ends the halt with the next round trip that does not lose, which only
        positions that are still open can bring; the others are as in every guard.
    """

    release: Release = "next_day"
    losses: Annotated[int, Meta(ge=1, le=1000)] = 5
    of: Literal["desk", "strategies", "instruments"] = "desk"


class Row(msgspec.Struct, frozen=True):
    """Losses in a row, and when a row at the limit starts anew (UNIX nanoseconds, else None)."""

    count: int = 0
    until: int | None = None


class Rows(msgspec.Struct, frozen=True):
    """Losses in a row by scope."""

    rows: dict[str, Row]


class ConsecutiveLosses(Guard[ConsecutiveLossesParams, Rows]):
    """Stops entries for the rest of the UTC day after too many losing round trips in a row."""

    Config = ConsecutiveLossesParams
    State = Rows
    unit = "losses"
    events = frozenset({RoundTripEvent})
    only_events = True
    example = Example(
        ConsecutiveLossesParams(losses=3),
        lambda count: tuple(
            RoundTripEvent(ts=NOON + n, strategy="a", instrument=COIN, net=Decimal(-1))
            for n in range(int(count))
        ),
        (2, 3, 4),
    )

    def __init__(self, params: ConsecutiveLossesParams) -> None:
        super().__init__(params)
        self._read: tuple[Rows | None, tuple[Reading, ...]] = (None, ())
        # Cached: a round trip changes only one row of hundreds.
        self._told = lru_cache(maxsize=4096)(partial(_told, params))
        self._endless: Rows | None = None  # known to have no row that ends

    def start(self, snapshot: Snapshot) -> Rows:
        """Return a state without losses."""
        return Rows({})

    def measure(self, state: Rows, snapshot: Snapshot) -> Measured[Rows]:
        """End rows whose halt is over; a reading for each row of losses, and the longest."""
        state = self._ended(state, snapshot.now)
        return state, self._readings(state)

    def on_event(self, state: Rows, event: DeskEvent) -> tuple[Rows, Readings]:
        """Count a round trip."""
        assert isinstance(event, RoundTripEvent)
        # End rows first: a trip at the very end of the halt must not count for the old row.
        before = self._ended(state, event.ts)
        after = _counted(before, event, self.params, self.decisions)
        scope, losses = _scope(event, self.params), self.params.losses
        old, new = before.rows.get(scope, Row()), after.rows[scope]
        if before is self._endless and new.until is None:
            self._endless = after
        if before is state and max(old.count, new.count) < losses:
            # No halt begins or ends: the next snapshot is soon enough for the readings of hundreds.
            return after, None
        return after, self._readings(after)

    def _ended(self, state: Rows, now: int) -> Rows:
        if state is self._endless:
            return state
        ends = {name: row.until for name, row in state.rows.items() if row.until is not None}
        if not ends:
            self._endless = state
        over = {name: Row() for name, end in ends.items() if now >= end}
        return Rows(state.rows | over) if over else state

    def _readings(self, state: Rows) -> tuple[Reading, ...]:
        # Cached: rows change with round trips only, and are read at each snapshot.
        if state is not self._read[0]:
            self._read = state, self._measured(state)
        return self._read[1]

    def _measured(self, state: Rows) -> tuple[Reading, ...]:
        rows, params = state.rows, self.params
        if params.of == "desk":
            return (self._told("desk", rows.get("desk", Row()).count),)
        prefix = counted_scope(params.of, "", "")
        counts = {scope: row.count for scope, row in rows.items() if scope.startswith(prefix)}
        return notable_readings(counts, 0, self._told)

    def released(self, state: Rows, snapshot: Snapshot, scope: str) -> Rows:
        """Reset the scope's losses to zero."""
        return Rows({name: row for name, row in state.rows.items() if name != scope})

    def drill(self, scene: Scene) -> Plan:
        """Lose as often in a row as the limit: each round trip costs its fees."""
        losses = self.params.losses
        halt = stage(self.params, scene.counted_scope(self.params.of), round_trips(scene, losses))
        return plan(self.params, f"{losses} losing round trips in a row", scene.first, halt)


def _counted(
    state: Rows, trip: RoundTripEvent, params: ConsecutiveLossesParams, decisions: Decisions
) -> Rows:
    scope = _scope(trip, params)
    before = state.rows.get(scope, Row())
    after = Row()
    if trip.net < 0:
        after = Row(before.count + 1, before.until)
        if after.count >= params.losses and after.until is None:
            after = Row(after.count, end_of(params.release, trip.ts, scope, decisions))
    return state if after == state.rows.get(scope) else Rows(state.rows | {scope: after})


def _scope(trip: RoundTripEvent, params: ConsecutiveLossesParams) -> str:
    return counted_scope(params.of, trip.strategy, trip.instrument)


def _told(params: ConsecutiveLossesParams, scope: str, count: int) -> Reading:
    losses = params.losses
    words = f"{count} losses in a row, limit {losses}" if count >= losses else ""
    return limit_reading(
        params, scope, float(count), float(losses), bool(words), words, clear=count == 0
    )
