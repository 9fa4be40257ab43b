"""The demo's basis as an `Import`; `catalog.demo.basis` has the model."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from catalog.demo.basis import (
    FUNDING_RATE,
    PERP_SPREAD_BPS,
    SPOT_SPREAD_BPS,
    BasisParams,
    draw,
)
from catalog.demo.candles import off_grid
from catalog.demo.parameters import FUNDING_NS
from catalog.instruments import instrument_id
from catalog.providers.base import Import
from catalog.providers.ticks import tick_table
from catalog.series import FUNDING, MARKS
from config.durations import DAY_NS, SECOND_NS

PERP_LATER_NS = 100_000_000
"""Quotes of the perpetual come after the pair's: who looks then sees both as they are."""
_TICK, _LOT = 1, 3
"""Decimals of a price and of a quantity."""


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
