"""Cointegration of pairs: tests, half-life, correlation, and selection of pairs among many.

Engle and Granger (1987), "Co-Integration and Error Correction"; Johansen (1991), "Estimation and
Hypothesis Testing of Cointegration Vectors". P-values of Engle and Granger's test are MacKinnon's
for two variables: the residuals of a regression look stationary more often than a given series, so
the plain table of Dickey and Fuller finds too many pairs.

All take logarithms of prices, shape (W, N), oldest first, all before the decision. A gap counts as
the price before it; a column without its first price, or with more than ``most_missing`` of the
rows missing, is unknown, and so are its pairs. statsmodels is imported when it is first used.
"""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from strategies.signals.pair_parameters import (
    JOHANSEN_LEVELS,
    Cointegration,
    Correction,
    Selection,
)
from strategies.signals.spread import FLAT, Columns, Floats
from strategies.signals.trend import filled
from strategies.sizing.one_thread import on_one_thread

_COLLINEAR = 1.0 - 100.0 * math.sqrt(np.finfo(float).eps)
"""Part of the variance that is explained from which statsmodels calls two series the same."""
_SINGULAR = 1e-12
"""Regressors whose correlations have a lower determinant determine nothing."""
_CHUNK_NUMBERS = 4_000_000
"""About how many numbers a part of all pairs takes while it is tested."""


class PairSelection(NamedTuple):
    """Pairs that a formation window chose, shape (K, 2), columns a < b, best first.

    Of all ``possible`` pairs, those of enough correlation were ``tested``; ``significant`` passed.
    ``threshold`` is the largest p-value, uncorrected, that passed; NaN if none did.
    """

    chosen: Columns
    possible: int
    tested: int
    significant: int
    threshold: float


def load_tests() -> None:
    """Import statsmodels now, so that no decision waits for it."""
    import statsmodels.stats.multitest
    import statsmodels.tsa.adfvalues
    import statsmodels.tsa.vector_ar.vecm  # noqa: F401


def are_cointegrated(
    log_prices: Floats, pairs: Columns, rules: Cointegration, most_missing: float
) -> NDArray[np.bool_]:
    """Return which pairs of columns pass the test of the rules, shape (P,); not what is unknown."""
    prices = without_gaps(log_prices[-rules.lookback :], most_missing)
    if rules.test == "johansen":
        found = [johansen_trace(prices[:, pair], rules.lags, rules.level) for pair in pairs]
        return np.array([trace > critical for trace, critical in found], bool)
    statistic, _ = engle_granger(prices, pairs, rules.lags)
    return mackinnon_p(statistic) <= rules.level


