"""Write one UTC day of ticks as its rows come, in flat memory.

Parts that come in order are appended to one file. Parts that do not begin files of their own, which
are merged at the end, together with the catalog's old file of that day. Of a message that comes
again (the same ts and seq) the later one stays, whole.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from catalog.storage.manifest import FileFact
from catalog.storage.raw import encoding
from config.durations import DAY_NS

ROW_GROUP = 65_536
GROUPS_READ = 16
MOST_FILES = 64
"""Unmerged files of one day; each needs some 5 MB in the merge."""
MOST_SWITCHES = 20
"""A source that was read in pieces follows its own earlier rows a few times."""

Key = tuple[int, int]


class ContentHash:
    """Hash of names and values of all columns, however the rows are cut into tables."""

    def __init__(self, names: Sequence[str]) -> None:
        self._columns = {name: hashlib.sha256() for name in names}

    def update(self, table: pa.Table) -> None:
        """Add the next rows."""
        for name, digest in self._columns.items():
            digest.update(np.ascontiguousarray(table.column(name).to_numpy()).data)

    def hexdigest(self) -> str:
        """Return the hash of all rows so far."""
        whole = hashlib.sha256()
        for name, digest in self._columns.items():
            whole.update(name.encode() + digest.digest())
        return whole.hexdigest()


def in_order(table: pa.Table) -> Iterator[pa.Table]:
    """Sort rows by ts and seq; rows of one message keep their order.

    Rows of a key follow each other where they are one message. A key that comes again later is a
    copy of the message, and in a further table.
    """
    ts, seq = _keys(table)
    steps = np.diff(ts)
    if not ((steps < 0) | ((steps == 0) & (np.diff(seq) < 0))).any():
        yield table
        return
    run = np.cumsum(np.r_[False, (steps != 0) | (np.diff(seq) != 0)])
    order = np.lexsort((seq, ts))
    ts, seq, run = ts[order], seq[order], run[order]
    begins = np.r_[True, (np.diff(ts) != 0) | (np.diff(seq) != 0)]
    copy = np.cumsum(np.r_[False, np.diff(run) != 0])
    copy -= copy[begins][np.cumsum(begins) - 1]
    for number in range(copy.max() + 1):
        yield table.take(pa.array(order[copy == number])).combine_chunks()


def by_day(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Cut sorted rows into UTC days: the day's name, such as ``2024-08-08``, and its rows."""
    ts = table.column("ts").to_numpy()
    low = 0
    while low < len(ts):
        day = int(ts[low]) // DAY_NS
        high = int(np.searchsorted(ts, (day + 1) * DAY_NS))
        yield str(np.datetime64(day, "D")), table.slice(low, high - low)
        low = high


