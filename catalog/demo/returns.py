"""Demo returns: volatility, market and sector factors, planted effects and price paths."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.demo.parameters import STEPS_PER_DAY, STEPS_PER_HOUR, DemoParams
from catalog.demo.universe import SECTORS, DemoPerp, Purpose, stream

Floats = NDArray[np.float64]

_PERSISTENCE = 0.95
"""Of log volatility from one midnight to the next."""
_TAIL_DEGREES = 5.0


def autoregression(rng: np.random.Generator, length: int, phi: float) -> Floats:
    """Return a stationary AR(1) series of unit variance, shape (length,).

    ``x[t] = phi * x[t-1] + sqrt(1 - phi**2) * e[t]``, without weights below one millionth. Computed
    as ``1 / (1 - a L) = (1 + a L)(1 + a^2 L^2)(1 + a^4 L^4)...``, so that every bit is the same on
    each run.
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

    ``log_volatility`` has unit variance and one value at each midnight; ``spread`` is the standard
    deviation of the log of volatility.
    """
    days = log_volatility.size
    hours = np.arange(days * 24) / 24.0
    level = np.interp(hours, np.arange(days), log_volatility)
    return np.exp(spread * level - spread * spread)


def hour_of_day(hours: int) -> Floats:
    """Return volatility multiples that peak at 15:00 UTC; mean square one over a whole day."""
    shape = 1.0 + 0.35 * np.cos(2.0 * np.pi * (np.arange(24) - 15.0) / 24.0)
    shape /= np.sqrt(np.mean(shape * shape))
    return np.resize(shape, hours)


def tail_multiples(rng: np.random.Generator, hours: int) -> Floats:
    """Return hourly multiples of mean square one that turn normal steps into Student-t ones.

    A t variable (5 degrees of freedom) is a normal one over the root of a chi-square.
    """
    chi_square = rng.chisquare(_TAIL_DEGREES, hours)
    return np.sqrt((_TAIL_DEGREES - 2.0) / chi_square)


_MARKET_CLUSTER_SPREAD = 0.40
_MARKET_JUMPS_PER_DAY = 0.012
_MARKET_JUMP_SIZE = 0.045


@dataclass(frozen=True)
class Factors:
    """Factors of all instruments; five-minute log returns of shape (days * 288,)."""

    market: Floats
    sectors: tuple[Floats, ...]
    """Log return of each of ``SECTORS`` beyond the market."""
    log_volatility: Floats
    """Log volatility of the market at each midnight, unit variance; shape (days,)."""


def draw_factors(params: DemoParams) -> Factors:
    """Draw the market and sector factors; only the market's constant drift can be predicted."""
    rng = stream(params.seed, Purpose.MARKET)
    log_volatility = autoregression(rng, params.days, _PERSISTENCE)
    market = _steps(rng, params, log_volatility, params.market_volatility)
    jumps = rng.random(params.hours) < _MARKET_JUMPS_PER_DAY / 24.0
    sizes = rng.standard_normal(params.hours) * (_MARKET_JUMP_SIZE * jumps)
    market += np.repeat(sizes / STEPS_PER_HOUR, STEPS_PER_HOUR)
    market += params.market_drift / STEPS_PER_DAY
    sectors = []
    for index in range(len(SECTORS)):
        rng = stream(params.seed, Purpose.SECTOR, index)
        own = autoregression(rng, params.days, _PERSISTENCE)
        mixed = np.sqrt(0.5) * (own + log_volatility)
        sectors.append(_steps(rng, params, mixed, params.sector_volatility))
    return Factors(market, tuple(sectors), log_volatility)


def _steps(
    rng: np.random.Generator, params: DemoParams, log_volatility: Floats, daily: float
) -> Floats:
    hourly = (
        clusters(log_volatility, _MARKET_CLUSTER_SPREAD)
        * hour_of_day(params.hours)
        * tail_multiples(rng, params.hours)
    )
    step = np.repeat(hourly * (daily / np.sqrt(STEPS_PER_DAY)), STEPS_PER_HOUR)
    step *= rng.standard_normal(step.size)
    return step


