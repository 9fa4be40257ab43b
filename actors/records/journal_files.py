"""The journal's files: one owner, never silently corrupt, two generations of backups.

In the node's folder: ``journal.db`` (with SQLite's ``-wal`` and ``-shm``), ``journal.lock`` (names
the process that owns it), ``journal.backup-1.db`` (newest) and ``journal.backup-2.db``, what was
moved aside as ``journal.corrupt-<UTC stamp>.db``, and as an older version left it,
``journal.version-<n>.db``.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from config.errors import DeskError, GateRefused

NAME = "journal.db"
LOCK = "journal.lock"
BACKUPS = ("journal.backup-1.db", "journal.backup-2.db")
OLD = "journal.version-{}.db"
"""A journal as it was before it was made one of the next version."""
_COMPANIONS = ("", "-wal", "-shm")
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
# `holder` takes the lock for microseconds to see whether it is free.
_TRIES, _PAUSE_S = 5, 0.02


@dataclass(frozen=True, slots=True)
class Restored:
    """A corrupt journal was found and put aside.

    Parameters
    ----------
    moved_to : Path
        Where the damaged file is now.
    source : Path or None
        The backup that took its place, None when there was no good one and an empty journal starts.
    damage : str
        What SQLite said.
    """

    moved_to: Path
    source: Path | None
    damage: str

    def __str__(self) -> str:
        instead = (
            f"restored from {self.source.name}"
            if self.source is not None
            else "no good backup was found, so it starts empty"
        )
        return (
            f"the journal was damaged ({self.damage}); it was moved to {self.moved_to.name} and "
            f"{instead}; what it lacks is taken from the venue"
        )


class Lock:
    """The right to write a node's journal; the kernel gives it back when the process dies.

    Raises
    ------
    GateRefused
        If another process holds it; the message names its pid.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if not _locked(self._file):
            pid = os.read(self._file, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise GateRefused(
                f"node is already running: process {pid} holds {self.path}; stop it first "
                "(two nodes on one journal would each send the other's orders again)"
            )
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give it back."""
        os.close(self._file)


def _locked(file: int) -> bool:
    for _ in range(_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE_S)
        else:
            return True
    return False


def holder(folder: Path) -> int | None:
    """Return the pid of the process that owns the folder's journal now, None when nobody does."""
    try:
        file = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        words = os.read(file, 32).decode(errors="replace").strip()
        return int(words) if words.isdigit() else 0
    finally:
        os.close(file)
    return None


def damage(path: Path) -> str | None:
    """Return what is wrong with a journal's file, None when it is well.

    Raises
    ------
    DeskError
        If it can't be read for a reason that is not its own: rights, a full disk.
    """
    try:
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF not in _DAMAGED:
            raise DeskError(f"{path}: can't be read: {error}") from error
        return str(error)
    if found != "ok":
        return str(found).splitlines()[-1]
    # A start that was killed before its first commit leaves no table either; no backup, no loss.
    lost = empty and any((path.parent / name).exists() for name in BACKUPS if name != path.name)
    return "it is empty" if lost else None


def mended(folder: Path) -> Restored | None:
    """Put a damaged journal aside and its last good backup in place; None when it was well."""
    journal = folder / NAME
    if not journal.exists():
        return None
    found = damage(journal)
    if found is None:
        return None
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    aside = folder / f"journal.corrupt-{stamp}.db"
    for companion in _COMPANIONS:
        part = folder / f"{NAME}{companion}"
        if part.exists():
            part.rename(folder / f"{aside.name}{companion}")
    for name in BACKUPS:
        backup = folder / name
        if backup.exists() and damage(backup) is None:
            place = folder / f"{NAME}.restoring"
            shutil.copyfile(backup, place)
            place.replace(journal)
            return Restored(aside, backup, found)
    return Restored(aside, None, found)


def back_up(folder: Path, name: str = BACKUPS[0]) -> Path:
    """Copy the journal as it stands, and fold its WAL in; the backup before it is kept too.

    Safe beside a running writer, from any thread: SQLite copies one snapshot.

    Parameters
    ----------
    name : str
        Of the copy; one that is no backup replaces what has its name.

    Returns
    -------
    Path
        The new copy.
    """
    place = folder / f"{name}.writing"
    place.unlink(missing_ok=True)
    source = sqlite3.connect(folder / NAME, isolation_level=None)
    try:
        copy = sqlite3.connect(place)
        try:
            source.backup(copy)
            # The copy inherits WAL; alone in its file it needs no companions to be whole.
            copy.execute("PRAGMA journal_mode=DELETE")
        finally:
            copy.close()
        source.execute("PRAGMA wal_checkpoint(PASSIVE)")
    finally:
        source.close()
    made, older = folder / name, folder / BACKUPS[1]
    if name == BACKUPS[0] and made.exists():
        made.replace(older)
    place.replace(made)
    return made
