"""Consecutive losses: round trips that lost, one after the other."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from actors.guards.core.guard import Readings, Rule
from actors.guards.core.halts import end_of
from actors.guards.core.limits import Reading, notable_readings
from actors.guards.core.params import GuardParams, Release
from actors.guards.core.snapshot import Input, RoundTripEvent, Snapshot
from strategies.messages import Action

_PREFIX = {"strategies": "strategy:", "instruments": "instrument:"}


class ConsecutiveLossesParams(GuardParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
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
    """Losses in a row, and when a row that reached the limit is counted anew: UNIX nanoseconds
    (UTC), None when that is not known.
    """

    count: int = 0
    until: int | None = None


class Rows(msgspec.Struct, frozen=True):
    """The rows by scope."""

    rows: dict[str, Row]


def start(params: ConsecutiveLossesParams, snapshot: Snapshot) -> Rows:
    """Return no losses."""
    return Rows({})


def step(state: Rows, seen: Input, params: ConsecutiveLossesParams) -> tuple[Rows, Readings]:
    """Count a round trip, and end rows whose halt is over; a reading for each row of losses, in
    trips, and for the longest.
    """
    if isinstance(seen, RoundTripEvent):
        # First: a trip that ends with the halt must not be taken for one more of the old row.
        state = _counted(_ended(state, seen.ts), seen, params)
    elif isinstance(seen, Snapshot):
        state = _ended(state, seen.now)
    else:
        return state, None
    rows = state.rows
    if params.of == "desk":
        count = rows.get("desk", Row()).count
        return state, (_told("desk", count, params.losses, params.asks, params.multiplier),)
    prefix = _PREFIX[params.of]
    counts = {scope: row.count for scope, row in rows.items() if scope.startswith(prefix)}
    asks, multiplier = params.asks, params.multiplier
    return state, notable_readings(
        counts, 0, lambda scope, count: _told(scope, count, params.losses, asks, multiplier)
    )


def released(state: Rows, snapshot: Snapshot, scope: str, params: ConsecutiveLossesParams) -> Rows:
    """Count a scope's losses from here."""
    return Rows({name: row for name, row in state.rows.items() if name != scope})


def _counted(state: Rows, trip: RoundTripEvent, params: ConsecutiveLossesParams) -> Rows:
    scope = _scope(trip, params)
    before = state.rows.get(scope, Row())
    after = Row()
    if trip.net < 0:
        after = Row(before.count + 1, before.until)
        if after.count >= params.losses and after.until is None:
            after = Row(after.count, end_of(params.release, trip.ts))
    return state if after == state.rows.get(scope) else Rows(state.rows | {scope: after})


def _ended(state: Rows, now: int) -> Rows:
    over = {k: Row() for k, row in state.rows.items() if row.until is not None and now >= row.until}
    return Rows(state.rows | over) if over else state


def _scope(trip: RoundTripEvent, params: ConsecutiveLossesParams) -> str:
    if params.of == "desk":
        return "desk"
    return _PREFIX[params.of] + (trip.strategy if params.of == "strategies" else trip.instrument)


# Each round trip changes one row of hundreds: the others are told as they were.
@lru_cache(maxsize=4096)
def _told(scope: str, count: int, losses: int, asks: Action, multiplier: float) -> Reading:
    over = count >= losses
    return Reading(
        scope=scope,
        measured=float(count),
        limit=float(losses),
        over=over,
        clear=count == 0,
        action=asks,
        multiplier=multiplier,
        reason=f"{count} losses in a row, limit {losses}" if over else "",
    )


RULE = Rule(
    state=Rows,
    start=start,
    step=step,
    released=released,
    events=frozenset({RoundTripEvent}),
)
