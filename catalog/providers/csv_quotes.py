"""Read plain CSV quotes: ``symbol,bid,ask[,bid_size,ask_size][,timestamp]``, in any order.

Without a timestamp the rows are evenly spaced: by --interval, else by a second, from the date in
the file's name, else from 2020-01-01 UTC. Without sizes each side holds 1,000,000 coins, so that
no fill is cut. Both are warned of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from catalog.providers.base import Import, ImportOptions
from catalog.providers.files import COLUMNS, there_is, venue_of
from catalog.providers.tick_order import RunningNumbers
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
from config.durations import SECOND_NS, interval_ns, nanoseconds

SIZE_UNKNOWN = 1_000_000.0
_FIELDS = {
    "bid": ("bid", "bidprice", "bestbid", "bestbidprice", "bidpx"),
    "ask": ("ask", "askprice", "bestask", "bestaskprice", "askpx", "offer"),
    "bid_size": ("bidsize", "bidqty", "bidquantity", "bidamount", "bidvolume", "bestbidqty"),
    "ask_size": ("asksize", "askqty", "askquantity", "askamount", "askvolume", "bestaskqty"),
    "symbol": COLUMNS["symbol"],
    "timestamp": (*(n for n in COLUMNS["time"] if n), "timestampns", "timestampms", "localtsns"),
}
"""Names of each field in files, without capitals, spaces and ``_``."""
_TIME = re.compile(r"time|stamp|(?<![a-z])(date|ts)(?![a-z])", re.IGNORECASE)
"""What looks like the name of a column of times."""


def read(paths: Sequence[Path], options: ImportOptions) -> Iterator[Import]:
    """Read each file in parts of up to 64 MB; raise InputError with file and line."""
    yield from each(paths, (".csv",), lambda path, source: _file(path, source, options))


def _file(path: Path, source: Source, options: ImportOptions) -> Iterator[Import]:
    cells = header(source)
    names = _fields(cells, source)
    symbols = Symbols(options, product_hint(path, source))
    part = partial(options.part, "CSV quotes", venue_of(path), path)
    warnings = []
    step, start = interval_ns(options.interval) if options.interval else SECOND_NS, _start(source)
    if "timestamp" not in names:
        began = datetime.fromtimestamp(start / SECOND_NS, UTC)
        warnings.append(
            f"{source.where}: no timestamp: its rows are put {step / SECOND_NS:g} s apart from "
            f"{began:%Y-%m-%d %H:%M} UTC on, which is not when they were quoted"
        )
    if unused := [c for c in cells if _TIME.search(c) and c != names.get("timestamp")]:
        taken = f"that of {names['timestamp']}" if "timestamp" in names else "none of theirs"
        warnings.append(
            f"{source.where}: {', '.join(unused)} not used: the quotes' time is {taken}; name the "
            "column timestamp whose time you want"
        )
    if "bid_size" not in names or "ask_size" not in names:
        warnings.append(
            f"{source.where}: no sizes: each side is taken to hold {SIZE_UNKNOWN:,.0f} coins, so "
            "that no fill is cut"
        )
    texts = {"symbol": pa.string(), "timestamp": pa.string()}
    kinds = {column: texts.get(field, pa.float64()) for field, column in names.items()}
    numbers = RunningNumbers(source.where, "quotes")
    for batch in batches(source, cells, kinds):
        count = batch.table.num_rows
        values = [
            batch.floats(names[field]) if field in names else np.full(count, SIZE_UNKNOWN)
            for field in ("bid", "ask", "bid_size", "ask_size")
        ]
        ts = start + step * (batch.line - 1 + np.arange(count))
        if "timestamp" in names:
            ts = batch.stamps(names["timestamp"])
        own = symbols.rows(batch, names.get("symbol"), source)
        numbers.direction(ts, own)
        found = {}
        for instrument, rows in own.items():
            own_values = [column[rows] for column in values]
            lines = batch.line + rows
            places, keys = numbers.sort(instrument, ts[rows], lines, own_values)
            columns = [*keys, keys[0], *(column[places] for column in own_values)]
            found["quotes", "", instrument] = tick_table("quotes", columns)
        yield part(tables=found, assumed=[*symbols.assumed])
    yield part(warnings=[*warnings, *numbers.warnings()])


def _fields(cells: list[str], source: Source) -> dict[str, str]:
    found: dict[str, str] = {}
    for field, known in _FIELDS.items():
        bare = {re.sub(r"[\W_]+", "", cell.lower()): cell for cell in reversed(cells)}
        name = next((bare[name] for name in known if name in bare), None)
        if name is not None:
            found[field] = name
        elif field in ("bid", "ask"):
            raise AnotherKind(f"{source.where}: line 1: no column {field}; {there_is(cells)}")
    return found


def _start(source: Source) -> int:
    day = datetime(2020, 1, 1, tzinfo=UTC)
    if dated := re.search(r"(?<!\d)(20\d\d)-?([01]\d)-?([0-3]\d)(?!\d)", source.path.name):
        with suppress(ValueError):
            day = datetime.fromisoformat("-".join(dated.groups())).replace(tzinfo=UTC)
    return nanoseconds(day)