@on_one_thread
def engle_granger(log_prices: Floats, pairs: Columns, lags: int) -> tuple[Floats, Floats]:
    """Return Engle and Granger's statistic and the slope of a on b, for many pairs at once.

    The statistic is that of Dickey and Fuller, without constant and with some lagged differences,
    on the residuals of a on b with an intercept. Residuals are a - beta b about their means, so
    all sums of their products follow from those of the columns; no pair's residuals are formed.
    Two columns that are the same but for rounding have minus infinity, as in statsmodels.
    """
    known = np.isfinite(log_prices).all(axis=0)
    level = np.where(known, log_prices - log_prices.mean(axis=0), 0.0)
    moves = np.diff(level, axis=0)
    # The difference, then what it is regressed on: the level before, and earlier differences.
    series = [moves[lags:], level[lags:-1]]
    series += [moves[lags - lag : len(moves) - lag] for lag in range(1, lags + 1)]
    left, right = pairs.T
    squares = (level * level).sum(axis=0)
    products = (level.T @ level)[left, right]
    still = squares <= FLAT * FLAT * len(level)
    fine = (known & ~still)[left] & (known & ~still)[right]
    beta = np.where(fine, products / np.where(still, 1.0, squares)[right], np.nan)
    same = fine & (beta * products >= _COLLINEAR * squares[left])
    statistic = np.where(same, -np.inf, np.nan)
    # Some first legs at a time, so that memory does not grow with all pairs.
    size, columns = lags + 2, level.shape[1]
    own = np.array([[(one * other).sum(axis=0) for other in series] for one in series])
    step = max(1, _CHUNK_NUMBERS // (columns * size * size))
    for start in range(0, columns, step):
        cut = slice(start, start + step)
        at = np.flatnonzero(fine & ~same & (left >= start) & (left < start + step))
        slope, a, b = beta[at], left[at], right[at]
        sums = np.empty((len(at), size, size))
        for i, one in enumerate(series):
            for j, other in enumerate(series[: i + 1]):
                crossed = (one[:, cut].T @ other + other[:, cut].T @ one)[a - start, b]
                total = own[i, j, a] - slope * crossed + slope * slope * own[i, j, b]
                sums[:, i, j] = sums[:, j, i] = total
        statistic[at] = _first_t(sums, len(moves) - lags)
    return statistic, beta


def _first_t(sums: Floats, rows: int) -> Floats:
    """Return the t value of the first regressor, from sums of products; NaN where singular.

    ``sums`` has shape (P, 1 + K, 1 + K): of the response, then K regressors.
    """
    size = np.sqrt(np.diagonal(sums, axis1=1, axis2=2))
    unit = sums / np.where(size > 0.0, size, 1.0)[:, :, None] / size.clip(1e-300)[:, None, :]
    among, with_response = unit[:, 1:, 1:], unit[:, 1:, 0]
    good = np.linalg.det(among) > _SINGULAR
    inverse = np.linalg.inv(among[good])
    slopes = (inverse @ with_response[good][:, :, None])[:, :, 0]
    left = unit[good, 0, 0] - (slopes * with_response[good]).sum(axis=1)
    result = np.full(len(sums), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = rows - slopes.shape[1]
        result[good] = slopes[:, 0] / np.sqrt(left / freedom * inverse[:, 0, 0])
    return result


def mackinnon_p(statistic: Floats) -> Floats:
    """Return MacKinnon's (1994) p-values of Engle and Granger's statistic for two variables.

    They are asymptotic, by the table of statsmodels; NaN stays. Of walks without relation over 240
    candles 1.1 times as many are below 0.05 as should be, and 1.6 times as many below 0.0001. With
    too few lags it is far more where prices bounce.
    """
    from scipy.special import ndtr
    from statsmodels.tsa import adfvalues

    small, large = adfvalues.tau_c_smallp[1], adfvalues.tau_c_largep[1]
    inner = np.clip(statistic, adfvalues.tau_min_c[1], adfvalues.tau_max_c[1])
    curve = np.where(
        inner <= adfvalues.tau_star_c[1],
        np.polyval(small[::-1], inner),
        np.polyval(large[::-1], inner),
    )
    p_value: Floats = ndtr(curve)
    p_value[statistic > adfvalues.tau_max_c[1]] = 1.0
    p_value[statistic < adfvalues.tau_min_c[1]] = 0.0
    return p_value


def johansen_trace(log_prices: Floats, lags: int, level: float) -> tuple[float, float]:
    """Return Johansen's trace statistic of no cointegration, and its critical value.

    ``log_prices`` has shape (W, 2). The model has a constant and ``lags`` >= 1 lagged differences;
    ``level`` is one of `JOHANSEN_LEVELS`. The statistic is NaN where a price is missing or stands
    still.
    """
    from statsmodels.tsa.coint_tables import c_sjt
    from statsmodels.tsa.vector_ar.vecm import coint_johansen

    critical = float(c_sjt(2, 0)[JOHANSEN_LEVELS.index(level)])
    if not np.isfinite(log_prices).all() or (log_prices.std(axis=0) <= FLAT).any():
        return math.nan, critical
    with warnings.catch_warnings():
        # numpy gives its real eigenvalues as complex numbers.
        warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
        try:
            return float(coint_johansen(log_prices, 0, lags).trace_stat[0]), critical
        except np.linalg.LinAlgError:
            return math.nan, critical


def half_life(spread: Floats) -> Floats:
    """Return in how many candles a spread goes half of the way back to its mean.

    It is ln(1/2) / ln(phi), by the regression of the spread on its value before, with a constant:
    infinite where phi >= 1, 0 where phi <= 0. ``spread`` has shape (..., W); steps from or to a
    NaN are left out, and with less than half of the steps it is NaN.
    """
    known = ~np.isnan(spread[..., 1:] - spread[..., :-1])
    before = np.where(known, spread[..., :-1], 0.0)
    after = np.where(known, spread[..., 1:], 0.0)
    count = known.sum(axis=-1)
    mean = before.sum(axis=-1) / np.maximum(count, 1)
    off = np.where(known, before - mean[..., None], 0.0)
    squares = (off * off).sum(axis=-1)
    moves = (squares > FLAT * FLAT * count) & (2 * count >= known.shape[-1])
    phi = (off * after).sum(axis=-1) / np.where(moves, squares, np.nan)
    with np.errstate(divide="ignore"):
        life = math.log(0.5) / np.log(np.clip(phi, 0.0, 1.0))
    return np.where(phi >= 1.0, np.inf, np.where(phi <= 0.0, 0.0, life))


@on_one_thread
def correlations(log_prices: Floats) -> Floats:
    """Return the correlation of returns of every two columns; shape (N, N), NaN where unknown."""
    moves = np.diff(log_prices, axis=0)
    moves = moves - moves.mean(axis=0)
    size = np.sqrt((moves * moves).sum(axis=0))
    unit = moves / np.where(size > FLAT, size, np.nan)
    known = np.isfinite(unit).all(axis=0)
    unit[:, ~known] = 0.0
    result = np.where(known[:, None] & known, unit.T @ unit, np.nan)
    return np.clip(result, -1.0, 1.0)


def select_pairs(log_prices: Floats, rules: Selection) -> PairSelection:
    """Return the pairs of columns that a formation window chooses, by the rules.

    Each two columns that correlate enough are tested, the first on the second; then p-values are
    corrected for the number of tests. Among those that pass, pairs with a half-life within bounds
    are taken by lowest statistic, until there are enough.
    """
    prices = without_gaps(log_prices[-rules.formation :], rules.most_missing)
    pairs = np.stack(np.triu_indices(prices.shape[1], 1), axis=1)
    correlation = correlations(prices)[pairs[:, 0], pairs[:, 1]]
    wanted = correlation >= (-1.0 if rules.min_correlation is None else rules.min_correlation)
    statistic, beta = engle_granger(prices, pairs, rules.lags)
    at = np.flatnonzero(wanted & ~np.isnan(statistic))
    tested, statistic, beta = pairs[at], statistic[at], beta[at]
    p_value = mackinnon_p(statistic)
    passed = corrected_p(p_value, rules.correction) <= rules.level
    significant = int(passed.sum())
    chosen: list[int] = []
    uses = np.zeros(prices.shape[1], dtype=np.int64)
    for i in np.argsort(np.where(passed, statistic, np.inf), kind="stable")[:significant]:
        if len(chosen) == rules.most_pairs:
            break
        if (uses[tested[i]] >= rules.most_per_instrument).any():
            continue
        a, b = prices[:, tested[i]].T
        bounds, life = rules.half_life, float(half_life(a - beta[i] * b))
        if bounds is None or bounds.least <= life <= bounds.most:
            chosen.append(int(i))
            uses[tested[i]] += 1
    threshold = float(p_value[passed].max()) if significant else math.nan
    return PairSelection(tested[chosen], len(pairs), len(tested), significant, threshold)


def corrected_p(p_value: Floats, correction: Correction) -> Floats:
    """Return p-values corrected for their number; a pair passes where it is at most the level."""
    from statsmodels.stats.multitest import multipletests

    if correction == "none" or not p_value.size:
        return p_value
    method = {"bonferroni": "bonferroni", "benjamini_hochberg": "fdr_bh"}[correction]
    corrected: Floats = multipletests(p_value, method=method)[1]
    return corrected


def without_gaps(log_prices: Floats, most_missing: float) -> Floats:
    """Return prices with gaps at the price before; NaN columns where too many are missing."""
    missing = ~np.isfinite(log_prices)
    few = ~missing[0] & (missing.mean(axis=0) <= most_missing)
    return np.where(few, filled(np.where(missing, np.nan, log_prices)), np.nan)
