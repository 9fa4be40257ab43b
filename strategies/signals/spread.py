"""Pairs: hedge ratio, spread and z-score, candle by candle (`spread_step`).

Pair (a, b): x = ln a, y = ln b. At candle t the hedge ratio beta and the intercept alpha are
estimated on the candles before t. The spread is x_t - beta_t y_t, and its z-score is
(spread_t - mean) / std, of the sample of the ``z_lookback`` spreads before t, each with the beta of
its candle. So no candle is compared with itself. With ``freeze_hedge``, the default, all of them
have one beta, that of an open pair's entry (`frozen_spreads`). The models of `Hedge` are:

- ``ratio``: beta is 1.
- ``ols``: regression of x on y with an intercept, over ``lookback`` candles.
- ``kalman``: alpha and beta walk at random, x_t = alpha_t + beta_t y_t + noise; alpha_t and beta_t
  are the prediction before x_t is seen, and the spread is its error, x_t - alpha_t - beta_t y_t.
  Kalman (1960), "A New Approach to Linear Filtering and Prediction Problems".

A candle that either leg lacks is left out of the pair's window; while more than ``most_missing`` of
a window is missing, and at such a candle itself, the pair is unknown (NaN). Kalman's filter goes on
without it.

Numbers of ``ratio`` and ``ols`` depend on the last `Hedge.rows_needed` candles and nothing else, to
the bit: a state that is built anew from those continues as one that saw all. Kalman's filter
remembers everything since the first candle it was given.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.signals.pair_parameters import Hedge

Floats = NDArray[np.float64]
Columns = NDArray[np.intp]
"""Columns of the legs a and b of P pairs; shape (P, 2)."""

FLAT = 1e-12
"""A standard deviation of logarithms below this is rounding: the price stands still."""
_FIRST_VARIANCE = 1e6
"""Variance of Kalman's first intercept and ratio, in units of the noise's: hardly anything known.
The first ratio is 1."""


@dataclass(frozen=True, slots=True)
class SpreadReading:
    """What a candle says of P pairs: arrays of shape (P,), NaN where unknown.

    ``spread``, ``mean`` and ``std`` are in logarithms of price; ``mean`` and ``std`` are of the
    spreads before, ``z`` is (spread - mean) / std.
    """

    alpha: Floats
    beta: Floats
    spread: Floats
    mean: Floats
    std: Floats
    z: Floats


@dataclass(frozen=True, slots=True)
class KalmanState:
    """What the filter knows after some candles; in units of the noise's variance.

    ``mean`` has shape (P, 2): alpha and beta. ``covariance`` has shape (P, 3): of alpha, of both,
    of beta. ``updates``, of shape (P,), counts candles that both legs had.
    """

    mean: Floats
    covariance: Floats
    updates: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SpreadState:
    """What the next candle needs; ``rows`` counts candles so far.

    The last logarithms of prices, shape (N, rows kept), and the last spreads, (P, z_lookback),
    oldest first, NaN where there was nothing yet.
    """

    prices: Floats
    spreads: Floats
    rows: int
    kalman: KalmanState


def first_spread_state(instruments: int, pairs: Columns, rules: Hedge) -> SpreadState:
    """Return the state before the first candle, of N instruments and P pairs of their columns."""
    count, kept = len(pairs), max(rules.candles_to_hedge, rules.z_lookback + 1)
    kalman = KalmanState(
        np.tile([0.0, 1.0], (count, 1)),
        np.tile([_FIRST_VARIANCE, 0.0, _FIRST_VARIANCE], (count, 1)),
        np.zeros(count, dtype=np.int64),
    )
    prices, spreads = (
        np.full((instruments, kept), np.nan),
        np.full((count, rules.z_lookback), np.nan),
    )
    return SpreadState(prices, spreads, 0, kalman)


def spread_step(
    state: SpreadState, log_prices: Floats, pairs: Columns, rules: Hedge
) -> tuple[SpreadState, SpreadReading]:
    """Return the state after a candle, and what the candle says of each pair.

    ``log_prices`` has shape (N,): logarithms of the closes, NaN where there is no candle.
    """
    row = np.where(np.isfinite(log_prices), log_prices, np.nan)
    a, b = row[pairs[:, 0]], row[pairs[:, 1]]
    kalman, alpha, beta = state.kalman, np.full(a.shape, np.nan), np.full(a.shape, np.nan)
    if rules.model == "ratio":
        alpha, beta = np.zeros(a.shape), np.ones(a.shape)
    elif rules.model == "kalman":
        kalman, alpha, beta = _kalman_step(kalman, a, b, rules)
    elif state.rows >= rules.lookback:
        past = state.prices[:, -rules.lookback :]
        alpha, beta = _regressions(past, pairs, rules.most_missing)
    spread = a - beta * b
    if rules.model == "kalman":
        spread -= alpha
    mean = std = np.full(a.shape, np.nan)
    if state.rows >= rules.rows_needed - 1:
        mean, std = _moments(state.spreads, rules.most_missing)
    following = SpreadState(
        _appended(state.prices, row), _appended(state.spreads, spread), state.rows + 1, kalman
    )
    return following, SpreadReading(alpha, beta, spread, mean, std, (spread - mean) / std)


def frozen_spreads(
    state: SpreadState, beta: Floats, pairs: Columns, rules: Hedge
) -> tuple[Floats, SpreadReading]:
    """Return the last spreads by one hedge ratio each, (P, z_lookback + 1), and what they say.

    ``state`` is that after the newest candle, ``beta`` has shape (P,). The spread is ln a - beta
    ln b, over the candles that `spread_step` judges by; the intercept does not matter to z.
    """
    rows = state.prices[:, -rules.z_lookback - 1 :]
    spreads = rows[pairs[:, 0]] - beta[:, None] * rows[pairs[:, 1]]
    if state.rows <= rules.z_lookback:
        spreads[:] = np.nan
    spread, (mean, std) = spreads[:, -1], _moments(spreads[:, :-1], rules.most_missing)
    alpha = np.full(beta.shape, np.nan)
    return spreads, SpreadReading(alpha, beta, spread, mean, std, (spread - mean) / std)


def _appended(rows: Floats, row: Floats) -> Floats:
    return np.concatenate([rows[:, 1:], row[:, None]], axis=1)


def _moments(values: Floats, most_missing: float) -> tuple[Floats, Floats]:
    """Return mean and sample deviation of each row of (P, W), without what is missing.

    The deviation is NaN where the values stand still.
    """
    size = values.shape[1]
    mean = values.sum(axis=1) / size
    off = values - mean[:, None]
    std = np.sqrt(_dots(off, off) / (size - 1))
    gaps = np.isnan(mean)
    if most_missing and gaps.any():
        part = values[gaps]
        count, middle, off = _about_mean(part, ~np.isnan(part))
        few = count < _enough(size, most_missing)
        mean[gaps] = np.where(few, np.nan, middle)
        std[gaps] = np.sqrt((off * off).sum(axis=1) / np.where(few, np.nan, count - 1))
    return mean, np.where(std > FLAT, std, np.nan)


def _regressions(window: Floats, pairs: Columns, most_missing: float) -> tuple[Floats, Floats]:
    """Return intercept and slope of a on b of each pair; ``window`` has shape (N, W)."""
    left, right = pairs.T
    size = window.shape[1]
    mean = window.sum(axis=1) / size
    off = window - mean[:, None]
    products, squares = _dots(off[left], off[right]), _dots(off, off)
    alpha, beta = _line(mean[left], mean[right], products, squares[right], size)
    if most_missing and np.isnan(mean).any():
        at = np.flatnonzero(np.isnan(mean[left] + mean[right]))
        a, b = window[left[at]], window[right[at]]
        known = ~np.isnan(a + b)
        count, mean_a, off_a = _about_mean(a, known)
        _, mean_b, off_b = _about_mean(b, known)
        products, squares = (off_a * off_b).sum(axis=1), (off_b * off_b).sum(axis=1)
        few = count < _enough(size, most_missing)
        found = _line(mean_a, mean_b, products, squares, count)
        alpha[at], beta[at] = np.where(few, np.nan, found)
    return alpha, beta


def _dots(one: Floats, other: Floats) -> Floats:
    """Return the sums of products of the last axis, each from its own numbers alone."""
    sums: Floats = np.vecdot(one, other)
    return sums


def _enough(size: int, most_missing: float) -> float:
    return max(2.0, (1.0 - most_missing) * size - 1e-9)


def _about_mean(
    values: Floats, known: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Return count and mean of the known values of each row, and how far each is off, else 0."""
    count = known.sum(axis=1)
    mean = np.where(known, values, 0.0).sum(axis=1) / np.maximum(count, 1)
    return count, mean, np.where(known, values - mean[:, None], 0.0)


