"""Last candles of many instruments, on a regular grid of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

_SPARE = 4
RECENT = 7
"""An instrument without a candle for so many intervals does not count as missing."""


@dataclass(frozen=True, slots=True)
class Window:
    """Candles that are complete at one moment: all that a decision may see.

    ``ts`` is the close time of the last row, UNIX nanoseconds (UTC); row i closes ``W - 1 - i``
    intervals before. ``close`` and ``volume`` (traded base coin) are float64 arrays of shape (W,
    N), C-contiguous, NaN where there is no candle.
    """

    ts: int
    close: NDArray[np.float64]
    volume: NDArray[np.float64]


class Candles(Protocol):
    """Candles that fill a history at the start: a part of `catalog.panel.Panel`."""

    @property
    def ts(self) -> NDArray[np.int64]:
        """Close times, UNIX nanoseconds (UTC), increasing; shape (T,)."""

    @property
    def ids(self) -> tuple[str, ...]:
        """N instrument ids."""

    @property
    def close(self) -> NDArray[np.float64]:
        """Close prices, NaN where there is no candle; shape (T, N)."""

    @property
    def volume(self) -> NDArray[np.float64]:
        """Traded base coin, NaN where there is no candle; shape (T, N)."""


class CandleHistory:
    """Last candles of N instruments, at least ``rows`` of them.

    There is a row for every close time of the grid, also without trades, so that "three candles
    ago" has the same meaning after a gap.
    """

    def __init__(self, count: int, rows: int, interval_ns: int) -> None:
        self.rows = rows
        self.interval_ns = interval_ns
        self._head = -1
        self._newest: int | None = None
        self._close = np.full((rows * _SPARE, count), np.nan)
        self._volume = np.full((rows * _SPARE, count), np.nan)
        # Kept apart, as a position may outlast its instrument's candles by more than a window.
        self._last: list[tuple[int, float] | None] = [None] * count

    @property
    def newest(self) -> int | None:
        """Close time of the newest candle, None before the first."""
        return self._newest

    def add(self, index: int, ts: int, close: float, volume: float) -> None:
        """Add one instrument's candle; a second one of that time replaces it.

        One older than the rows kept is dropped. One that doesn't close on the grid raises
        ValueError.
        """
        if ts != self._newest:
            self._reach(ts)
        last = self._last[index]
        if last is None or last[0] <= ts:
            self._last[index] = (ts, close)
        row = self._head
        if ts != self._newest:
            assert self._newest is not None
            row -= (self._newest - ts) // self.interval_ns
            if row < 0:
                return
        self._close[row, index] = close
        self._volume[row, index] = volume

    def warm_up(self, panel: Candles, ids: tuple[str, ...]) -> None:
        """Add a panel's candles, oldest first; instruments that it lacks stay empty."""
        column = {instrument: i for i, instrument in enumerate(panel.ids)}
        pairs = [(i, column[name]) for i, name in enumerate(ids) if name in column]
        for t in range(len(panel.ts)):
            ts = int(panel.ts[t])
            for index, source in pairs:
                close = panel.close[t, source]
                if not np.isnan(close):
                    self.add(index, ts, float(close), float(panel.volume[t, source]))

    def window(self, ts: int) -> Window:
        """Return the candles complete at a close time, with NaN for missing ones."""
        close = np.full((self.rows, self._close.shape[1]), np.nan)
        volume = close.copy()
        if self._newest is not None:
            last = self._head - (self._newest - ts) // self.interval_ns
            first = last - self.rows + 1
            low, high = max(first, 0), min(last, self._head) + 1
            if low < high:
                close[low - first : high - first] = self._close[low:high]
                volume[low - first : high - first] = self._volume[low:high]
        return Window(ts, close, volume)

    def lacks(self, ts: int) -> list[int]:
        """Return the instruments whose candle of a close time is missing.

        An instrument without any of the last `RECENT` candles before does not count: it is not
        listed yet, or no longer.
        """
        since = ts - RECENT * self.interval_ns
        newest = self.window(ts).close[-1]
        return [
            index
            for index, last in enumerate(self._last)
            if last is not None and since <= last[0] < ts and np.isnan(newest[index])
        ]

    def last_close(self, index: int) -> float | None:
        """Return the instrument's newest close, however old; None before the first."""
        last = self._last[index]
        return None if last is None else last[1]

    def _reach(self, ts: int) -> None:
        if ts % self.interval_ns:
            raise ValueError(f"a candle of {self.interval_ns} ns can't close at {ts}")
        steps = 1 if self._newest is None else (ts - self._newest) // self.interval_ns
        if steps <= 0:
            return
        if self._head + steps >= len(self._close):
            # Move only the rows that a window can still contain to the front.
            kept = max(0, min(self.rows - 1, self._head + 1, self.rows - steps))
            old = self._head + 1 - kept
            for array in (self._close, self._volume):
                array[:kept] = array[old : old + kept].copy()
                array[kept:] = np.nan
            self._head = kept - 1
            steps = min(steps, self.rows)
        self._head += steps
        self._newest = ts
