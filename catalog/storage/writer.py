"""Write into the catalog: merged, versioned, all or nothing."""

from __future__ import annotations

import shutil
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from catalog.engine import write_bars
from catalog.findings import CatalogFinding, SeriesRows, backwards, off_marks
from catalog.inference import TICK_AMOUNTS, infer_from_series
from catalog.instruments import InstrumentInfo
from catalog.providers.base import Import
from catalog.series import KINDS
from catalog.storage import days, raw
from catalog.storage.days import DayRows, by_day, in_order
from catalog.storage.manifest import (
    FileFact,
    Manifest,
    Provenance,
    SeriesKey,
    fact_of,
    read_manifest,
    source_file,
)
from catalog.storage.store import Catalog
from catalog.storage.versions import INDEX, StagedVersion
from config.durations import bar_type, interval_ns, minute_text
from config.errors import InputError, some_of

UNMERGED = "unmerged"
MOST_OPEN = 64
"""Days that are written at once; each needs some 3 MB."""


def rows_of(key: SeriesKey, table: pa.Table) -> SeriesRows:
    """Return a stored table as checks see it."""
    columns = {name: table.column(name).to_numpy() for name in table.column_names}
    return SeriesRows(
        name=key.group,
        instrument=key.instrument,
        interval=key.interval,
        ts=columns.pop("ts"),
        columns=columns,
    )


