"""Volatility that comes in clusters and follows the hour of the day."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_PERSISTENCE = 0.95
_TAIL_DEGREES = 5.0


def autoregression(rng: np.random.Generator, length: int, phi: float) -> Floats:
    """Return a stationary AR(1) series of unit variance, shape (length,).

    ``x[t] = phi * x[t-1] + sqrt(1 - phi**2) * e[t]``, its infinite past cut where it weighs less
    than one millionth. Uses ``1 / (1 - a L) = (1 + a L)(1 + a^2 L^2)(1 + a^4 L^4)...``: a few
    vector additions whose order, and thus every bit, is the same on each run.
    """
    past = int(np.ceil(np.log(1e-6) / np.log(phi)))
    series = rng.standard_normal(past + length) * np.sqrt(1.0 - phi * phi)
    lag, weight = 1, phi
    while lag < series.size and weight > 1e-12:
        shifted = np.zeros_like(series)
        shifted[lag:] = series[:-lag]
        series = series + weight * shifted
        lag, weight = 2 * lag, weight * weight
    unit: Floats = series[past:]
    return unit


def clusters(log_volatility: Floats, spread: float) -> Floats:
    """Return hourly volatility multiples of mean square near one, shape (days * 24,).

    Parameters
    ----------
    log_volatility : ndarray, shape (days,)
        Unit-variance daily series, read as the level at each midnight.
    spread : float
        Standard deviation of the log of volatility.
    """
    days = log_volatility.size
    hours = np.arange(days * 24) / 24.0
    level = np.interp(hours, np.arange(days), log_volatility)
    return np.exp(spread * level - spread * spread)


def daily_log_volatility(rng: np.random.Generator, days: int) -> Floats:
    """Return a unit-variance log volatility at each midnight, shape (days,)."""
    return autoregression(rng, days, _PERSISTENCE)


def hour_of_day(hours: int) -> Floats:
    """Return volatility multiples that peak at 15:00 UTC; mean square one over a whole day."""
    shape = 1.0 + 0.35 * np.cos(2.0 * np.pi * (np.arange(24) - 15.0) / 24.0)
    shape /= np.sqrt(np.mean(shape * shape))
    return np.resize(shape, hours)


def tail_multiples(rng: np.random.Generator, hours: int) -> Floats:
    """Return hourly multiples that turn normal steps into Student-t ones (5 degrees of freedom).

    A t variable is a normal one over the root of a chi-square; mean square one.
    """
    chi_square = rng.chisquare(_TAIL_DEGREES, hours)
    return np.sqrt((_TAIL_DEGREES - 2.0) / chi_square)
