"""Prices and z-scores of a run, thinned for drawing: the last of equal stretches of the window."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pyarrow as pa

from actors.measures import Floats, Integers
from backtests.engine.feed import PriceGrid
from backtests.results.tables import table
from strategies.messages import PairEvent

STRETCHES = 500
"""Number of stretches that the window is cut into."""


class PriceCurves:
    """Last, lowest and highest execution close of each instrument in each stretch of the window.

    Each slice extends it; slices of other lengths give the same. Times in UNIX nanoseconds (UTC).
    """

    def __init__(self, start: int, end: int) -> None:
        self._start, self._end = start, end
        self._step = max(1, -(-(end - start) // STRETCHES))
        self._place: list[Integers] = []
        self._closes: list[tuple[Floats, Floats, Floats]] = []

    def extend(self, grid: PriceGrid) -> None:
        """Append a slice."""
        if len(grid.ts):
            place = (grid.ts - self._start - 1) // self._step
            self._add(place, grid.close, grid.close, grid.close)

    def table(self, ids: tuple[str, ...], wanted: Collection[str]) -> pa.Table:
        """Return the `prices` table of the wanted instruments; `ids` names the grid's columns."""
        if self._place:
            place, parts = np.concatenate(self._place), zip(*self._closes, strict=True)
            self._place, self._closes = [], []
            # Slices cut stretches in two.
            self._add(place, *(np.concatenate(part) for part in parts))
        rows = []
        for place, closes in zip(self._place, self._closes, strict=True):
            ends = np.minimum(self._start + (place + 1) * self._step, self._end).tolist()
            for column, name in enumerate(ids):
                if name in wanted:
                    curves = (values[:, column].tolist() for values in closes)
                    rows += [
                        {"ts": ts, "instrument": name, "close": close, "low": low, "high": high}
                        for ts, close, low, high in zip(ends, *curves, strict=True)
                        if close == close
                    ]
        return table("prices", rows)

    def _add(self, place: Integers, close: Floats, low: Floats, high: Floats) -> None:
        first = np.flatnonzero(np.diff(place, prepend=-2))
        last = np.append(first[1:], len(place)) - 1
        self._place.append(place[first])
        # fmin and fmax pass over the closes that are not there yet.
        lowest, highest = np.fmin.reduceat(low, first), np.fmax.reduceat(high, first)
        self._closes.append((close[last], lowest, highest))


class PairCurves:
    """Last, lowest and highest z-score, and last spread, of pairs in each stretch of the window."""

    def __init__(self, start: int, end: int) -> None:
        self._start, self._end = start, end
        self._step = max(1, -(-(end - start) // STRETCHES))
        self._found: dict[tuple[str, str, int], tuple[float, ...]] = {}

    def add(self, event: PairEvent) -> None:
        """Add what a candle said of the pairs."""
        place = max(0, (event.ts - self._start - 1) // self._step)
        for pair, z in event.facts["z"].items():
            if z == z:
                key = event.strategy, pair, place
                _, low, high, _ = self._found.get(key, (z, z, z, z))
                self._found[key] = z, min(low, z), max(high, z), event.facts["spread"][pair]

    def table(self) -> pa.Table:
        """Return the `pair_curves` table, in the order of strategies, pairs and time."""
        rows = []
        for (strategy, pair, place), (z, low, high, spread) in sorted(self._found.items()):
            ts = min(self._start + (place + 1) * self._step, self._end)
            row = {"z": z, "low": low, "high": high, "spread": spread}
            rows.append({"ts": ts, "strategy": strategy, "pair": pair} | row)
        return table("pair_curves", rows)