class CatalogWriter:
    """Stage changes of a catalog, and publish them as one new version on a clean exit.

    A failed writer leaves the catalog as it was; unchanged data (the same import again) make no new
    version. The folder is made if missing. Entering raises DeskError while another writer works.
    After exit, `changed` is whether there is a new version; `summary` is the import's provenance,
    also without changes; `warnings` are sentences about rows that look wrong, and assumptions.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.changed = False
        self.summary: Provenance | None = None
        self.warnings: list[str] = []
        self.assumed: set[str] = set()

    def __enter__(self) -> CatalogWriter:
        self._stage = StagedVersion(self.path).__enter__()
        base = self._stage.base
        self._old = read_manifest(base / INDEX) if base else Manifest()
        self._files: dict[str, FileFact] = {}
        self._given: dict[str, InstrumentInfo] = {}
        self._words = {"source": "unknown", "source_venue": "unknown", "note": ""}
        self._read: dict[Path, None] = {}
        self._rows: dict[str, int] = {}
        self._touched: set[str] = set()
        self._sources: dict[str, list[tuple[int, int, str]]] = {}
        self._days: dict[str, DayRows] = {}
        self._open: OrderedDict[str, None] = OrderedDict()
        self._tick_files: dict[str, str] = {}
        self._replaced = self._duplicates = 0
        self._first, self._last = 2**62, 0
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._commit()
        finally:
            self._stage.__exit__()

    def add(self, part: Import) -> None:
        """Add a provider's whole `Import`, provenance included.

        Raises InputError when two files of one import contradict each other, or a file of an
        assumed product the catalog: spot and perpetual under one name, or two venues.
        """
        self.add_instruments(part.instruments)
        self.assumed.update(part.assumed)
        file = str(part.files[-1]) if part.files else ""
        for key, table in part.tables.items():
            self.add_rows(*key, table, file=file)
        self.warnings += part.warnings
        self.provenance(part.source, part.source_venue, part.note, part.files)

    def add_instruments(self, instruments: Iterable[InstrumentInfo]) -> None:
        """Add instrument facts; those of a venue replace guessed ones, never the reverse."""
        for info in instruments:
            known = self._given.get(info.id) or self._old.instruments.get(info.id)
            if known is None or known.inferred or not info.inferred:
                self._given[info.id] = info

    def provenance(
        self, source: str, source_venue: str, note: str = "", files: Iterable[Path] = ()
    ) -> None:
        """Set the provenance of this writer's rows; later values replace earlier ones."""
        self._words = {"source": source, "source_venue": source_venue, "note": note}
        self._read.update(dict.fromkeys(files))

    def add_rows(
        self, kind: str, interval: str, instrument: str, table: pa.Table, file: str = ""
    ) -> None:
        """Merge rows of one series, in the schema that its kind expects from a provider.

        ``kind`` is a key of `catalog.series.KINDS`; ``interval`` is empty for kinds without it.
        ``file`` is named in errors and warnings. Ticks may come in many parts of about a million
        rows, each of whole messages; parts in ascending order are the cheapest.
        """
        if "/" in instrument or not instrument.isascii():
            raise InputError(f"instrument id {instrument!r} must be ASCII and hold no slash")
        series = KINDS[kind]
        if series.by_interval:
            interval_ns(interval)
        key = SeriesKey(kind, interval, instrument)
        path = key.path
        new = series.normalize(table, path.removesuffix(".parquet"))
        if new.num_rows == 0:
            return
        if series.by_day:
            self._add_ticks(key, new, file)
            return
        fact = self._files.get(path) or self._old.files.get(path)
        old = self._table(path) if fact else None
        stamps = new.column("ts").to_numpy()
        if file:
            self._compare(key, old, new, file)
            given = rows_of(key, new.sort_by("ts"))
            checks = KINDS[key.kind].import_checks
            self._warn_of(file, (found for check in checks for found in check(given)))
        merged = raw.merge(old, new)
        self._first = min(self._first, int(stamps.min()))
        self._last = max(self._last, int(stamps.max()))
        self._duplicates += merged.duplicates
        changes = merged.added + merged.replaced
        if changes == 0:
            return
        self._replaced += merged.replaced
        self._rows[key.group] = self._rows.get(key.group, 0) + changes
        self._touched.add(instrument)
        raw.write(merged.table, self._stage.folder / "raw" / path)
        self._files[path] = fact_of(merged.table)

    def _add_ticks(self, key: SeriesKey, new: pa.Table, file: str) -> None:
        if file:
            self._warn_of(file, backwards(rows_of(key, new)))
        stamps = pc.min_max(new.column("ts"))
        self._first = min(self._first, stamps["min"].as_py())
        self._last = max(self._last, stamps["max"].as_py())
        for day, rows in (found for part in in_order(new) for found in by_day(part)):
            path = key._replace(day=day).path
            if path not in self._days:
                folder = self._stage.folder / UNMERGED / path.removesuffix(".parquet")
                self._days[path] = DayRows(folder, new.schema)
            self._days[path].add(rows)
            self._open[path] = None
            self._open.move_to_end(path)
            self._tick_files[path] = file
            if len(self._open) > MOST_OPEN:
                self._days[self._open.popitem(last=False)[0]].pause()

    def _finish_days(self) -> None:
        """Leave one file a day; those that are as before stay the old ones."""
        for path, rows in self._days.items():
            old, target = self._old.files.get(path), self._stage.folder / "raw" / path
            fact, changes = rows.finish(self._place(path) if old else None, target)
            self._duplicates += changes.duplicates
            if old and fact.sha256 == old.sha256:
                target.unlink()
                continue
            key = SeriesKey.of_path(path)
            if changes.of_two_sources:
                raise InputError(
                    f"{self._tick_files[path] or path}: its {key.kind} of {key.instrument} lie "
                    f"between others of {key.day} that are there already, with few in common: "
                    "another source, venue or depth? import them into another --catalog"
                )
            self._replaced += changes.replaced
            self._rows[key.group] = self._rows.get(key.group, 0) + changes.added + changes.replaced
            self._touched.add(key.instrument)
            self._files[path] = fact
        shutil.rmtree(self._stage.folder / UNMERGED, ignore_errors=True)

    def _check_ticks(self, instruments: dict[str, InstrumentInfo]) -> None:
        keys = [SeriesKey.of_path(path) for path in self._files if self._tick_files.get(path)]
        if keys:
            from catalog.recordings import audited
            from catalog.tick_checks import check_ticks

            try:
                holes = audited(self.path)
            except InputError as error:
                self.warnings.append(str(error))
                holes = {}
            found = check_ticks(
                keys, lambda key: days.read(self._place(key.path)), instruments, holes
            )
            named = {(k.kind, k.instrument): self._tick_files[k.path] for k in keys}
            begun = {key.instrument for key in map(SeriesKey.of_path, self._old.files) if key.day}
            for finding in found:
                # The snapshot is in a day that this import did not touch.
                if finding.check == "no_snapshot" and finding.instrument in begun:
                    continue
                self._warn_of(named[finding.series, finding.instrument], [finding])

    def _compare(self, key: SeriesKey, old: pa.Table | None, new: pa.Table, file: str) -> None:
        """Refuse rows that differ from those of another file of this import.

        Where the product is assumed, also those that differ from the catalog's. One may: the last
        candle of a download is often unfinished.
        """
        stamps = new.column("ts")
        first, last = int(pc.min(stamps).as_py()), int(pc.max(stamps).as_py())
        others = list(self._sources.setdefault(key.path, []))
        stored = self._old.files.get(key.path)
        if stored is not None and key.instrument in self.assumed:
            others.append((stored.first, stored.last, "the catalog"))
        for begin, end, other in others:
            if old is None or other == file or last < begin or first > end:
                continue
            both = [
                t.filter((pc.field("ts") >= begin) & (pc.field("ts") <= end)) for t in (old, new)
            ]
            differing = raw.merge(*both).replaced
            if differing > 1:
                raise InputError(
                    f"{file}: {differing} rows of {key.instrument} differ from those of {other}: "
                    "spot and perpetual, or two venues? import them one by one, with --product or "
                    "into another --catalog"
                )
        self._sources[key.path].append((first, last, file))

    def _warn_of(self, file: str, found: Iterable[CatalogFinding]) -> None:
        for f in found:
            self.warnings.append(
                f"{file}: {f.instrument} {f.series}: {f.count:,} {f.words} "
                f"(first at {minute_text(f.first)})"
            )

    def _warn_of_marks(self, files: Iterable[str]) -> None:
        keys = [key for path in files if (key := SeriesKey.of_path(path)).kind in ("bars", "mark")]
        for marks in (key for key in keys if key.kind == "mark"):
            sources = self._sources.get(marks.path)
            for last in keys:
                given = sources or self._sources.get(last.path)
                if last.kind == "bars" and last.instrument == marks.instrument and given:
                    pair = [rows_of(key, self._table(key.path)) for key in (marks, last)]
                    self._warn_of(given[-1][2], off_marks(*pair))

    def _place(self, path: str) -> Path:
        staged = self._stage.folder / "raw" / path
        if path in self._files or self._stage.base is None:
            return staged
        return self._stage.base / "raw" / path

    def _commit(self) -> None:
        self._finish_days()
        files = self._old.files | self._files
        instruments = self._instruments(files)
        self._check_ticks(instruments)
        inferred = sum(instruments[name].inferred for name in self._touched)
        self.summary = self._provenance(inferred)
        if not files and not instruments:
            words = "nothing to write: the source gave no rows at all"
            raise InputError(f"{words}\n{some_of(self.warnings, between='\n')}".strip())
        self._warn_of_marks(files)
        if not self._files and instruments == self._old.instruments:
            return
        for path in files.keys() - self._files.keys():
            self._stage.link(f"raw/{path}")
        self._write_engine_files(files, instruments)
        manifest = Manifest(
            instruments=dict(sorted(instruments.items())),
            files=dict(sorted(files.items())),
            provenance=(*self._old.provenance, self.summary),
        )
        index = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        (self._stage.folder / INDEX).write_bytes(index)
        self._stage.publish()
        self.changed = True

    def _provenance(self, inferred: int) -> Provenance:
        return Provenance(
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            **self._words,
            files=tuple(source_file(path) for path in self._read),
            instruments=tuple(sorted(self._touched)),
            inferred=inferred,
            rows=dict(sorted(self._rows.items())),
            replaced=self._replaced,
            duplicates=self._duplicates,
            first=self._first if self._last else 0,
            last=self._last,
        )

    def _instruments(self, files: dict[str, FileFact]) -> dict[str, InstrumentInfo]:
        known = self._old.instruments | self._given
        unsure = {
            name
            for name in self._touched
            if name not in known or (known[name].inferred and name not in self._given)
        }
        paths: dict[str, list[str]] = {name: [] for name in unsure}
        ticked = {key.instrument for key in map(SeriesKey.of_path, self._old.files) if key.day}
        for path in files:
            key = SeriesKey.of_path(path)
            # What the old days' prices tell is in the facts known so far.
            if key.instrument in unsure and (not key.day or path in self._files):
                paths[key.instrument].append(path)
        for name in sorted(unsure):
            series = (part for path in paths[name] for part in self._parts(path))
            before = self._old.instruments.get(name) if name in ticked else None
            known[name] = infer_from_series(name, series, self._words["source"], before)
        return known

    def _parts(self, path: str) -> Iterator[tuple[SeriesKey, pa.Table]]:
        """Read a series whole, or a day of ticks in parts."""
        key = SeriesKey.of_path(path)
        if not key.day:
            yield key, self._table(path)
            return
        amounts = [name for names in TICK_AMOUNTS.get(key.kind, ()) for name in names]
        for table in days.read(self._place(path), amounts):
            yield key, table

    def _table(self, path: str) -> pa.Table:
        return pq.read_table(self._place(path), partitioning=None)

    def _write_engine_files(
        self, files: dict[str, FileFact], instruments: dict[str, InstrumentInfo]
    ) -> None:
        for path in files:
            kind, interval, name, _ = SeriesKey.of_path(path)
            if not KINDS[kind].cached:
                continue
            info, before = instruments[name], self._old.instruments.get(name)
            same = before is not None and (info.price_precision, info.size_precision) == (
                before.price_precision,
                before.size_precision,
            )
            if path in self._files or not same:
                table = self._table(path)
                try:
                    write_bars(self._stage.folder / "nautilus", table, info, interval)
                except ValueError as error:
                    given = self._sources.get(path)
                    raise InputError(f"{given[-1][2] if given else path}: {error}") from error
            else:
                assert self._stage.base is not None
                folder = self._stage.base / "nautilus" / "data" / "bar" / bar_type(name, interval)
                for file in folder.iterdir():
                    self._stage.link(str(file.relative_to(self._stage.base)))


def rebuild(path: Path) -> int:
    """Write all Nautilus files again, as a new version; return the number of series.

    Raw files stay. Raises InputError without a catalog, DeskError while another writer works.
    """
    Catalog(path)
    with StagedVersion(path) as stage:
        assert stage.base is not None
        manifest = read_manifest(stage.base / INDEX)
        series = 0
        for name in manifest.files:
            stage.link(f"raw/{name}")
            kind, interval, instrument, _ = SeriesKey.of_path(name)
            if KINDS[kind].cached:
                table = pq.read_table(stage.base / "raw" / name, partitioning=None)
                info = manifest.instruments[instrument]
                write_bars(stage.folder / "nautilus", table, info, interval)
                series += 1
        (stage.folder / INDEX).write_bytes((stage.base / INDEX).read_bytes())
        stage.publish()
    return series
