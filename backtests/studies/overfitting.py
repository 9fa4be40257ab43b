"""Probability of backtest overfitting (PBO) by combinatorially symmetric cross-validation (CSCV).

Bailey, Borwein, Lopez de Prado and Zhu (2017), "The Probability of Backtest Overfitting". Time is
cut into blocks; half of them choose the best candidate, the other half judge it, in every way.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np

from actors.measures import Floats

_CELLS = 2_000_000
"""Figures in memory at a time."""


class Overfitting(NamedTuple):
    """What became of the candidate that was best in sample, in each way to choose the blocks.

    Sharpe ratios are those of one period. All is NaN or empty with fewer than two candidates, or
    fewer than two periods a block.
    """

    probability: float
    """Share of ways in which the best in sample is not above the median out of sample (PBO)."""
    loss: float
    """Share of ways in which it loses money out of sample."""
    slope: float
    """Change of the Sharpe out of sample with that in sample; negative: the better the worse."""
    logits: Floats
    """Of the rank out of sample in each way: above zero is above the median."""


def overfitting(returns: Floats, blocks: int = 16) -> Overfitting:
    """Return the probability of overfitting of candidates' returns, shape (periods, candidates).

    Blocks are of equal length but for one period. Candidates are compared by their Sharpe, which
    is zero where returns do not vary: what never traded. Raises ValueError for an odd number of
    blocks, or a return that is not finite.
    """
    if blocks < 2 or blocks % 2:
        raise ValueError(f"blocks: expected an even number, was {blocks}")
    if not np.isfinite(returns).all():
        raise ValueError("returns: expected one of every candidate in every period")
    periods, candidates = returns.shape
    if candidates < 2 or periods < 2 * blocks:
        return Overfitting(np.nan, np.nan, np.nan, np.empty(0))
    parts = np.array_split(returns, blocks)
    sums = np.array([part.sum(axis=0) for part in parts])
    squares = np.array([(part**2).sum(axis=0) for part in parts])
    lengths = np.array([len(part) for part in parts], dtype=np.float64)
    ways = list(combinations(range(blocks), blocks // 2))
    chosen = np.zeros((len(ways), blocks))
    np.put_along_axis(chosen, np.array(ways), 1.0, axis=1)
    step = max(1, _CELLS // candidates)
    found = []
    for some in (chosen[i : i + step] for i in range(0, len(ways), step)):
        inside = _sharpes(some, sums, squares, lengths)
        outside = _sharpes(1.0 - some, sums, squares, lengths)
        best = inside.argmax(axis=1)[:, None]
        of_best = np.take_along_axis(outside, best, axis=1)
        # Of equals each has the mean rank; the best is among its own equals.
        rank = (outside < of_best).sum(axis=1) + ((outside == of_best).sum(axis=1) + 1) / 2
        found.append((np.take_along_axis(inside, best, axis=1)[:, 0], of_best[:, 0], rank))
    first, second, ranks = (np.concatenate(column) for column in zip(*found, strict=True))
    logits = np.log(ranks / (candidates + 1 - ranks))
    varied = np.ptp(first) > 0
    return Overfitting(
        probability=float(np.mean(logits <= 0)),
        loss=float(np.mean(second < 0)),
        slope=float(np.polyfit(first, second, 1)[0]) if varied else np.nan,
        logits=logits,
    )


def _sharpes(some: Floats, sums: Floats, squares: Floats, lengths: Floats) -> Floats:
    """Return Sharpe ratios of candidates over the blocks of each way, shape (ways, candidates)."""
    count = (some @ lengths)[:, None]
    total, square = some @ sums, some @ squares
    variance = (square - total**2 / count) / (count - 1)
    # Of equal returns rounding leaves a variance, of some 1e-16 of their square.
    varied = variance > 1e-12 * square / count
    return np.where(varied, total / count / np.sqrt(np.where(varied, variance, 1.0)), 0.0)
