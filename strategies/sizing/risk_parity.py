"""Risk parity: shares by which every instrument contributes the same risk."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from strategies.sizing.one_thread import on_one_thread

_STEPS = 200
_NEAR = 1e-10


@on_one_thread
def risk_parity(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return positive shares, of sum 1, that contribute equally to the variance of their sum.

    Solved as the minimum of y'Cy / 2 - sum(log y), C being the correlation and y the shares in
    units of volatility, by damped Newton steps: Spinu (2013), "An Algorithm for Computing Risk
    Parity Weights". ``covariance`` has shape (N, N) and is positive definite; the result has shape
    (N,).
    """
    volatility = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(volatility, volatility)
    # Exact where all correlate alike, so that few steps are left.
    scaled = 1.0 / np.sqrt(np.abs(correlation).sum(axis=1))
    for _ in range(_STEPS):
        gradient = correlation @ scaled - 1.0 / scaled
        step = np.linalg.solve(correlation + np.diag(1.0 / scaled**2), gradient)
        # How far from the minimum, in the function's own measure: far from it, steps are cut.
        decrement = float(np.sqrt(max(gradient @ step, 0.0)))
        scaled = scaled - step / (1.0 + decrement if decrement > 0.25 else 1.0)
        if decrement < _NEAR:
            shares = scaled / volatility
            result: NDArray[np.float64] = shares / shares.sum()
            return result
    raise ValueError("risk parity has no solution: the covariance is not positive definite")
