"""Last candles of many instruments, on a regular grid of time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

_SPARE = 4
RECENT = 7
"""An instrument without a candle for so many intervals does not count as missing."""


def _nothing() -> NDArray[np.float64]:
    return np.empty((0, 0))


@dataclass(frozen=True, slots=True)
class Window:
    """Candles that are complete at one moment: all that a decision may see.

    ``ts`` is the close time of the last row, UNIX nanoseconds (UTC); row i closes ``W - 1 - i``
    intervals before. Arrays are float64 of shape (W, N), C-contiguous. Prices and ``volume``
    (traded base coin) are NaN where there is no candle. ``funding`` is the sum of the funding rates
    settled after the candle's open until its close, a fraction, positive when longs pay; NaN
    without a settlement.

    Windows of T decisions at once have arrays of shape (W, T, N), and ``ts`` of shape (T, 1).

    All are read-only, as they are shared with what sizes positions: copy what you change.

    ``open``, ``high`` and ``low`` are empty unless the config says ``wants_range``, ``funding``
    unless it says ``wants_funding``.
    """

    ts: Any
    close: NDArray[np.float64]
    volume: NDArray[np.float64]
    open: NDArray[np.float64] = field(default_factory=_nothing)
    high: NDArray[np.float64] = field(default_factory=_nothing)
    low: NDArray[np.float64] = field(default_factory=_nothing)
    funding: NDArray[np.float64] = field(default_factory=_nothing)

    def __post_init__(self) -> None:
        for one in fields(self):
            if one.name != "ts":
                object.__setattr__(self, one.name, read_only(getattr(self, one.name)))


def read_only(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a view of an array that can't be written to."""
    view = array.view()
    view.flags.writeable = False
    return view


def newest(window: Window, rows: int) -> Window:
    """Return the last rows of a window."""
    arrays = {f.name: getattr(window, f.name) for f in fields(window) if f.name != "ts"}
    return Window(window.ts, **{name: array[-rows:] for name, array in arrays.items()})


class Candles(Protocol):
    """Candles that fill a history at the start: a part of `catalog.panel.Panel`."""

    @property
    def ts(self) -> NDArray[np.int64]:
        """Close times, UNIX nanoseconds (UTC), increasing; shape (T,)."""

    @property
    def ids(self) -> tuple[str, ...]:
        """N instrument ids."""

    @property
    def open(self) -> NDArray[np.float64]:
        """Open prices, NaN where there is no candle; shape (T, N)."""

    @property
    def high(self) -> NDArray[np.float64]:
        """Highest prices, as above."""

    @property
    def low(self) -> NDArray[np.float64]:
        """Lowest prices, as above."""

    @property
    def close(self) -> NDArray[np.float64]:
        """Close prices, as above."""

    @property
    def volume(self) -> NDArray[np.float64]:
        """Traded base coin, NaN where there is no candle; shape (T, N)."""


