"""The `Import` that every provider returns, and the list of formats."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pyarrow as pa

import catalog.providers
from catalog.instruments import InstrumentInfo
from config.errors import InputError, hint


@dataclass(frozen=True)
class Import:
    """One source's data, or one part of it."""

    source: str
    source_venue: str
    """Venue of the prices: "bybit", "binance", "simulated"."""
    instruments: list[InstrumentInfo] = field(default_factory=list)
    """May be empty: the writer then guesses unknown ones from their candles."""
    tables: dict[tuple[str, str, str], pa.Table] = field(default_factory=dict)
    """By kind, interval and instrument id; schemas of `catalog.series.KINDS`, rows in any order."""
    note: str = ""
    files: list[Path] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """What the reader had to assume, one sentence each."""
    assumed: list[str] = field(default_factory=list)
    """Instruments of which nothing says whether they are perpetuals or spot."""


@dataclass(frozen=True)
class ImportOptions:
    """What the user knows about files; None lets the reader guess it."""

    interval: str | None = None
    product: str | None = None
    """``LINEAR`` or ``SPOT``."""
    source_venue: str | None = None
    note: str = ""
    stamp: str = "open"
    """Meaning of a candle's date in the file: its ``open`` or its ``close``."""
    kind: str | None = None
    """Key of `catalog.series.KINDS`."""
    symbols: tuple[str, ...] = ()
    """Only these: symbols, instrument ids, or patterns of them."""
    columns: dict[str, str] = field(default_factory=dict)
    """The file's own names of columns, by keys of `catalog.providers.files.COLUMNS`."""

    def part(self, source: str, venue: str, path: Path, **found: Any) -> Import:
        """Return a part of a file; its prices are of the venue, unless the user says another."""
        whose = self.source_venue or venue
        return Import(source, whose, note=self.note, files=[path], **found)

    def wants(self, text: str, instrument: str = "") -> bool:
        """Whether `symbols` asks for the file's text of a symbol, or for the instrument."""
        return not self.symbols or bool(self.matching(text, instrument))

    def matching(self, *names: str) -> set[str]:
        """Return the entries of `symbols` that match one of a symbol's names, or its bare name."""
        every = {*names, *(name.partition("-")[0] for name in names)}
        return {p for p in self.symbols if any(fnmatchcase(name, p) for name in every)}


TABLES = ("ccxt", "cryptodatadownload", "tradingview", "binance", "csv", "parquet", "zip")
"""What people call tables that ``ohlcv_table`` reads."""

Reader = Callable[[Sequence[Path], ImportOptions], Import | Iterator[Import]]


def formats() -> dict[str, Reader]:
    """Return the formats: modules of `catalog.providers` that have a function ``read``."""
    found = {}
    for module in pkgutil.iter_modules(catalog.providers.__path__):
        read = getattr(importlib.import_module(f"catalog.providers.{module.name}"), "read", None)
        if read is not None:
            found[module.name] = read
    return found


def read_files(name: str, paths: Sequence[Path], options: ImportOptions) -> Iterator[Import]:
    """Read files of a format, part by part, and only the symbols that are asked for.

    Raises InputError for unknown formats, bad files, and symbols that are not in them.
    """
    known = formats()
    if name not in known:
        tables = name.lower().startswith(TABLES)
        words = " (ohlcv_table reads it)" if tables else hint(name, known)
        raise InputError(f"no format {name!r}; there are {', '.join(known)}{words}")
    parts = known[name](paths, options)
    missing = set(options.symbols)
    for part in [parts] if isinstance(parts, Import) else parts:
        missing -= _only_wanted(part, options)
        yield part
    if missing:
        raise InputError(f"--symbols: nothing there matches {', '.join(sorted(missing))}")


def _only_wanted(part: Import, options: ImportOptions) -> set[str]:
    if not options.symbols:
        return set()
    names = {key[2] for key in part.tables} | {info.id for info in part.instruments}
    matched = {name: options.matching(name) for name in names}
    for key in [key for key in part.tables if not matched[key[2]]]:
        del part.tables[key]
    part.instruments[:] = [info for info in part.instruments if matched[info.id]]
    return set().union(*matched.values())
