"""Portfolio weights from scores: side and share of equity of each instrument."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from strategies.signals.ranking import percentile_rank
from strategies.signals.selection import Sides, choose_sides, side_counts
from strategies.sizing import Side, Weighting

_TINY = 1e-200
"""Shares below it are scaled up first: dividing by their sum would overflow."""


def weigh(
    score: NDArray[np.float64],
    *,
    side: Side,
    weighting: Weighting,
    fraction: float,
    gross: float,
    max_weight: float,
    volatility: NDArray[np.float64] | None = None,
    sides: Sides | None = None,
    own_trend: bool = False,
    risk: float | None = None,
) -> NDArray[np.float64]:
    """Return each instrument's weight as a signed fraction of equity.

    The best ``fraction`` of the scores is held long, the worst short (or nothing, long only); each
    side gets half of ``gross``, the sum of absolute weights. Within a side, shares are ``equal``,
    proportional to 1 / ``volatility``, to the distance of the percentile ``rank`` from its mean, or
    to that of the score (``zscore``). For the latter two, a fraction of 0.5 weighs all, the middle
    included. ``risk_parity`` gives equal shares, which `strategies.sizing.book` then divides anew.

    By sign, positive scores are long and negative ones short, of each the best ``fraction`` by size
    of the score; ``rank`` and ``zscore`` are then of the size itself, not of a distance. A side
    without an instrument stays empty, and the other does not grow.

    Arrays have shape (N,), or (..., N) of many decisions. A NaN score is not eligible.
    ``fraction`` is above 0, at most 0.5 (long only and by sign: at most 1); at least one instrument
    is held on each side that has any. ``max_weight`` is the largest absolute weight of one
    instrument; the excess goes to the others of its side, and when all are at it, the sum is below
    ``gross``. ``volatility`` must be positive where the score is known. ``sides`` are held in place
    of those that the ``fraction`` gives.

    With ``own_trend``, scores are trends of each instrument itself: both sides share the whole of
    ``gross``, ``rank`` and ``zscore`` count the trend's size, and one side may be empty.

    By ``risk``, the fraction of equity lost at a stop, a weight is that over the distance from the
    stop: the score is 1 over the distance, a fraction of the price, with the side's sign. Weights
    are cut at ``max_weight``; both sides share ``gross``, beyond which all are cut alike.

    Weights are all zero when fewer than two instruments are eligible for long and short, or when
    all scores are equal (``rank`` and ``zscore``).
    """
    if sides is None:
        sides = choose_sides(score, side_counts(score, weighting, fraction, side), side=side)
    if weighting == "risk":
        if risk is None:
            raise ValueError("weighting risk needs scores that know their stop, and a risk")
        held = np.where(sides.long | sides.short, risk * score, 0.0)
        weight = np.clip(held, -max_weight, max_weight)
        weight *= gross / np.maximum(_total(np.abs(weight)), gross)
        return weight
    if own_trend:
        share = _shares(np.abs(score), weighting, volatility)
        held = np.where(sides.long | sides.short, share, 0.0)
        return np.where(sides.short, -1.0, 1.0) * _scaled(held, gross, max_weight)
    held = ~np.isnan(score)
    enough = _total(held) >= (2 if side == "long_short" else 1)
    if weighting in ("equal", "inverse_volatility", "risk_parity"):
        share = opposite = _shares(score, weighting, volatility)
    else:
        share = _signed_shares(score, weighting, side)
        opposite = -share
    longs = np.where(enough & sides.long, np.maximum(share, 0.0), 0.0)
    if side == "long_only":
        return _scaled(longs, gross, max_weight)
    shorts = np.where(enough & sides.short, np.maximum(opposite, 0.0), 0.0)
    half = gross / 2.0
    weight = _scaled(longs, half, max_weight) - _scaled(shorts, half, max_weight)
    if side == "by_sign":
        return weight
    both = longs.any(axis=-1, keepdims=True) & shorts.any(axis=-1, keepdims=True)
    return np.where(both, weight, 0.0)


def _shares(
    score: NDArray[np.float64], weighting: Weighting, volatility: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    known = ~np.isnan(score)
    if weighting in ("equal", "risk_parity"):
        return np.where(known, 1.0, 0.0)
    if weighting == "inverse_volatility":
        if volatility is None:
            raise ValueError("inverse_volatility needs the volatility of each instrument")
        return np.divide(1.0, volatility, out=np.zeros(score.shape), where=known)
    return percentile_rank(score) if weighting == "rank" else score


def _signed_shares(
    score: NDArray[np.float64], weighting: Weighting, side: Side
) -> NDArray[np.float64]:
    known = ~np.isnan(score)
    if side == "by_sign":
        size = _shares(np.abs(score), weighting, None)
        return np.where(known, np.sign(score) * size, 0.0)
    values, count = np.where(known, _shares(score, weighting, None), 0.0), _total(known)
    share = np.where(known, values - _total(values) / np.maximum(count, 1), 0.0)
    # Of a single one there is no mean to be away from.
    return np.where(known & (count == 1), 1.0, share) if side == "long_only" else share


def capped(weight: NDArray[np.float64], max_weight: float) -> NDArray[np.float64]:
    """Return weights with the excess over a cap given to the others of the side, pro rata."""
    longs, shorts = np.maximum(weight, 0.0), np.maximum(-weight, 0.0)
    return _scaled(longs, longs.sum(), max_weight) - _scaled(shorts, shorts.sum(), max_weight)


def _scaled(share: NDArray[np.float64], total: float, cap: float) -> NDArray[np.float64]:
    """Scale shares to the total; the excess over a cap goes to those below it, pro rata."""
    weights = np.zeros(share.shape)
    largest = share.max(axis=-1, keepdims=True, initial=0.0)
    tiny = (largest > 0.0) & (largest < _TINY)
    if tiny.any():
        share = share / np.where(tiny, largest, 1.0)
    free = share > 0.0
    left = np.full(largest.shape, total)
    while True:
        sums = _total(np.where(free, share, 0.0))
        proposed = share * (left / np.where(sums > 0.0, sums, 1.0))
        above = free & (proposed > cap)
        if not above.any():
            return np.where(free, proposed, weights)
        weights[above] = cap
        left = total - cap * _total(weights != 0.0)
        free &= ~above & (left > 0.0)


def _total(value: NDArray[Any]) -> NDArray[Any]:
    return value.sum(axis=-1, keepdims=True)
