"""Read archived trades: Bybit's public .csv.gz (perpetuals and spot), Binance's aggTrades, trades.

Columns tell the source. A file has the symbol in a column or in its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from catalog.providers.base import Import, ImportOptions
from catalog.providers.files import there_is
from catalog.providers.symbols import LINEAR, SPOT
from catalog.providers.tick_order import MissingIds, Repeats, RunningNumbers
from catalog.providers.ticks import (
    AnotherKind,
    Source,
    Symbols,
    batches,
    each,
    header,
    product_hint,
    tick_table,
)


class _Archive(NamedTuple):
    """Columns of one source's trades."""

    venue: str
    time: str
    size: str
    side: str
    number: str | None = None
    """Id of a trade that is the same in each file; else they are numbered within their time."""
    product: str | None = None


_TAKER = {"buy": 1, "sell": -1}
_BUYER_IS_MAKER = {"true": -1, "false": 1}
_ARCHIVES = (
    _Archive("bybit", "timestamp", "size", "side", product=LINEAR),
    _Archive("bybit", "timestamp", "volume", "side", product=SPOT),
    _Archive("binance", "transact_time", "quantity", "is_buyer_maker", "agg_trade_id"),
    _Archive("binance", "time", "qty", "is_buyer_maker", "id"),
)
_AGGREGATED = (
    *("agg_trade_id", "price", "quantity", "first_trade_id", "last_trade_id", "transact_time"),
    *("is_buyer_maker", "is_best_match"),
)
_SINGLE = ("id", "price", "qty", "quote_qty", "time", "is_buyer_maker", "is_best_match")
"""Columns of Binance's files without a line of names; the last one is of spot only."""
UNNAMED = ": no line of names; keep Binance's file name (BTCUSDT-aggTrades-…, BTCUSDT-trades-…)"


def read(paths: Sequence[Path], options: ImportOptions) -> Iterator[Import]:
    """Read each file in parts of up to 64 MB; raise InputError with file and line."""
    yield from each(paths, (".csv",), lambda path, source: _file(path, source, options))


def _file(path: Path, source: Source, options: ImportOptions) -> Iterator[Import]:
    names, titled = header(source), True
    if names[0].isdigit() and "trades" in source.path.name.lower():
        titled = False
        full = _AGGREGATED if "aggtrades" in source.path.name.lower() else _SINGLE
        names = [*full[: len(names)], *map(str, range(len(full), len(names)))]
    fit = (a for a in _ARCHIVES if {a.time, a.size, a.side, a.number or a.time} <= set(names))
    archive = next(fit, None)
    if archive is None:
        raise AnotherKind(
            f"{source.where}: neither trades of Bybit nor aggTrades or trades of Binance: "
            f"{there_is(names)}{UNNAMED * names[0].isdigit()}"
        )
    product = archive.product or (SPOT if "is_best_match" in names else None)
    symbols = Symbols(options, product or product_hint(path, source))
    part = partial(options.part, "archived trades", archive.venue, path)
    kinds = {
        archive.time: pa.float64(),
        "price": pa.float64(),
        archive.size: pa.float64(),
        archive.side: pa.string(),
        **({archive.number: pa.int64()} if archive.number else {}),
        **({"symbol": pa.string()} if "symbol" in names else {}),
    }
    text = "symbol" if "symbol" in names else None
    given = next((name for name in (archive.number, "trdMatchID", "id") if name in names), None)
    if given and given not in kinds:
        kinds[given] = pa.string()
    repeats, missing = Repeats(source.where, "trades", given), MissingIds(source.where)
    numbers = RunningNumbers(source.where, "trades")
    for batch in batches(source, names, kinds, titled):
        ts, price, size = batch.stamps(archive.time), *map(batch.floats, ("price", archive.size))
        side = batch.choices(archive.side, _TAKER if archive.side == "side" else _BUYER_IS_MAKER)
        fresh, lines = repeats.fresh(batch), batch.line + np.arange(len(ts))
        own = symbols.rows(batch, text, source)
        onward = numbers.direction(ts, own)
        found = {}
        for instrument, every in own.items():
            rows = every[fresh[every]]
            if not len(rows):
                continue
            if archive.number:
                keys = [ts[rows], batch.table.column(archive.number).to_numpy()[rows]]
                missing.add(instrument, keys[1], lines[rows])
            else:
                values = [] if given else [column[rows] for column in (price, size, side)]
                places, keys = numbers.sort(instrument, ts[rows], lines[rows], values)
                rows = rows[places]
            columns: list[NDArray] = [*keys, ts[rows], price[rows], size[rows], side[rows]]
            found["trades", "", instrument] = tick_table("trades", [c[::onward] for c in columns])
        yield part(tables=found, assumed=[*symbols.assumed])
    yield part(warnings=[*repeats.warnings(), *missing.warnings(), *numbers.warnings()])