def _line(
    mean_a: Floats,
    mean_b: Floats,
    products: Floats,
    squares: Floats,
    count: int | NDArray[np.int64],
) -> tuple[Floats, Floats]:
    moves = squares > FLAT * FLAT * count
    beta = products / np.where(moves, squares, np.nan)
    return mean_a - beta * mean_b, beta


def _kalman_step(
    state: KalmanState, a: Floats, b: Floats, rules: Hedge
) -> tuple[KalmanState, Floats, Floats]:
    """Return the state after a candle, and alpha and beta as they were predicted for it.

    Where a candle is missing, only the uncertainty grows.
    """
    alpha, beta = state.mean.T
    # The uncertainty of the prediction, and its products with (1, b).
    of_alpha, of_both, of_beta = (state.covariance + np.array([rules.drift, 0.0, rules.drift])).T
    with_alpha, with_beta = of_alpha + of_both * b, of_both + of_beta * b
    total = with_alpha + with_beta * b + 1.0
    error = a - alpha - beta * b
    known = ~np.isnan(error)
    gain_alpha, gain_beta = with_alpha / total, with_beta / total
    mean = alpha + gain_alpha * error, beta + gain_beta * error
    covariance = (
        of_alpha - gain_alpha * with_alpha,
        of_both - gain_alpha * with_beta,
        of_beta - gain_beta * with_beta,
    )
    following = KalmanState(
        np.where(known, mean, (alpha, beta)).T,
        np.where(known, covariance, (of_alpha, of_both, of_beta)).T,
        state.updates + known,
    )
    trusted = state.updates >= rules.lookback
    return following, np.where(trusted, alpha, np.nan), np.where(trusted, beta, np.nan)
