"""Finished pieces of a pull, kept until the catalog has them: what makes a pull resumable."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = ".pull"


class Piece(NamedTuple):
    """Part of one series to ask for: start < ts <= end, UNIX nanoseconds."""

    kind: str
    interval: str
    instrument: str
    start: int
    end: int

    @property
    def name(self) -> str:
        """Name of its file."""
        interval = self.interval or "-"
        return f"{self.kind}_{interval}_{self.instrument}_{self.start}_{self.end}.parquet"


class Spool:
    """A folder in the catalog's own, one file a finished piece.

    Parameters
    ----------
    catalog : Path
        The catalog's folder.
    source : str
        Whom was asked; pieces of different sources are kept apart.
    """

    def __init__(self, catalog: Path, source: str) -> None:
        keep = "".join(c if c.isalnum() else "_" for c in source)
        self.folder = catalog / FOLDER / keep

    def has(self, piece: Piece) -> bool:
        """Tell whether the piece is finished."""
        return (self.folder / piece.name).exists()

    def keep(self, piece: Piece, table: pa.Table) -> None:
        """Keep a finished piece; a killed process leaves all of it or nothing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        target = self.folder / piece.name
        partial = target.with_suffix(".partial")
        pq.write_table(table, partial)
        os.replace(partial, target)

    def load(self, piece: Piece) -> pa.Table:
        """Read a finished piece."""
        return pq.read_table(self.folder / piece.name, partitioning=None)

    def clear(self) -> None:
        """Remove all pieces, and the folder above if nobody else keeps any."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.folder.parent.exists() and not any(self.folder.parent.iterdir()):
            self.folder.parent.rmdir()
