"""Check a whole catalog: every series with every check."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from catalog.findings import INFO, WRONG, CatalogFinding, SeriesRows, off_marks, order
from catalog.recordings import AUDIT, Hole, audited
from catalog.series import KINDS
from catalog.storage import days
from catalog.storage.days import ContentHash
from catalog.storage.manifest import SeriesKey, content_hash
from catalog.storage.store import Catalog
from catalog.storage.writer import rows_of
from catalog.tick_checks import check_ticks
from config.durations import DAY_NS, SECOND_NS, bar_type

CHANGED = "its contents are not those that were imported"


def verify(catalog: Catalog, step: Callable[[str], None] = lambda _: None) -> list[CatalogFinding]:
    """Check every series, wrong findings first; ``step`` is called with each series' path."""
    found: list[CatalogFinding] = []
    imported = _import_times(catalog)
    ticks = []
    for path in catalog.manifest.files:
        key = SeriesKey.of_path(path)
        if key.day:
            ticks.append(key)
        else:
            step(path)
            found += _series(catalog, path, imported.get(key.instrument, 0))
    read = partial(_day, catalog, step, found)
    holes = audited(catalog.path)
    found += check_ticks(ticks, read, catalog.instruments, holes, _numbered(catalog))
    found += _noted(holes)
    for look in (_absent, _ends_early, _shorter_than_candles, _off_marks):
        found += look(catalog)
    return sorted(found, key=lambda f: (f.severity != WRONG, f.check, f.series, f.instrument))


def _numbered(catalog: Catalog) -> set[str]:
    """Return instruments whose trades have consecutive ids: all of Binance."""
    venues: dict[str, set[str]] = {}
    for entry in catalog.provenance:
        if "trades" in entry.rows:
            for instrument in entry.instruments:
                venues.setdefault(instrument, set()).add(entry.source_venue)
    return {instrument for instrument, own in venues.items() if own == {"binance"}}


def _import_times(catalog: Catalog) -> dict[str, int]:
    times = {}
    for entry in catalog.provenance:
        at = int(datetime.fromisoformat(entry.at).timestamp()) * 10**9
        times.update(dict.fromkeys(entry.instruments, at))
    return times


def _series(catalog: Catalog, path: str, imported_ns: int) -> list[CatalogFinding]:
    key = SeriesKey.of_path(path)
    fact = catalog.manifest.files[path]
    series = SeriesRows(name=key.group, instrument=key.instrument, interval=key.interval)
    span = (fact.rows, fact.first, fact.last)
    try:
        table = pq.read_table(catalog.folder / "raw" / path, partitioning=None)
    except (OSError, ValueError) as error:
        return [series.found(WRONG, "damaged", *span, f"cannot be read: {error}")]
    found = []
    if content_hash(table) != fact.sha256:
        found.append(series.found(WRONG, "damaged", *span, CHANGED))
    info = catalog.instruments.get(key.instrument)
    decimals = info.price_precision if info else 0
    series = replace(rows_of(key, table), imported_ns=imported_ns, decimals=decimals)
    kind = KINDS[key.kind]
    for check in (order, *kind.checks):
        found += check(series)
    return found + (_engine_file(catalog, series) if kind.cached else [])


def _day(
    catalog: Catalog, step: Callable[[str], None], found: list[CatalogFinding], key: SeriesKey
) -> Iterator[pa.Table]:
    """Read a day of ticks in slices; a file that is not as it was imported is a finding."""
    step(key.path)
    fact = catalog.manifest.files[key.path]
    digest = ContentHash(KINDS[key.kind].stored.names)
    words = CHANGED
    try:
        for part in days.read(catalog.folder / "raw" / key.path):
            digest.update(part)
            yield part
    except (OSError, ValueError) as error:
        words = f"cannot be read: {error}"
    if digest.hexdigest() != fact.sha256:
        series = SeriesRows(name=key.group, instrument=key.instrument)
        span = fact.rows, fact.first, fact.last
        found.append(series.found(WRONG, "damaged", *span, words))


def _noted(holes: dict[str, list[Hole]]) -> Iterator[CatalogFinding]:
    """Name what the recorder itself says that it lacks, by instrument and cause."""
    for instrument, noted in holes.items():
        for why in sorted({hole.why for hole in noted}):
            own = [hole for hole in noted if hole.why == why]
            seconds = sum(hole.ended - hole.began for hole in own) / SECOND_NS
            words = f"holes of the recording, {seconds:,.3f} s: {why} ({AUDIT})"
            span = (min(hole.began for hole in own), max(hole.ended for hole in own))
            series = SeriesRows(name="book", instrument=instrument)
            yield series.found(INFO, "recording", len(own), *span, words)


