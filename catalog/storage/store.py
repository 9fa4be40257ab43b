"""Read one immutable version of the catalog, locked while it is open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from catalog.series import KINDS, SNAPSHOT
from catalog.storage.index import CatalogIndex
from catalog.storage.raw import RawFiles
from config.durations import HOUR_NS


class Catalog(CatalogIndex):
    """One version of a catalog, open for reading; parameters and errors as in `CatalogIndex`."""

    def __init__(self, path: Path | str) -> None:
        super().__init__(path)
        self._raw = RawFiles(self.file)

    def series(
        self, kind: str, interval: str, instrument: str, start_ns: int, end_ns: int
    ) -> pa.Table:
        """Read one instrument's rows with start < ts <= end, in one chunk; may be empty.

        Rows are sorted by ts; those of ticks by ts and seq, all days joined.
        """
        files = self.manifest.files
        parts = [
            self._raw.range(path, start_ns, end_ns)
            for path in self.paths(kind, interval, instrument)
            if files[path].last > start_ns and files[path].first <= end_ns
        ]
        if len(parts) == 1:
            return parts[0]
        return pa.concat_tables([KINDS[kind].stored.empty_table(), *parts]).combine_chunks()

    def book_at(self, instrument: str, time_ns: int) -> pa.Table:
        """Return the whole book after its messages with ts <= time, as one snapshot at that time.

        It is replayed from the last snapshot before; empty where there is none. A window of book
        rows that begins there is preceded by it.
        """
        from catalog.tops import StoredBook  # Loading numba takes half a second.

        found = (
            self._raw.last_flagged(path, "flags", SNAPSHOT, time_ns)
            for path in reversed(self.paths("book", "", instrument))
        )
        begin = next((ts for ts in found if ts is not None), None)
        if begin is None:
            return KINDS["book"].stored.empty_table()
        book, seq = StoredBook(), 0
        for start in range(begin - 1, time_ns, HOUR_NS):
            rows = self.series("book", "", instrument, start, min(start + HOUR_NS, time_ns))
            if rows.num_rows:
                book.replay(rows)
                seq = rows.column("seq")[-1].as_py()
        return book.snapshot(time_ns, seq)

    def funding(self, ids: Iterable[str], start_ns: int, end_ns: int) -> pa.Table:
        """Read settlements with start < ts <= end: ts, instrument, rate; sorted by ts, then id."""
        return settlements(
            {name: self.series("funding", "", name, start_ns, end_ns) for name in set(ids)}
        )


def settlements(funding: Mapping[str, pa.Table]) -> pa.Table:
    """Join the funding of instruments: ts, instrument, rate; sorted by ts, then id."""
    names = sorted(funding)
    parts = [funding[name] for name in names]
    table = pa.concat_tables([KINDS["funding"].stored.empty_table(), *parts]).combine_chunks()
    # Parts stand in the order of their ids, so a stable sort by time alone keeps that order.
    order = pa.array(np.argsort(table.column("ts").to_numpy(), kind="stable"))
    index = np.repeat(np.arange(len(names), dtype=np.int32), [part.num_rows for part in parts])
    owner = pa.DictionaryArray.from_arrays(index, pa.array(names, pa.string()))
    table = table.add_column(1, "instrument", owner.cast(pa.string())).take(order)
    return table.select(["ts", "instrument", "rate"])
