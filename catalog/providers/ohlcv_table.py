"""Read long tables, Parquet or CSV (also .gz): one row a candle or a settlement of one symbol.

Columns (any order and case): a date; symbol (else the file's name starts with it); and either open,
high, low, close with volume (candles; turnover, quote_volume or turnover_approx if there), open,
high, low, close without volume or with "mark" in the file's name (mark prices), or funding_rate
(settlements).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from catalog.instruments import instrument_id
from catalog.providers.base import Import, ImportOptions
from catalog.providers.files import (
    column,
    find,
    floats,
    infer_interval,
    optional,
    plain_symbol,
    stamps_ns,
    venue_of,
)
from catalog.series import FUNDING, KINDS, PRICES
from config.durations import interval_ns
from config.errors import InputError

SUFFIXES = (".parquet", ".csv", ".csv.gz")
DATES = ("date", "datetime", "timestamp", "time", "open_time", "ts")
SYMBOLS = ("symbol", "pair", "instrument", "ticker")
RATES = ("funding_rate", "fundingrate", "rate")
TURNOVERS = ("turnover", "quote_volume", "quote_asset_volume", "turnover_approx")


def read(paths: Sequence[Path], options: ImportOptions) -> Iterator[Import]:
    """Read each file as one part; raise InputError with file, row and column."""
    for path in find(paths, SUFFIXES):
        yield _read_file(path, options)


def _read_file(path: Path, options: ImportOptions) -> Import:
    table = _load(path)
    part = Import(
        source="OHLCV tables",
        source_venue=options.source_venue or venue_of(path),
        note=options.note,
        files=[path],
    )
    product = options.product or ("SPOT" if "_spot_" in path.name else "LINEAR")
    stamps = stamps_ns(column(table, DATES, path, "the date"), path)
    rows_of = _rows_by_symbol(table, path)
    rates = optional(table, RATES)
    if rates is not None:
        rate = floats(rates, "funding_rate", path)
        whole = pa.table([stamps, rate.combine_chunks()], schema=FUNDING)
        for symbol, rows in rows_of.items():
            part.tables["funding", "", instrument_id(symbol, product)] = whole.take(rows)
        return part
    candles = {name: floats(column(table, (name,), path, name), name, path) for name in PRICES}
    volume = optional(table, ("volume",))
    mark = volume is None or "mark" in path.name.lower()
    columns = [candles[name].combine_chunks() for name in PRICES]
    if not mark:
        turnover = optional(table, TURNOVERS)
        columns.append(floats(volume, "volume", path).combine_chunks())
        columns.append(
            pa.nulls(table.num_rows, pa.float64())
            if turnover is None
            else floats(turnover, "turnover", path).combine_chunks()
        )
    for symbol, rows in rows_of.items():
        own = stamps[rows.to_numpy()]
        interval = options.interval or infer_interval(own, path)
        shift = interval_ns(interval) if options.stamp == "open" else 0
        values = [pa.array(own + shift), *(c.take(rows) for c in columns)]
        kind = "mark" if mark else "bars"
        key = (kind, interval, instrument_id(symbol, product))
        part.tables[key] = pa.table(values, schema=KINDS[kind].given)
    return part


def _load(path: Path) -> pa.Table:
    try:
        if path.name.endswith(".parquet"):
            return pq.read_table(path, partitioning=None)
        return pyarrow.csv.read_csv(path)
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: not readable as a table: {error}") from error


def _rows_by_symbol(table: pa.Table, path: Path) -> dict[str, pa.Array]:
    symbols = optional(table, SYMBOLS)
    if symbols is None:
        everything = pa.array(np.arange(table.num_rows))
        return {_symbol_in_name(path): everything}
    coded = symbols.combine_chunks().dictionary_encode()
    if coded.null_count:
        raise InputError(f"{path}: the symbol of a row is empty")
    codes = coded.indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    edges = np.flatnonzero(np.diff(codes[order])) + 1
    groups = np.split(order, edges) if len(order) else []
    found: dict[str, pa.Array] = {}
    for rows in groups:
        text = str(coded.dictionary[int(codes[rows[0]])].as_py())
        try:
            found[plain_symbol(text)] = pa.array(rows)
        except ValueError as error:
            raise InputError(f"{path}: row {int(rows[0]) + 1}: column symbol: {error}") from error
    return found


def _symbol_in_name(path: Path) -> str:
    for word in path.name.replace("-", "_").replace(".", "_").split("_"):
        try:
            return plain_symbol(word)
        except ValueError:
            continue
    raise InputError(f"{path}: no column symbol, and no symbol such as BTCUSDT in the file's name")