def _engine_file(catalog: Catalog, series: SeriesRows) -> list[CatalogFinding]:
    rows, name = len(series.ts), bar_type(series.instrument, series.interval)
    folder = catalog.folder / "nautilus" / "data" / "bar" / name
    there = sum(pq.read_metadata(file).num_rows for file in folder.glob("*.parquet"))
    if there == rows:
        return []
    words = f"the engine's files hold {there} rows, not {rows}: `perpdesk catalog rebuild`"
    return [series.found(WRONG, "cache", rows - there, 0, 0, words)]


def _absent(catalog: Catalog) -> list[CatalogFinding]:
    perps = {
        name
        for interval in catalog.intervals()
        for name in catalog.coverage("bars", interval)
        if catalog.instruments[name].product == "LINEAR"
    }
    marked = {n for i in catalog.intervals("mark") for n in catalog.coverage("mark", i)}
    found = []
    for check, series, there, words in (
        ("no_mark", "mark", marked, "margin and liquidation will use last prices"),
        ("no_funding", "funding", set(catalog.coverage("funding")), "none will be settled"),
    ):
        missing = len(perps - there)
        if missing:
            text = f"{missing} of {len(perps)} perps have none; {words}"
            found.append(SeriesRows(name=series).found(INFO, check, missing, 0, 0, text))
    return found


def _ends_early(catalog: Catalog) -> list[CatalogFinding]:
    found = []
    for interval in catalog.intervals():
        coverage = catalog.coverage("bars", interval)
        end = max(span.last for span in coverage.values())
        early = sorted(
            name
            for name, span in coverage.items()
            if span.last < end and catalog.instruments[name].delisted_ns is None
        )
        if early:
            shown = ", ".join(early[:5]) + (" …" if len(early) > 5 else "")
            first = int(np.min([coverage[name].last for name in early]))
            words = f"candles stop before the others', no delisting known: {shown}"
            series = SeriesRows(name=f"bars/{interval}")
            found.append(series.found(INFO, "ends_early", len(early), first, end, words))
    return found


def _off_marks(catalog: Catalog) -> list[CatalogFinding]:
    found: list[CatalogFinding] = []
    for interval in catalog.intervals("mark"):
        for name in catalog.coverage("mark", interval):
            marks = SeriesKey("mark", interval, name)
            for last in (SeriesKey("bars", own, name) for own in catalog.intervals()):
                if last.path in catalog.manifest.files:
                    found += _off_pair(catalog, marks, last)
    return found


def _off_pair(catalog: Catalog, *keys: SeriesKey) -> list[CatalogFinding]:
    raw = catalog.folder / "raw"
    try:
        pair = [rows_of(key, pq.read_table(raw / key.path, partitioning=None)) for key in keys]
    except (OSError, ValueError):
        return []  # `_series` finds damaged files.
    return off_marks(*pair)


def _shorter_than_candles(catalog: Catalog) -> list[CatalogFinding]:
    """Find mark prices and funding that begin or end over a day before or after the candles."""
    candles: dict[str, tuple[int, int]] = {}
    for interval in catalog.intervals():
        for name, span in catalog.coverage("bars", interval).items():
            first, last = candles.get(name, (span.first, span.last))
            candles[name] = min(first, span.first), max(last, span.last)
    kinds = [
        ("mark", interval, "funding and margin use closes")
        for interval in catalog.intervals("mark")
    ]
    found = []
    for kind, interval, words in (*kinds, ("funding", "", "no funding is settled")):
        for name, span in catalog.coverage(kind, interval).items():
            first, last = candles.get(name, (span.first, span.last))
            series = SeriesRows(name=f"{kind}/{interval}".rstrip("/"), instrument=name)
            if span.last < last - DAY_NS:
                text = f"they end before the candles: {words} after that"
                found.append(series.found(INFO, "ends_early", 1, span.last, last, text))
            if span.first > first + DAY_NS:
                text = f"they begin after the candles: {words} before that"
                found.append(series.found(INFO, "begins_late", 1, first, span.first, text))
    return found
