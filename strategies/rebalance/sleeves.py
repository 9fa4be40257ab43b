"""Sleeves of a blend: each scorer's scores and weights, netted to one weight an instrument."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from strategies.rebalance.config import PanelRebalancerConfig, Scored, Sleeve
from strategies.rebalance.history import Window, newest
from strategies.rebalance.scoring import checked_scores
from strategies.rebalance.size import rows_to_size, size, volatility_to_size
from strategies.signals.selection import Sides, choose_sides, side_counts

Floats = NDArray[np.float64]


def rows_for_sleeve(sleeve: Sleeve) -> int:
    """Return how many candles a sleeve's scores and sizes need."""
    return max(sleeve.ranking.rows_for_scores(sleeve.rules), rows_to_size(sleeve.rules))


def scores_of_sleeves(sleeves: tuple[Sleeve, ...], window: Window) -> Scored:
    """Return the scores of K sleeves, shape (K, N); each sees as many candles as it would alone."""
    each = [
        checked_scores(sleeve.ranking, sleeve.rules, newest(window, rows_for_sleeve(sleeve)))
        for sleeve in sleeves
    ]
    # A score without an entry is never older than an exit.
    now = np.full(window.close.shape[1:], window.ts, np.int64)
    entered = [now if one.entered is None else one.entered for one in each]
    return Scored(np.array([one.score for one in each]), np.array(entered))


def best_known(scores: Floats) -> Floats:
    """Return each instrument's highest known score of K sleeves, NaN without any; shape (N,)."""
    best: Floats = np.fmax.reduce(np.where(np.isfinite(scores), scores, np.nan), axis=0)
    return best


def weights_of_sleeves(
    sleeves: tuple[Sleeve, ...], window: Window, scores: Floats, allowed: Sides
) -> Floats:
    """Return the weights that the strategy of each of K sleeves would have alone, shape (K, N).

    ``scores`` has shape (K, N), NaN where an instrument is not eligible; ``allowed`` says on which
    sides an instrument may be held.
    """
    return np.array(
        [
            _weigh(sleeve, window, np.where(np.isfinite(score), score, np.nan), allowed)
            for sleeve, score in zip(sleeves, scores, strict=True)
        ]
    )


def shares_in_words(rules: PanelRebalancerConfig, shares: Floats, combined: float) -> str:
    """Return each sleeve's share in one instrument, shape (K,); empty without any.

    ``combined`` is the weight from all of them.
    """
    sleeves, votes = rules.sleeves, rules.votes.by == "majority"
    return ", ".join(
        f"{sleeve.name} {share:+.4f}" + (" outvoted" if votes and share * combined <= 0.0 else "")
        for sleeve, share in zip(sleeves, shares, strict=True)
        if share
    )


def _weigh(sleeve: Sleeve, window: Window, score: Floats, allowed: Sides) -> Floats:
    rules = sleeve.rules
    spread = volatility_to_size(rules, window)
    if spread is not None:
        score = np.where(np.isfinite(spread) & (spread > 0.0), score, np.nan)
    counts = side_counts(score, rules.weighting, rules.fraction, rules.side)
    sides = choose_sides(score, counts, side=rules.side, allowed=allowed)
    return size(rules, window, score, spread, sides).weight
