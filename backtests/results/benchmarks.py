"""What doing something plain would have given: holding BTC, or the universe in equal parts."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from backtests.engine.feed import Grid
from backtests.engine.market import Market

DAY_NS = 86_400_000_000_000


class Benchmarks:
    """Grows by one slice at a time; indices start at 1.0 at the window's start, without costs.

    ``opening`` holds each instrument's newest close at the start, NaN where unknown (shape (N,)).
    ``btc`` is the benchmark instrument held. ``equal_weight`` is brought back to equal parts of all
    instruments with a price at each UTC midnight; an instrument counts from the first midnight at
    which it has a price, and a delisted one drops out when its data end.
    """

    def __init__(
        self, market: Market, instrument: str, start: int, opening: NDArray[np.float64]
    ) -> None:
        self._column = market.column.get(instrument)
        self._first: float | None = None
        if self._column is not None and not np.isnan(opening[self._column]):
            self._first = float(opening[self._column])
        self._level = 1.0
        self._base = opening.copy()
        self._ts = [start]
        self._btc: list[float | None] = [None if self._column is None else 1.0]
        self._equal = [1.0]
        self._gone = np.zeros(len(market.ids), dtype=bool)

    def extend(self, grid: Grid) -> None:
        """Append a slice's daily values."""
        for row, ts in enumerate(grid.ts):
            for column in grid.delisted.get(row, ()):
                self._gone[column] = True
            if ts % DAY_NS == 0 or len(self._ts) == 1:
                self._day(int(ts), grid.close[row])

    def table(self) -> pa.Table:
        """Return columns ts, btc and equal_weight."""
        return pa.table(
            {
                "ts": pa.array(self._ts, pa.int64()),
                "btc": pa.array(self._btc, pa.float64()),
                "equal_weight": pa.array(self._equal, pa.float64()),
            }
        )

    def _day(self, ts: int, close: NDArray[np.float64]) -> None:
        ratio = close / self._base
        if not np.isnan(ratio).all():
            self._level *= float(np.nanmean(ratio))
        self._base = np.where(self._gone, np.nan, close)
        btc = None
        if self._column is not None and not np.isnan(close[self._column]):
            self._first = self._first or float(close[self._column])
            btc = float(close[self._column]) / self._first
        self._ts.append(ts)
        self._btc.append(btc)
        self._equal.append(self._level)
