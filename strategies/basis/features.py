"""Features that a policy of the basis reads: the same numbers in training and trading. Pure.

The past is remembered as time-decayed statistics, so that the time between looks counts and not
their number. What is not known yet is NaN.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from config.durations import MINUTE_NS, duration_ns
from strategies.basis.edge import (
    BPS,
    Book,
    Costs,
    Edge,
    Funding,
    Prices,
    edge_of,
    gain_bps,
    prices_of,
)
from strategies.basis_arbitrage import BasisConfig

FEATURES = (
    "basis_bps",
    "exit_bps",
    "basis_z",
    "spot_spread_bps",
    "perp_spread_bps",
    "spot_depth",
    "perp_depth",
    "spot_imbalance",
    "perp_imbalance",
    "funding_bps",
    "funding_next_bps",
    "hours_to_funding",
    "volatility_bps",
    "position",
    "hours_in_trade",
    "held_bps",
)
"""Names, in the order of the array. Depths are logarithms of the value displayed near the mid on
the thinner side over the value intended; imbalances are between -1 (all asks) and 1 (all bids)."""
Vector = NDArray[np.float64]
NEAR_BPS = 10.0
"""How near the mid a level counts as depth."""
KNOWN = 0.5
"""Statistics are known once they cover a half-life: half of what they would weigh for ever."""


class DecayedMean(NamedTuple):
    """Time-decayed mean and mean square of a value that stands until the next one.

    ``weight`` rises from 0 toward 1 with the time covered. ``ts`` is UNIX nanoseconds (UTC).
    """

    ts: int = 0
    value: float = math.nan
    mean: float = 0.0
    square: float = 0.0
    weight: float = 0.0

    @property
    def deviation(self) -> float:
        """Standard deviation, NaN until a half-life is covered."""
        if self.weight < KNOWN:
            return math.nan
        return math.sqrt(max(self.square - self.mean * self.mean, 0.0))

    @property
    def z(self) -> float:
        """The newest value by what stood before it, in deviations; NaN while unknown."""
        spread = self.deviation
        # What has never moved has no scale.
        return (self.value - self.mean) / spread if spread > 1e-9 else math.nan


def add_value(state: DecayedMean, ts: int, value: float, half_life_ns: int) -> DecayedMean:
    """Return the statistics after a value at a time; the one before stood until then."""
    if math.isnan(value):
        return state
    if math.isnan(state.value):
        return state._replace(ts=ts, value=value)
    keep = 0.5 ** (max(0, ts - state.ts) / half_life_ns)
    weight = keep * state.weight + (1.0 - keep)
    part = (1.0 - keep) / weight if weight else 0.0
    mean = state.mean + part * (state.value - state.mean)
    square = state.square + part * (state.value * state.value - state.square)
    return DecayedMean(max(ts, state.ts), value, mean, square, weight)


class Volatility(NamedTuple):
    """Volatility of a price: time-decayed sums of squared logarithmic moves, and of their time."""

    ts: int = 0
    price: float = math.nan
    squares: float = 0.0
    ns: float = 0.0
    weight: float = 0.0

    @property
    def a_minute_bps(self) -> float:
        """Deviation of a minute's move, basis points; NaN until a half-life is covered."""
        if self.weight < KNOWN:
            return math.nan
        return math.sqrt(self.squares / self.ns * MINUTE_NS) * BPS


def add_price(state: Volatility, ts: int, price: float, half_life_ns: int) -> Volatility:
    """Return the volatility after a price at a time."""
    if math.isnan(state.price):
        return state._replace(ts=ts, price=price)
    took = max(0, ts - state.ts)
    keep, moved = 0.5 ** (took / half_life_ns), math.log(price / state.price)
    return Volatility(
        max(ts, state.ts),
        price,
        keep * state.squares + moved * moved,
        keep * state.ns + took,
        keep * state.weight + (1.0 - keep),
    )


class Past(NamedTuple):
    """What is remembered of a spot pair and its perpetual."""

    basis: DecayedMean = DecayedMean()
    volatility: Volatility = Volatility()


class Look(NamedTuple):
    """What a policy decides by at a moment."""

    prices: Prices
    """Of the quantity that is intended or held."""
    past: Past
    """With this look."""
    held_bps: float
    """What closing now gains on the entry's prices, before fees; zero while flat."""
    features: Vector
    """In the order of `FEATURES`."""
    edge: Edge
    """Of opening."""


def look(
    rules: BasisConfig,
    costs: Costs,
    books: tuple[Book, Book],
    quantity: float,
    past: Past,
    funding: Funding,
    now: int,
    exit_bps: float,
    *,
    since: int | None = None,
    entry: tuple[float, float] | None = None,
) -> Look:
    """Look at the books of the spot pair and of the perpetual for a quantity, intended or held.

    It is planned to be closed at a basis of ``exit_bps``. Of what is held, ``since`` is the time of
    the entry and ``entry`` its prices, where they are known.
    """
    spot, perp = books
    prices, half_life = prices_of(spot, perp, quantity), duration_ns(rules.half_life)
    past = Past(
        add_value(past.basis, now, prices.basis_bps, half_life),
        add_price(past.volatility, now, spot.mid, half_life),
    )
    held_bps = 0.0 if entry is None else gain_bps(*entry, prices)
    value, spot_near, perp_near = quantity * spot.mid, spot.near(NEAR_BPS), perp.near(NEAR_BPS)
    features = [
        prices.basis_bps,
        prices.exit_bps,
        past.basis.z,
        spot.spread_bps,
        perp.spread_bps,
        _depth(spot_near, value),
        _depth(perp_near, value),
        _imbalance(spot_near),
        _imbalance(perp_near),
        funding.rate * BPS,
        funding.next_rate * BPS,
        funding.hours_left(now),
        past.volatility.a_minute_bps,
        float(since is not None),
        max(0, now - since) / 3.6e12 if since is not None else 0.0,
        held_bps,
    ]
    edge = edge_of(prices.basis_bps, exit_bps, costs, funding, now, duration_ns(rules.horizon))
    return Look(prices, past, held_bps, np.array(features), edge)


def _depth(near: tuple[float, float], value: float) -> float:
    least = min(near)
    return math.log(least / value) if least > 0.0 and value > 0.0 else math.nan


def _imbalance(near: tuple[float, float]) -> float:
    bids, asks = near
    return (bids - asks) / (bids + asks) if bids + asks > 0.0 else 0.0
