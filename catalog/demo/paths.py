"""One instrument's path: five-minute log prices from factors, shocks and planted drift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from catalog.demo import planted, volatility
from catalog.demo.factors import Factors
from catalog.demo.parameters import STEPS_PER_DAY, STEPS_PER_HOUR, DemoParams
from catalog.demo.streams import Purpose, stream
from catalog.demo.universe import Spec
from catalog.demo.volatility import Floats

_CLUSTER_SPREAD = 0.45
_SHARE_OF_MARKET_CLUSTERS = 0.6
_JUMPS_PER_DAY = 0.010
_JUMP_SIZE = 3.0
_LISTING_EXCITEMENT = 0.8
_LISTING_DAYS = 7.0


@dataclass(frozen=True)
class Path:
    """One instrument over the whole window, also before its listing (nobody sees that part).

    Parameters
    ----------
    log_price : ndarray, shape (days * 288 + 1,)
        Log of price over the price when it starts to trade, at the end of each five minutes.
    drift : ndarray, shape (days,)
        Planted expected idiosyncratic log return of each day.
    excitement : ndarray, shape (days * 24,)
        Volatility multiple of each hour without the tails; volume follows it.
    """

    log_price: Floats
    drift: Floats
    excitement: Floats


def simulate(params: DemoParams, spec: Spec, factors: Factors) -> Path:
    """Draw one instrument's path."""
    rng = stream(params.seed, Purpose.IDIOSYNCRATIC, spec.index)
    excitement = _excitement(rng, params, spec, factors)
    hourly = excitement * volatility.tail_multiples(rng, params.hours)
    daily = spec.volatility / np.sqrt(STEPS_PER_DAY)
    shocks = rng.standard_normal(params.days * STEPS_PER_DAY)
    shocks *= np.repeat(hourly * daily, STEPS_PER_HOUR)
    jumps = rng.random(params.hours) < _JUMPS_PER_DAY / 24.0
    sizes = rng.standard_normal(params.hours) * (_JUMP_SIZE * spec.volatility * jumps)
    # News strikes within one five-minute step.
    shocks[STEPS_PER_HOUR // 2 :: STEPS_PER_HOUR] += sizes
    drift, _ = planted.recursion(
        shocks.reshape(params.days, STEPS_PER_DAY).sum(axis=1), params.reversal, params.momentum
    )
    steps = shocks
    steps += np.repeat(drift / STEPS_PER_DAY, STEPS_PER_DAY)
    steps += spec.beta * factors.market
    steps += spec.loading * factors.sectors[spec.sector]
    log_price = np.concatenate([[0.0], np.cumsum(steps)])
    log_price -= log_price[(spec.listed_hour or 0) * STEPS_PER_HOUR]
    return Path(log_price, drift, excitement)


def _excitement(
    rng: np.random.Generator, params: DemoParams, spec: Spec, factors: Factors
) -> Floats:
    own = volatility.daily_log_volatility(rng, params.days)
    share = _SHARE_OF_MARKET_CLUSTERS
    mixed = share * factors.log_volatility + np.sqrt(1.0 - share * share) * own
    excitement = volatility.clusters(mixed, _CLUSTER_SPREAD)
    excitement *= volatility.hour_of_day(params.hours)
    if spec.listed_hour is not None:
        age = np.maximum(np.arange(params.hours) - spec.listed_hour, 0) / 24.0
        excitement *= 1.0 + _LISTING_EXCITEMENT * np.exp(-age / _LISTING_DAYS)
    return excitement
