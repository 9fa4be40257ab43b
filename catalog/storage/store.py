"""Reading the catalog: one immutable version of it, held while it is open."""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Iterable
from operator import attrgetter
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from catalog.instruments import InstrumentInfo
from catalog.series import KINDS, SeriesKey
from catalog.storage.manifest import Manifest, Provenance, read_manifest
from catalog.storage.raw import RawFiles
from catalog.storage.versions import INDEX, VERSIONS, hold_current
from config.durations import INTERVALS


class Coverage(NamedTuple):
    """First and last ts (UNIX nanoseconds UTC, closes for candles) and rows of one series."""

    first: int
    last: int
    rows: int


class Catalog:
    """One version of a catalog, opened for reading.

    The version is held (a shared lock on its index) until the object goes, so that a writer who
    makes newer ones does not sweep it away.

    Parameters
    ----------
    path : Path
        The catalog's folder.

    Raises
    ------
    InputError
        When there is no catalog.
    DeskError
        When it is damaged.

    Attributes
    ----------
    path : Path
        As given.
    version : int
        The version read.
    folder : Path
        That version's folder.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        version, lock = hold_current(self.path)
        self.version = version
        self.folder = self.path / VERSIONS / str(version)
        self._release = weakref.finalize(self, lock.close)
        self._manifest: Manifest = read_manifest(self.folder / INDEX)
        self._raw = RawFiles(self.folder / "raw")

    @property
    def instruments(self) -> dict[str, InstrumentInfo]:
        """All instruments by id, sorted."""
        return dict(sorted(self._manifest.instruments.items()))

    @property
    def provenance(self) -> list[Provenance]:
        """Where the rows came from, oldest import first."""
        return list(self._manifest.provenance)

    @property
    def manifest(self) -> Manifest:
        """The whole index of this version."""
        return self._manifest

    def intervals(self, kind: str = "bars") -> list[str]:
        """Name the candle intervals there are (``bars`` or ``mark``), finest first."""
        keys = map(SeriesKey.of_path, self._manifest.files)
        seen = {key.interval for key in keys if key.kind == kind}
        return sorted(seen, key=lambda interval: INTERVALS.get(interval, 0))

    def coverage(self, kind: str, interval: str = "") -> dict[str, Coverage]:
        """Tell what is there of one kind: ``bars`` and ``mark`` by interval, or ``funding``.

        Returns
        -------
        dict of str to Coverage
            By instrument id, sorted.
        """
        found = {}
        for path, fact in sorted(self._manifest.files.items()):
            key = SeriesKey.of_path(path)
            if key[:2] == (kind, interval):
                found[key.instrument] = Coverage(fact.first, fact.last, fact.rows)
        return found

    def data_hash(
        self, ids: Iterable[str] | None = None, kinds: Iterable[str] | None = None
    ) -> str:
        """Hash facts and rows, independent of order, dates and number of imports.

        Parameters
        ----------
        ids : iterable of str, optional
            Instruments; all by default.
        kinds : iterable of str, optional
            Among ``bars``, ``mark``, ``funding``, or narrower such as ``bars/1d``; all by default.
        """
        chosen = None if ids is None else set(ids)
        prefixes = None if kinds is None else tuple(f"{kind}/" for kind in kinds)
        digest = hashlib.sha256()
        for instrument, info in self.instruments.items():
            if chosen is None or instrument in chosen:
                digest.update(msgspec.json.encode(info))
        for path, fact in sorted(self._manifest.files.items()):
            wanted = chosen is None or SeriesKey.of_path(path).instrument in chosen
            if wanted and (prefixes is None or path.startswith(prefixes)):
                digest.update(f"{path} {fact.sha256}\n".encode())
        return digest.hexdigest()

    def series(
        self, kind: str, interval: str, instrument: str, start_ns: int, end_ns: int
    ) -> pa.Table:
        """Read one instrument's rows with start < ts <= end, sorted by ts; empty where none."""
        path = SeriesKey(kind, interval, instrument).path
        if path not in self._manifest.files:
            return KINDS[kind].stored.empty_table()
        return self._raw.range(path, start_ns, end_ns)

    def bars(self, interval: str, ids: Iterable[str], start_ns: int, end_ns: int) -> pa.Table:
        """Read candles with start < ts <= end of several instruments.

        Returns
        -------
        pyarrow.Table
            ts, instrument, open, high, low, close, volume, turnover; sorted by ts, instrument.
        """
        return self._joined("bars", interval, ids, start_ns, end_ns)

    def marks(self, interval: str, ids: Iterable[str], start_ns: int, end_ns: int) -> pa.Table:
        """Read mark price candles as `bars` does: ts, instrument, open, high, low, close."""
        return self._joined("mark", interval, ids, start_ns, end_ns)

    def funding(self, ids: Iterable[str], start_ns: int, end_ns: int) -> pa.Table:
        """Read settlements with start < ts <= end: ts, instrument, rate, ts_source; sorted."""
        table = self._joined("funding", "", ids, start_ns, end_ns)
        return table.select(["ts", "instrument", "rate", "ts_source"])

    def _joined(
        self, kind: str, interval: str, ids: Iterable[str], start_ns: int, end_ns: int
    ) -> pa.Table:
        names = sorted(set(ids))
        parts = [self.series(kind, interval, name, start_ns, end_ns) for name in names]
        counts = [part.num_rows for part in parts]
        table = pa.concat_tables([KINDS[kind].stored.empty_table(), *parts]).combine_chunks()
        # Parts stand in the order of their ids, so a stable sort by time alone keeps that order.
        order = pa.array(np.argsort(table.column("ts").to_numpy(), kind="stable"))
        index = np.repeat(np.arange(len(names), dtype=np.int32), counts)
        owner = pa.DictionaryArray.from_arrays(index, pa.array(names, pa.string()))
        return table.add_column(1, "instrument", owner.cast(pa.string())).take(order)

    def engine_data(
        self, kind: str, interval: str, ids: Iterable[str], start_ns: int, end_ns: int
    ) -> list[Any]:
        """Read rows of a kind as the engine's own data, such as bars.

        Parameters
        ----------
        kind, interval : str
            Such as ``bars`` and ``1h``.
        ids : iterable of str
            Those without rows in the range give none.
        start_ns, end_ns : int
            start < ts <= end.

        Returns
        -------
        list of nautilus_trader.core.data.Data
            Sorted by ts_init, then instrument id; prices and volumes carry exactly the
            instrument's precisions.
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
