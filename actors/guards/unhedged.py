"""Unhedged: one leg of a two-leg trade without the other, for too much value and too long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from actors.guards.core.drill import Hold, Plan, Scene, plan, stage
from actors.guards.core.examples import COIN, NOON, OTHER, SECOND, Example, desk, held
from actors.guards.core.exposure import Values, net_values
from actors.guards.core.guard import Guard, Measured, Readings
from actors.guards.core.limits import Reading, exact, limit_reading
from actors.guards.core.params import ActionName, GuardParams
from actors.guards.core.snapshot import ZERO, DeskEvent, FillEvent, Snapshot
from strategies.tactics.unhedged_value import UnhedgedValue, hedged, measured, total_at


class Pair(msgspec.Struct, frozen=True, array_like=True):
    """Two legs that hedge each other: ``[first, second]`` or ``[first, second, ratio]``.

    Parameters
    ----------
    first, second : str
        Instrument ids, such as a spot pair and its perpetual.
    ratio : float
        Value of the first leg that hedges one of the second.
    """

    first: str
    second: str
    ratio: Annotated[float, Meta(gt=0, le=1000)] = 1.0

    @property
    def name(self) -> str:
        """Both ids."""
        return f"{self.first}+{self.second}"


class UnhedgedParams(GuardParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much value may stand unhedged for how long.

    What is left of a pair's legs (first plus ratio times second, signed) is summed up over time
    until the pair is hedged again.

    Parameters
    ----------
    legs : list of Pair
        Such as ``[[BTCUSDT-SPOT.BYBIT, BTCUSDT-LINEAR.BYBIT]]``.
    limit : float
        Value times seconds, in the settlement currency: 100 000 is 10 000 for ten seconds.
    tolerance : float
        What may be left of a pair that counts as hedged, a fraction of its larger leg.
    dust : float
        The same in the settlement currency, where that is more.
    """

    legs: Annotated[tuple[Pair, ...], Meta(min_length=1)]
    action: ActionName = "flatten"
    limit: Annotated[float, Meta(gt=0, le=1e15)] = 100_000.0
    tolerance: Annotated[float, Meta(ge=0, lt=1)] = 0.02
    dust: Annotated[float, Meta(ge=0, le=1e9)] = 5.0

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for pairs that are none, or given twice."""
        found = []
        names: set[frozenset[str]] = set()
        for index, pair in enumerate(self.legs):
            both = frozenset((pair.first, pair.second))
            if len(both) == 1:
                found.append((f"legs[{index}]", f"{pair.first} can't hedge itself"))
            elif both in names:
                found.append((f"legs[{index}]", "is given twice"))
            names.add(both)
        return super().check() + found

    def instruments_named(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Return the legs."""
        return [
            (("legs", index, place), leg)
            for index, pair in enumerate(self.legs)
            for place, leg in enumerate((pair.first, pair.second))
        ]


class Pairs(msgspec.Struct, frozen=True):
    """The pairs that are not hedged, by name."""

    naked: dict[str, UnhedgedValue]


class Unhedged(Guard[UnhedgedParams, Pairs]):
    """Closes two-leg trades with one leg unhedged for too much value and too long."""

    Config = UnhedgedParams
    State = Pairs
    unit = "USDT s"
    events = frozenset({FillEvent})
    example = Example(
        UnhedgedParams(legs=(Pair(COIN, OTHER),), limit=1000.0),
        lambda lasts: (
            desk(NOON, held(100)),
            desk(NOON + int(lasts * SECOND), held(100)),
        ),
        (9.9, 10, 11),
        clear=9,
        scope=f"instrument:{COIN}",
        key=f"{COIN}+{OTHER}",
    )

    def start(self, snapshot: Snapshot) -> Pairs:
        """Return a state without unhedged pairs."""
        return Pairs({})

    def measure(self, state: Pairs, snapshot: Snapshot) -> Measured[Pairs]:
        """Add up value-seconds; a reading for both instruments of each pair."""
        values = net_values(snapshot)
        return self._changed(
            state,
            {
                pair.name: _looked(state, pair, values, snapshot.now, self.params)
                for pair in self.params.legs
            },
            snapshot.now,
        )

    def on_event(self, state: Pairs, event: DeskEvent) -> tuple[Pairs, Readings]:
        """Add a fill of a leg."""
        assert isinstance(event, FillEvent)
        legs = [pair for pair in self.params.legs if event.instrument in (pair.first, pair.second)]
        if not legs:
            return state, None
        changed = {pair.name: _traded(state, pair, event) for pair in legs}
        return self._changed(state, changed, event.ts)

    def _changed(
        self, state: Pairs, changed: Mapping[str, UnhedgedValue | None], now: int
    ) -> Measured[Pairs]:
        both = {**state.naked, **changed}
        naked = {name: found for name, found in both.items() if found is not None}
        if naked != state.naked:
            state = Pairs(naked)
        return state, _readings(state, now, self.params)

    def released(self, state: Pairs, snapshot: Snapshot, scope: str) -> Pairs:
        """Reset the sums of the instrument's pairs to zero."""
        name = scope.removeprefix("instrument:")
        ended = {p.name for p in self.params.legs if scope == "desk" or name in (p.first, p.second)}
        return Pairs({k: found for k, found in state.naked.items() if k not in ended})

    def drill(self, scene: Scene) -> Plan:
        """Hold one leg without the other."""
        limit, pair = self.params.limit, self.params.legs[0]
        leg, ratio = (pair.second, pair.ratio) if "-SPOT" in pair.first else (pair.first, 1.0)
        # About three seconds until the limit, with a position that the drill can bear.
        weight = min(max(limit / 3.0 / 100_000.0 / ratio, 0.01), 0.5)
        lasts = limit / (weight * ratio * 100_000.0)
        scope, hold = scene.scope_of(leg), Hold({leg: weight})
        halt = stage(self.params, scope, hold, key=pair.name, within=lasts + 15.0)
        return plan(self.params, f"{leg} without its other leg for {lasts:.0f} s", leg, halt)


def _looked(
    state: Pairs, pair: Pair, values: Values, now: int, params: UnhedgedParams
) -> UnhedgedValue | None:
    first = values.get(pair.first, ZERO)
    second = values.get(pair.second, ZERO) * exact(pair.ratio)
    if hedged(first, second, exact(params.tolerance), exact(params.dust)):
        return None
    return measured(state.naked.get(pair.name), first + second, now)


def _traded(state: Pairs, pair: Pair, fill: FillEvent) -> UnhedgedValue:
    value = fill.quantity * fill.price
    if fill.instrument == pair.second:
        value *= exact(pair.ratio)
    naked = state.naked.get(pair.name)
    # The next snapshot decides whether the pair is hedged.
    return measured(naked, value + (ZERO if naked is None else naked.net), fill.ts)


def _readings(state: Pairs, now: int, params: UnhedgedParams) -> tuple[Reading, ...]:
    readings: list[Reading] = []
    for pair in params.legs:
        naked = state.naked.get(pair.name)
        total = total_at(naked, now)
        seconds = float(total / 1_000_000_000)
        over = total >= exact(params.limit) * 1_000_000_000
        net = ZERO if naked is None else naked.net
        words = f"{pair.name} stands {net:,.2f} unhedged: {seconds:,.0f} value-seconds"
        reading = limit_reading(
            params,
            f"instrument:{pair.first}",
            seconds,
            params.limit,
            over,
            f"{words}, limit {params.limit:,.0f}" if over else "",
            key=pair.name,
        )
        second = msgspec.structs.replace(reading, scope=f"instrument:{pair.second}")
        readings += [reading, second]
    return tuple(readings)