def read(path: Path, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """Read a day's file in parts of about a million rows, each of whole messages."""
    wanted = None if columns is None else [*dict.fromkeys(("ts", "seq", *columns))]
    with pq.ParquetFile(path) as file:
        rest = None
        for first in range(0, file.num_row_groups, GROUPS_READ):
            last = min(first + GROUPS_READ, file.num_row_groups)
            part = file.read_row_groups(range(first, last), wanted)
            part = (part if rest is None else pa.concat_tables([rest, part])).combine_chunks()
            whole = part.num_rows
            if last < file.num_row_groups:
                whole = _below(part, _key(part, -1))
            if whole:
                yield part.slice(0, whole)
            rest = part.slice(whole)


class SortedFile:
    """Parquet file of rows that come sorted: row groups of one size, hashed on the way."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.last: Key = (0, 0)
        self._first = self._rows = 0
        self._hash = ContentHash(schema.names)
        self._file = pq.ParquetWriter(path, schema, **encoding(schema))
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0

    def write(self, table: pa.Table) -> None:
        """Add rows whose keys are above those before."""
        self._first = self._first if self._rows else table.column("ts")[0].as_py()
        self._rows += table.num_rows
        self.last = _key(table, -1)
        self._waiting.append(table)
        self._waiting_rows += table.num_rows
        if self._waiting_rows >= ROW_GROUP:
            joined = pa.concat_tables(self._waiting)
            ready = self._waiting_rows // ROW_GROUP * ROW_GROUP
            for start in range(0, ready, ROW_GROUP):
                self._put(joined.slice(start, ROW_GROUP))
            # A slice would keep the whole part in memory.
            self._waiting = [joined.take(pa.array(np.arange(ready, joined.num_rows)))]
            self._waiting_rows -= ready

    def close(self) -> FileFact:
        """Finish the file."""
        if self._waiting_rows:
            self._put(pa.concat_tables(self._waiting))
        self._file.close()
        return FileFact(
            sha256=self._hash.hexdigest(), rows=self._rows, first=self._first, last=self.last[0]
        )

    def _put(self, table: pa.Table) -> None:
        table = table.combine_chunks()
        self._hash.update(table)
        self._file.write_table(table, row_group_size=ROW_GROUP)


class Changes(NamedTuple):
    """Rows of a day that are new, that replaced others, and that contradicted each other."""

    added: int = 0
    replaced: int = 0
    duplicates: int = 0
    common: int = 0
    """Messages that were there, and came again."""
    switches: int = 0
    """Times that messages which were there and new ones follow each other."""

    @property
    def of_two_sources(self) -> bool:
        """Whether new messages lie between others that were there, with few in common."""
        return self.switches > MOST_SWITCHES and self.switches > self.common


class DayRows:
    """Rows of one series and one UTC day, part by part; `finish` leaves one file."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder = folder
        self._schema = schema
        self._done: list[Path] = []
        self._fact: FileFact | None = None
        self._open: SortedFile | None = None
        self._made = self._duplicates = 0

    def add(self, part: pa.Table) -> None:
        """Add sorted rows; whole messages."""
        if self._open is not None and _key(part, 0) <= self._open.last:
            self.pause()
        if self._open is None:
            if len(self._done) >= MOST_FILES:
                self._fact, changes = self._merge(self._done, self._next())
                self._duplicates += changes.duplicates
                self._done = [self._folder / f"{self._made}.parquet"]
            self._open = SortedFile(self._next(), self._schema)
        self._open.write(part)

    def pause(self) -> None:
        """Close the open file, if any; rows that come later begin another one."""
        if self._open is not None:
            self._fact = self._open.close()
            self._done.append(self._open.path)
            self._open = None

    def finish(self, old: Path | None, target: Path) -> tuple[FileFact, Changes]:
        """Merge all rows with those of the old file into the target."""
        self.pause()
        target.parent.mkdir(parents=True, exist_ok=True)
        if old is None and len(self._done) == 1:
            assert self._fact is not None
            os.rename(self._done[0], target)
            return self._fact, Changes(added=self._fact.rows, duplicates=self._duplicates)
        files = self._done if old is None else [old, *self._done]
        fact, changes = self._merge(files, target, old is not None)
        for path in self._done:
            path.unlink()
        return fact, changes._replace(duplicates=changes.duplicates + self._duplicates)

    def _next(self) -> Path:
        self._made += 1
        return self._folder / f"{self._made}.parquet"

    def _merge(
        self, files: list[Path], target: Path, has_old: bool = False
    ) -> tuple[FileFact, Changes]:
        written = SortedFile(target, self._schema)
        total = np.zeros(len(Changes._fields), dtype=np.int64)
        for parts in _blocks(files):
            table, changes = merge(parts, has_old)
            total += changes
            written.write(table)
        return written.close(), Changes(*total.tolist())


def merge(parts: Sequence[pa.Table], has_old: bool) -> tuple[pa.Table, Changes]:
    """Merge sorted tables by message; of equal keys the last table's message stays.

    The first table holds the old rows, if there are any.
    """
    filled = [index for index, part in enumerate(parts) if part.num_rows]
    if len(filled) == 1:
        table = parts[filled[0]]
        return table, Changes(added=0 if has_old and filled == [0] else table.num_rows)
    table = pa.concat_tables(parts)
    owner = np.repeat(np.arange(len(parts)), [part.num_rows for part in parts])
    ts, seq = _keys(table)
    order = np.lexsort((seq, ts))
    table, owner = table.take(pa.array(order)).combine_chunks(), owner[order]
    ts, seq = _keys(table)
    begins = np.r_[True, (np.diff(ts) != 0) | (np.diff(seq) != 0)]
    message = np.cumsum(begins) - 1
    winner = owner[np.r_[np.flatnonzero(begins)[1:], len(ts)] - 1]
    kept = owner == winner[message]
    old = np.zeros(len(winner), dtype=bool)
    old[message[owner == 0]] = has_old
    added = int((kept & ~old[message]).sum())
    fresh = np.zeros(len(winner), dtype=bool)
    fresh[message[owner > 0]] = has_old
    alone = fresh[old ^ fresh]
    met = (int((old & fresh).sum()), int((alone[1:] != alone[:-1]).sum()))
    if kept.all():
        return table, Changes(added, 0, 0, *met)
    # Copies of one message: rows of one owner in a row, compared with the winner's, place by place.
    copies = np.flatnonzero(begins | np.r_[True, np.diff(owner) != 0])
    lengths = np.diff(np.r_[copies, len(ts)])
    wins = kept[copies]
    winners = copies[wins][message[copies]]
    other = lengths != lengths[wins][message[copies]]
    copy = np.repeat(np.arange(len(copies)), lengths)
    place = np.arange(len(ts)) - copies[copy]
    twin = np.minimum(winners[copy] + place, len(ts) - 1)
    differs = np.zeros(len(ts), dtype=bool)
    for name in table.column_names:
        values = table.column(name).to_numpy()
        differs |= (values != values[twin]) & ~((values != values) & (values[twin] != values[twin]))
    other |= np.logical_or.reduceat(differs, copies)
    first = (owner[copies] == 0) & has_old
    replaced = lengths[wins][message[copies]][other & first].sum()
    duplicates = lengths[other & ~first].sum()
    return table.filter(pa.array(kept)), Changes(added, int(replaced), int(duplicates), *met)


def _blocks(files: Sequence[Path]) -> Iterator[list[pa.Table]]:
    """Read sorted files side by side: tables of the same range of keys, one a file."""
    opened = [pq.ParquetFile(path) for path in files]
    try:
        read = [0] * len(files)
        rest = [file.schema_arrow.empty_table() for file in opened]
        while True:
            more = [i for i, file in enumerate(opened) if read[i] < file.num_row_groups]
            if not more:
                break
            # The file whose rows end first bounds what is complete in all of them.
            next_ = min(more, key=lambda i: _key(rest[i], -1) if rest[i].num_rows else (-1, -1))
            group = opened[next_].read_row_group(read[next_], use_threads=False)
            rest[next_] = pa.concat_tables([rest[next_], group]).combine_chunks()
            read[next_] += 1
            if any(not rest[i].num_rows for i in more):
                continue
            more = [i for i in more if read[i] < opened[i].num_row_groups]
            if not more:
                break
            cuts = [_below(table, min(_key(rest[i], -1) for i in more)) for table in rest]
            if any(cuts):
                yield [table.slice(0, cut) for table, cut in zip(rest, cuts, strict=True)]
                rest = [table.slice(cut) for table, cut in zip(rest, cuts, strict=True)]
        if any(table.num_rows for table in rest):
            yield rest
    finally:
        for file in opened:
            file.close()


def _below(table: pa.Table, key: Key) -> int:
    ts, seq = _keys(table)
    low, high = np.searchsorted(ts, key[0], "left"), np.searchsorted(ts, key[0], "right")
    return int(low + np.searchsorted(seq[low:high], key[1], "left"))


def _keys(table: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return table.column("ts").to_numpy(), table.column("seq").to_numpy()


def _key(table: pa.Table, row: int) -> Key:
    return table.column("ts")[row].as_py(), table.column("seq")[row].as_py()
