"""The planted effects: yesterday is partly given back, the weeks before carry on."""

from __future__ import annotations

import numpy as np

from catalog.demo.volatility import Floats

MOMENTUM_DAYS = 20


def recursion(shocks: Floats, reversal: float, momentum: float) -> tuple[Floats, Floats]:
    """Return each day's planted drift and idiosyncratic return of one instrument.

    ::

        drift[t] = -reversal * u[t-1] + momentum * mean(u[t-2], ..., u[t-21])
        u[t] = drift[t] + shocks[t]

    Parameters
    ----------
    shocks : ndarray, shape (days,)
        Unpredictable part of each day's idiosyncratic log return.
    reversal, momentum : float
        The planted slopes; see `DemoParams`.

    Returns
    -------
    drift, idiosyncratic : ndarray, shape (days,)
        Log returns. ``drift[t]`` is known at the end of day ``t - 1``. Returns before the first
        day count as zero.
    """
    lead = MOMENTUM_DAYS + 1
    drift = np.zeros(shocks.size)
    total = np.zeros(lead + shocks.size)
    for day in range(shocks.size):
        earlier = float(total[day : day + MOMENTUM_DAYS].sum())
        drift[day] = momentum * earlier / MOMENTUM_DAYS - reversal * total[day + MOMENTUM_DAYS]
        total[lead + day] = drift[day] + shocks[day]
    return drift, total[lead:]
