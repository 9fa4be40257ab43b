"""Trades per day: so many round trips are opened in an instrument and UTC day, and no more."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from actors.guards.core.exposure import Holds, after_fill, could_open, held_of, is_flat
from actors.guards.core.guard import Readings, Rule
from actors.guards.core.limits import Reading, notable_readings
from actors.guards.core.params import GuardParams, Release, refuses
from actors.guards.core.snapshot import FillEvent, Input, OrderRequested, Snapshot
from config.durations import DAY_NS


class TradesPerDayParams(GuardParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The most round trips opened per instrument and UTC day.

    The last of them may still be added to; the halt comes once it is closed.

    Parameters
    ----------
    limit : int
        Round trips.
    """

    release: Release = "next_day"
    limit: Annotated[int, Meta(ge=1, le=100_000)] = 10


class Trades(msgspec.Struct, frozen=True):
    """What was opened today.

    Parameters
    ----------
    day : int
        Whole UTC days since the epoch. It never goes back: with a clock that does, what is opened
        counts for the later day.
    opened : dict of str to int
        Round trips opened that day, by instrument.
    holds : tuple of Held
        What is open.
    """

    day: int
    opened: dict[str, int]
    holds: Holds


def start(params: TradesPerDayParams, snapshot: Snapshot) -> Trades:
    """Begin with none opened."""
    return Trades(snapshot.now // DAY_NS, {}, held_of(snapshot))


def step(state: Trades, seen: Input, params: TradesPerDayParams) -> tuple[Trades, Readings]:
    """Count what is opened; a reading of each instrument that has reached the limit, in trips."""
    if isinstance(seen, Snapshot):
        state = _on_day(state, seen.now)
        holds = held_of(seen, state.holds)
        if holds is not state.holds:
            state = msgspec.structs.replace(state, holds=holds)
    elif isinstance(seen, FillEvent):
        state = _filled(_on_day(state, seen.ts), seen)
    else:
        return state, None

    def reading(instrument: str, opened: int) -> Reading:
        scope = f"instrument:{instrument}"
        over = opened >= params.limit and is_flat(state.holds, scope)
        return Reading(
            scope=scope,
            measured=opened,
            limit=params.limit,
            over=over,
            clear=opened < params.limit,
            action=params.asks,
            multiplier=params.multiplier,
            reason=f"{opened} trades opened today, limit {params.limit}" if over else "",
            until=(state.day + 1) * DAY_NS,
        )

    return state, notable_readings(state.opened, params.limit - 1, reading)


def admit(
    state: Trades, asked: OrderRequested, snapshot: Snapshot, params: TradesPerDayParams
) -> str | None:
    """Refuse an order that could open a round trip above the limit, whatever is filled first."""
    if not refuses(params):
        return None
    more = could_open(asked)
    opened = 0 if asked.ts // DAY_NS > state.day else state.opened.get(asked.instrument, 0)
    if more == 0 or opened + more <= params.limit:
        return None
    waiting = "" if opened >= params.limit else f"; with what is under way it could be {more} more"
    return f"{opened} trades opened today, limit {params.limit}{waiting}"


def released(state: Trades, snapshot: Snapshot, scope: str, params: TradesPerDayParams) -> Trades:
    """Count from none again in what the scope covers, on the snapshot's day."""
    name = scope.removeprefix("instrument:")
    return msgspec.structs.replace(
        state,
        day=snapshot.now // DAY_NS,
        opened={k: n for k, n in state.opened.items() if scope != "desk" and k != name},
    )


def _on_day(state: Trades, now: int) -> Trades:
    day = now // DAY_NS
    if day <= state.day:
        return state
    return msgspec.structs.replace(state, day=day, opened={})


def _filled(state: Trades, fill: FillEvent) -> Trades:
    opened, name = state.opened, fill.instrument
    if fill.opened:
        opened = {**opened, name: opened.get(name, 0) + 1}
    return Trades(state.day, opened, after_fill(state.holds, fill))


RULE = Rule(
    state=Trades,
    start=start,
    step=step,
    admit=admit,
    released=released,
    needs=frozenset({"open_exposure"}),
    events=frozenset({FillEvent}),
)
