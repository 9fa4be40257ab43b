"""The market's and the sectors' returns, common to all instruments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from catalog.demo import volatility
from catalog.demo.parameters import STEPS_PER_DAY, STEPS_PER_HOUR, DemoParams
from catalog.demo.streams import Purpose, stream
from catalog.demo.universe import SECTORS
from catalog.demo.volatility import Floats

_CLUSTER_SPREAD = 0.40
_JUMPS_PER_DAY = 0.012
_JUMP_SIZE = 0.045


@dataclass(frozen=True)
class Factors:
    """What all instruments share.

    Parameters
    ----------
    market : ndarray, shape (days * 288,)
        Log return of the market in each five minutes.
    sectors : tuple of ndarray, each of shape (days * 288,)
        Log return of each of ``SECTORS`` beyond the market.
    log_volatility : ndarray, shape (days,)
        Unit-variance log volatility of the market at each midnight; instruments share part of it.
    """

    market: Floats
    sectors: tuple[Floats, ...]
    log_volatility: Floats


def simulate(params: DemoParams) -> Factors:
    """Draw the factors. Nothing in them can be predicted but the market's constant drift."""
    rng = stream(params.seed, Purpose.MARKET)
    log_volatility = volatility.daily_log_volatility(rng, params.days)
    market = _steps(rng, params, log_volatility, params.market_volatility)
    jumps = rng.random(params.hours) < _JUMPS_PER_DAY / 24.0
    sizes = rng.standard_normal(params.hours) * (_JUMP_SIZE * jumps)
    market += np.repeat(sizes / STEPS_PER_HOUR, STEPS_PER_HOUR)
    market += params.market_drift / STEPS_PER_DAY
    sectors = []
    for index in range(len(SECTORS)):
        rng = stream(params.seed, Purpose.SECTOR, index)
        own = volatility.daily_log_volatility(rng, params.days)
        mixed = np.sqrt(0.5) * (own + log_volatility)
        sectors.append(_steps(rng, params, mixed, params.sector_volatility))
    return Factors(market, tuple(sectors), log_volatility)


def _steps(
    rng: np.random.Generator, params: DemoParams, log_volatility: Floats, daily: float
) -> Floats:
    hourly = (
        volatility.clusters(log_volatility, _CLUSTER_SPREAD)
        * volatility.hour_of_day(params.hours)
        * volatility.tail_multiples(rng, params.hours)
    )
    step = np.repeat(hourly * (daily / np.sqrt(STEPS_PER_DAY)), STEPS_PER_HOUR)
    step *= rng.standard_normal(step.size)
    return step
