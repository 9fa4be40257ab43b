"""Importance of parameters: how much of the objective's variance each explains, and each pair.

Functional analysis of variance of a random forest (Hutter, Hoos and Leyton-Brown 2014, "An
Efficient Approach for Assessing Hyperparameter Importance"), as Optuna's, with pairs. The forest
learns the objective from the trials; it is then asked all over the space, so that it matters less
where a search went.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np

from actors.measures import Floats, Integers

_BINS = 10
_TREES = 64
_LEAST = 10


class Importances(NamedTuple):
    """Shares of the variance, 0 to 1; empty with fewer than ten trials, or where nothing varies."""

    alone: dict[int, float]
    """By parameter: what it explains by itself."""
    pairs: dict[tuple[int, int], float]
    """By two of them: what both explain beyond each by itself."""


def importances(places: Floats, values: Floats, asked: Floats, seed: int = 0) -> Importances:
    """Return what explains the values at places, shape (trials, parameters).

    `asked` are places all over the space, of the same shape but for their count.
    """
    if len(values) < _LEAST or np.ptp(values) == 0:
        return Importances({}, {})
    from sklearn.ensemble import RandomForestRegressor  # some 1 s

    forest = RandomForestRegressor(_TREES, random_state=seed).fit(places, values)
    told = forest.predict(asked)
    bins = [binned(column) for column in asked.T]
    alone = {i: explained(bins[i], told) for i in range(len(bins))}
    return Importances(
        alone,
        {
            (i, j): max(0.0, explained(bins[i] * _BINS + bins[j], told) - alone[i] - alone[j])
            for i, j in combinations(range(len(bins)), 2)
        },
    )


def binned(column: Floats) -> Integers:
    """Return the bin of each place: one a value, or ten of equal width from 0 to 1."""
    known = np.unique(column)
    if len(known) <= _BINS:
        return np.searchsorted(known, column).astype(np.int64)
    return np.minimum((column * _BINS).astype(np.int64), _BINS - 1)


def explained(groups: Integers, values: Floats) -> float:
    """Return the share of variance that groups explain, less chance's (epsilon squared)."""
    counts = np.bincount(groups)
    used = counts > 0
    moved = values - values.mean()
    total, spare = float(moved @ moved), len(values) - int(used.sum())
    if total == 0 or spare < 1:
        return 0.0
    sums = np.bincount(groups, weights=moved)[used]
    between = float((sums**2 / counts[used]).sum())
    chance = (int(used.sum()) - 1) * (total - between) / spare
    return max(0.0, (between - chance) / total)
