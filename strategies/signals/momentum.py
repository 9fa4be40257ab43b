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

    ``value`` has shape (N,), or (L, N) for L rows apart; NaN stays NaN and does not count, in no
    row. Values beyond the ``winsorize`` quantile of either end (0 to below 0.5) are set to that
    quantile first. All zero where the values are equal but for rounding.
    """
    known = ~np.isnan(np.atleast_2d(value)).any(axis=0)
    inside = np.ascontiguousarray(value[..., known])
    result = np.full(value.shape, np.nan)
    if not inside.size:
        return result
    if winsorize:
        ordered = np.sort(inside, axis=-1)
        low, high = _quantile(ordered, winsorize), _quantile(ordered, 1.0 - winsorize)
        inside = np.minimum(np.maximum(inside, low), high)
    deviation = inside - _mean(inside)
    spread = np.sqrt(_mean(deviation * deviation))
    equal = np.ptp(inside, axis=-1, keepdims=True) <= _ROUNDING * np.abs(inside).max(
        axis=-1, keepdims=True
    )
    result[..., known] = np.where(equal, 0.0, deviation) / np.where(equal, 1.0, spread)
    return result


def _mean(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = rows.sum(axis=-1, keepdims=True) / rows.shape[-1]
    return result


def _quantile(ordered: NDArray[np.float64], part: float) -> NDArray[np.float64]:
    """Return the quantile of each sorted row as NumPy's, which takes ten times as long."""
    place = part * (ordered.shape[-1] - 1)
    below, above = (ordered[..., [end]] for end in (int(place), -int(-place // 1)))
    result: NDArray[np.float64] = below + (place - int(place)) * (above - below)
    return result


def past_returns(
    close: NDArray[np.float64],
    lookbacks: Sequence[int],
    skip: int = 0,
    *,
    kind: Literal["total", "mean"] = "total",
    volatility_lookback: int | None = None,
) -> NDArray[np.float64]:
    """Return each instrument's past returns, one row a lookback, shape (L, N).

    ``close`` has shape (W, N), oldest first; W > lookbacks + skip. They are fractions by
    `past_return` or `mean_return`; with ``volatility_lookback`` in units of one candle's
    volatility. NaN where a price is missing, the newest one included, or the volatility is zero.
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

    ``returns`` has shape (L, N), one row a lookback, of any unit; ``weights`` has L numbers, not
    all zero. Each row's `cross_sectional_z` counts by its weight; the sum's absolute value is
    raised to ``power``, keeps its sign, is scaled to a mean absolute value of 1, and is then cut
    off at plus and minus ``cap`` (None: not). The result has shape (N,); NaN where any lookback is
    unknown, and everywhere when nothing tells the instruments apart.
    """
    known = np.isfinite(returns).all(axis=0)
    z = cross_sectional_z(np.where(known, returns, np.nan), winsorize)
    combined = (np.array(weights)[:, None] * z).sum(axis=0)
    forecast = np.sign(combined) * np.abs(combined) ** power
    size = np.abs(forecast[known]).mean() if known.any() else 0.0
    if not size > 0.0:
        return np.full(known.shape, np.nan)
    forecast = forecast / size
    return forecast if cap is None else np.clip(forecast, -cap, cap)
