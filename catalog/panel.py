"""The panel: many instruments' candles side by side, as plain arrays.

The one shape in which the screen, the strategies' tests and the report read prices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Panel:
    """Candles of N instruments at T times.

    Parameters
    ----------
    ts : ndarray of int64, shape (T,)
        Close time of each candle, UNIX nanoseconds (UTC), strictly increasing.
    ids : tuple of str
        N instrument ids, sorted.
    open, high, low, close : ndarray of float64, shape (T, N)
        Prices in the settlement currency; NaN where the instrument has no candle.
    volume : ndarray of float64, shape (T, N)
        Traded base coin; NaN where there is no candle.
    """

    ts: NDArray[np.int64]
    ids: tuple[str, ...]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]
