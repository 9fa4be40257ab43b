"""Correlation: legs of a pair, or positions of the book, that move together too closely. Pure."""

from __future__ import annotations

from decimal import Decimal
from math import isnan
from typing import Annotated

from msgspec import Meta

from actors.guards.core.drill import Hold, Moves, Plan, Scene, plan, sampling, stage
from actors.guards.core.examples import COIN, NOON, OTHER, SECOND, Example, desk
from actors.guards.core.exposure import cap_of, net_values
from actors.guards.core.guard import Guard, Measured
from actors.guards.core.limits import Reading, inside, limit_reading
from actors.guards.core.params import Fraction, GuardParams, Release, Span, span_ns
from actors.guards.core.snapshot import Market, Snapshot
from actors.guards.core.windows import Remembered, Samples, correlations, known, sampled, without


class CorrelationParams(GuardParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The largest correlation that is borne, of logarithmic returns.

    With ``pairs``, the correlation between the legs of each, read on ``instrument:<id>`` of both.
    Without, the largest between any two positions of the book, read on ``desk``: of what the
    positions gain, so that a long and a short of two coins that move alike correlate at -1 and two
    longs at +1. As long as there are too few samples it says so, and does nothing; a halt that
    stands stays.

    Parameters
    ----------
    limit : float
        Largest correlation.
    pairs : tuple of (str, str)
        Instrument ids of the legs; empty is the book.
    every : str
        Time between two samples of the prices, such as ``5m``.
    lookback : int
        Number of returns.
    least_value : float
        The book: positions of a smaller absolute value are left out, a fraction of equity.
    """

    release: Release = "recovered"
    limit: Fraction = 0.9
    pairs: tuple[tuple[str, str], ...] = ()
    every: Span = "1h"
    lookback: Annotated[int, Meta(ge=3, le=1000)] = 72
    least_value: Annotated[float, Meta(ge=0, le=1)] = 0.05

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for each pair of one instrument with itself."""
        return super().check() + [
            (f"pairs[{index}]", f"{one} can't be a pair with itself")
            for index, (one, other) in enumerate(self.pairs)
            if one == other
        ]

    def instruments_named(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Return the legs of the pairs."""
        return [
            (("pairs", index, place), leg)
            for index, pair in enumerate(self.pairs)
            for place, leg in enumerate(pair)
        ]


class Correlation(Guard[CorrelationParams, Samples]):
    """Stops entries while legs of a pair, or any two positions, are too closely correlated."""

    Config = CorrelationParams
    State = Samples
    unit = ""
    needs = frozenset({"markets"})
    example = Example(
        CorrelationParams(pairs=((COIN, OTHER),), every="1s", lookback=3),
        lambda sign: tuple(
            desk(
                NOON + n * SECOND,
                markets={COIN: Market(price=one), OTHER: Market(price=one ** int(sign))},
            )
            for n, one in enumerate(map(Decimal, (100, 110, 105, 120)))
        ),
        (-1, 1, 1),
        clear=-1,
        scope=f"instrument:{COIN}",
        key=f"{COIN}/{OTHER}",
    )

    def __init__(self, params: CorrelationParams) -> None:
        super().__init__(params)
        self._matrix, self._worst = Remembered(correlations), Remembered(_largest)

    def measure(self, state: Samples, snapshot: Snapshot) -> Measured[Samples]:
        """Take a sample when it is due, and measure the pairs or the current positions."""
        params = self.params
        names = {leg for pair in params.pairs for leg in pair} or snapshot.markets
        state = sampled(state, snapshot, sorted(names), span_ns(params.every), params.lookback + 1)
        if params.pairs:
            return state, tuple(
                reading for pair in params.pairs for reading in self._of_pair(state, pair)
            )
        return state, (self._of_book(state, snapshot),)

    def _of_pair(self, samples: Samples, pair: tuple[str, str]) -> tuple[Reading, ...]:
        params = self.params
        found = float(self._matrix(samples, pair, params.lookback)[0, 1])
        words = f"{pair[0]} and {pair[1]}"
        if isnan(found):
            words = _missing(samples, pair, params)
        return tuple(
            _reading(f"instrument:{leg}", "/".join(pair), found, words, params) for leg in pair
        )

    def _of_book(self, samples: Samples, snapshot: Snapshot) -> Reading:
        params = self.params
        values = net_values(snapshot)
        least = cap_of(params.least_value, snapshot.equity)
        names = tuple(sorted(name for name, value in values.items() if abs(value) >= least))
        if len(names) < 2:
            return _reading("desk", "", 0.0, "fewer than two positions are large enough", params)
        signs = tuple(values[name] > 0 for name in names)
        found, words = self._worst(samples, names, signs, params.lookback)
        return _reading("desk", "", found, words or _missing(samples, names, params), params)

    def released(self, state: Samples, snapshot: Snapshot, scope: str) -> Samples:
        """Remove the samples of the instrument, or all."""
        return without(state, scope)

    def drill(self, scene: Scene) -> Plan:
        """Let two prices move together."""
        params = self.params
        pace, lookback, changed, note = sampling(scene, params.every, params.lookback)
        pair = params.pairs[0] if params.pairs else (scene.first, scene.second)
        # Sizes differ: returns that never change have no correlation.
        sizes = (0.001, 0.002, 0.004, 0.0005)
        rows = tuple((sizes[n % 4], sizes[n % 4]) for n in range(lookback + 4))
        still = tuple((sizes[n % 4], sizes[(n + 2) % 4]) for n in range(lookback + 3))
        size = max(0.2, params.least_value * 2)
        scope = scene.scope_of(pair[0]) if params.pairs else scene.desk
        key = "/".join(pair) if params.pairs else ""
        halt = stage(params, scope, Moves(pair, rows, pace), key=key, within=pace * 4 + 5)
        return plan(
            params,
            f"{pair[0]} and {pair[1]} move as one",
            pair[0],
            halt,
            before=() if params.pairs else (Hold({pair[0]: size, pair[1]: size}),),
            mend=(Moves(pair, still, pace),),
            params=changed,
            note=note,
        )


def _largest(
    samples: Samples, names: tuple[str, ...], longs: tuple[bool, ...], lookback: int
) -> tuple[float, str]:
    import numpy as np

    signs = np.where(longs, 1.0, -1.0)
    signed = correlations(samples, names, lookback) * np.outer(signs, signs)
    rows, columns = np.triu_indices(len(names), 1)
    pairs = signed[rows, columns]
    if np.isnan(pairs).all():
        return float("nan"), ""
    worst = int(np.nanargmax(pairs))
    words = f"positions in {names[rows[worst]]} and {names[columns[worst]]}"
    return float(pairs[worst]), words


def _reading(scope: str, key: str, found: float, words: str, params: CorrelationParams) -> Reading:
    # NaN is neither over nor clear.
    unknown, over = isnan(found), found >= params.limit
    return limit_reading(
        params,
        scope,
        0.0 if unknown else found,
        params.limit,
        over,
        words if unknown else f"{words}: correlation {found:.2f}, limit {params.limit:g}",
        key=key,
        clear=not over and inside(found, params.limit, params.hysteresis),
    )


def _missing(samples: Samples, names: tuple[str, ...], params: CorrelationParams) -> str:
    count = min(known(samples, name) for name in names)
    if count > params.lookback:
        return "prices did not move"
    return f"{count} of {params.lookback + 1} samples"
