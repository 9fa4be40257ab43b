"""How much money changes hands."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mean_turnover(
    close: NDArray[np.float64], volume: NDArray[np.float64], lookback: int
) -> NDArray[np.float64]:
    """Return the mean turnover a candle over the last ``lookback`` candles.

    Turnover is close times volume, as bars of the engine carry no turnover of their own. Candles
    that are missing (before the listing, in a gap) don't count.

    Parameters
    ----------
    close, volume : ndarray, shape (W, N)
        Close prices and traded base coin, NaN where there is no candle; W >= lookback.
    lookback : int
        Number of candles, at least 1.

    Returns
    -------
    ndarray, shape (N,)
        Settlement currency per candle; NaN where no candle is in the window.
    """
    money = close[-lookback:] * volume[-lookback:]
    there = ~np.isnan(money)
    total = np.where(there, money, 0.0).sum(axis=0)
    count = there.sum(axis=0)
    mean = np.full(total.shape, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean
