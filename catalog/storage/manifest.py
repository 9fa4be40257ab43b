"""The index file of a catalog version, `catalog.json`: its series and their sources."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from catalog.instruments import InstrumentInfo
from config.errors import DeskError

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1


class SeriesKey(NamedTuple):
    """Key of one series, or of one UTC day of it for the kinds of which each day is a file.

    The interval is empty for a kind without intervals; the day is like ``2024-08-08``, or empty.
    """

    kind: str
    interval: str
    instrument: str
    day: str = ""

    @property
    def group(self) -> str:
        """Kind and interval, such as ``bars/1h`` or ``funding``."""
        return f"{self.kind}/{self.interval}" if self.interval else self.kind

    @property
    def path(self) -> str:
        """File path below ``raw/``, such as ``bars/1h/BTCUSDT-LINEAR.BYBIT.parquet``.

        That of a day is ``book/2024-08-08/BTCUSDT-LINEAR.BYBIT.parquet``.
        """
        folder = f"{self.group}/{self.day}" if self.day else self.group
        return f"{folder}/{self.instrument}.parquet"

    @classmethod
    def of_path(cls, path: str) -> SeriesKey:
        """Return the series key of a file path."""
        kind, *middle, instrument = path.removesuffix(".parquet").split("/")
        part = middle[0] if middle else ""
        return cls(kind, "", instrument, part) if "-" in part else cls(kind, part, instrument)


class FileFact(msgspec.Struct, frozen=True, kw_only=True):
    """One raw file; the hash is of its contents, so that the compression may change."""

    sha256: str
    rows: int
    first: int
    last: int


class SourceFile(msgspec.Struct, frozen=True, kw_only=True):
    """A source file: its bare name, size in bytes and hash."""

    name: str
    bytes: int
    sha256: str


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """Provenance of one import; see `Import` for the names."""

    at: str
    """When it was written, ISO 8601 UTC."""
    source: str
    source_venue: str
    note: str = ""
    files: tuple[SourceFile, ...] = ()
    instruments: tuple[str, ...] = ()
    """Ids whose data changed."""
    inferred: int = 0
    rows: dict[str, int] = {}
    """New or changed rows by kind and interval, such as ``{"bars/1h": 17520}``."""
    replaced: int = 0
    """Rows whose old values were replaced (the new source won)."""
    duplicates: int = 0
    """Rows with the same time but different values in the source (the last one won)."""
    first: int = 0
    last: int = 0
    """Range of the source's rows, UNIX nanoseconds (UTC)."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Content of `catalog.json`; `files` has paths relative to ``raw/``."""

    format: int = FORMAT
    instruments: dict[str, InstrumentInfo] = {}
    files: dict[str, FileFact] = {}
    provenance: tuple[Provenance, ...] = ()


def read_manifest(path: Path) -> Manifest:
    """Read `catalog.json`; raise DeskError when it is damaged or of another format."""
    try:
        return manifest_of(path.read_bytes(), str(path))
    except OSError as error:
        raise DeskError(f"{path}: the catalog's index cannot be read: {error}") from error


def manifest_of(text: bytes, place: str) -> Manifest:
    """Return what a `catalog.json` says; errors as of `read_manifest`, with its place."""
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except msgspec.DecodeError as error:
        raise DeskError(f"{place}: the catalog's index cannot be read: {error}") from error
    if manifest.format != FORMAT:
        raise DeskError(f"{place}: format {manifest.format}, but this perpdesk reads {FORMAT}")
    return manifest


def content_hash(table: pa.Table) -> str:
    """Hash names and values of all columns (no nulls), independent of the Parquet version."""
    import numpy as np

    digest = hashlib.sha256()
    for name in table.column_names:
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(table.column(name).to_numpy()).data)
    return digest.hexdigest()


def fact_of(table: pa.Table) -> FileFact:
    """Return the facts of a table that is sorted by ts and has at least one row."""
    stamps = table.column("ts")
    return FileFact(
        sha256=content_hash(table),
        rows=table.num_rows,
        first=stamps[0].as_py(),
        last=stamps[-1].as_py(),
    )


def source_file(path: Path) -> SourceFile:
    """Return the name, size and hash of a source file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return SourceFile(name=path.name, bytes=path.stat().st_size, sha256=digest)
