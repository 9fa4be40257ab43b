"""Rank instruments by score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def ordinal_rank(score: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return 1 for the highest score, 2 for the next …; 0 where the score is NaN.

    Between equal scores the first in order ranks higher, so that the result is always the same.
    """
    ranks = np.zeros(score.shape, dtype=np.int64)
    known = np.flatnonzero(~np.isnan(score))
    order = known[np.argsort(-score[known], kind="stable")]
    ranks[order] = np.arange(1, order.size + 1)
    return ranks


def percentile_rank(score: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rank from the bottom divided by the number of scores; ties share the mean.

    The same as ``pandas.Series.rank(pct=True)``: the highest has 1. NaN where the score is NaN.
    """
    ranks = np.full(score.shape, np.nan)
    known = np.flatnonzero(~np.isnan(score))
    values = np.sort(score[known], kind="stable")
    first = np.searchsorted(values, score[known], side="left")
    last = np.searchsorted(values, score[known], side="right")
    ranks[known] = (first + 1 + last) / 2.0 / known.size
    return ranks
