"""Data from a provider: an `Import`, in the catalog's own terms; and the formats there are."""

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
    """One source's data (or one part of it), ready to be written."""

    source: str
    """What it is, in a few words: "freqtrade files", "demo market seed 7"."""
    source_venue: str
    """Whose prices they are: "bybit", "binance", "simulated"."""
    instruments: list[InstrumentInfo] = field(default_factory=list)
    """May be empty; the writer then infers those it doesn't know yet from their candles."""
    tables: dict[tuple[str, str, str], pa.Table] = field(default_factory=dict)
    """By kind, interval and instrument id; schemas of `catalog.series.KINDS`, rows in any order."""
    note: str = ""
    """Anything a reader of a report should know."""
    files: list[Path] = field(default_factory=list)
    """Files read, for their hashes in the provenance."""


@dataclass(frozen=True)
class ImportOptions:
    """What the user says about files where these don't; None lets the reader infer it."""

    interval: str | None = None
    product: str | None = None
    """``LINEAR`` or ``SPOT``."""
    source_venue: str | None = None
    """Whose prices."""
    note: str = ""
    stamp: str = "open"
    """What a candle's date in the file is: its ``open`` or its ``close``."""


Reader = Callable[[Sequence[Path], ImportOptions], Import | Iterator[Import]]


def formats() -> dict[str, Reader]:
    """Find the readers: modules of `catalog.providers` that have a function ``read``."""
    found = {}
    for module in pkgutil.iter_modules(catalog.providers.__path__):
        read = getattr(importlib.import_module(f"catalog.providers.{module.name}"), "read", None)
        if read is not None:
            found[module.name] = read
    return found


def read_files(name: str, paths: Sequence[Path], options: ImportOptions) -> Iterator[Import]:
    """Read files of a format, part by part.

    Raises
    ------
    InputError
        When there is no such format, or a file is not what it should be.
    """
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
