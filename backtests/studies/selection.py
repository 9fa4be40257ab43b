"""Selection bias: probabilistic and deflated Sharpe ratio, minimum track record length.

The best of many trials is lucky even where none has skill. Bailey and Lopez de Prado (2012), "The
Sharpe Ratio Efficient Frontier", and (2014), "The Deflated Sharpe Ratio". Sharpe ratios are those
of one period (a day), not annual; kurtosis is 3 for normal returns.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from actors import measures
from actors.measures import Floats


class Moments(NamedTuple):
    """What the figures of this file need of a series of returns."""

    sharpe: float
    length: float
    skew: float = 0.0
    kurtosis: float = 3.0


def moments(period_returns: ArrayLike) -> Moments:
    """Return the moments of returns; NaN returns are left out."""
    known = np.asarray(period_returns, dtype=np.float64)
    known = known[~np.isnan(known)]
    sharpe = measures.sharpe(known, 1.0)
    if math.isnan(sharpe):
        return Moments(math.nan, float(len(known)), math.nan, math.nan)
    skew, kurtosis = stats.skew(known), stats.kurtosis(known, fisher=False)
    return Moments(sharpe, float(len(known)), float(skew), float(kurtosis))


def probabilistic_sharpe(found: Moments, benchmark: float = 0.0) -> float:
    """Return the probability that the true Sharpe is above the benchmark (PSR)."""
    spread = _spread(found)
    if not (spread > 0 and found.length > 1):
        return math.nan
    return float(stats.norm.cdf((found.sharpe - benchmark) * math.sqrt(found.length - 1) / spread))


def min_track_record(found: Moments, benchmark: float = 0.0, confidence: float = 0.95) -> float:
    """Return how many periods of such returns show a Sharpe above the benchmark (MinTRL).

    Infinite where the Sharpe is not above it.
    """
    if math.isnan(found.sharpe):
        return math.nan
    if found.sharpe <= benchmark:
        return math.inf
    needed = float(stats.norm.ppf(confidence)) / (found.sharpe - benchmark)
    return 1 + (_spread(found) * needed) ** 2


def expected_max_sharpe(trials: int, variance: float) -> float:
    """Return the Sharpe that the best of so many trials without skill is expected to have.

    `variance` is that of the trials' Sharpe ratios.
    """
    if trials < 1:
        raise ValueError(f"trials: expected at least 1, was {trials}")
    if trials == 1:
        return 0.0
    return math.sqrt(variance) * float(_best_of(np.array(trials, dtype=np.float64)))


def deflated_sharpe(found: Moments, trials: int, variance: float) -> float:
    """Return the probability that the best of so many trials has skill (DSR).

    Of trials without skill at most 5 % pass 0.95, however alike they are (of two alike, 5.4 %).
    It does not hold for returns that depend on the day before by 0.3 or more (8 to 20 % pass), nor
    for small gains that are paid for by a crash which no trial has seen yet.
    """
    return probabilistic_sharpe(found, expected_max_sharpe(trials, variance))


def deflated_by_trials(
    period_returns: ArrayLike,
    trials: int,
    annual_sharpes: ArrayLike,
    periods: float,
    others: ArrayLike = (),
) -> float:
    """Return the deflated Sharpe of the chosen trial's returns, as a study's gate asks for it.

    `trials` counts all that ran, also those without a Sharpe, but no draw that was refused before:
    it is no look at the data, and could not have been the best. `annual_sharpes` are the known
    ones, the chosen one's too. With fewer than two their variance is that of trials without skill.

    Nor does a larger one count, other than in the paper: without skill the Sharpe of one trial
    spreads by its own error alone, and that of the best of trials that are alike, or that lose, is
    lower still. What trials spread further tells good candidates from bad ones: a search over good
    and bad ones would refuse the good.

    `others` are returns of what it was chosen from, a row each. What happened to them may happen to
    it: skew and kurtosis are the worse of its own and the mean of theirs. Without them a trial that
    was spared the rare crash of the others passes: of noise that earns 0.1 deviations a day and
    loses 20 in one of 200, 13 to 27 %; with them at most 1 %.

    Sharpes come in the order of the trials. What the first of them were expected to reach by luck,
    later ones can't take back: many that refine the best are alike, and would shrink the variance.
    """
    found = _as_others(moments(period_returns), np.atleast_2d(np.asarray(others, dtype=np.float64)))
    known = np.asarray(annual_sharpes, dtype=np.float64) / math.sqrt(periods)
    known = known[~np.isnan(known)]
    variance = 1 / (found.length - 1) if found.length > 1 else math.nan
    trials = max(trials, len(known), 1)
    if len(known) < 2:
        return deflated_sharpe(found, trials, variance)
    count = np.arange(2.0, len(known) + 1)
    moved = known - known[0]
    spread = (np.cumsum(moved**2)[1:] - np.cumsum(moved)[1:] ** 2 / count) / (count - 1)
    count[-1] = trials  # also those without a Sharpe
    lucky = np.sqrt(np.clip(spread, 0.0, variance)) * _best_of(count)
    return probabilistic_sharpe(found, float(lucky.max()))


def _as_others(found: Moments, others: Floats) -> Moments:
    varied = others[np.ptp(others, axis=1) > 0] if others.size else others
    if not varied.size:
        return found
    skew = float(stats.skew(varied, axis=1).mean())
    kurtosis = float(stats.kurtosis(varied, axis=1, fisher=False).mean())
    return found._replace(skew=min(found.skew, skew), kurtosis=max(found.kurtosis, kurtosis))


def _best_of(trials: Floats) -> Floats:
    """Return the expected best of so many normal draws, at least two, in standard deviations."""
    likely, further = stats.norm.ppf([1 - 1 / trials, 1 - 1 / (trials * math.e)])
    mixed: Floats = (1 - np.euler_gamma) * likely + np.euler_gamma * further
    return mixed


def _spread(found: Moments) -> float:
    """Return the standard error of a Sharpe, times the root of the length less one."""
    square = 1 - found.skew * found.sharpe + (found.kurtosis - 1) / 4 * found.sharpe**2
    return math.sqrt(square) if square > 0 else math.nan
