"""Record of own trades by instrument: pause those on which the strategy does badly."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from config.durations import duration_ns
from strategies.signals.parameters import SymbolRecord


def paused(
    rules: SymbolRecord,
    results: Sequence[Sequence[float]],
    since_exit_ns: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Return which instruments rest; a mask of shape (N,).

    ``results`` are the returns of each instrument's closed trades, ``since_exit_ns`` the time since
    the last one closed, shape (N,).
    """
    counts = np.array([len(trades) for trades in results])
    everyone = np.fromiter(chain.from_iterable(results), float)
    if not everyone.size:
        return np.zeros(counts.shape, dtype=np.bool_)
    owner = np.repeat(np.arange(counts.size), counts)
    parts = np.maximum(everyone, 0.0), np.maximum(-everyone, 0.0), everyone > 0.0
    sums = np.array([np.bincount(owner, part, counts.size) for part in parts])
    usual = sums.sum(axis=1, keepdims=True) / everyone.size
    gains, losses, wins = sums + rules.prior * usual
    rarely = wins < rules.hit_rate * (counts + rules.prior)
    poor = (counts >= rules.trades) & (rarely | (gains < rules.profit_factor * losses))
    rests: NDArray[np.bool_] = poor & (since_exit_ns < duration_ns(rules.pause))
    return rests
