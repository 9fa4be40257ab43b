"""Return over past candles, for reversal and momentum."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def past_return(close: NDArray[np.float64], lookback: int, skip: int = 0) -> NDArray[np.float64]:
    """Return the simple return of ``lookback`` candles that ended ``skip`` candles ago.

    ``close`` has shape (W, N), oldest first, NaN where there is no candle; W > lookback + skip.
    ``lookback`` is at least 1. The result has shape (N,), fractions; NaN where one of the two
    prices is missing.
    """
    newest = close.shape[0] - 1 - skip
    result: NDArray[np.float64] = close[newest] / close[newest - lookback] - 1.0
    return result
