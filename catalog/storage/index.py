"""Instruments and series of a catalog, without reading rows; needs no pyarrow."""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from catalog.storage.manifest import SeriesKey, read_manifest
from catalog.storage.versions import INDEX, VERSIONS, hold_current
from config.catalogs import url_of
from config.durations import STORED


class Coverage(NamedTuple):
    """First and last ts (UNIX nanoseconds UTC, closes for candles) and rows of one series."""

    first: int
    last: int
    rows: int


class CatalogIndex:
    """Index of one version of a catalog: its instruments and series, without their rows.

    A shared lock keeps writers from removing the version `folder` while the object exists. A
    catalog at ``s3://bucket/path`` has no `folder`. Raises InputError without a catalog, DeskError
    when it is damaged.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.name = url_of(path) or str(path)
        self.file: Callable[[str], Path]
        """Returns the place of a raw file, and fetches it first from a remote catalog."""
        if url := url_of(path):
            from catalog.storage.remote import RemoteCatalog

            remote = RemoteCatalog(url)
            self.version, self.manifest, self.file = remote.version, remote.manifest, remote.file
        else:
            self.version, lock = hold_current(self.path)
            self.folder = self.path / VERSIONS / str(self.version)
            self._release = weakref.finalize(self, lock.close)
            self.manifest = read_manifest(self.folder / INDEX)
            self.file = (self.folder / "raw").joinpath
        self.instruments = dict(sorted(self.manifest.instruments.items()))
        self.provenance = list(self.manifest.provenance)
        """Sources of the rows, oldest import first."""
        self._days: dict[tuple[str, str], list[str]] = {}
        for path in sorted(self.manifest.files):
            key = SeriesKey.of_path(path)
            if key.day:
                self._days.setdefault((key.kind, key.instrument), []).append(path)

    def intervals(self, kind: str = "bars") -> list[str]:
        """Return the candle intervals of a kind, finest first; of other kinds one empty text."""
        keys = map(SeriesKey.of_path, self.manifest.files)
        seen = {key.interval for key in keys if key.kind == kind}
        return sorted(seen, key=lambda interval: STORED.get(interval, 0))

    def coverage(self, kind: str, interval: str = "") -> dict[str, Coverage]:
        """Return the coverage of one kind and interval by instrument id; days are joined."""
        found: dict[str, Coverage] = {}
        for path, fact in self.manifest.files.items():
            key = SeriesKey.of_path(path)
            if key[:2] == (kind, interval):
                first, last, rows = found.get(key.instrument, (fact.first, fact.last, 0))
                found[key.instrument] = Coverage(
                    min(first, fact.first), max(last, fact.last), rows + fact.rows
                )
        return dict(sorted(found.items()))

    def paths(self, kind: str, interval: str, instrument: str) -> list[str]:
        """Return the raw files of one series, by time: one, or one a UTC day."""
        whole = SeriesKey(kind, interval, instrument).path
        return [whole] if whole in self.manifest.files else self._days.get((kind, instrument), [])

    def resample_hint(self, interval: str) -> str:
        """Return the command that makes candles of an interval, if shorter ones fit or trades."""
        length = STORED.get(interval, 0)
        shorter = [i for i in self.intervals() if STORED[i] < length and length % STORED[i] == 0]
        if not shorter and not (length and self.coverage("trades")):
            return ""
        return f"; make them: `perpdesk catalog resample {interval} --catalog {self.name}`"

    def data_hash(self, ids: Iterable[str] | None = None) -> str:
        """Hash facts and rows of ids (all by default), whatever their order, dates and imports."""
        chosen = None if ids is None else set(ids)
        digest = hashlib.sha256()
        for instrument, info in self.instruments.items():
            if chosen is None or instrument in chosen:
                digest.update(msgspec.json.encode(info))
        for path, fact in sorted(self.manifest.files.items()):
            if chosen is None or SeriesKey.of_path(path).instrument in chosen:
                digest.update(f"{path} {fact.sha256}\n".encode())
        return digest.hexdigest()
