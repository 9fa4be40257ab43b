"""The exchange's state file: SQLite, written before anything is published.

All rows of one call are upserted in one transaction: a killed process leaves all or none. A power
cut may lose the last calls, but does not damage the file (WAL with ``synchronous=NORMAL``:
https://www.sqlite.org/pragma.html).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from config.errors import DeskError, GateRefused
from live_nodes.practice.exchange.records import ROW_TYPES, Row

LAYOUT = 1
"""Version of the file layout; other versions are refused."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS rows (
    kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""
_UPSERT = "INSERT OR REPLACE INTO rows (kind, key, value) VALUES (?, ?, ?)"
_UPSERT_FACT = "INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)"


class StateFile:
    """An open state file (SQLite, with a ``.lock`` beside it); one process at a time.

    GateRefused: open in another process. DeskError: no state file, damaged, or another layout.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(path.with_name(path.name + ".lock"), path)
        try:
            self._database = _opened(path)
        except DeskError:
            os.close(self._lock)
            raise

    def save(self, rows: Iterable[Row]) -> None:
        """Upsert rows; they survive a killed process when this returns."""
        values = [(row.table, row.row_key, msgspec.json.encode(row)) for row in rows]
        with self._database:  # Commits, or rolls back what failed.
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany(_UPSERT, values)

    def rows(self) -> list[Row]:
        """Return all rows in the order they were counted. DeskError: a row of another version."""
        found: list[Row] = []
        for kind, value in self._database.execute("SELECT kind, value FROM rows"):
            try:
                found.append(msgspec.json.decode(value, type=ROW_TYPES[kind]))
            except (KeyError, msgspec.DecodeError) as error:
                raise DeskError(
                    f"{self.path}: a row of {kind} can't be read ({error}); it was written by "
                    "another version. Delete the file to begin again"
                ) from error
        tables = list(ROW_TYPES)
        found.sort(key=lambda row: (tables.index(row.table), getattr(row, "seq", 0)))
        return found

    def fact(self, name: str) -> Any:
        """Return a fact stored by `keep_fact`, or None."""
        row = self._database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else msgspec.json.decode(row[0])

    def keep_fact(self, name: str, value: Any) -> None:
        """Store a fact (any JSON value) durably."""
        self._database.execute(_UPSERT_FACT, (name, msgspec.json.encode(value)))

    def close(self) -> None:
        """Close the file and release its lock."""
        self._database.close()
        os.close(self._lock)


def _locked(lock: Path, path: Path) -> int:
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(handle, 32, 0).decode().strip()
        os.close(handle)
        raise GateRefused(
            f"the state file {path} is in use by an exchange that runs (process {holder}); "
            "stop it first, or give another file by --state"
        ) from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, str(os.getpid()).encode(), 0)
    return handle


def _opened(path: Path) -> sqlite3.Connection:
    # Autocommit: this module begins and ends transactions itself.
    database = sqlite3.connect(path, isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=NORMAL")
        checked = database.execute("PRAGMA quick_check").fetchone()[0]
        layout = database.execute("PRAGMA user_version").fetchone()[0]
        if checked != "ok":
            raise sqlite3.DatabaseError(checked)
        if layout not in (0, LAYOUT):
            raise sqlite3.DatabaseError(f"it has layout {layout}, this version reads {LAYOUT}")
        database.executescript(_SCHEMA)
        database.execute(f"PRAGMA user_version={LAYOUT}")
    except sqlite3.DatabaseError as error:
        database.close()
        raise DeskError(
            f"{path} is not a sound state file of a practice exchange ({error}); "
            "move it away to begin again"
        ) from error
    return database
