"""The `Import` that every provider returns, and the list of formats."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

import catalog.providers
from catalog.instruments import InstrumentInfo
from config.errors import InputError, did_you_mean


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
    """Read files of a format, part by part; raise InputError for unknown formats or bad files."""
    known = formats()
    if name not in known:
        near = did_you_mean(name, known)
        hint = f" (did you mean {near}?)" if near else ""
        raise InputError(f"no format {name!r}; there are {', '.join(known)}{hint}")
    parts = known[name](paths, options)
    if isinstance(parts, Import):
        yield parts
    else:
        yield from parts
