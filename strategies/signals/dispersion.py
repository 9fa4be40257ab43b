"""How much instruments differ, and how much they move together: dispersion and correlation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from strategies.signals.past_return import past_return


def dispersion(close: NDArray[np.float64], lookback: int) -> float:
    """Return the standard deviation across instruments of their returns over the lookback.

    ``close`` has shape (W, N), oldest first, NaN where there is no candle; W > lookback >= 1. The
    result is a fraction; NaN with fewer than two known returns.
    """
    returns = past_return(close, lookback)
    known = returns[~np.isnan(returns)]
    if known.size < 2:
        return np.nan
    deviation = known - known.mean()
    return float(np.sqrt((deviation * deviation).mean()))


def mean_correlation(close: NDArray[np.float64], lookback: int) -> float:
    """Return the mean correlation of all pairs of instruments, -1 to 1.

    It is that of the last ``lookback`` returns of one candle, of the instruments that have them all
    and moved. ``close`` as for `dispersion`; lookback >= 2. NaN with fewer than two instruments.
    """
    prices = close[close.shape[0] - 1 - lookback :]
    returns = prices[1:] / prices[:-1] - 1.0
    returns = returns[:, ~np.isnan(returns).any(axis=0)]
    deviation = returns - returns.sum(axis=0) / lookback
    size = np.sqrt((deviation * deviation).sum(axis=0))
    moved = size > 0.0
    count = int(np.count_nonzero(moved))
    if count < 2:
        return np.nan
    # The square of a sum has each pair twice, and each instrument's square, which is 1.
    total = (deviation[:, moved] / size[moved]).sum(axis=1)
    return float(((total * total).sum() - count) / (count * (count - 1)))
