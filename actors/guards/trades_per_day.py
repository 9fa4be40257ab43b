"""Trades per day: a limit on round trips opened in an instrument on one UTC day."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from actors.guards.core.drill import Plan, Scene, plan, round_trips, stage
from actors.guards.core.examples import COIN, NOON, Example
from actors.guards.core.exposure import Holds, after_fill, could_open, held_of, is_flat
from actors.guards.core.guard import Guard, Measured, Readings
from actors.guards.core.limits import Reading, limit_reading, notable_readings
from actors.guards.core.params import GuardParams, Release, refuses
from actors.guards.core.snapshot import DeskEvent, FillEvent, OrderRequested, Snapshot
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

    def idle_on(self, every: int, at: int) -> str:
        """Return why a day has too few decisions."""
        most = -(-DAY_NS // every)
        return "" if most > self.limit else f"a day has {most} of its decisions, limit {self.limit}"


class Trades(msgspec.Struct, frozen=True):
    """The round trips opened today."""

    day: int  # UTC days since the epoch; never goes back, even where the clock does
    opened: dict[str, int]  # round trips by instrument
    holds: Holds  # open positions


class TradesPerDay(Guard[TradesPerDayParams, Trades]):
    """Stops an instrument for the day after a number of round trips."""

    Config = TradesPerDayParams
    State = Trades
    unit = "trades"
    counts_by_day = True
    events = frozenset({FillEvent})
    needs = frozenset({"open_exposure"})
    example = Example(
        TradesPerDayParams(limit=2),
        lambda count: tuple(
            FillEvent(
                ts=NOON,
                strategy="a",
                instrument=COIN,
                quantity=Decimal(sign),
                price=Decimal(1),
                fee=Decimal(0),
                opened=sign > 0,
            )
            for _ in range(int(count))
            for sign in (1, -1)
        ),
        (1, 2, 3),
        clear=1,
        scope=f"instrument:{COIN}",
    )

    def start(self, snapshot: Snapshot) -> Trades:
        """Return a state without trades."""
        return Trades(snapshot.now // DAY_NS, {}, held_of(snapshot))

    def measure(self, state: Trades, snapshot: Snapshot) -> Measured[Trades]:
        """Return the round trips of instruments at the limit, and of the one nearest to it."""
        state = _on_day(state, snapshot.now)
        holds = held_of(snapshot, state.holds)
        if holds is not state.holds:
            state = msgspec.structs.replace(state, holds=holds)
        return state, self._readings(state)

    def on_event(self, state: Trades, event: DeskEvent) -> tuple[Trades, Readings]:
        """Count a round trip that a fill opens."""
        assert isinstance(event, FillEvent)
        state = _filled(_on_day(state, event.ts), event)
        return state, self._readings(state)

    def _readings(self, state: Trades) -> tuple[Reading, ...]:
        params = self.params

        def reading(instrument: str, opened: int) -> Reading:
            scope = f"instrument:{instrument}"
            over = opened >= params.limit and is_flat(state.holds, scope)
            return limit_reading(
                params,
                scope,
                opened,
                params.limit,
                over,
                f"{opened} trades opened today, limit {params.limit}" if over else "",
                clear=opened < params.limit,
                until=(state.day + 1) * DAY_NS,
            )

        return notable_readings(state.opened, params.limit - 1, reading)

    def admit(self, state: Trades, order: OrderRequested, snapshot: Snapshot) -> str | None:
        """Refuse orders that could open too many round trips, in any order of fills."""
        params = self.params
        if not refuses(params):
            return None
        more = could_open(order)
        opened = 0 if order.ts // DAY_NS > state.day else state.opened.get(order.instrument, 0)
        if more == 0 or opened + more <= params.limit:
            return None
        waiting = (
            "" if opened >= params.limit else f"; with what is under way it could be {more} more"
        )
        return f"{opened} trades opened today, limit {params.limit}{waiting}"

    def released(self, state: Trades, snapshot: Snapshot, scope: str) -> Trades:
        """Reset the scope's count to zero, on the snapshot's day."""
        name = scope.removeprefix("instrument:")
        return msgspec.structs.replace(
            state,
            day=snapshot.now // DAY_NS,
            opened={k: n for k, n in state.opened.items() if scope != "desk" and k != name},
        )

    def drill(self, scene: Scene) -> Plan:
        """Open and close as often as the limit."""
        count, name = self.params.limit, scene.first
        halt = stage(self.params, scene.scope_of(name), round_trips(scene, count))
        return plan(self.params, f"{count} round trips in {name} on one day", name, halt)


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
