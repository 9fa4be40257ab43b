"""The neutral Parquet files: their columns, and joining and writing them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from catalog.providers.base import BARS, FUNDING, MARKS
from config.errors import InputError

ROW_GROUP = 2048
"""Rows a row group: what a slice of the window decodes too much stays small."""

MINUTE_NS = 60_000_000_000

STORED_FUNDING = pa.schema([("ts", pa.int64()), ("ts_source", pa.int64()), ("rate", pa.float64())])
"""Funding as stored: `ts` snapped to the nearest minute, `ts_source` as the source stamped it."""

SCHEMAS = {"bars": BARS, "mark": MARKS, "funding": STORED_FUNDING}


class Merged(NamedTuple):
    """A join of old and new rows: `added` and `replaced` count rows against the old table."""

    table: pa.Table
    added: int
    replaced: int
    duplicates: int


def write(table: pa.Table, path: Path) -> None:
    """Write a raw file: zstd, floats split by byte, stamps by their differences."""
    path.parent.mkdir(parents=True, exist_ok=True)
    floats = [f.name for f in table.schema if f.type == pa.float64()]
    stamps = [f.name for f in table.schema if f.type == pa.int64()]
    pq.write_table(
        table,
        path,
        row_group_size=ROW_GROUP,
        compression="zstd",
        use_dictionary=False,
        column_encoding={
            **dict.fromkeys(floats, "BYTE_STREAM_SPLIT"),
            **dict.fromkeys(stamps, "DELTA_BINARY_PACKED"),
        },
    )


def normalize(kind: str, table: pa.Table, where: str) -> pa.Table:
    """Bring a provider's table into the stored form (not yet sorted).

    Parameters
    ----------
    kind : str
        ``bars``, ``mark`` or ``funding``.
    table : pyarrow.Table
        Of schema `BARS`, `MARKS` or `FUNDING`; other columns are dropped.
    where : str
        Named in errors.

    Raises
    ------
    InputError
        When a column is missing, or a stamp, price, volume or rate is null or not finite.
    """
    wanted = FUNDING if kind == "funding" else SCHEMAS[kind]
    missing = [n for n in wanted.names if n not in table.column_names and n != "turnover"]
    if missing:
        raise InputError(f"{where}: no column {', '.join(missing)}; there is {table.column_names}")
    if kind == "bars":
        table = _with_turnover(table)
    table = table.select(wanted.names).cast(wanted).combine_chunks()
    for name in wanted.names:
        column = table.column(name)
        finite = column.null_count == 0 and (
            column.type != pa.float64() or bool(np.isfinite(column.to_numpy()).all())
        )
        if not finite:
            raise InputError(f"{where}: column {name} has a null or a number that is not finite")
    if kind == "funding":
        source = table.column("ts").to_numpy()
        snapped = (source + MINUTE_NS // 2) // MINUTE_NS * MINUTE_NS
        columns = [pa.array(snapped), pa.array(source), table.column("rate")]
        return pa.Table.from_arrays(columns, schema=STORED_FUNDING)
    return table


def _with_turnover(table: pa.Table) -> pa.Table:
    worth = pc.multiply(table.column("volume"), table.column("close"))
    if "turnover" not in table.column_names:
        return table.append_column("turnover", worth)
    told = table.column("turnover").cast(pa.float64())
    index = table.column_names.index("turnover")
    return table.set_column(index, "turnover", pc.coalesce(told, worth))


def merge(old: pa.Table | None, new: pa.Table) -> Merged:
    """Join rows by ts; where both have one, the new one wins, and of two new ones the last.

    Parameters
    ----------
    old : pyarrow.Table, optional
        Sorted by ts, without duplicates.
    new : pyarrow.Table
        Normalized, in any order.

    Returns
    -------
    Merged
        Sorted by ts, without duplicates.
    """
    new, duplicates = _sorted_unique(new)
    if old is None or old.num_rows == 0:
        return Merged(new, new.num_rows, 0, duplicates)
    both = pa.concat_tables([old.cast(new.schema), new])
    stamps = both.column("ts").to_numpy()
    order = np.argsort(stamps, kind="stable")
    ordered = stamps[order]
    overruled = np.append(ordered[1:] == ordered[:-1], False)
    pairs = np.flatnonzero(overruled)
    differs = _rows_differ(both, order[pairs], order[pairs + 1])
    table = both.take(pa.array(order[~overruled])).combine_chunks()
    added = new.num_rows - len(pairs)
    return Merged(table, added, int(differs.sum()), duplicates)


def _sorted_unique(table: pa.Table) -> tuple[pa.Table, int]:
    stamps = table.column("ts").to_numpy()
    if len(stamps) < 2 or bool((np.diff(stamps) > 0).all()):
        return table, 0
    order = np.argsort(stamps, kind="stable")
    ordered = stamps[order]
    overruled = np.append(ordered[1:] == ordered[:-1], False)
    pairs = np.flatnonzero(overruled)
    differs = int(_rows_differ(table, order[pairs], order[pairs + 1]).sum())
    return table.take(pa.array(order[~overruled])).combine_chunks(), differs


def _rows_differ(table: pa.Table, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    differs = np.zeros(len(left), dtype=bool)
    for name in table.column_names:
        values = table.column(name).to_numpy()
        differs |= values[left] != values[right]
    return differs
