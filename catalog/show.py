"""Output of the catalog's commands: tables for people, JSON for machines."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from catalog.findings import WRONG, CatalogFinding
from catalog.series import KINDS
from catalog.storage.index import Coverage
from catalog.storage.manifest import SeriesKey
from catalog.storage.store import Catalog
from catalog.storage.writer import CatalogWriter
from config.durations import minute_text
from config.errors import some_of
from config.progress import LongWork

MOST_FINDINGS = 50
MOST_WARNINGS = 10
WIDTH = 160
"""Columns of a table in a file or a pipe."""
NARROW = 100
"""Columns of a terminal that shows fewer columns of a table."""


def out() -> Console:
    """Return the console of results on stdout (made late, so that tests can capture it)."""
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else WIDTH)


def result(data: dict[str, Any], json: bool, words: str) -> None:
    """Print JSON or words on stdout."""
    if json:
        print(json_module.dumps(data, indent=2))
    else:
        out().print(words)


def written(path: Path, writer: CatalogWriter, json: bool) -> None:
    """Print what a write changed."""
    assert writer.summary is not None
    summary = writer.summary
    data = {
        "catalog": str(path),
        "changed": writer.changed,
        **msgspec.to_builtins(summary),
        "warnings": writer.warnings,
        "assumed_linear": sorted(writer.assumed),
    }
    rows = ", ".join(f"{count:,} {kind}" for kind, count in summary.rows.items())
    words = f"Nothing new for {path}: every row is there already."
    if writer.changed:
        words = (
            f"{path}: {rows or 'no rows, but facts'} of {len(summary.instruments)} instruments "
            f"from {summary.source} ({summary.source_venue})."
        )
        if summary.inferred:
            words += f" Facts of {summary.inferred} instruments are guessed from their prices."
        if summary.replaced:
            words += f" {summary.replaced:,} rows replaced others that differed."
        if summary.duplicates:
            words += f" {summary.duplicates:,} contradicting duplicates: the last one won."
    if writer.assumed:
        names = [name.partition("-")[0] for name in sorted(writer.assumed)]
        words += (
            f"\nTaken for perpetuals, since nothing says what they are: {some_of(names)} "
            "(--product spot, if they are spot)."
        )
    words += "".join(f"\nWarning: {text}" for text in writer.warnings[:MOST_WARNINGS])
    if len(writer.warnings) > MOST_WARNINGS:
        words += f"\n… and {len(writer.warnings) - MOST_WARNINGS} more: `perpdesk catalog check`"
    result(data, json, words)


def listing(catalog: Catalog, json: bool) -> None:
    """Print instruments, series and provenance."""
    series = [
        (SeriesKey(kind, interval, "").group, catalog.coverage(kind, interval))
        for kind in KINDS
        for interval in catalog.intervals(kind)
    ]
    if json:
        data = {
            "catalog": str(catalog.path),
            "version": catalog.version,
            "data_hash": catalog.data_hash(),
            "instruments": msgspec.to_builtins(catalog.instruments),
            "series": {n: {i: c._asdict() for i, c in found.items()} for n, found in series},
            "storage": _storage(catalog),
            "provenance": msgspec.to_builtins(catalog.provenance),
        }
        print(json_module.dumps(data, indent=2))
        return
    _print_series(catalog, series)
    _print_instruments(catalog, series)
    _print_provenance(catalog)


def _print_series(catalog: Catalog, series: list[tuple[str, dict[str, Coverage]]]) -> None:
    table = Table(title=f"{catalog.path} (version {catalog.version})", title_justify="left")
    numbers = ("instruments", "days", "rows", "MB")
    for name in ("series", *numbers, "first", "last"):
        table.add_column(name, justify="right" if name in numbers else "left")
    storage = _storage(catalog)
    for name, found in series:
        days, size = storage[name]["days"], f"{storage[name]['bytes'] / 1e6:,.2f}"
        rows = sum(c.rows for c in found.values())
        first, last = min(c.first for c in found.values()), max(c.last for c in found.values())
        counts = (f"{len(found)}", f"{days or '-'}", f"{rows:,}", size)
        table.add_row(name, *counts, minute_text(first), minute_text(last))
    out().print(table)


def _storage(catalog: Catalog) -> dict[str, dict[str, int]]:
    """Return the size of each group's raw files, and the UTC days of those with a file a day."""
    found: dict[str, dict[str, int]] = {}
    days = set()
    for path in catalog.manifest.files:
        key = SeriesKey.of_path(path)
        group = found.setdefault(key.group, {"days": 0, "bytes": 0})
        group["bytes"] += (catalog.folder / "raw" / path).stat().st_size
        if key.day and (key.group, key.day) not in days:
            days.add((key.group, key.day))
            group["days"] += 1
    return found


