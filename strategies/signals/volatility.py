"""Volatility of returns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def volatility(close: NDArray[np.float64], lookback: int) -> NDArray[np.float64]:
    """Return the sample standard deviation of the last ``lookback`` simple returns.

    ``close`` has shape (W, N), oldest first, NaN where there is no candle; W > lookback.
    ``lookback`` is at least 2. The result has shape (N,), a fraction per candle (not annualised);
    NaN where a price in the range is missing.
    """
    prices = close[close.shape[0] - 1 - lookback :]
    returns = prices[1:] / prices[:-1] - 1.0
    deviations = returns - returns.sum(axis=0) / lookback
    return np.sqrt((deviations * deviations).sum(axis=0) / (lookback - 1))