class CandleHistory:
    """Last candles of N instruments, at least ``rows`` of them.

    There is a row for every close time of the grid, also without trades, so that "three candles
    ago" has the same meaning after a gap. ``ranges`` keeps open, high and low too, ``funding`` the
    settled rates.
    """

    def __init__(
        self,
        count: int,
        rows: int,
        interval_ns: int,
        *,
        ranges: bool = False,
        funding: bool = False,
    ) -> None:
        self.rows = rows
        self.interval_ns = interval_ns
        self._head = -1
        self._newest: int | None = None
        names = ["close", "volume"] + ["open", "high", "low"] * ranges + ["funding"] * funding
        # One row more than a window: a settlement may come before its candle has closed.
        self._arrays = {name: np.full(((rows + 1) * _SPARE, count), np.nan) for name in names}
        self._close, self._volume = self._arrays["close"], self._arrays["volume"]
        self._ranges = [self._arrays[name] for name in ("open", "high", "low") if ranges]
        self._settled: list[list[int]] = [[] for _ in range(count if funding else 0)]
        # Kept apart, as a position may outlast its instrument's candles by more than a window.
        self._last: list[tuple[int, float] | None] = [None] * count

    @property
    def newest(self) -> int | None:
        """Close time of the newest candle, None before the first."""
        return self._newest

    def add(
        self, index: int, ts: int, close: float, volume: float, ranges: Iterable[float] = ()
    ) -> None:
        """Add one instrument's candle; a second one of that time replaces it.

        ``ranges`` are open, high and low, where they are kept. A candle older than the rows kept is
        dropped. One that doesn't close on the grid raises ValueError.
        """
        if ts != self._newest:
            self._reach(ts)
        last = self._last[index]
        if last is None or last[0] <= ts:
            self._last[index] = (ts, close)
        row = self._head if ts == self._newest else self._row(ts)
        if row < 0:
            return
        self._close[row, index] = close
        self._volume[row, index] = volume
        if self._ranges:
            for array, value in zip(self._ranges, ranges, strict=True):
                array[row, index] = value

    def add_funding(self, index: int, ts: int, rate: float) -> None:
        """Add one instrument's settlement, in the order of time; a repeated one changes nothing."""
        settled = self._settled[index]
        if settled and ts <= settled[-1]:
            return
        self._settled[index] = [*settled[-1:], ts]
        close = -(-ts // self.interval_ns) * self.interval_ns
        if close != self._newest:
            self._reach(close)
        funding, row = self._arrays["funding"], self._row(close)
        if row >= 0:
            sum_before = funding[row, index]
            funding[row, index] = rate if np.isnan(sum_before) else sum_before + rate

    def warm_up(self, panel: Candles, ids: tuple[str, ...]) -> None:
        """Add a panel's candles, oldest first; instruments that it lacks stay empty."""
        column = {instrument: i for i, instrument in enumerate(panel.ids)}
        pairs = [(i, column[name]) for i, name in enumerate(ids) if name in column]
        for t in range(len(panel.ts)):
            ts = int(panel.ts[t])
            for index, source in pairs:
                close = panel.close[t, source]
                if not np.isnan(close):
                    ranges = [
                        float(prices[t, source])
                        for prices in (panel.open, panel.high, panel.low)
                        if self._ranges
                    ]
                    self.add(index, ts, float(close), float(panel.volume[t, source]), ranges)

    def window(self, ts: int) -> Window:
        """Return the candles complete at a close time, with NaN for missing ones."""
        last = -1 if self._newest is None else self._row(ts)
        first = last - self.rows + 1
        if first >= 0 and last <= self._head:
            return Window(
                ts, **{n: array[first : last + 1].copy() for n, array in self._arrays.items()}
            )
        shape = (self.rows, self._close.shape[1])
        cut = {name: np.full(shape, np.nan) for name in self._arrays}
        low, high = max(first, 0), min(last, self._head) + 1
        if low < high:
            for name, array in self._arrays.items():
                cut[name][low - first : high - first] = array[low:high]
        return Window(ts, **cut)

    def lacks(self, ts: int) -> list[int]:
        """Return the instruments whose candle of a close time is missing.

        An instrument without any of the last `RECENT` candles before does not count: it is not
        listed yet, or no longer.
        """
        since = ts - RECENT * self.interval_ns
        return [
            index
            for index, last in enumerate(self._last)
            if last is not None and since <= last[0] < ts
        ]

    def lacks_funding(self, ts: int) -> list[int]:
        """Return the instruments of which a settlement until this time is due and missing.

        It is due as long after the last one as that was after the one before.
        """
        return [
            index
            for index, settled in enumerate(self._settled)
            if len(settled) == 2 and 2 * settled[1] - settled[0] <= ts
        ]

    def last_close(self, index: int) -> float | None:
        """Return the instrument's newest close, however old; None before the first."""
        last = self._last[index]
        return None if last is None else last[1]

    def _row(self, ts: int) -> int:
        assert self._newest is not None
        return self._head - (self._newest - ts) // self.interval_ns

    def _reach(self, ts: int) -> None:
        if ts % self.interval_ns:
            raise ValueError(f"a candle of {self.interval_ns} ns can't close at {ts}")
        steps = 1 if self._newest is None else (ts - self._newest) // self.interval_ns
        if steps <= 0:
            return
        if self._head + steps >= len(self._close):
            # Move only the rows that a window can still contain to the front.
            kept = max(0, min(self.rows, self._head + 1, self.rows + 1 - steps))
            old = self._head + 1 - kept
            for array in self._arrays.values():
                array[:kept] = array[old : old + kept].copy()
                array[kept:] = np.nan
            self._head = kept - 1
            steps = min(steps, self.rows + 1)
        self._head += steps
        self._newest = ts
