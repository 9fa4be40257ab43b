"""Pairs: hedge ratio, spread and z-score, candle by candle (`spread_step`) or for a whole history.

Pair (a, b): x = ln a, y = ln b. At candle t the hedge ratio beta and the intercept alpha are
estimated on the candles before t. The spread is x_t - beta_t y_t, and its z-score is
(spread_t - mean) / std, of the sample of the ``z_lookback`` spreads before t, each with the beta of
its candle. So no candle is compared with itself. An open pair has the beta of its entry in all of
them with ``freeze_hedge``, the default (`strategies.hedged.views`). The models are those of
`pair_parameters.Hedge`:

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

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.signals.pair_parameters import Hedge

Floats = NDArray[np.float64]
Pairs = NDArray[np.intp]
"""Columns of the legs a and b; shape (P, 2)."""

FLAT = 1e-12
"""A standard deviation of logarithms below this is rounding: the price stands still."""
_FIRST_VARIANCE = 1e6
"""Variance of Kalman's first intercept and ratio, in units of the noise's: hardly anything known.
The first ratio is 1."""
_BLOCK = 150_000
"""About how many numbers are computed at once, so that memory does not grow with a history."""


@dataclass(frozen=True, slots=True)
class SpreadReading:
    """What a candle says of P pairs: arrays of shape (P,), of a history (T, P); NaN where unknown.

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


class LastRows:
    """The last rows of some columns, oldest first; appending leaves older ones as they were.

    Appending shares memory: the new row is written behind those it is appended to. A second append
    to the same rows gets memory of its own.
    """

    __slots__ = ("_end", "_room", "_rows")

    def __init__(self, columns: int, rows: int) -> None:
        self._rows, self._end = rows, rows
        self._room = _Room(np.full((columns, 2 * rows), np.nan), rows)

    @property
    def values(self) -> Floats:
        """Shape (columns, rows), NaN where there was nothing yet; not to be written to."""
        return self._room.values[:, self._end - self._rows : self._end]

    def append(self, row: Floats) -> LastRows:
        """Return the last rows with one more, shape (columns,), without the oldest."""
        following = object.__new__(LastRows)
        following._rows, following._room, following._end = self._rows, self._room, self._end + 1
        if self._end != self._room.used or self._end == self._room.values.shape[1]:
            room = np.empty_like(self._room.values)
            room[:, : self._rows - 1] = self.values[:, 1:]
            following._room, following._end = _Room(room, self._rows - 1), self._rows
        following._room.values[:, following._end - 1] = row
        following._room.used = following._end
        return following


@dataclass(slots=True)
class _Room:
    """Memory of `LastRows`, written from the left; ``used`` columns of it are."""

    values: Floats
    used: int


@dataclass(frozen=True, slots=True)
class SpreadState:
    """What the next candle needs: the last logarithms of prices and the last spreads.

    ``prices`` has N columns and ``spreads`` P; ``rows`` counts candles so far.
    """

    prices: LastRows
    spreads: LastRows
    rows: int
    kalman: KalmanState


def first_spread_state(instruments: int, pairs: Pairs, rules: Hedge) -> SpreadState:
    """Return the state before the first candle, of N instruments and P pairs of their columns."""
    kept = max(rules.candles_to_hedge, rules.z_lookback + 1)
    count = len(pairs)
    return SpreadState(
        LastRows(instruments, kept),
        LastRows(count, rules.z_lookback),
        0,
        _first_kalman(count),
    )


def spread_step(
    state: SpreadState, log_prices: Floats, pairs: Pairs, rules: Hedge
) -> tuple[SpreadState, SpreadReading]:
    """Return the state after a candle, and what the candle says of each pair.

    ``log_prices`` has shape (N,): logarithms of the closes, NaN where there is no candle.
    """
    row = np.where(np.isfinite(log_prices), log_prices, np.nan)
    a, b = row[pairs[:, 0]], row[pairs[:, 1]]
    kalman = state.kalman
    if rules.model == "kalman":
        kalman, alpha, beta = _kalman_step(kalman, a, b, rules)
    elif rules.model == "ols" and state.rows >= rules.lookback:
        past = state.prices.values[None, :, -rules.lookback :]
        alpha, beta = (found[0] for found in _regressions(past, pairs, rules.most_missing))
    else:
        alpha, beta = _without_regression(a.shape, rules)
    spread = _spread(a, b, alpha, beta, rules)
    mean = std = np.full(a.shape, np.nan)
    if state.rows >= rules.rows_needed - 1:
        mean, std = (found[0] for found in _moments(state.spreads.values[None], rules.most_missing))
    following = SpreadState(
        state.prices.append(row), state.spreads.append(spread), state.rows + 1, kalman
    )
    return following, _reading(alpha, beta, spread, mean, std)


