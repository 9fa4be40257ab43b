"""Load tables as they are saved: CSV, JSON, Parquet or Feather, plain, in .gz or in .zip.

Texts stay texts, so that no number or date is guessed before its column is known.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq

from catalog.providers.ticks import sources
from catalog.series import PRICES
from config.errors import InputError

SUFFIXES = (".parquet", ".csv", ".csv.gz", ".tsv", ".txt", ".json", ".json.gz", ".zip")
HEADERLESS = {
    2: ("time", "rate"),
    5: ("time", *PRICES),
    6: ("time", *PRICES, "volume"),
    7: ("time", *PRICES, "volume", "turnover"),
    # Binance's other columns are numbers of trades and taker volumes.
    12: ("time", *PRICES, "volume", "close_time", "turnover", "_1", "_2", "_3", "_4"),
}
"""Columns of rows without a header, by their number: ccxt's and freqtrade's, Bybit's, Binance's."""


class SourceTable(NamedTuple):
    """A table, its place for error messages, and the name of its file."""

    table: pa.Table
    where: str
    name: str


def load_tables(path: Path) -> Iterator[SourceTable]:
    """Load the tables of one file, several of a .zip; raise InputError with the file and place."""
    if path.suffix in (".parquet", ".feather"):
        yield SourceTable(_load(path.name, path, str(path)), str(path), path.name)
        return
    for where, inner, stream in sources(path, SUFFIXES):
        yield SourceTable(_load(inner.name, stream.read(), where), where, inner.name)


def decode(content: bytes, where: str) -> str:
    """Decode UTF-8, or UTF-16 with its mark; raise InputError with the place of a wrong byte."""
    utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(f"{where}: line {line}: not UTF-8; save it as UTF-8") from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise InputError(f"{where}: line {line}: a zero byte; save it as UTF-8 text")
    return text


def _load(name: str, content: Path | bytes, where: str) -> pa.Table:
    kind = Path(name.removesuffix(".gz")).suffix
    try:
        if kind in (".parquet", ".feather"):
            source: Any = pa.BufferReader(content) if isinstance(content, bytes) else content
            if kind == ".parquet":
                return pq.read_table(source, partitioning=None)
            return pyarrow.feather.read_table(source)
        assert isinstance(content, bytes)
        text = decode(content, where)
        return _from_json(text, where) if kind == ".json" else _from_csv(text, where)
    except (pa.ArrowInvalid, OSError) as error:
        words = str(error).splitlines()[0]
        raise InputError(f"{where}: not readable as a table: {words}") from error


def _from_csv(text: str, where: str) -> pa.Table:
    head = text[:100_000].splitlines()[:20]
    unquoted = [re.sub(r'"[^"]*"', "", line) for line in head]
    delimiter = max(",;\t|", key=lambda sign: max((u.count(sign) for u in unquoted), default=0))
    counts = [line.count(delimiter) for line in unquoted]
    if not head or max(counts) == 0:
        raise InputError(f"{where}: not a table: no line of several columns")
    skipped = counts.index(max(counts))
    names = [cell.strip().strip('"') for cell in head[skipped].split(delimiter)]
    given = _headerless(names, where) if names[0][:1].isdigit() else None
    if given and skipped and counts[skipped - 1]:
        raise InputError(
            f"{where}: line {skipped + 1}: {len(names)} columns under {counts[skipped - 1] + 1} "
            f"names; is there a {delimiter!r} too many at the ends of lines?"
        )
    table = pyarrow.csv.read_csv(
        io.BytesIO(text.encode()),
        read_options=pyarrow.csv.ReadOptions(
            skip_rows=skipped, column_names=given, use_threads=False
        ),
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(given or names, pa.string()),
            strings_can_be_null=True,
            null_values=["", "null", "None", "NaN", "nan"],
        ),
    )
    columns = [
        pc.utf8_trim_whitespace(column) if pa.types.is_string(column.type) else column
        for column in table.columns
    ]
    return pa.table(columns, names=table.column_names)


def _headerless(cells: list[str], where: str) -> list[str]:
    width = len(cells)
    if width > 5 and ":" in cells[1] and width - 1 in HEADERLESS:
        return ["date", *HEADERLESS[width - 1]]
    if width not in HEADERLESS:
        raise InputError(f"{where}: row 1: no line of column names above {width} columns")
    return list(HEADERLESS[width])


def _from_json(text: str, where: str) -> pa.Table:
    try:
        found = json.loads(text, parse_float=str, parse_int=str)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{where}: line {error.lineno}: not JSON, or cut short: {error.msg}"
        ) from error
    rows: list[dict[str, Any]] = []
    groups = found.items() if isinstance(found, dict) else [(None, found)]
    for symbol, group in groups:
        if not isinstance(group, list):
            raise InputError(
                f"{where}: field {symbol}: not a list of rows (ccxt's candles are; saved answers "
                "of Bybit are read by `perpdesk catalog import bybit_json`)"
            )
        for row in group:
            if isinstance(row, list):
                row = dict(zip(HEADERLESS.get(len(row), ()), row, strict=False))
            if not isinstance(row, dict) or not row:
                raise InputError(f"{where}: row {len(rows) + 1}: not a candle of 5 to 12 values")
            rows.append({"symbol": symbol, **row} if symbol else row)
    if not rows:
        raise InputError(f"{where}: no rows")
    names = dict.fromkeys(name for row in rows for name in row)
    texts = {
        name: [row[name] if isinstance(row.get(name), str) else None for row in rows]
        for name in names
    }
    return pa.table({name: pa.array(cells, pa.string()) for name, cells in texts.items()})
