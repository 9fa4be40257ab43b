"""The demo's basis: quotes of a spot pair and its perpetual whose difference is a known process.

Each second, with V the spot pair's mid and b the basis in basis points::

    ln V[t+1] = ln V[t] + volatility * sqrt(dt) * noise
    b[t+1]    = b[t] * 2 ** (-dt / half_life) + deviation * sqrt(1 - 4 ** (-dt / half_life)) * noise
    perpetual's mid = V * (1 + b / 10,000)

which is an Ornstein-Uhlenbeck process seen each second, exact at any step (Uhlenbeck and Ornstein
1930): mean zero, stationary standard deviation ``deviation``. Spreads, fees and funding are the
same throughout, so nothing but b tells what comes, and the best levels to enter and leave at can be
computed by value iteration. The books of `catalog.demo.order_flow` have the same half-life and half
of the deviation, which leaves little after Bybit's fees.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from catalog.demo.parameters import TickParams
from catalog.demo.universe import Purpose, stream

Floats = NDArray[np.float64]
HALF_LIFE_S = 300.0
DEVIATION_BPS = 20.0
SPOT_SPREAD_BPS, PERP_SPREAD_BPS = 1.0, 0.5
FUNDING_RATE = 0.0001
"""Of each eight hours, paid by longs of the perpetual."""
_VOLATILITY = 0.016
_PRICE = 16500.0
_SIZE = 8.0


@dataclass(frozen=True, kw_only=True)
class BasisParams(TickParams):
    """Choices of the demo's basis."""

    name: ClassVar[str] = "basis"
    longest_h: ClassVar[int] = 960
    hours: float = 120.0
    start: datetime = datetime(2025, 3, 3, tzinfo=UTC)


class BasisPath(NamedTuple):
    """What each second brings: spot mid (USDT), basis (bps), best sizes (coins) of shape (T, 4).

    Sizes are the spot pair's bid and ask, then the perpetual's.
    """

    spot: Floats
    basis: Floats
    sizes: Floats


def draw(params: BasisParams) -> BasisPath:
    """Draw a path; the same each time."""
    count = params.seconds
    rng = stream(params.seed, Purpose.BASIS)
    moves = _VOLATILITY / np.sqrt(86_400) * rng.standard_normal(count)
    kept = 2.0 ** (-1.0 / HALF_LIFE_S)
    noise = DEVIATION_BPS * rng.standard_normal(count)
    basis = np.empty(count)
    level, part = noise[0], np.sqrt(1.0 - kept**2)
    for place, shock in enumerate(noise.tolist()):
        level = level * kept + part * shock if place else level
        basis[place] = level
    sizes = _SIZE * rng.lognormal(0.0, 0.5, (count, 4))
    return BasisPath(_PRICE * np.exp(np.cumsum(moves)), basis, sizes)
