"""Regimes of a market: scores or own trends, and what to do in a strong trend."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from strategies.signals.parameters import MarketTrend, Regime
from strategies.signals.past_return import past_return
from strategies.signals.volatility import volatility

Mode = Literal["cross_section", "own_trend"]


def next_mode(
    rules: Regime,
    before: str,
    *,
    correlation: float,
    dispersion: float,
    slope: float,
    names: int,
) -> Mode:
    """Return what to hold now, given what was held before (empty: nothing yet).

    ``dispersion`` is a fraction, ``slope`` the majors' in basis points a day; ``names`` counts the
    eligible. Where a number is unknown (NaN) that matters, nothing changes.
    """
    kept: Mode = "own_trend" if before == "own_trend" else "cross_section"
    if names < rules.least_names:
        return "own_trend"
    if np.isnan(dispersion):
        return kept
    back = rules.hysteresis if kept == "own_trend" else 0.0
    if dispersion * 1e4 < rules.low_dispersion_bps * (1.0 + back):
        return "own_trend"
    if np.isnan(correlation) or np.isnan(slope):
        return kept
    together = correlation >= rules.high_correlation - abs(rules.high_correlation) * back
    trending = abs(slope) >= rules.high_slope_bps * (1.0 - back)
    return "own_trend" if together and trending else "cross_section"


def own_trend(close: NDArray[np.float64], lookback: int) -> NDArray[np.float64]:
    """Return each instrument's own return in units of its volatility over the same time.

    ``close`` has shape (W, N), oldest first; W > lookback >= 2. The result has shape (N,): about
    standard normal where prices walk at random; NaN where a price is missing or none moved.
    """
    spread = volatility(close, lookback) * np.sqrt(lookback)
    return past_return(close, lookback) / np.where(spread > 0.0, spread, np.nan)


def mirrored(
    score: NDArray[np.float64], flipped: NDArray[np.bool_], side: str = "long_short"
) -> NDArray[np.float64]:
    """Return the scores with some mirrored; shape (N,), NaN stays.

    They are mirrored at the mean of all, at zero where their sign says the side (``by_sign``).
    """
    known = score[~np.isnan(score)]
    middle = known.mean() if known.size and side != "by_sign" else 0.0
    return np.where(flipped, 2.0 * middle - score, score)


def trending(
    rules: MarketTrend, market: float, own: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which instruments trend, and of which that is unknown; masks of shape (N,).

    ``market`` is the market's ADX, ``own`` has each instrument's, NaN where unknown.
    """
    nobody = np.zeros(own.shape, dtype=np.bool_)
    trend = nobody if rules.name_above is None else own >= rules.name_above
    unknown = nobody if rules.name_above is None else np.isnan(own)
    if rules.above is not None:
        trend = trend | (market >= rules.above)
        unknown = unknown | np.isnan(market)
    return trend, unknown & ~trend
