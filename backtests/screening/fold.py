"""The returns of weights over time, compiled: each period begins with what the last one left."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def fold(weights, traded, moves, rates, drift):
    """Return gross returns, turnover and net returns of each period; see `path.earn`."""
    rows, count = moves.shape
    gross, turnover, net = np.zeros(rows), np.zeros(rows), np.zeros(rows)
    held = np.zeros(count)
    for t in range(rows):
        paid = earned = traded_value = 0.0
        if traded[t]:
            for i in range(count):
                change = abs(weights[t, i] - held[i])
                traded_value += change
                paid += change * rates[i]
                held[i] = weights[t, i]
        for i in range(count):
            earned += held[i] * moves[t, i]
        gross[t], turnover[t], net[t] = earned, traded_value, earned - paid
        if drift:
            scale = 1.0 / (1.0 + net[t])
            for i in range(count):
                held[i] *= (1.0 + moves[t, i]) * scale
    return gross, turnover, net
