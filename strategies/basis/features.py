"""Features that a policy of the basis sees: the same numbers in training and trading. Pure.

The past is remembered as time-decayed statistics, so that a look's place in time counts and not how
many there were. What is not known yet is NaN.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from strategies.basis.edge import BPS, Book, Funding, Prices
from strategies.basis.threshold import BASIS, EXIT

__all__ = ["BASIS", "EXIT", "FEATURES", "Past", "Seen", "features", "remember", "seen_of"]

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
MINUTE_NS = 60 * 10**9


class Decayed(NamedTuple):
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


def step(state: Decayed, ts: int, value: float, half_life_ns: int) -> Decayed:
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
    return Decayed(max(ts, state.ts), value, mean, square, weight)


class Moves(NamedTuple):
    """Time-decayed sum of squared logarithmic moves of a price, and of the time they took."""

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


def move(state: Moves, ts: int, price: float, half_life_ns: int) -> Moves:
    """Return the moves after a price at a time."""
    if math.isnan(state.price):
        return state._replace(ts=ts, price=price)
    took = max(0, ts - state.ts)
    keep, moved = 0.5 ** (took / half_life_ns), math.log(price / state.price)
    return Moves(
        max(ts, state.ts),
        price,
        keep * state.squares + moved * moved,
        keep * state.ns + took,
        keep * state.weight + (1.0 - keep),
    )


class Past(NamedTuple):
    """What is remembered of a spot pair and its perpetual."""

    basis: Decayed = Decayed()
    mid: Moves = Moves()


def remember(past: Past, ts: int, basis_bps: float, mid: float, half_life_ns: int) -> Past:
    """Return what is remembered after a look; call it before `seen_of` of the same look."""
    return Past(
        step(past.basis, ts, basis_bps, half_life_ns), move(past.mid, ts, mid, half_life_ns)
    )


class Seen(NamedTuple):
    """A look at a spot pair and its perpetual: raw numbers.

    ``prices`` are those of the intended quantity, or of what is held; ``spot_near`` and
    ``perp_near`` the values displayed near the mid by bids and asks; ``value`` that of the intended
    quantity. ``hours_held`` and ``held_bps`` are zero while flat.
    """

    prices: Prices
    basis_z: float
    spot_spread_bps: float
    perp_spread_bps: float
    spot_near: tuple[float, float]
    perp_near: tuple[float, float]
    value: float
    funding: float
    funding_next: float
    hours_to_funding: float
    volatility_bps: float
    position: int = 0
    hours_held: float = 0.0
    held_bps: float = 0.0


def seen_of(
    spot: Book,
    perp: Book,
    prices: Prices,
    quantity: float,
    past: Past,
    funding: Funding,
    now: int,
    *,
    since: int | None = None,
    held_bps: float = 0.0,
) -> Seen:
    """Return a look at both books, for a quantity; ``since`` is when what is held was entered."""
    is_held = since is not None
    return Seen(
        prices=prices,
        basis_z=past.basis.z,
        spot_spread_bps=spot.spread_bps,
        perp_spread_bps=perp.spread_bps,
        spot_near=spot.near(NEAR_BPS),
        perp_near=perp.near(NEAR_BPS),
        value=quantity * spot.mid,
        funding=funding.rate,
        funding_next=funding.next_rate,
        hours_to_funding=funding.hours_left(now),
        volatility_bps=past.mid.a_minute_bps,
        position=int(is_held),
        hours_held=max(0, now - since) / 3.6e12 if since is not None else 0.0,
        held_bps=held_bps if is_held else 0.0,
    )


def features(seen: Seen) -> Vector:
    """Return the features of a look, in the order of `FEATURES`."""
    return np.array(
        [
            seen.prices.basis_bps,
            seen.prices.exit_bps,
            seen.basis_z,
            seen.spot_spread_bps,
            seen.perp_spread_bps,
            _depth(seen.spot_near, seen.value),
            _depth(seen.perp_near, seen.value),
            _imbalance(seen.spot_near),
            _imbalance(seen.perp_near),
            seen.funding * BPS,
            seen.funding_next * BPS,
            seen.hours_to_funding,
            seen.volatility_bps,
            float(seen.position),
            seen.hours_held,
            seen.held_bps,
        ]
    )


def _depth(near: tuple[float, float], value: float) -> float:
    least = min(near)
    return math.log(least / value) if least > 0.0 and value > 0.0 else math.nan


def _imbalance(near: tuple[float, float]) -> float:
    bids, asks = near
    return (bids - asks) / (bids + asks) if bids + asks > 0.0 else 0.0
