"""Guess an instrument's facts from its candles and ticks, when no source gives them."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from catalog.instruments import InstrumentInfo, instrument_info, split_id
from catalog.series import PRICES
from catalog.storage.manifest import SeriesKey
from config.durations import MINUTE_NS, STORED
from config.errors import InputError

INFERRED_MAX_LEVERAGE = "25"
MAX_DECIMALS = 12
TICK_AMOUNTS = {
    "trades": (("price",), ("size",)),
    "quotes": (("bid", "ask"), ("bid_size", "ask_size")),
    "book": (("price",), ("size",)),
}
"""Columns of prices and of sizes."""
NOISE = 1e-12
"""Relative error that arithmetic adds to a number with few decimals."""


def decimals_seen(values: NDArray[np.float64], tolerance: float = 0.0, least: int = 0) -> int:
    """Count the decimals with which numbers were written, at least so many.

    The answer is the smallest number of decimals to which rounding changes no value (within the
    relative tolerance, see `NOISE`). If twelve are not enough (averaged prices), it gives five
    significant figures of the median.
    """
    values = np.abs(values[np.isfinite(values)])
    if values.size == 0:
        return 0
    for count in range(least, MAX_DECIMALS + 1):
        if bool(np.all(np.abs(np.round(values, count) - values) <= tolerance * values)):
            return count
    median = float(np.median(values[values > 0])) if np.any(values > 0) else 1.0
    return int(np.clip(4 - np.floor(np.log10(median)), 0, MAX_DECIMALS))


def infer_from_series(
    instrument: str,
    series: Iterable[tuple[SeriesKey, pa.Table]],
    source: str,
    before: InstrumentInfo | None = None,
) -> InstrumentInfo:
    """Guess an instrument's facts from all its stored tables, and mark them as guessed.

    Tick and lot come from the decimals of prices and base volumes. The rest is Bybit's usual 5 USDT
    minimum, a cautious 25x and 2 % maintenance margin. ``before`` are the facts guessed so far,
    from ticks that are not among the tables. Raises InputError without candles and ticks, or when
    the symbol's quote coin is unknown.
    """
    symbol, product = split_id(instrument)
    prices: list[NDArray[np.float64]] = []
    volumes: list[NDArray[np.float64]] = []
    opens = [before.listed_ns] if before else []
    minutes = 480
    finest = [before.price_precision, before.size_precision] if before else [0, 0]
    for (kind, interval, _, _), table in series:
        stamps = table.column("ts").to_numpy()
        if kind in TICK_AMOUNTS:
            # Many rows: only their decimals are kept.
            for place, names in enumerate(TICK_AMOUNTS[kind]):
                for column in map(table.column, names):
                    seen = decimals_seen(column.to_numpy(), NOISE, finest[place])
                    finest[place] = max(finest[place], seen)
            opens.append(int(stamps[0]))
        if kind == "bars":
            prices += [table.column(n).to_numpy() for n in PRICES]
            volumes.append(table.column("volume").to_numpy())
            opens.append(int(stamps[0]) - STORED[interval])
        elif kind == "funding" and len(stamps) > 1:
            minutes = int(np.median(np.diff(stamps))) // MINUTE_NS
    if not opens:
        raise InputError(
            f"{instrument}: mark prices, funding or tickers, but neither candles, ticks nor facts; "
            "import its candles, or the venue's instruments-info, with them or before"
        )
    for place, columns in enumerate((prices, volumes)):
        seen = decimals_seen(np.concatenate([np.zeros(0), *columns]), NOISE)
        finest[place] = max(finest[place], seen)
    try:
        return instrument_info(
            symbol,
            product,
            tick=step(finest[0]),
            lot=step(min(8, finest[1])),
            max_leverage=INFERRED_MAX_LEVERAGE,
            maintenance_margin="0.02",
            funding_minutes=minutes,
            listed_ns=min(opens),
            inferred=True,
            source=source,
        )
    except ValueError as error:
        raise InputError(str(error)) from error


def decimals_of_each(values: NDArray[np.float64], most: int = MAX_DECIMALS) -> NDArray[np.int64]:
    """Return the decimals of each number, at most so many; those of NaN are 0."""
    values = np.abs(np.nan_to_num(values))
    found = np.full(values.shape, most, dtype=np.int64)
    for count in range(most - 1, -1, -1):
        found[np.abs(np.round(values, count) - values) <= NOISE * values] = count
    return found


def known_at(info: InstrumentInfo, candles: pa.Table) -> InstrumentInfo:
    """Return inferred facts as candles up to a time tell them: tick, lot and smallest order.

    They are no finer than those of all candles.
    """
    prices = np.concatenate([candles.column(name).to_numpy() for name in PRICES])
    tick = step(min(info.price_precision, decimals_seen(prices, NOISE)))
    volumes = candles.column("volume").to_numpy()
    lot = step(min(info.size_precision, decimals_seen(volumes, NOISE)))
    return msgspec.structs.replace(info, tick=tick, lot=lot, min_qty=lot)


def step(count: int) -> str:
    """Return the step of a number of decimals: 3 gives "0.001"."""
    return f"{Decimal(1).scaleb(-count):f}"
