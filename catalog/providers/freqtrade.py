"""Read freqtrade's feather files: candles, mark prices and funding.

Names are freqtrade's (``BTC_USDT_USDT-5m-futures.feather``, ``…-1h-mark``, ``…-8h-funding_rate``,
older ``BTC_USDT-5m-futures``, spot ``BTC_USDT-1h``), or long ones:
``bybit_linear_BTCUSDT_mark_1h_20250924_20260131.feather``. ``date`` is the candle's open. A funding
file has the rate in ``open``; ignore the interval in its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.feather

from catalog.instruments import instrument_id
from catalog.providers.base import Import, ImportOptions
from catalog.providers.files import column, find, floats, plain_symbol, stamps_ns, venue_of
from catalog.series import KINDS, PRICES
from config.durations import INTERVALS
from config.errors import InputError

_OWN = re.compile(
    r"(?P<pair>[A-Z0-9]+_[A-Z0-9]+(_[A-Z0-9]+)?)-(?P<interval>\d+\w)(-(?P<kind>\w+))?"
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

    In a folder, files of trades or of an unknown interval (1w, 8h …) are skipped, with a note. A
    path to such a file is an error.
    """
    named = {path for path in paths if path.is_file()}
    chosen: list[tuple[Path, Name]] = []
    left_out: list[str] = []
    for path in find(paths, (".feather",)):
        name = parse_name(path)
        if name is None or (name.kind != "funding" and name.interval not in INTERVALS):
            if path in named:
                raise InputError(
                    f"{path}: not a name like BTC_USDT_USDT-5m-futures.feather with an interval "
                    f"of {', '.join(INTERVALS)}"
                )
            left_out.append(path.name)
        else:
            chosen.append((path, name))
    for path, name in chosen:
        yield _read_file(path, name, options, _note(options.note, left_out))


def parse_name(path: Path) -> Name | None:
    """Parse a file's name; None if it is not freqtrade's."""
    stem = path.name.removesuffix(".feather")
    match = _LONG.fullmatch(stem) or _OWN.fullmatch(stem)
    if match is None or match["kind"] not in _KINDS:
        return None
    groups = match.groupdict()
    perpetual = groups["kind"] is not None or groups["pair"].count("_") == 2
    product = (groups.get("product") or ("linear" if perpetual else "spot")).upper()
    try:
        symbol = plain_symbol(groups["pair"])
    except ValueError:
        return None
    return Name(symbol, product, _KINDS[groups["kind"]], groups["interval"])


def _note(note: str, left_out: list[str]) -> str:
    words = f"left out: {', '.join(left_out)}" if left_out else ""
    return "; ".join(part for part in (note, words) if part)


def _read_file(path: Path, name: Name, options: ImportOptions, note: str) -> Import:
    try:
        table = pyarrow.feather.read_table(path)
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: not a feather file: {error}") from error
    instrument = instrument_id(name.symbol, options.product or name.product)
    stamps = stamps_ns(column(table, ("date",), path, "the date"), path)

    def numbers(names: tuple[str, ...]) -> list[pa.Array]:
        return [floats(column(table, (n,), path, n), n, path).combine_chunks() for n in names]

    part = Import(
        source="freqtrade files",
        source_venue=options.source_venue or venue_of(path),
        note=note,
        files=[path],
    )
    columns = {"funding": ("open",), "mark": PRICES, "bars": (*PRICES, "volume")}[name.kind]
    interval = "" if name.kind == "funding" else name.interval
    stamps = stamps + (INTERVALS[interval] if interval else 0)
    given = [pa.array(stamps), *numbers(columns)]
    if name.kind == "bars":
        given.append(pa.nulls(len(stamps), pa.float64()))
    part.tables[name.kind, interval, instrument] = pa.table(given, schema=KINDS[name.kind].given)
    return part
