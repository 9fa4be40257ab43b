"""Looks at an Ornstein-Uhlenbeck basis, made directly: what comes is known by its law."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from backtests.policies.looks import Looks
from strategies.basis.edge import NEVER
from strategies.basis.features import FEATURES
from strategies.basis.threshold import BASIS, EXIT

Floats = NDArray[np.float64]
DEVIATION, HALF_LIFE, COST = 20.0, 30, 32.0
"""Basis points, and looks of ten seconds."""
SPREAD = 1.0


class Truth(NamedTuple):
    """The best policy of a known process: where to open and close its basis, and what it earns."""

    open_bps: float
    close_bps: float
    bps_a_step: float
    grid: Floats
    worth: Floats
    """D at each level of the grid."""


def ornstein_uhlenbeck(
    deviation_bps: float,
    half_life: float,
    cost_bps: float,
    step: float = 1.0,
    income_bps: float = 0.0,
    points: int = 601,
) -> Truth:
    """Return the best policy of an Ornstein-Uhlenbeck basis, by value iteration on a grid.

    ``half_life`` and ``step`` are in one unit of time; ``income_bps`` is what holding receives each
    step (funding). Levels are of the mid: half of the spreads lie between them and executable ones.
    The chain on the grid has the process's own transition law, integrated over each cell.
    """
    grid = np.linspace(-5.0, 5.0, points) * deviation_bps
    keep = 2.0 ** (-step / half_life)
    edges = np.concatenate([[-np.inf], (grid[1:] + grid[:-1]) / 2, [np.inf]])
    noise = deviation_bps * np.sqrt(1.0 - keep**2)
    law = np.diff(norm.cdf((edges - keep * grid[:, None]) / noise), axis=1)
    change = grid * (1.0 - keep) + income_bps
    worth = np.zeros(points)
    while True:
        new = change + law @ np.clip(worth, 0.0, cost_bps)
        moved = float(np.abs(new - worth).max())
        worth = new
        if moved < 1e-9:
            break
    opens, closes = worth > cost_bps, worth < 0.0
    # Shares of time in each level and state, out and in, in the long run.
    out, inside = np.diff(norm.cdf(edges / deviation_bps)), np.zeros(points)
    while True:
        entered, left = out * opens, inside * closes
        kept_out, kept_in = out - entered + left, inside + entered - left
        moved = float(np.abs(kept_in @ law - inside).max())
        out, inside = kept_out @ law, kept_in @ law
        if moved < 1e-12:
            break
    earned = float(kept_in @ change - entered.sum() * cost_bps)
    return Truth(
        float(grid[np.argmax(opens)]), float(grid[np.argmax(~closes)]), earned, grid, worth
    )


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
    locked, allowed = seen[:, BASIS] - (COST - SPREAD), np.ones(count, np.bool_)
    no_funding = np.full(count, NEVER)
    return Looks(ts, seen, np.full(count, COST), change, locked, locked, allowed, no_funding)
