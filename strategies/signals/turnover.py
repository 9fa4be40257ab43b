"""Mean turnover."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mean_turnover(
    close: NDArray[np.float64], volume: NDArray[np.float64], lookback: int
) -> NDArray[np.float64]:
    """Return the mean turnover per candle over the last ``lookback`` candles.

    Turnover is close times volume (base coin), as bars of the engine have no turnover. Missing
    candles (before the listing, in a gap) don't count.

    The inputs have shape (W, N), NaN where there is no candle; W >= lookback >= 1. The result has
    shape (N,), settlement currency per candle; NaN where no candle is in the window.
    """
    money = close[-lookback:] * volume[-lookback:]
    there = ~np.isnan(money)
    total = np.where(there, money, 0.0).sum(axis=0)
    count = there.sum(axis=0)
    mean = np.full(total.shape, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean
