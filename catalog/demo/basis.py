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
import pyarrow as pa
from numpy.typing import NDArray

from catalog.demo.candles import off_grid
from catalog.demo.parameters import FUNDING_NS, TickParams
from catalog.demo.universe import Purpose, stream
from catalog.instruments import instrument_id
from catalog.providers.base import Import
from catalog.providers.ticks import tick_table
from catalog.series import FUNDING, MARKS
from config.durations import DAY_NS, SECOND_NS

Floats = NDArray[np.float64]
HALF_LIFE_S = 300.0
DEVIATION_BPS = 20.0
SPOT_SPREAD_BPS, PERP_SPREAD_BPS = 1.0, 0.5
FUNDING_RATE = 0.0001
"""Of each eight hours, paid by longs of the perpetual."""
_VOLATILITY = 0.016
_PRICE = 16500.0
_SIZE = 8.0
PERP_LATER_NS = 100_000_000
"""Quotes of the perpetual come after the pair's: who looks then sees both as they are."""
_TICK, _LOT = 1, 3
"""Decimals of a price and of a quantity."""


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


def generate(params: BasisParams) -> Import:
    """Make the demo's basis: quotes, marks, tickers, funding; the same bytes each time."""
    path = draw(params)
    spot, perp = (instrument_id("BTCUSDT", product) for product in ("SPOT", "LINEAR"))
    ts = params.start_ns + SECOND_NS * np.arange(params.seconds, dtype=np.int64)
    seq = np.arange(len(ts))
    tables: dict[tuple[str, str, str], pa.Table] = {}
    legs = ((spot, 1.0, SPOT_SPREAD_BPS, 0), (perp, 1.0 + path.basis / 1e4, PERP_SPREAD_BPS, 1))
    for name, factor, spread, place in legs:
        mid, at = path.spot * factor, ts + place * PERP_LATER_NS
        bid = np.floor(mid * (1 - spread / 2e4) * 10**_TICK).astype(np.int64)
        ask = np.ceil(mid * (1 + spread / 2e4) * 10**_TICK).astype(np.int64)
        lots = np.maximum(np.rint(path.sizes[:, 2 * place : 2 * place + 2] * 10**_LOT), 1).T
        sizes = [off_grid(side.astype(np.int64), _LOT) for side in lots]
        prices = [off_grid(bid, _TICK), off_grid(ask, _TICK)]
        tables["quotes", "", name] = tick_table("quotes", [at, seq, at, *prices, *sizes])
    index = np.round(path.spot, _TICK)
    minute = np.arange(0, len(ts), 60)
    closes = np.append(ts[minute[1:]], ts[-1] + SECOND_NS)
    rows = index.reshape(-1, 60)
    marks = [rows[:, 0], rows.max(axis=1), rows.min(axis=1), rows[:, -1]]
    tables["mark", "1m", perp] = pa.table([closes, *marks], schema=MARKS)
    begin, end = params.start_ns, int(closes[-1])
    settled = np.arange((begin - DAY_NS) // FUNDING_NS, end // FUNDING_NS + 1) * FUNDING_NS
    rates = np.full(len(settled), FUNDING_RATE)
    tables["funding", "", perp] = pa.table([settled, rates], schema=FUNDING)
    at = ts[minute]
    last = np.round((path.spot * (1.0 + path.basis / 1e4))[minute], _TICK)
    known = [last, index[minute], index[minute], np.full(len(at), FUNDING_RATE)]
    following = (at // FUNDING_NS + 1) * FUNDING_NS
    numbers = np.arange(len(at))
    tables["tickers", "", perp] = tick_table("tickers", [at, numbers, at, *known, following])
    products = ("LINEAR", "SPOT")
    instruments = [params.instrument("BTCUSDT", one, "0.1", "0.001") for one in products]
    return Import(
        source=f"demo basis seed {params.seed}",
        source_venue="simulated",
        instruments=instruments,
        tables=tables,
        note=(
            "Invented quotes; names of real coins are labels only. "
            f"{params.hours:g} h from {params.start:%Y-%m-%d %H:%M} "
            "(catalog/demo/basis.py has the model)."
        ),
    )
