"""Kelly: the growth-optimal size of a book whose scores have a stated forecasting power."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def kelly_multiple(
    weight: NDArray[np.float64],
    score: NDArray[np.float64],
    covariance: NDArray[np.float64],
    *,
    information_coefficient: float,
    horizon: float,
    signed: bool = False,
) -> float:
    """Return the multiple of a book that grows fastest, 0 when it is expected to lose.

    The expected return of an instrument is its volatility times its z-score times the information
    coefficient, which is the correlation of scores and returns: Grinold (1994), "Alpha is
    Volatility Times IC Times Score". With ``signed`` scores, whose sign says the side, the z-score
    is the distance from zero, not from the mean. The multiple is the book's expected return over
    its variance: Thorp (2006), "The Kelly Criterion in Blackjack, Sports Betting, and the Stock
    Market".

    ``weight`` are signed fractions of equity, zero where ``score`` is NaN; both have shape (N,).
    ``covariance`` has shape (N, N), of returns a candle; ``horizon`` is the time between
    rebalances, in candles. Infinite for a book that carries no risk.
    """
    variance = float(weight @ covariance @ weight)
    if variance <= 0.0:
        return np.inf
    known = score[~np.isnan(score)]
    middle = 0.0 if signed else known.mean()
    spread = np.sqrt(((known - middle) ** 2).mean())
    z = np.nan_to_num((score - middle) / spread) if spread > 0.0 else np.zeros(score.shape)
    edge = information_coefficient * float(weight @ (z * np.sqrt(np.diag(covariance))))
    # Returns grow with the root of time, the variance with time.
    return max(edge, 0.0) / (variance * float(np.sqrt(horizon)))
