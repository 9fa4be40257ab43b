"""Oscillators of the mean reversion: RSI, Bollinger bands, VWAP of a session or of last candles.

All take arrays of shape (W, N), oldest first, and return one value for each row, NaN where there is
not history enough. A gap counts as a candle that stays at the close before, without volume.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from config.durations import DAY_NS
from strategies.signals.trend import filled, weights

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bollinger:
    """Bollinger bands: arrays of shape (W, N), in units of price."""

    middle: Floats
    upper: Floats
    lower: Floats
    deviation: Floats


def rows_for_rsi(length: int) -> int:
    """Return how many candles give a settled `rsi`: older ones count less than 5e-5 together."""
    return 10 * length + 1


def rsi(close: Floats, length: int, memory: int) -> Floats:
    """Return Wilder's relative strength index (RSI), 0 to 100; 50 where prices never move.

    Wilder (1978), "New Concepts in Technical Trading Systems": gains and losses are smoothed by
    1 / length, begun with the plain mean of the first ``length``. A price that only rose has 100.
    Each value comes from ``memory`` candles (above length, as `rows_for_rsi`), and is the same in
    every window that has them.
    """
    result = np.full(close.shape, np.nan)
    if len(close) < memory:
        return result
    changes = np.diff(filled(close), axis=0)
    moves = np.stack([np.maximum(changes, 0.0), np.maximum(-changes, 0.0)], axis=1)
    part = weights(memory - 1, length, 1.0 / length)[::-1]
    columns = [np.convolve(column, part, "valid") for column in moves.reshape(len(moves), -1).T]
    smoothed = np.array(columns).T.reshape(-1, *moves.shape[1:])
    gain, loss = smoothed[:, 0], smoothed[:, 1]
    both = gain + loss
    still = np.where(np.isnan(both), np.nan, 50.0)
    np.divide(100.0 * gain, both, out=still, where=both > 0.0)
    result[-len(still) :] = still
    return result


def bollinger(close: Floats, length: int, width: float) -> Bollinger:
    """Return the mean of the last ``length`` closes, and bands ``width`` deviations from it.

    The deviation is that of the population, as in Bollinger (2001), "Bollinger on Bollinger Bands".
    """
    windows = _windows(filled(close), length)
    middle = windows.mean(axis=-1)
    off = windows - middle[..., None]
    deviation = np.sqrt((off * off).mean(axis=-1))
    return Bollinger(middle, middle + width * deviation, middle - width * deviation, deviation)


def rolling_vwap(high: Floats, low: Floats, close: Floats, volume: Floats, length: int) -> Floats:
    """Return the volume-weighted average of (high + low + close) / 3 over the last candles."""
    value, weight = _traded(high, low, close, volume)
    return _ratio(*(_windows(each, length).sum(axis=-1) for each in (value, weight)))


def session_vwap(
    high: Floats, low: Floats, close: Floats, volume: Floats, sessions: NDArray[np.int64]
) -> Floats:
    """Return the volume-weighted average of (high + low + close) / 3 since the session began.

    ``sessions`` has shape (W,), as of `utc_days`: rows of one number are one session, and where it
    is negative nothing is known. NaN before the session's first trade.
    """
    value, weight = _traded(high, low, close, volume)
    starts = np.flatnonzero(np.diff(sessions, prepend=sessions[:1] - 1))
    for start, stop in zip(starts, [*starts[1:], len(sessions)], strict=True):
        for traded in (value, weight):
            np.cumsum(traded[start:stop], axis=0, out=traded[start:stop])
    result = _ratio(value, weight)
    result[sessions < 0] = np.nan
    return result


def utc_days(ts: int, interval_ns: int, rows: int) -> NDArray[np.int64]:
    """Return the UTC day in which each candle of a window opened; -1 in one begun before it.

    ``ts`` is the close of the last row, UNIX nanoseconds; days are counted from 1970-01-01.
    """
    opened = ts - interval_ns * np.arange(rows, 0, -1, dtype=np.int64)
    days = opened // DAY_NS
    return np.where((days == days[0]) & (opened[0] % DAY_NS != 0), -1, days)


def _windows(values: Floats, length: int) -> Floats:
    """Return the last ``length`` values at each row, (W, N, length); NaN before the first."""
    ahead = np.full((length - 1, values.shape[1]), np.nan)
    return np.ascontiguousarray(sliding_window_view(np.concatenate([ahead, values]), length, 0))


def _traded(high: Floats, low: Floats, close: Floats, volume: Floats) -> tuple[Floats, Floats]:
    """Return traded value, by the typical price, and volume; zero in a gap."""
    value = (high + low + close) / 3.0 * volume
    gap = np.isnan(value)
    return np.where(gap, 0.0, value), np.where(gap, 0.0, volume)


def _ratio(value: Floats, weight: Floats) -> Floats:
    result = np.full(value.shape, np.nan)
    np.divide(value, weight, out=result, where=weight > 0.0)
    return result
