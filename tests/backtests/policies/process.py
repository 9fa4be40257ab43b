"""Looks at an Ornstein-Uhlenbeck basis, made directly: what comes is known by its law."""

import numpy as np

from backtests.policies.baselines import ornstein_uhlenbeck
from backtests.policies.looks import Looks
from strategies.basis.features import FEATURES
from strategies.basis.threshold import BASIS, EXIT

DEVIATION, HALF_LIFE, COST = 20.0, 30, 32.0
"""Basis points, and looks of ten seconds."""
SPREAD = 1.0
TRUTH = ornstein_uhlenbeck(DEVIATION, HALF_LIFE, COST)


def ornstein_uhlenbeck_looks(count: int, seed: int, deviation: float = DEVIATION) -> Looks:
    """Return looks whose basis has the law of `TRUTH`; all other features are noise or constant."""
    rng = np.random.default_rng(seed)
    keep = 2.0 ** (-1.0 / HALF_LIFE)
    noise = deviation * rng.standard_normal(count) * np.sqrt(1.0 - keep**2)
    noise[0] /= np.sqrt(1.0 - keep**2)
    basis = np.empty(count)
    level = 0.0
    for place, shock in enumerate(noise.tolist()):
        level = level * keep + shock
        basis[place] = level
    seen = np.zeros((count, len(FEATURES)))
    seen[:, BASIS], seen[:, EXIT] = basis - SPREAD / 2, basis + SPREAD / 2
    for column in (FEATURES.index("spot_imbalance"), FEATURES.index("perp_depth")):
        seen[:, column] = rng.standard_normal(count)
    change = np.append(-np.diff(basis), 0.0)
    ts = np.arange(count, dtype=np.int64) * 10**10
    margin = seen[:, BASIS] - (COST - SPREAD)
    return Looks(ts, seen, np.full(count, COST), change, margin, np.ones(count, np.bool_))