def _print_instruments(catalog: Catalog, series: list[tuple[str, dict[str, Coverage]]]) -> None:
    rows = []
    for name, info in catalog.instruments.items():
        own = {kind: found[name] for kind, found in series if name in found}
        rows.append(
            {
                "id": name + ("*" if info.inferred else ""),
                "tick": str(info.tick),
                "lot": str(info.lot),
                "min notional": str(info.min_notional),
                "funding": f"{info.funding_minutes / 60:g} h" if info.funding_minutes else "-",
                "first": minute_text(min(c.first for c in own.values()))[:10] if own else "-",
                "last": minute_text(max(c.last for c in own.values()))[:10] if own else "-",
                "series": " ".join(own),
            }
        )
    _print(
        "Instruments (* facts guessed from prices)",
        rows,
        ("min notional", "funding", "first", "series"),
    )


def _print(title: str, rows: list[dict[str, str]], wide: Collection[str]) -> None:
    """Print a table; on a narrow terminal without its `wide` columns."""
    console = out()
    hidden = wide if console.width < NARROW else ()
    names = [name for name in (rows[0] if rows else ()) if name not in hidden]
    table = Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False
    )
    for name in names:
        right = name in ("tick", "lot", "count")
        table.add_column(name, justify="right" if right else "left", no_wrap=name != "what")
    for row in rows:
        table.add_row(*(row[name] for name in names))
    console.print(table)
    if hidden:
        console.print(f"A wider terminal also shows: {', '.join(hidden)}.")


def _print_provenance(catalog: Catalog) -> None:
    table = Table(title="Where it came from", title_justify="left")
    for name in ("at", "source", "venue", "files", "rows", "note"):
        table.add_column(name)
    for entry in catalog.provenance:
        rows = ", ".join(f"{count:,} {kind}" for kind, count in entry.rows.items())
        files = str(len(entry.files)) if entry.files else "-"
        table.add_row(entry.at, entry.source, entry.source_venue, files, rows, entry.note)
    out().print(table)


def findings(catalog: Catalog, found: list[CatalogFinding], every: bool, json: bool) -> None:
    """Print a check's findings, wrong ones first."""
    wrong = sum(finding.severity == WRONG for finding in found)
    if json:
        data = {
            "catalog": str(catalog.path),
            "version": catalog.version,
            "series": _series_count(catalog),
            "wrong": wrong,
            "findings": msgspec.to_builtins(found),
        }
        print(json_module.dumps(data, indent=2))
        return
    shown = found if every else found[:MOST_FINDINGS]
    rows_shown = [
        {
            "": f.severity,
            "check": f.check,
            "series": f.series,
            "instrument": f.instrument.removesuffix(".BYBIT"),
            "count": f"{f.count:,}",
            "first": minute_text(f.first) if f.first else "-",
            "last": minute_text(f.last) if f.last else "-",
            "what": f.words,
        }
        for f in shown
    ]
    if found:
        title = f"{catalog.path} (version {catalog.version})"
        _print(title, rows_shown, ("check", "first", "last"))
    if len(shown) < len(found):
        out().print(f"… and {len(found) - len(shown):,} more: --all shows them.")
    rows = sum(fact.rows for fact in catalog.manifest.files.values())
    verdict = f"{wrong:,} things are wrong" if wrong else "nothing is wrong"
    looked = f"{_series_count(catalog):,} series, {rows:,} rows"
    out().print(f"{looked}: {verdict}, {len(found) - wrong:,} explained.")


def _series_count(catalog: Catalog) -> int:
    return len({SeriesKey.of_path(path)[:3] for path in catalog.manifest.files})


def progress(*columns: Any) -> LongWork:
    """Return a progress display on stderr."""
    shown = columns or (SpinnerColumn(), TextColumn("{task.description}"))
    return LongWork(*shown, TimeElapsedColumn())


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show a spinner during work of unknown length."""
    with progress() as display:
        display.add_task(what, total=None)
        yield


@contextmanager
def counting(what: str) -> Iterator[Callable[[str], None]]:
    """Show a count of parts of unknown number; call the yielded function once a part."""
    with progress() as display:
        task = display.add_task(what, total=None)
        done = 0

        def step(name: str) -> None:
            nonlocal done
            done += 1
            display.update(task, description=f"{what}: {done} ({name})")

        yield step


@contextmanager
def pieces(what: str) -> Iterator[Callable[[int, int, str], None]]:
    """Show a progress bar of pieces."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with progress(*columns) as display:
        task = display.add_task(what, total=None)

        def step(done: int, total: int, name: str) -> None:
            display.update(task, completed=done, total=total, description=f"{what} {name}")

        yield step
