"""Mean return over past candles: momentum in which one large move counts only once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mean_return(close: NDArray[np.float64], lookback: int, skip: int = 0) -> NDArray[np.float64]:
    """Return the mean of the ``lookback`` simple returns that ended ``skip`` candles ago.

    ``close`` has shape (W, N), oldest first, NaN where there is no candle; W > lookback + skip.
    ``lookback`` is at least 1. The result has shape (N,), a fraction per candle; NaN where a price
    in the range is missing.
    """
    end = close.shape[0] - skip
    prices = close[end - lookback - 1 : end]
    returns = prices[1:] / prices[:-1] - 1.0
    result: NDArray[np.float64] = returns.sum(axis=0) / lookback
    return result