MOMENTUM_DAYS = 20


def recursion(shocks: Floats, reversal: float, momentum: float) -> tuple[Floats, Floats]:
    """Return each day's planted drift and idiosyncratic log return of one instrument.

    `catalog.demo` has the formula. All arrays have shape (days,); ``shocks`` is the unpredictable
    part. ``drift[t]`` is known at the end of day ``t - 1``. Returns before the first day count as
    zero.
    """
    lead = MOMENTUM_DAYS + 1
    drift = np.zeros(shocks.size)
    total = np.zeros(lead + shocks.size)
    for day in range(shocks.size):
        earlier = float(total[day : day + MOMENTUM_DAYS].sum())
        drift[day] = momentum * earlier / MOMENTUM_DAYS - reversal * total[day + MOMENTUM_DAYS]
        total[lead + day] = drift[day] + shocks[day]
    return drift, total[lead:]


_CLUSTER_SPREAD = 0.45
_SHARE_OF_MARKET_CLUSTERS = 0.6
_JUMPS_PER_DAY = 0.010
_JUMP_SIZE = 3.0
_LISTING_EXCITEMENT = 0.8
_LISTING_DAYS = 7.0


@dataclass(frozen=True)
class PricePath:
    """Price path of one instrument over the whole window, also before its listing."""

    log_price: Floats
    """Log of price over the first traded price, each five minutes; shape (days * 288 + 1,)."""
    drift: Floats
    """Planted expected idiosyncratic log return of each day; shape (days,)."""
    excitement: Floats
    """Hourly volatility multiple without the tails; scales volume; shape (days * 24,)."""


def draw_path(params: DemoParams, spec: DemoPerp, factors: Factors) -> PricePath:
    """Draw one instrument's path."""
    rng = stream(params.seed, Purpose.IDIOSYNCRATIC, spec.index)
    excitement = _excitement(rng, params, spec, factors)
    hourly = excitement * tail_multiples(rng, params.hours)
    daily = spec.volatility / np.sqrt(STEPS_PER_DAY)
    shocks = rng.standard_normal(params.days * STEPS_PER_DAY)
    shocks *= np.repeat(hourly * daily, STEPS_PER_HOUR)
    jumps = rng.random(params.hours) < _JUMPS_PER_DAY / 24.0
    sizes = rng.standard_normal(params.hours) * (_JUMP_SIZE * spec.volatility * jumps)
    # News strikes within one five-minute step.
    shocks[STEPS_PER_HOUR // 2 :: STEPS_PER_HOUR] += sizes
    drift, _ = recursion(
        shocks.reshape(params.days, STEPS_PER_DAY).sum(axis=1), params.reversal, params.momentum
    )
    steps = shocks
    steps += np.repeat(drift / STEPS_PER_DAY, STEPS_PER_DAY)
    steps += spec.beta * factors.market
    steps += spec.loading * factors.sectors[spec.sector]
    log_price = np.concatenate([[0.0], np.cumsum(steps)])
    log_price -= log_price[(spec.listed_hour or 0) * STEPS_PER_HOUR]
    return PricePath(log_price, drift, excitement)


def _excitement(
    rng: np.random.Generator, params: DemoParams, spec: DemoPerp, factors: Factors
) -> Floats:
    own = autoregression(rng, params.days, _PERSISTENCE)
    share = _SHARE_OF_MARKET_CLUSTERS
    mixed = share * factors.log_volatility + np.sqrt(1.0 - share * share) * own
    excitement = clusters(mixed, _CLUSTER_SPREAD)
    excitement *= hour_of_day(params.hours)
    if spec.listed_hour is not None:
        age = np.maximum(np.arange(params.hours) - spec.listed_hour, 0) / 24.0
        excitement *= 1.0 + _LISTING_EXCITEMENT * np.exp(-age / _LISTING_DAYS)
    return excitement
