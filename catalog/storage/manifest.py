"""What a catalog version holds and where it came from: `catalog.json`."""

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
    """One series: its kind, the candles' interval (empty where there is none), the instrument."""

    kind: str
    interval: str
    instrument: str

    @property
    def group(self) -> str:
        """Such as ``bars/1h`` or ``funding``."""
        return f"{self.kind}/{self.interval}" if self.interval else self.kind

    @property
    def path(self) -> str:
        """Place of its file below ``raw/``: ``bars/1h/BTCUSDT-LINEAR.BYBIT.parquet``."""
        return f"{self.group}/{self.instrument}.parquet"

    @classmethod
    def of_path(cls, path: str) -> SeriesKey:
        """Return the key of the series whose file lies there."""
        parts = path.removesuffix(".parquet").split("/")
        return cls(parts[0], "" if len(parts) == 2 else parts[1], parts[-1])


class FileFact(msgspec.Struct, frozen=True, kw_only=True):
    """One raw file; the hash is of its *contents*, so that a codec may change."""

    sha256: str
    rows: int
    first: int
    last: int


class SourceFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was read: its bare name, size in bytes and hash."""

    name: str
    bytes: int
    sha256: str


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """One import: who gave which rows; words as in `Import`."""

    at: str
    """When it was written, ISO 8601 UTC."""
    source: str
    source_venue: str
    note: str = ""
    files: tuple[SourceFile, ...] = ()
    instruments: tuple[str, ...] = ()
    """Ids whose data changed."""
    inferred: int = 0
    """How many of these had their facts guessed."""
    rows: dict[str, int] = {}
    """New or changed rows by kind and interval, such as ``{"bars/1h": 17520}``."""
    replaced: int = 0
    """Rows that stood there with other values before (the new source won)."""
    duplicates: int = 0
    """Rows of the source that came twice with different values (the last one won)."""
    first: int = 0
    last: int = 0
    """Range of the source's rows, UNIX nanoseconds (UTC)."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that `catalog.json` says; `files` is keyed by path relative to ``raw/``."""

    format: int = FORMAT
    instruments: dict[str, InstrumentInfo] = {}
    files: dict[str, FileFact] = {}
    provenance: tuple[Provenance, ...] = ()


def read_manifest(path: Path) -> Manifest:
    """Read `catalog.json`.

    Raises
    ------
    DeskError
        When it is damaged or of another format.
    """
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (msgspec.DecodeError, OSError) as error:
        raise DeskError(f"{path}: the catalog's index cannot be read: {error}") from error
    if manifest.format != FORMAT:
        raise DeskError(f"{path}: format {manifest.format}, but this perpdesk reads {FORMAT}")
    return manifest


def content_hash(table: pa.Table) -> str:
    """Hash names and values of all columns (no nulls), whatever the Parquet writer's version."""
    import numpy as np

    digest = hashlib.sha256()
    for name in table.column_names:
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(table.column(name).to_numpy()).data)
    return digest.hexdigest()


def fact_of(table: pa.Table) -> FileFact:
    """Sum up a table that is sorted by ts and has at least one row."""
    stamps = table.column("ts")
    return FileFact(
        sha256=content_hash(table),
        rows=table.num_rows,
        first=stamps[0].as_py(),
        last=stamps[-1].as_py(),
    )


def source_file(path: Path) -> SourceFile:
    """Hash a file that was read."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return SourceFile(name=path.name, bytes=path.stat().st_size, sha256=digest)