def spread_history(log_prices: Floats, pairs: Pairs, rules: Hedge) -> SpreadReading:
    """Return what each candle of a history says, as `spread_step` does from its first candle on.

    ``log_prices`` has shape (T, N); the arrays of the result have shape (T, P).
    """
    prices = np.where(np.isfinite(log_prices), log_prices, np.nan)
    a, b = prices[:, pairs[:, 0]], prices[:, pairs[:, 1]]
    alpha, beta = _without_regression(a.shape, rules)
    if rules.model == "kalman":
        kalman = _first_kalman(len(pairs))
        for t in range(len(prices)):
            kalman, alpha[t], beta[t] = _kalman_step(kalman, a[t], b[t], rules)
    elif rules.model == "ols":
        for part, windows in _windows_before(prices, rules.lookback, 0):
            alpha[part], beta[part] = _regressions(windows, pairs, rules.most_missing)
    spread = _spread(a, b, alpha, beta, rules)
    mean, std = np.full(a.shape, np.nan), np.full(a.shape, np.nan)
    for part, windows in _windows_before(spread, rules.z_lookback, rules.candles_to_hedge):
        mean[part], std[part] = _moments(windows, rules.most_missing)
    return _reading(alpha, beta, spread, mean, std)


def frozen_spread(state: SpreadState, beta: Floats, pairs: Pairs, rules: Hedge) -> SpreadReading:
    """Return what the newest candle says of pairs whose hedge ratio was fixed when they opened.

    ``state`` is that after the candle, ``beta`` has shape (P,), NaN for pairs that are not open.
    Spread, mean and deviation are those of ln a - beta ln b, over the candles that `spread_step`
    judges by. The intercept, a constant, does not matter to z.
    """
    result = np.full((3, len(beta)), np.nan)
    open_ = np.flatnonzero(np.isfinite(beta))
    if state.rows > rules.z_lookback:
        rows = state.prices.values[:, -rules.z_lookback - 1 :]
        for at in _blocks(open_, rules.z_lookback):
            spreads = rows[pairs[at, 0]]
            spreads -= beta[at, None] * rows[pairs[at, 1]]
            mean, std = _moments(spreads[None, :, :-1], rules.most_missing)
            result[:, at] = spreads[:, -1], mean[0], std[0]
    return _reading(np.full(len(beta), np.nan), beta, *result)


def _without_regression(shape: tuple[int, ...], rules: Hedge) -> tuple[Floats, Floats]:
    """Return no intercepts and the ratio 1, where the model says so, else what is unknown."""
    alone = rules.model == "ratio"
    return np.full(shape, 0.0 if alone else np.nan), np.full(shape, 1.0 if alone else np.nan)


def _spread(a: Floats, b: Floats, alpha: Floats, beta: Floats, rules: Hedge) -> Floats:
    spread = a - beta * b
    return spread - alpha if rules.model == "kalman" else spread


def _reading(
    alpha: Floats, beta: Floats, spread: Floats, mean: Floats, std: Floats
) -> SpreadReading:
    std = np.where(std > FLAT, std, np.nan)
    return SpreadReading(alpha, beta, spread, mean, std, (spread - mean) / std)


