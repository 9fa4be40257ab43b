"""Read tables of candles, mark prices or funding: CSV, JSON, Parquet, also .gz and .zip.

One row is a candle or a settlement of one symbol. Columns have any order and the usual names (see
`catalog.providers.files.COLUMNS`, or --columns): a date; a symbol, else the file's name has it; and
open, high, low, close, volume, or funding_rate. Mark prices are read only when the name of the file
or of its folder says mark, or with --kind mark. So it reads exports of CryptoDataDownload and
TradingView, Binance's archive, ccxt's lists, and funding as Bybit and Binance save it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from catalog.instruments import instrument_id
from catalog.providers import freqtrade
from catalog.providers.base import Import, ImportOptions
from catalog.providers.files import (
    CLOSE_TIMES,
    Columns,
    find,
    floats,
    infer_interval,
    refuse_frequent,
    refuse_longer,
    venue_of,
    volume_names,
)
from catalog.providers.symbols import (
    KIND_WORDS,
    LINEAR,
    PRODUCT_WORDS,
    has_symbol,
    hinted,
    resolve,
    symbol_in_name,
)
from catalog.providers.tables import SUFFIXES, SourceTable, load_tables
from catalog.providers.ticks import rows_by_text
from catalog.series import FUNDING, KINDS, PRICES
from config.durations import MINUTE_NS, SECOND_NS, STORED, interval_ns
from config.errors import InputError

MOST_WRONG = 0.1
"""Share of impossible candles at which an import is refused; fewer are warned of."""


def read(paths: Sequence[Path], options: ImportOptions) -> Iterator[Import]:
    """Read each table as one part; raise InputError with file, row and column.

    Texts of a folder that are no tables, such as README.txt, are left out with a warning.
    """
    found = find(paths, SUFFIXES)
    problems = {p: words for p in found if p not in paths and (words := _no_table(p, options))}
    if len(problems) == len(found):
        raise InputError("\n".join(problems.values()))
    left_out = [f"{words}; left out" for words in problems.values()]
    for path in (p for p in found if p not in problems):
        for source in load_tables(path):
            part = _read_table(path, source, options)
            part.warnings[:0], left_out = left_out, []
            yield part


def _no_table(path: Path, options: ImportOptions) -> str:
    """Return why a text without a symbol in its name is no table, or nothing."""
    if path.suffix != ".txt" or has_symbol(path.name):
        return ""
    try:
        tables = list(load_tables(path))
    except InputError as error:
        return str(error)
    columns = [Columns(source.table, source.where, options.columns) for source in tables]
    dated = any(c.find("time", *CLOSE_TIMES) is not None for c in columns)
    return "" if dated else f"{path}: no column for the date"


def _read_table(path: Path, source: SourceTable, options: ImportOptions) -> Import:
    table, where = source.table, source.where
    if table.num_rows == 0:
        raise InputError(f"{where}: no rows")
    part = options.part("OHLCV tables", venue_of(path), path)
    columns = Columns(table, where, options.columns, options.stamp)
    kind = _kind(path, source, columns, options)
    stamps = columns.stamps()
    if options.stamp == "close" and kind != "funding":
        stamps = _whole_seconds(stamps)
    hint = hinted(path.parent / source.name, PRODUCT_WORDS) or hinted(path, PRODUCT_WORDS)
    hint = hint if kind == "bars" else LINEAR
    rows_of = _rows_by_instrument(source, columns, options, part, hint)
    if not rows_of:
        return part
    if kind == "funding":
        rates = columns.numbers("rate")
        for instrument, rows in rows_of.items():
            refuse_frequent(stamps, rows, where)
            pair = [stamps[rows], rates[rows]]
            part.tables["funding", "", instrument] = pa.table(pair, schema=FUNDING)
        return part
    candles = [columns.amounts(name) for name in PRICES]
    opens, high, low, closes = candles
    wrong = (high < np.maximum(opens, closes)) | (low > np.minimum(opens, closes))
    if wrong.mean() > MOST_WRONG:
        raise InputError(
            f"{where}: row {int(np.argmax(wrong)) + 1}: open or close outside low and high, as in "
            f"{wrong.mean():.0%} of the rows: columns in another order?"
        )
    if kind == "bars":
        candles += _volumes(columns, list(rows_of), candles[-1], part)
    said = options.interval or _interval_in_name(source.name)
    for instrument, rows in rows_of.items():
        others = f" ({', '.join(table.column_names)})"
        place = f"{where}: {instrument}"
        interval = infer_interval(stamps[rows], place, said, others)
        insisted = part.warnings if options.interval else None
        refuse_longer(stamps, rows, interval, place, insisted, options.stamp)
        shift = interval_ns(interval) if options.stamp == "open" else 0
        values = [pa.array(c[rows], from_pandas=True) for c in candles]
        stamped = [stamps[rows] + shift, *values]
        part.tables[kind, interval, instrument] = pa.table(stamped, schema=KINDS[kind].given)
    return part


def _whole_seconds(closes: np.ndarray) -> np.ndarray:
    """Round the last moments of candles (…59.999, or …59 of whole minutes) up to their closes."""
    rounded = -(-closes // SECOND_NS) * SECOND_NS
    return rounded + SECOND_NS * (rounded % MINUTE_NS == MINUTE_NS - SECOND_NS)


def _kind(path: Path, source: SourceTable, columns: Columns, options: ImportOptions) -> str:
    if options.kind and KINDS[options.kind].by_day:
        raise InputError(f"--kind {options.kind}: ohlcv_table reads candles, marks and funding")
    inner = path.parent / source.name
    # Mark prices have no volume: a folder /data/mark with candles may be a person's.
    volume = None if "volume" in columns.mapping else columns.find("volume")
    traded = volume is not None and floats(volume, "volume", source.where, empty=True).any()
    unsure = ("mark",) if traded or "volume" in columns.mapping else ()
    named = hinted(inner, KIND_WORDS, unsure) or hinted(path, KIND_WORDS, unsure)
    if options.kind is None and named == "index":
        raise InputError(
            f"{source.where}: its name says index or premium, which are not kept: only candles, "
            "mark prices and funding (--kind bars, if they are candles)"
        )
    rates, close = columns.find("rate"), columns.find("close")
    if options.kind is None and rates is not None and close is not None:
        raise InputError(f"{source.where}: has both candles and funding: say --kind")
    return options.kind or named or ("bars" if rates is None else "funding")


def _volumes(
    columns: Columns, instruments: list[str], close: np.ndarray, part: Import
) -> list[np.ndarray]:
    base, quote = volume_names([name.partition("-")[0] for name in instruments])
    if columns.has("volccy") and "volume" not in columns.mapping:
        raise InputError(
            f"{columns.where}: OKX counts vol in contracts for perpetuals and in coins for spot: "
            "say --columns FILE.yaml with `volume: volCcy` or `volume: vol`"
        )
    given = columns.find("turnover", *quote)
    turnover = np.full(len(close), np.nan)
    if given is not None:
        turnover = floats(given, "turnover", columns.where, empty=True)
    if columns.find("volume", *base) is None and given is not None:
        part.warnings.append(f"{columns.where}: no volume in coins: it is turnover / close")
        return [np.round(floats(given, "turnover", columns.where) / close, 8), turnover]
    try:
        return [columns.amounts("volume", *base), turnover]
    except InputError as error:
        if columns.find("volume", *base) is not None:
            raise
        raise InputError(f"{error}; mark prices have none: --kind mark") from None


def _interval_in_name(name: str) -> str | None:
    found = {word for word in re.split(r"[^A-Za-z0-9]+", name) if word in STORED}
    return found.pop() if len(found) == 1 else None


def _rows_by_instrument(
    source: SourceTable, columns: Columns, options: ImportOptions, part: Import, hint: str | None
) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    texts: dict[str, str] = {}
    problems: list[str] = []
    for text, rows in _texts(source, columns, options).items():
        try:
            instrument, assumed = resolve(text, options.product, hint)
        except ValueError as error:
            if options.wants(text):
                problems.append(f"{source.where}: row {rows[0] + 1}: {error}")
            continue
        if not options.wants(text, instrument):
            continue
        if instrument in found:
            problems.append(
                f"{source.where}: row {rows[0] + 1}: {texts[instrument]} and {text} are both "
                f"{instrument}: spot and perpetual? import them one by one with --symbols and "
                "--product"
            )
        found[instrument], texts[instrument] = rows, text
        if assumed:
            part.assumed.append(instrument)
    if problems:
        raise InputError("\n".join(problems))
    return found


def _texts(source: SourceTable, columns: Columns, options: ImportOptions) -> dict[str, np.ndarray]:
    symbols = columns.find("symbol")
    if symbols is None:
        return {_text_in_name(source, options): np.arange(source.table.num_rows)}
    found: dict[str, np.ndarray] = {}
    for text, rows in rows_by_text(symbols.cast(pa.string())).items():
        if not text:
            raise InputError(f"{source.where}: row {rows[0] + 1}: the symbol is empty")
        name = text.strip().upper()
        found[name] = np.sort(np.concatenate([found.get(name, rows[:0]), rows]))
    return found


def _text_in_name(source: SourceTable, options: ImportOptions) -> str:
    try:
        own = freqtrade.parse_name(Path(source.name))
        if own is not None:
            return instrument_id(own.symbol, options.product or own.product)
        return symbol_in_name(source.name)
    except ValueError as error:
        raise InputError(f"{source.where}: {error}") from error
