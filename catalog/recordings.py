"""What a recording lacks: holes that its audit names, silences, and what is around it."""

from __future__ import annotations

import csv
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from catalog.storage import days
from catalog.storage.index import CatalogIndex
from config.durations import SECOND_NS
from config.errors import InputError

AUDIT = "recording_gaps.csv"
COLUMNS = ("began", "ended", "seconds", "instrument", "after", "upto", "why")
NOTHING_YET = "nothing was received yet"
"""Why a book lacks its beginning, which what was received tells better."""
TICKS = ("book", "quotes", "trades", "tickers")
"""Kinds of ticks; books come before the trades that are compared with them."""
SILENT_S = 60
FOREVER = 2**62

Stamps = NDArray[np.int64]


class Hole(NamedTuple):
    """A time without an instrument's data, UNIX nanoseconds, and why."""

    began: int
    ended: int
    why: str


def audited(path: Path) -> dict[str, list[Hole]]:
    """Return the holes of each instrument that `perpdesk record` noted in a catalog's folder.

    Raises InputError with file and line.
    """
    file, found = path / AUDIT, dict[str, list[Hole]]()
    if not file.exists():
        return found
    with file.open(newline="", encoding="utf-8") as text:
        rows = csv.DictReader(text)
        for row in rows:
            try:
                began, ended = (_nanoseconds(row[name]) for name in COLUMNS[:2])
                hole = Hole(began, ended, row["why"] or "")
                found.setdefault(row["instrument"], []).append(hole)
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(
                    f"{file}: line {rows.line_num}: not what `perpdesk record` writes: {error!r}"
                ) from error
    return found


def _nanoseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000) * 1_000_000


class Holes:
    """Times without data of an instrument's ticks.

    They are those of the audit, a minute or longer without any message, and what lies before the
    first message and after the last.
    """

    def __init__(self, catalog: CatalogIndex, instrument: str, audit: list[Hole]) -> None:
        files = catalog.manifest.files
        paths = [path for kind in TICKS for path in catalog.paths(kind, "", instrument)]
        self.first = min(files[path].first for path in paths)
        self.last = max(files[path].last for path in paths)
        heard = np.zeros((self.last - self.first) // SECOND_NS + 1, dtype=bool)
        for path in paths:
            for part in days.read(catalog.folder / "raw" / path, ["ts"]):
                heard[(part.column("ts").to_numpy() - self.first) // SECOND_NS] = True
        seconds = np.flatnonzero(heard)
        before = np.flatnonzero(np.diff(seconds) > SILENT_S)
        noted = [hole for hole in audit if hole.why != NOTHING_YET]
        begins = self.first + (seconds[before] + 1) * SECOND_NS
        ends = self.first + seconds[before + 1] * SECOND_NS
        self._begins = np.sort(np.r_[0, begins, self.last, [h.began for h in noted]].astype(int))
        self._ends = np.sort(np.r_[self.first, ends, FOREVER, [h.ended for h in noted]].astype(int))

    def between(self, starts: Stamps, ends: Stamps) -> NDArray[np.bool_]:
        """Whether each of the times from a start to an end lacks some part."""
        begun = np.searchsorted(self._begins, ends, "left")
        found: NDArray[np.bool_] = begun > np.searchsorted(self._ends, starts, "right")
        return found