def _blocks(of: NDArray[np.intp], numbers: int) -> Iterator[NDArray[np.intp]]:
    """Yield parts of an array, each of whose members takes so many numbers."""
    step = max(1, _BLOCK // numbers)
    for start in range(0, len(of), step):
        yield of[start : start + step]


def _windows_before(values: Floats, rows: int, first: int) -> Iterator[tuple[slice, Floats]]:
    """Yield slices of rows, and for each of them the ``rows`` rows before it, (B, columns, rows).

    The first is that whose window begins at row ``first``.
    """
    columns = np.ascontiguousarray(values.T)
    for part in _blocks(np.arange(first + rows, len(values)), rows * len(columns)):
        start, stop = part[0], part[-1] + 1
        view = np.lib.stride_tricks.sliding_window_view(
            columns[:, start - rows : stop - 1], rows, 1
        )
        yield slice(start, stop), np.ascontiguousarray(view.transpose(1, 0, 2))


def _moments(values: Floats, most_missing: float) -> tuple[Floats, Floats]:
    """Return mean and sample standard deviation of the last axis, without what is missing.

    ``values`` has shape (B, P, W).
    """
    rows, pairs, size = values.shape
    mean, std = np.empty((rows, pairs)), np.empty((rows, pairs))
    for at in _blocks(np.arange(pairs), rows * size):
        part = values[:, at[0] : at[-1] + 1]
        middle = part.sum(axis=-1) / size
        off = part - middle[..., None]
        mean[:, at] = middle
        std[:, at] = np.sqrt(_dots(off, off) / (size - 1))
    gaps = np.isnan(mean)
    if most_missing and gaps.any():
        part = values[gaps]
        count, middle, off = _about_mean(part, ~np.isnan(part))
        with np.errstate(invalid="ignore", divide="ignore"):
            deviation = np.sqrt((off * off).sum(axis=-1) / (count - 1))
        few = count < _enough(size, most_missing)
        mean[gaps], std[gaps] = np.where(few, np.nan, middle), np.where(few, np.nan, deviation)
    return mean, std


def _regressions(windows: Floats, pairs: Pairs, most_missing: float) -> tuple[Floats, Floats]:
    """Return intercept and slope of a on b for each window and pair; shape (B, P).

    ``windows`` has shape (B, N, W).
    """
    left, right = pairs.T
    size = windows.shape[-1]
    mean = windows.sum(axis=-1) / size
    off = windows - mean[..., None]
    squares = _dots(off, off)
    products = np.empty((len(windows), len(pairs)))
    for at in _blocks(np.arange(len(pairs)), len(windows) * size):
        products[:, at] = _dots(off[:, left[at]], off[:, right[at]])
    alpha, beta = _line(mean[:, left], mean[:, right], products, squares[:, right], size)
    if most_missing and np.isnan(mean).any():
        least = _enough(size, most_missing)
        enough = (~np.isnan(windows)).sum(axis=-1) >= least
        gaps = np.isnan(mean[:, left] + mean[:, right]) & enough[:, left] & enough[:, right]
        at, which = np.nonzero(gaps)
        a, b = windows[at, left[which]], windows[at, right[which]]
        known = ~np.isnan(a + b)
        count, mean_a, off_a = _about_mean(a, known)
        _, mean_b, off_b = _about_mean(b, known)
        found_products, found_squares = (off_a * off_b).sum(axis=-1), (off_b * off_b).sum(axis=-1)
        found = np.stack(_line(mean_a, mean_b, found_products, found_squares, count))
        alpha[gaps], beta[gaps] = np.where(count < least, np.nan, found)
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
    count = known.sum(axis=-1)
    mean = np.where(known, values, 0.0).sum(axis=-1) / np.maximum(count, 1)
    return count, mean, np.where(known, values - mean[..., None], 0.0)


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


def _first_kalman(pairs: int) -> KalmanState:
    return KalmanState(
        np.tile([0.0, 1.0], (pairs, 1)),
        np.tile([_FIRST_VARIANCE, 0.0, _FIRST_VARIANCE], (pairs, 1)),
        np.zeros(pairs, dtype=np.int64),
    )


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
    mean = np.stack([alpha + gain_alpha * error, beta + gain_beta * error], axis=1)
    covariance = np.stack(
        [
            of_alpha - gain_alpha * with_alpha,
            of_both - gain_alpha * with_beta,
            of_beta - gain_beta * with_beta,
        ],
        axis=1,
    )
    grown = np.stack([of_alpha, of_both, of_beta], axis=1)
    trusted = state.updates >= rules.lookback
    following = KalmanState(
        np.where(known[:, None], mean, state.mean),
        np.where(known[:, None], covariance, grown),
        state.updates + known,
    )
    return following, np.where(trusted, alpha, np.nan), np.where(trusted, beta, np.nan)
