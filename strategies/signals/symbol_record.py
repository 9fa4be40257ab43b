"""Record of own trades by instrument: pause those on which the strategy does badly."""

from __future__ import annotations

from collections.abc import Sequence

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
    each = [np.array(trades, float) for trades in results]
    everyone = np.concatenate([np.zeros(0), *each])
    rest = np.zeros(len(each), dtype=np.bool_)
    if not everyone.size:
        return rest
    usual = _gains_losses_wins(everyone) / everyone.size
    for i, trades in enumerate(each):
        gains, losses, wins = _gains_losses_wins(trades) + rules.prior * usual
        rarely = wins < rules.hit_rate * (trades.size + rules.prior)
        rest[i] = trades.size >= rules.trades and (rarely or gains < rules.profit_factor * losses)
    return rest & (since_exit_ns < duration_ns(rules.pause))


def _gains_losses_wins(results: NDArray[np.float64]) -> NDArray[np.float64]:
    won, lost = results > 0.0, results < 0.0
    return np.array([results[won].sum(), -results[lost].sum(), float(np.count_nonzero(won))])
