"""Trend of prices: exponential average and its slope, ADX.

The ADX is that of Wilder (1978), "New Concepts in Technical Trading Systems": smoothed by
1 / length, begun with a plain mean. A window has a beginning, which still shows in its last value:
`rows_for_ema` and the like give windows after which that is less than three thousandths.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def rows_for_ema(length: int) -> int:
    """Return how many candles `ema` needs for a settled value."""
    return 4 * length


def rows_for_slope(length: int) -> int:
    """Return how many candles `ema_slope` needs for a settled value."""
    return rows_for_ema(length) + slope_candles(length)


def rows_for_adx(length: int) -> int:
    """Return how many candles `adx` needs for a settled value."""
    return 10 * length + 1


def slope_candles(length: int) -> int:
    """Return over how many candles the slope of an average is taken: a quarter of its length."""
    return max(1, length // 4)


def filled(close: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return closes with each gap at the close before it; NaN before the first.

    The shape is (W, N), oldest first.
    """
    gaps = np.isnan(close)
    columns = np.flatnonzero(gaps.any(axis=0))
    if not columns.size:
        return close
    last = np.where(gaps[:, columns], 0, np.arange(len(close))[:, None])
    result = close.copy()
    result[:, columns] = close[np.maximum.accumulate(last, axis=0), columns]
    return result


def ema(close: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Return the exponential moving average of the closes, 2 / (length + 1) the newest's part.

    ``close`` has shape (W, N), oldest first; W >= length >= 1. The result has shape (N,), NaN where
    the oldest candle is missing; later gaps count with the close before.
    """
    return _smoothed(filled(close), length, 2.0 / (length + 1))


def ema_slope(close: NDArray[np.float64], length: int, candles_a_day: float) -> NDArray[np.float64]:
    """Return how fast the exponential average rises, basis points of the last close a day.

    It is the mean change over the last `slope_candles`. ``close`` as for `ema`, of so many rows
    more. The result has shape (N,), and means the same for candles of any interval.
    """
    prices = filled(close)
    back = slope_candles(length)
    alpha = 2.0 / (length + 1)
    # Both averages begin in the same row, so that the slope is that of one curve.
    change = weights(len(prices), length, alpha).copy()
    change[:-back] -= weights(len(prices) - back, length, alpha)
    result: NDArray[np.float64] = (
        _sum_of_rows(change, prices) / back / prices[-1] * 1e4 * candles_a_day
    )
    return result


def adx(
    high: NDArray[np.float64],
    low: NDArray[np.float64],
    close: NDArray[np.float64],
    length: int,
) -> NDArray[np.float64]:
    """Return Wilder's average directional index (ADX), 0 to 100: how strong a trend is.

    It does not tell up from down. The inputs have shape (W, N), oldest first, W >= 2 * length; a
    gap counts as a candle that stays at the close before. The result has shape (N,), NaN where the
    oldest candle is missing. Prices that never move have 0.
    """
    prices, gaps = filled(close), np.isnan(close)
    high, low = np.where(gaps, prices, high), np.where(gaps, prices, low)
    up, down = high[1:] - high[:-1], low[:-1] - low[1:]
    # The ranges by which Wilder divides both cancel out. Times 0 keeps what is unknown.
    rise = np.where((up > down) & (up > 0.0), up, 0.0 * up)
    fall = np.where((down > up) & (down > 0.0), down, 0.0 * down)
    moves = np.stack([rise, fall], axis=1)
    smoothed = np.empty((len(moves) - length + 1, *moves.shape[1:]))
    smoothed[0] = moves[:length].sum(axis=0) / length
    for row in range(1, len(smoothed)):
        smoothed[row] = smoothed[row - 1] + (moves[length + row - 1] - smoothed[row - 1]) / length
    rise, fall = smoothed[:, 0], smoothed[:, 1]
    both = rise + fall
    index = 0.0 * both
    np.divide(100.0 * np.abs(rise - fall), both, out=index, where=both > 0.0)
    # Weights sum to 1 but for rounding.
    return np.minimum(_smoothed(index, length, 1.0 / length), 100.0)


def _smoothed(value: NDArray[np.float64], length: int, alpha: float) -> NDArray[np.float64]:
    """Return the last exponential average of the rows; the first ``length`` begin it alike."""
    return _sum_of_rows(weights(len(value), length, alpha), value)


@lru_cache
def weights(count: int, length: int, alpha: float) -> NDArray[np.float64]:
    """Return what each of ``count`` values counts in their last exponential average, oldest first.

    The first ``length`` begin it alike; they sum to 1.
    """
    later = count - length
    result = np.empty(count)
    result[:length] = (1.0 - alpha) ** later / length
    result[length:] = alpha * (1.0 - alpha) ** np.arange(later - 1, -1, -1)
    result.setflags(write=False)
    return result


def _sum_of_rows(weight: NDArray[np.float64], value: NDArray[np.float64]) -> NDArray[np.float64]:
    # Row by row, unlike `weight @ value`: the same bits whatever the columns beside it.
    result: NDArray[np.float64] = np.einsum("i,ij->j", weight, value)
    return result
