"""Consecutive losses: several losing round trips in a row."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache, partial
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from actors.guards.core.decisions import Decisions
from actors.guards.core.drill import Plan, Scene, plan, round_trips, stage
from actors.guards.core.examples import COIN, NOON, Example
from actors.guards.core.guard import Guard, Measured, Readings
from actors.guards.core.halts import end_of
from actors.guards.core.limits import Reading, limit_reading, notable_readings
from actors.guards.core.params import Release, ResultParams, counted_scope
from actors.guards.core.snapshot import (
    ZERO,
    DeskEvent,
    FillEvent,
    RoundTripEvent,
    Snapshot,
)


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
    legs : list of list of str
        Instruments that hedge each other, such as ``[[BTCUSDT-SPOT.BYBIT, BTCUSDT-LINEAR.BYBIT]]``:
        of them one loses what the other gains, so a strategy's round trips of both are one, of what
        both brought, once both are flat. Without it each leg counts alone.
    release : str
        ``recovered`` ends the halt with the next round trip that does not lose, which only
        positions that are still open can bring; the others are as in every guard.
    """

    release: Release = "next_day"
    losses: Annotated[int, Meta(ge=1, le=1000)] = 5
    of: Literal["desk", "strategies", "instruments"] = "desk"
    legs: tuple[tuple[str, str], ...] = ()

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for legs that can't count as one."""
        found, names = list[tuple[str, str]](), list[str]()
        for index, pair in enumerate(self.legs):
            names += pair
            twice = sorted({leg for leg in pair if names.count(leg) > 1})
            found += [(f"legs[{index}]", f"{leg} is given twice") for leg in twice]
        if self.legs and self.of == "instruments":
            words = "what both legs bring is of no one instrument: give of: strategies, or desk"
            found.append(("legs", words))
        return super().check() + found

    def instruments_named(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Return the legs."""
        return [
            (("legs", index, place), leg)
            for index, pair in enumerate(self.legs)
            for place, leg in enumerate(pair)
        ]


class Row(msgspec.Struct, frozen=True):
    """Losses in a row, and when a row at the limit starts anew (UNIX nanoseconds, else None)."""

    count: int = 0
    until: int | None = None


class Legs(msgspec.Struct, frozen=True):
    """What closed legs of a pair brought, None for none, while the others (``open``) are held."""

    net: Decimal | None = None
    open: frozenset[str] = frozenset()


class Rows(msgspec.Struct, frozen=True, omit_defaults=True):
    """Losses in a row by scope, and legs by strategy and pair that are not all flat."""

    rows: dict[str, Row]
    legs: dict[str, Legs] = {}


class ConsecutiveLosses(Guard[ConsecutiveLossesParams, Rows]):
    """Stops entries for the rest of the UTC day after too many losing round trips in a row."""

    Config = ConsecutiveLossesParams
    State = Rows
    unit = "losses"
    events = frozenset({FillEvent, RoundTripEvent})
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
        self._pairs = {leg: "+".join(pair) for pair in params.legs for leg in pair}

    def start(self, snapshot: Snapshot) -> Rows:
        """Return a state without losses."""
        return Rows({})

    def measure(self, state: Rows, snapshot: Snapshot) -> Measured[Rows]:
        """End rows whose halt is over; a reading for each row of losses, and the longest."""
        state = self._ended(state, snapshot.now)
        return state, self._readings(state)

    def on_event(self, state: Rows, event: DeskEvent) -> tuple[Rows, Readings]:
        """Count a round trip, of both legs of a pair when both are flat."""
        assert isinstance(event, FillEvent | RoundTripEvent)
        trip = event if isinstance(event, RoundTripEvent) else None
        if event.instrument in self._pairs:
            state, trip = _joined(state, event, self._pairs[event.instrument])
        if trip is None:
            return state, None
        # End rows first: a trip at the very end of the halt must not count for the old row.
        before = self._ended(state, trip.ts)
        after = _counted(before, trip, self.params, self.decisions)
        scope, losses = _scope(trip, self.params), self.params.losses
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
        return replace(state, rows=state.rows | over) if over else state

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
        return replace(state, rows={n: row for n, row in state.rows.items() if n != scope})

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
    if after == state.rows.get(scope):
        return state
    return replace(state, rows=state.rows | {scope: after})


def _joined(
    state: Rows, event: FillEvent | RoundTripEvent, pair: str
) -> tuple[Rows, RoundTripEvent | None]:
    """Return the state after an event of a leg, and the round trip of both that it ended, or None.

    A leg may never be flat: coins too few for any order to sell stay. Then what the other brought
    counts when that opens again.
    """
    key, name = f"{event.strategy} {pair}", event.instrument
    legs = state.legs.get(key, Legs())
    net, held = legs.net, legs.open
    if isinstance(event, RoundTripEvent):
        net, held = event.net + (net or ZERO), held - {name}
        ends = not held
    elif event.opened:
        ends, held = net is not None and name not in held, held | {name}
    else:
        return state, None
    trip = None
    if ends and net is not None:
        trip = RoundTripEvent(ts=event.ts, strategy=event.strategy, instrument=name, net=net)
        net = None
    after = {k: found for k, found in state.legs.items() if k != key}
    if held:
        after[key] = Legs(net, held)
    return (state if after == state.legs else replace(state, legs=after)), trip


def _scope(trip: RoundTripEvent, params: ConsecutiveLossesParams) -> str:
    return counted_scope(params.of, trip.strategy, trip.instrument)


def _told(params: ConsecutiveLossesParams, scope: str, count: int) -> Reading:
    losses = params.losses
    words = f"{count} losses in a row, limit {losses}" if count >= losses else ""
    return limit_reading(
        params, scope, float(count), float(losses), bool(words), words, clear=count == 0
    )
