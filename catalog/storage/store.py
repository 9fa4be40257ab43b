"""Read one immutable version of the catalog, locked while it is open."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np
import pyarrow as pa

from catalog.series import KINDS
from catalog.storage.index import CatalogIndex
from catalog.storage.raw import RawFiles


class Catalog(CatalogIndex):
    """One version of a catalog, open for reading; parameters and errors as in `CatalogIndex`."""

    def __init__(self, path: Path | str) -> None:
        super().__init__(path)
        self._raw = RawFiles(self.folder / "raw")

    def series(
        self, kind: str, interval: str, instrument: str, start_ns: int, end_ns: int
    ) -> pa.Table:
        """Read one instrument's rows with start < ts <= end, in one chunk; may be empty.

        Rows are sorted by ts; those of ticks by ts and seq, all days joined.
        """
        files = self._manifest.files
        parts = [
            self._raw.range(path, start_ns, end_ns)
            for path in self.paths(kind, interval, instrument)
            if files[path].last > start_ns and files[path].first <= end_ns
        ]
        if len(parts) == 1:
            return parts[0]
        return pa.concat_tables([KINDS[kind].stored.empty_table(), *parts]).combine_chunks()

    def funding(self, ids: Iterable[str], start_ns: int, end_ns: int) -> pa.Table:
        """Read settlements with start < ts <= end: ts, instrument, rate, ts_source; sorted."""
        names = sorted(set(ids))
        parts = [self.series("funding", "", name, start_ns, end_ns) for name in names]
        counts = [part.num_rows for part in parts]
        table = pa.concat_tables([KINDS["funding"].stored.empty_table(), *parts]).combine_chunks()
        # Parts stand in the order of their ids, so a stable sort by time alone keeps that order.
        order = pa.array(np.argsort(table.column("ts").to_numpy(), kind="stable"))
        index = np.repeat(np.arange(len(names), dtype=np.int32), counts)
        owner = pa.DictionaryArray.from_arrays(index, pa.array(names, pa.string()))
        table = table.add_column(1, "instrument", owner.cast(pa.string())).take(order)
        return table.select(["ts", "instrument", "rate", "ts_source"])

    def engine_data(
        self, kind: str, interval: str, ids: Iterable[str], start_ns: int, end_ns: int
    ) -> list[Any]:
        """Read rows of a kind with start < ts <= end as the engine's data, such as bars.

        Sorted by ts_init, then instrument id; prices and volumes have the instrument's precisions.
        """
        load = resolve_name(KINDS[kind].engine)
        made: list[Any] = []
        for name in sorted(set(ids)):
            table = self.series(kind, interval, name, start_ns, end_ns)
            if table.num_rows:
                made += load(table, self._manifest.instruments[name], interval)
        # They stand in the order of their ids, so a stable sort by time alone keeps that order.
        made.sort(key=attrgetter("ts_init"))
        return made
