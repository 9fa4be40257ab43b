"""Read freqtrade's files: candles, mark prices and funding, as feather, Parquet or JSON.

Names are freqtrade's (``BTC_USDT_USDT-5m-futures.feather``, ``…-8h-mark``, ``…-8h-funding_rate``,
older ``BTC_USDT-5m-futures``, spot ``BTC_USDT-1h``), or long ones:
``bybit_linear_BTCUSDT_mark_1h_20250924_20260131.feather``. ``date`` is the candle's open. A funding
file has the rate in ``open``; ignore the interval in its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from catalog.instruments import instrument_id
from catalog.providers.base import Import, ImportOptions
from catalog.providers.files import (
    Columns,
    find,
    infer_interval,
    refuse_frequent,
    refuse_longer,
    venue_of,
)
from catalog.providers.symbols import DOLLARS, LINEAR, SPOT, inverse, parse_market
from catalog.providers.tables import load_tables
from catalog.series import KINDS, PRICES
from config.durations import STORED
from config.errors import InputError

SUFFIXES = (".feather", ".parquet", ".json", ".json.gz")
_OWN = re.compile(
    r"(?P<pair>[A-Z0-9]+_[A-Z0-9]+(_[A-Z0-9]+)?(-\d{6})?)-(?P<interval>\d+[a-zA-Z])(-(?P<kind>\w+))?"
)
_LONG = re.compile(
    r"[a-z]+_(?P<product>linear|spot)_(?P<pair>[A-Z0-9]+)_(?P<kind>ohlcv|mark|funding)_"
    r"(?P<interval>[^_]+)_\d{8}_\d{8}"
)
_KINDS = {
    None: "bars",
    "futures": "bars",
    "ohlcv": "bars",
    "mark": "mark",
    "funding_rate": "funding",
    "funding": "funding",
}


class Name(NamedTuple):
    """Parts of a file's name."""

    symbol: str
    product: str
    kind: str
    interval: str


def read(paths: Sequence[Path], options: ImportOptions) -> Iterator[Import]:
    """Read each file as one part; raise InputError with the file and what is wrong with it.

    In a folder, files of trades, of other contracts or of an unknown interval (1w …) are skipped,
    with a note. A path to such a file is an error.
    """
    named = {path for path in paths if path.is_file()}
    chosen: list[tuple[Path, Name]] = []
    left_out: list[str] = []
    for path in find(paths, SUFFIXES):
        try:
            name = parse_name(path)
            if name is None or (name.kind != "funding" and name.interval not in STORED):
                raise ValueError(
                    "not a name like BTC_USDT_USDT-5m-futures.feather with an interval of "
                    f"{', '.join(STORED)}"
                )
        except ValueError as error:
            if path in named:
                raise InputError(f"{path}: {error}") from error
            left_out.append(path.name)
            continue
        if options.wants(instrument_id(name.symbol, options.product or name.product)):
            chosen.append((path, name))
    words = f"left out: {', '.join(left_out)}" if left_out else ""
    options = replace(options, note="; ".join(filter(None, (options.note, words))))
    for path, name in chosen:
        yield _read_file(path, name, options)


def parse_name(path: Path) -> Name | None:
    """Parse a file's name; None if it is not freqtrade's.

    Raises ValueError for an unknown quote coin and for contracts that are not kept.
    """
    stem = path.name.split(".")[0]
    match = _LONG.fullmatch(stem) or _OWN.fullmatch(stem)
    if match is None or match["kind"] not in _KINDS:
        return None
    groups = match.groupdict()
    market = parse_market(groups["pair"])
    perpetual = groups["kind"] is not None or market.product == LINEAR
    product = (groups.get("product") or (LINEAR if perpetual else SPOT)).upper()
    if product == LINEAR and not market.symbol.endswith(DOLLARS):
        raise ValueError(inverse(groups["pair"]))
    return Name(market.symbol, product, _KINDS[groups["kind"]], groups["interval"])


def _read_file(path: Path, name: Name, options: ImportOptions) -> Import:
    (source,) = load_tables(path)
    columns = Columns(source.table, source.where)
    instrument = instrument_id(name.symbol, options.product or name.product)
    part = options.part("freqtrade files", venue_of(path), path)
    wanted = {"funding": ("open",), "mark": PRICES, "bars": (*PRICES, "volume")}[name.kind]
    interval = "" if name.kind == "funding" else name.interval
    stamps = columns.stamps()
    if interval:
        infer_interval(stamps, source.where, interval)
        insisted = part.warnings if options.interval == interval else None
        refuse_longer(stamps, np.arange(len(stamps)), interval, source.where, insisted)
    else:
        refuse_frequent(stamps, np.arange(len(stamps)), source.where)
    read = columns.amounts if interval else columns.numbers
    given = [stamps + (STORED[interval] if interval else 0), *map(read, wanted)]
    if name.kind == "bars":
        given.append(pa.nulls(len(stamps), pa.float64()))
    part.tables[name.kind, interval, instrument] = pa.table(given, schema=KINDS[name.kind].given)
    return part
