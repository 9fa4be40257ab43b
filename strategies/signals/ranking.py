"""Rank instruments by score: arrays of shape (..., N), each row of N by itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def ordinal_rank(score: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return 1 for the highest score, 2 for the next …; 0 where the score is NaN.

    Between equal scores the first in order ranks higher, so that the result is always the same.
    """
    order = np.argsort(-score, axis=-1)
    ordered = np.take_along_axis(score, order, axis=-1)
    if (ordered[..., 1:] == ordered[..., :-1]).any():
        # The fast way to sort does not keep equals in their order.
        order = np.argsort(-score, axis=-1, kind="stable")
    # NaN is sorted to the end. What inverts an order is the order of it.
    return np.where(np.isnan(score), 0, np.argsort(order, axis=-1) + 1)


def percentile_rank(score: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rank from the bottom divided by the number of scores; ties share the mean.

    The same as ``pandas.Series.rank(pct=True)``: the highest has 1. NaN where the score is NaN.
    """
    known = ~np.isnan(score)
    count = np.maximum(known.sum(axis=-1, keepdims=True), 1)
    # Equals in their order, and in the other: between both is the mean.
    one, other = ordinal_rank(-score), ordinal_rank(-score[..., ::-1])[..., ::-1]
    return np.where(known, (one + other) / 2.0 / count, np.nan)
