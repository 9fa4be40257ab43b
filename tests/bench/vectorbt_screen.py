"""Reversal candidates by vectorbt, for an interpreter that has it; none of the project is imported.

``python vectorbt_screen.py FILE.npz`` prints seconds, peak memory in MB and the total returns as
JSON. The file has ``close`` (T, N), ``candidates`` (C, 4: lookback, skip, fraction, candles
between decisions) and ``cost``, a fraction of what is traded.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import numpy as np
import vectorbt as vbt

AT_ONCE = 10


def weights(close, lookback, skip, fraction, hold):
    """Return the target weights of each close, NaN where nothing is decided."""
    rows, count = close.shape
    first = int(lookback + skip)
    target = np.full(close.shape, np.nan)
    newest = close[first - int(skip) : rows - int(skip)]
    past = newest / close[: len(newest)] - 1.0
    rank = past.argsort(axis=1).argsort(axis=1)
    held = max(1, int(fraction * count + 1e-9))
    weight = ((rank < held) * 1.0 - (rank >= count - held)) * (0.5 / held)
    due = np.arange(len(weight)) % int(hold) == 0
    target[first:][due] = weight[due]
    return target


def screen(close, candidates, cost):
    """Return the total returns of candidates, some of them a portfolio object."""
    found = []
    for part in (candidates[i : i + AT_ONCE] for i in range(0, len(candidates), AT_ONCE)):
        size = np.concatenate([weights(close, *one) for one in part], axis=1)
        portfolio = vbt.Portfolio.from_orders(
            np.tile(close, len(part)),
            size,
            size_type="targetpercent",
            group_by=np.repeat(np.arange(len(part)), close.shape[1]),
            cash_sharing=True,
            call_seq="auto",
            fees=cost,
            freq="1D",
        )
        portfolio.sharpe_ratio()
        found += portfolio.total_return().tolist()
    return found


if __name__ == "__main__":
    work = np.load(sys.argv[1])
    close, candidates, cost = work["close"], work["candidates"], float(work["cost"])
    screen(close, candidates[:AT_ONCE], cost)  # compiles
    began = time.process_time()
    returns = screen(close, candidates, cost)
    seconds = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_mb": peak, "returns": returns}))
