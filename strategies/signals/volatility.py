"""Volatility of returns, from closes or from the range of candles."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_LOG_2 = math.log(2.0)


def volatility(close: NDArray[np.float64], lookback: int) -> NDArray[np.float64]:
    """Return the sample standard deviation of the last ``lookback`` simple returns.

    ``close`` has shape (W, N), oldest first, NaN where there is no candle; W > lookback.
    ``lookback`` is at least 2. The result has shape (N,), a fraction per candle (not annualised);
    NaN where a price in the range is missing.
    """
    returns = simple_returns(close, lookback)
    deviations = returns - returns.sum(axis=0) / lookback
    return np.sqrt((deviations * deviations).sum(axis=0) / (lookback - 1))


def ewma_volatility(
    close: NDArray[np.float64], lookback: int, half_life: float
) -> NDArray[np.float64]:
    """Return the root of the exponentially weighted mean of squared simple returns.

    Their mean is taken as zero, as RiskMetrics does. A return ``half_life`` candles old counts half
    as much as the newest. Otherwise as `volatility`.
    """
    returns = simple_returns(close, lookback)
    ages = np.arange(lookback)[::-1].reshape(-1, *(1,) * (returns.ndim - 1))
    counts = 0.5 ** (ages / half_life)
    return np.sqrt((counts * returns * returns).sum(axis=0) / counts.sum())


def parkinson_volatility(
    high: NDArray[np.float64], low: NDArray[np.float64], lookback: int
) -> NDArray[np.float64]:
    """Return the volatility by Parkinson (1980), from the range of each of the last candles.

    It sees the way between two closes, but understates where trades are few. Otherwise as
    `volatility`; W >= lookback.
    """
    ranges = np.log(high[-lookback:] / low[-lookback:])
    return np.sqrt((ranges * ranges).sum(axis=0) / (4.0 * _LOG_2 * lookback))


def garman_klass_volatility(
    open_: NDArray[np.float64],
    high: NDArray[np.float64],
    low: NDArray[np.float64],
    close: NDArray[np.float64],
    lookback: int,
) -> NDArray[np.float64]:
    """Return the volatility by Garman and Klass (1980), from range, open and close.

    As `parkinson_volatility`, with less noise.
    """
    ranges = np.log(high[-lookback:] / low[-lookback:])
    moves = np.log(close[-lookback:] / open_[-lookback:])
    variances = 0.5 * ranges * ranges - (2.0 * _LOG_2 - 1.0) * moves * moves
    return np.sqrt(variances.sum(axis=0) / lookback)


def simple_returns(close: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return the last ``count`` simple returns, shape (count, N); NaN where a price is missing."""
    prices = close[close.shape[0] - 1 - count :]
    result: NDArray[np.float64] = prices[1:] / prices[:-1] - 1.0
    return result
