"""Volatility filter: no entries in markets that move too much or too little. Pure."""

from __future__ import annotations

from math import exp
from typing import Annotated

from msgspec import Meta

from actors.guards.core.drill import Moves, Plan, Scene, Wait, plan, sampling, stage
from actors.guards.core.examples import COIN, NOON, Example, one_market
from actors.guards.core.guard import Guard, Measured
from actors.guards.core.limits import Reading, inside, limit_reading, none_given, percent
from actors.guards.core.params import GuardParams, Release, Span, span_ns
from actors.guards.core.snapshot import Snapshot
from actors.guards.core.windows import Remembered, Samples, known, sampled, volatilities, without
from config.durations import DAY_NS, HOUR_NS

YEAR_NS = 365 * DAY_NS  # crypto markets never close
Yearly = Annotated[float, Meta(gt=0, le=100)]
"""Volatility per year of 365 days: 0.8 is 80 %."""


class VolatilityParams(GuardParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The range of realised volatility, per year of 365 days; at least one of the two ends.

    Readings are on ``instrument:<id>`` of each instrument, or on ``desk`` where there is a
    reference; keys are ``most`` and ``least``. As long as there are too few samples it says so, and
    does nothing; a halt that stands stays.

    Parameters
    ----------
    most, least : float or None
        The ends of the range: 2.0 is 200 % a year.
    reference : str or None
        Instrument id whose volatility counts for the whole desk.
    every : str
        Time between two samples of the prices, such as ``5m``.
    lookback : int
        Number of returns.
    """

    release: Release = "recovered"
    most: Yearly | None = 2.0
    least: Yearly | None = None
    reference: str | None = None
    every: Span = "1h"
    lookback: Annotated[int, Meta(ge=2, le=1000)] = 24

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) when no end is given, or the range is empty."""
        problems = super().check() + none_given(self, "most", "least")
        if self.most is not None and self.least is not None and self.least >= self.most:
            problems.append(("least", f"must be below most ({self.most:g})"))
        return problems

    def instruments_named(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Return the reference."""
        return [] if self.reference is None else [(("reference",), self.reference)]


class Volatility(Guard[VolatilityParams, Samples]):
    """Stops entries in markets with too high or too low volatility, each alone or all by one."""

    Config = VolatilityParams
    State = Samples
    unit = "%"
    needs = frozenset({"markets"})
    example = Example(
        VolatilityParams(most=2.0, lookback=2),
        lambda move: tuple(
            one_market(NOON + n * HOUR_NS, price=100 * exp(move * n)) for n in range(3)
        ),
        (0.021, 0.0214, 0.03),
        clear=0.019,
        scope=f"instrument:{COIN}",
        key="most",
    )

    def __init__(self, params: VolatilityParams) -> None:
        super().__init__(params)
        self._readings = Remembered(_measure)

    def measure(self, state: Samples, snapshot: Snapshot) -> Measured[Samples]:
        """Take a sample when it is due; readings change only then."""
        params = self.params
        names = sorted(snapshot.markets) if params.reference is None else [params.reference]
        state = sampled(state, snapshot, names, span_ns(params.every), params.lookback + 1)
        return state, self._readings(state, params)

    def released(self, state: Samples, snapshot: Snapshot, scope: str) -> Samples:
        """Remove the samples of the instrument, or all."""
        return without(state, scope)

    def drill(self, scene: Scene) -> Plan:
        """Let a market move too much, or too little where only that is limited."""
        params = self.params
        pace, lookback, changed, note = sampling(scene, params.every, params.lookback)
        name = params.reference or scene.first
        root = (pace * 1e9 / YEAR_NS) ** 0.5

        def moves(yearly: float) -> Moves:
            return Moves((name,), ((yearly * root,),) * (lookback + 3), pace)

        # With a least, a market that stands still is too calm: it must move before.
        fit: tuple[Moves | Wait, ...] = (moves(params.least * 1.5),) if params.least else ()
        before, still = fit, Wait(pace * (lookback + 3))
        if params.most is not None:
            middle = ((params.least or 0.0) + params.most) / 2
            key, words = "most", f"{name} moves by {params.most * 150:.0f} % a year"
            breach: Moves | Wait = moves(params.most * 1.5)
            before = fit = (moves(middle),) if params.least else ()
        else:
            key, words, breach = "least", f"{name} stands still", still
        scope = scene.desk if params.reference else scene.scope_of(name)
        halt = stage(params, scope, breach, key=key, within=pace * 4 + 5)
        mend = fit or (still,)
        return plan(params, words, name, halt, before=before, mend=mend, params=changed, note=note)


def _measure(samples: Samples, params: VolatilityParams) -> tuple[Reading, ...]:
    names = tuple(samples.prices)
    if params.reference is not None:
        names = (params.reference,)
    found = dict(zip(names, volatilities(samples, names, params.lookback, YEAR_NS), strict=True))
    readings: list[Reading] = []
    for key, limit in (("most", params.most), ("least", params.least)):
        if limit is None:
            continue
        own = [_reading(name, key, v, limit, samples, params) for name, v in found.items()]
        near = [reading for reading in own if not reading.clear]
        if not near and own:
            nearest = max if key == "most" else min
            near = [nearest(own, key=lambda reading: reading.measured)]
        readings += near
    return tuple(readings)


def _reading(
    name: str,
    key: str,
    found: float | None,
    limit: float,
    samples: Samples,
    params: VolatilityParams,
) -> Reading:
    if found is None:
        over = clear = False
        reason = f"{name}: {known(samples, name)} of {params.lookback + 1} samples"
    else:
        # Negative, so that too low becomes too high.
        value, end = (found, limit) if key == "most" else (-found, -limit)
        over = value >= end
        clear = not over and inside(value, end, params.hysteresis)
        reason = f"volatility of {name} {percent(found)} a year, {key} {percent(limit)}"
    return limit_reading(
        params,
        "desk" if params.reference is not None else f"instrument:{name}",
        0.0 if found is None else found,
        limit,
        over,
        reason,
        key=key,
        clear=clear,
    )
