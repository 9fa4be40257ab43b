"""Read, merge and write the neutral Parquet files."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from config.errors import DeskError

ROW_GROUP = 2048
"""Rows a row group; small, because reading part of a window decodes whole groups."""


_ENCODINGS = {pa.float64(): "BYTE_STREAM_SPLIT", pa.int64(): "DELTA_BINARY_PACKED"}


class Merged(NamedTuple):
    """Merged rows; `added` and `replaced` count rows against the old table."""

    table: pa.Table
    added: int
    replaced: int
    duplicates: int


def write(table: pa.Table, path: Path) -> None:
    """Write a raw file: zstd, floats split by byte, stamps delta-encoded."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=ROW_GROUP, **encoding(table.schema))


def encoding(schema: pa.Schema) -> dict[str, Any]:
    """Return the options of Parquet files: compression, and how each column is encoded."""
    names = {kind: [f.name for f in schema if f.type == kind] for kind in _ENCODINGS}
    return {
        "compression": "zstd",
        "use_dictionary": [f.name for f in schema if f.type not in _ENCODINGS] or False,
        "column_encoding": {n: _ENCODINGS[kind] for kind in names for n in names[kind]},
    }


def merge(old: pa.Table | None, new: pa.Table) -> Merged:
    """Merge rows by ts; the new row replaces the old one, and the last of two new ones wins.

    ``old`` and the result are sorted by ts, without duplicates; ``new`` is in any order.
    """
    new, duplicates = _sorted_unique(new)
    if old is None or old.num_rows == 0:
        return Merged(new, new.num_rows, 0, duplicates)
    table, replaced = _sorted_unique(pa.concat_tables([old.cast(new.schema), new]))
    return Merged(table.combine_chunks(), table.num_rows - old.num_rows, replaced, duplicates)


def _sorted_unique(table: pa.Table) -> tuple[pa.Table, int]:
    stamps = table.column("ts").to_numpy()
    if len(stamps) < 2 or bool((np.diff(stamps) > 0).all()):
        return table, 0
    order = np.argsort(stamps, kind="stable")
    ordered = stamps[order]
    overruled = np.append(ordered[1:] == ordered[:-1], False)
    pairs = np.flatnonzero(overruled)
    differs = np.zeros(len(pairs), dtype=bool)
    for values in (column.to_numpy() for column in table.columns):
        differs |= values[order[pairs]] != values[order[pairs + 1]]
    return table.take(pa.array(order[~overruled])).combine_chunks(), int(differs.sum())


KEPT_BYTES = 64_000_000
"""Decoded row groups kept in memory. A slice begins in the last group of the one before, so a run
over 300 instruments decodes each group once."""


class Footer(NamedTuple):
    """Metadata of a file, and the first and last ts of each row group."""

    metadata: pq.FileMetaData
    first: NDArray[np.int64]
    last: NDArray[np.int64]


class RawFiles:
    """Reader of the raw files of one catalog version, which never change; `place` tells where."""

    def __init__(self, place: Callable[[str], Path]) -> None:
        self._place = place
        self._footers: dict[str, Footer] = {}
        self._groups: OrderedDict[tuple[str, int], pa.Table] = OrderedDict()
        self._kept_bytes = 0

    def range(self, path: str, start_ns: int, end_ns: int) -> pa.Table:
        """Read the rows of a file with start < ts <= end, sorted by ts, in one chunk."""
        footer = self._footer(path)
        begin = int(np.searchsorted(footer.last, start_ns, side="right"))
        stop = int(np.searchsorted(footer.first, end_ns, side="right"))
        if begin >= stop:
            return footer.metadata.schema.to_arrow_schema().empty_table()
        parts = [self._group(path, index) for index in range(begin, stop)]
        table = parts[0] if len(parts) == 1 else pa.concat_tables(parts).combine_chunks()
        stamps = table.column("ts").to_numpy()
        low, high = np.searchsorted(stamps, [start_ns, end_ns], side="right")
        return table.slice(int(low), int(high - low))

    def last_flagged(self, path: str, column: str, flag: int, end_ns: int) -> int | None:
        """Return the ts of the last row with ts <= end whose column has a flag; None without."""
        footer = self._footer(path)
        place = footer.metadata.schema.to_arrow_schema().get_field_index(column)
        for index in reversed(range(np.searchsorted(footer.first, end_ns, side="right"))):
            if footer.metadata.row_group(index).column(place).statistics.max == 0:
                continue
            table = self._group(path, index)
            flagged = (table.column(column).to_numpy() & flag) != 0
            ts = table.column("ts").to_numpy()[flagged]
            if len(ts) and ts[0] <= end_ns:
                return int(ts[np.searchsorted(ts, end_ns, side="right") - 1])
        return None

    def _footer(self, path: str) -> Footer:
        if path not in self._footers:
            metadata = self._read(path, lambda: pq.read_metadata(self._place(path)))
            column = metadata.schema.to_arrow_schema().get_field_index("ts")
            groups = (metadata.row_group(i) for i in range(metadata.num_row_groups))
            ends = [group.column(column).statistics for group in groups]
            self._footers[path] = Footer(
                metadata,
                np.array([end.min for end in ends], dtype=np.int64),
                np.array([end.max for end in ends], dtype=np.int64),
            )
        return self._footers[path]

    def _group(self, path: str, index: int) -> pa.Table:
        key = (path, index)
        table = self._groups.get(key)
        if table is None:
            table = self._read(path, lambda: self._read_group(path, index))
            self._groups[key] = table
            self._kept_bytes += table.nbytes
            while self._kept_bytes > KEPT_BYTES and len(self._groups) > 1:
                self._kept_bytes -= self._groups.popitem(last=False)[1].nbytes
        else:
            self._groups.move_to_end(key)
        return table

    def _read_group(self, path: str, index: int) -> pa.Table:
        metadata = self._footers[path].metadata
        with pq.ParquetFile(self._place(path), metadata=metadata) as file:
            return file.read_row_group(index, use_threads=False)

    def _read[Made](self, path: str, read: Callable[[], Made]) -> Made:
        try:
            return read()
        except (OSError, pa.ArrowException) as error:
            gone = isinstance(error, FileNotFoundError)
            raise DeskError(
                f"{self._place(path)}: {'is missing' if gone else f'cannot be read: {error}'}; "
                "was the catalog changed by hand? `perpdesk catalog check` lists what is wrong, "
                "importing the data again mends it"
            ) from error
