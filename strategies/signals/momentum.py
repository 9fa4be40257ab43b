"""Momentum forecast: returns over several lookbacks, each compared across the instruments.

The scale and the cap follow Carver, "Systematic Trading" (2015), chapter 7, divided by ten: a
forecast of 1 is an average one, and 2 is the strongest that counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from strategies.signals.mean_return import mean_return
from strategies.signals.past_return import past_return
from strategies.signals.volatility import volatility

_ROUNDING = 1e-12


def cross_sectional_z(value: NDArray[np.float64], winsorize: float = 0.0) -> NDArray[np.float64]:
    """Return each value's distance from the mean of all, in standard deviations of all.

    ``value`` has shape (N,), or (L, ..., N) for L rows apart; NaN stays NaN and does not count, in
    no row. Values beyond the ``winsorize`` quantile of either end (0 to below 0.5) are set to that
    quantile first. All zero where the values are equal but for rounding.
    """
    known = ~np.isnan(np.atleast_2d(value)).any(axis=0)
    count = np.maximum(known.sum(axis=-1, keepdims=True), 1)
    inside = np.where(known, value, np.nan)
    if winsorize:
        ordered = np.sort(inside, axis=-1)
        low, high = (_quantile(ordered, count, part) for part in (winsorize, 1.0 - winsorize))
        inside = np.minimum(np.maximum(inside, low), high)
    deviation = inside - _mean(inside, known, count)
    spread = np.sqrt(_mean(deviation * deviation, known, count))
    most, least = (
        extreme(inside, axis=-1, keepdims=True, where=known, initial=start)
        for extreme, start in ((np.max, -np.inf), (np.min, np.inf))
    )
    equal = most - least <= _ROUNDING * np.maximum(np.abs(most), np.abs(least))
    return np.where(equal, 0.0 * deviation, deviation) / np.where(equal, 1.0, spread)


def _mean(
    rows: NDArray[np.float64], known: NDArray[np.bool_], count: NDArray[np.int64]
) -> NDArray[np.float64]:
    result: NDArray[np.float64] = np.where(known, rows, 0.0).sum(axis=-1, keepdims=True) / count
    return result


def _quantile(
    ordered: NDArray[np.float64], count: NDArray[np.int64], part: float
) -> NDArray[np.float64]:
    """Return the quantile of the first ``count`` of each sorted row, as NumPy's.

    NumPy takes ten times as long.
    """
    place = part * (count - 1)
    low = np.broadcast_to(place.astype(np.int64), (*ordered.shape[:-1], 1))
    high = np.broadcast_to(np.ceil(place).astype(np.int64), low.shape)
    below, above = (np.take_along_axis(ordered, end, axis=-1) for end in (low, high))
    result: NDArray[np.float64] = below + (place - low) * (above - below)
    return result


def past_returns(
    close: NDArray[np.float64],
    lookbacks: Sequence[int],
    skip: int = 0,
    *,
    kind: Literal["total", "mean"] = "total",
    volatility_lookback: int | None = None,
) -> NDArray[np.float64]:
    """Return each instrument's past returns, one row a lookback, shape (L, N) or (L, ..., N).

    ``close`` has shape (W, N) or (W, ..., N), oldest first; W > lookbacks + skip. They are
    fractions by `past_return` or `mean_return`; with ``volatility_lookback`` in units of one
    candle's volatility. NaN where a price is missing, the newest one included, or the volatility is
    zero.
    """
    function = past_return if kind == "total" else mean_return
    returns = np.array([function(close, lookback, skip) for lookback in lookbacks])
    returns[:, np.isnan(close[-1])] = np.nan
    if volatility_lookback is not None:
        spread = volatility(close, volatility_lookback)
        returns = returns / np.where(spread > 0.0, spread, np.nan)
    return returns


def momentum_forecast(
    returns: NDArray[np.float64],
    weights: Sequence[float],
    *,
    winsorize: float = 0.0,
    power: float = 1.0,
    cap: float | None = None,
) -> NDArray[np.float64]:
    """Return the combined forecast of returns over L lookbacks; its mean absolute value is 1.

    ``returns`` has shape (L, N) or (L, ..., N), one row a lookback, of any unit; ``weights`` has L
    numbers, not all zero. Each row's `cross_sectional_z` counts by its weight; the sum's absolute
    value is raised to ``power``, keeps its sign, is scaled to a mean absolute value of 1, and is
    then cut off at plus and minus ``cap`` (None: not). The result has shape (..., N); NaN where any
    lookback is unknown, and everywhere when nothing tells the instruments apart.
    """
    known = np.isfinite(returns).all(axis=0)
    z = cross_sectional_z(np.where(known, returns, np.nan), winsorize)
    each = np.reshape(weights, (-1, *(1,) * known.ndim))
    combined = (each * z).sum(axis=0)
    forecast = np.sign(combined) * np.abs(combined) ** power
    size = _mean(np.abs(forecast), known, np.maximum(known.sum(axis=-1, keepdims=True), 1))
    forecast = forecast / np.where(size > 0.0, size, np.nan)
    return forecast if cap is None else np.clip(forecast, -cap, cap)
