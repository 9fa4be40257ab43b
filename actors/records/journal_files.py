"""The journal's files: lock, damage check and two generations of backups.

In the node's folder: ``journal.db`` (with SQLite's ``-wal`` and ``-shm``), ``journal.lock`` (names
the process that owns it), ``journal.backup-1.db`` (newest) and ``journal.backup-2.db``. A damaged
file is kept as ``journal.corrupt-<UTC stamp>.db``, one of an older version as
``journal.version-<n>.db``.
"""

from __future__ import annotations

import errno
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
"""Copy of a journal before its migration to the next version."""
_COMPANIONS = ("", "-wal", "-shm")
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_TRIES, _PAUSE_S = 5, 0.02
_FOLDS = 10


@dataclass(frozen=True, slots=True)
class Restored:
    """A damaged journal that was moved aside.

    ``source`` is the backup that replaced it, None when there was no good one and an empty journal
    starts. ``damage`` is SQLite's message.
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
    """The lock to write a node's journal; the kernel releases it when the process dies.

    Raises
    ------
    GateRefused
        If another process holds it; the message names its pid.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if not locked(self._file):
            pid = os.read(self._file, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise GateRefused(
                f"node is already running: process {pid} holds {self.path}; stop it first "
                "(two nodes on one journal would each send the other's orders again)"
            )
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Release the lock."""
        os.close(self._file)


def locked(file: int) -> bool:
    """Lock a file for this process alone; False where another holds it.

    It tries some times: who looks for the holder takes the lock for an instant.
    """
    for _ in range(_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE_S)
        else:
            return True
    return False


def holder(folder: Path) -> int | None:
    """Return the pid of the process that owns the folder's journal now, or None."""
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
    """Return what is wrong with a journal's file, or None.

    Raises
    ------
    DeskError
        If it can't be read for another reason, such as rights or a full disk.
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
    # A start killed before its first commit leaves no table either; no backup means no loss.
    lost = empty and any((path.parent / name).exists() for name in BACKUPS if name != path.name)
    return "it is empty" if lost else None


def mended(folder: Path) -> Restored | None:
    """Replace a damaged journal by its last good backup; return None when it was not damaged."""
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
    """Fold the journal's WAL in, copy it, keep the previous backup too, and return the new path.

    It is safe beside a running writer, from any thread: SQLite copies one snapshot. A ``name`` that
    is not a backup's replaces the file of that name. Raises OSError, and leaves nothing, where the
    copy would take the space that the journal itself needs.
    """
    place = folder / f"{name}.writing"
    place.unlink(missing_ok=True)
    fold(folder)
    if shutil.disk_usage(folder).free < (folder / NAME).stat().st_size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(place))
    try:
        copy_journal(folder / NAME, place)
    except BaseException:
        place.unlink(missing_ok=True)
        raise
    made, older = folder / name, folder / BACKUPS[1]
    if name == BACKUPS[0] and made.exists():
        made.replace(older)
    place.replace(made)
    return made


def copy_journal(journal: Path, place: Path) -> None:
    """Copy a journal as of one moment into one complete file, beside a running writer."""
    source = sqlite3.connect(journal, isolation_level=None)
    source.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE)
    try:
        copy = sqlite3.connect(place)
        try:
            source.backup(copy)
            # The copy inherits WAL mode, which has files beside it.
            copy.execute("PRAGMA journal_mode=DELETE")
        finally:
            copy.close()
    finally:
        source.close()


def fold(folder: Path) -> None:
    """Copy the WAL's pages into the journal's file, beside a running writer, from any thread.

    The writer begins the WAL anew once all of it is copied, so what it wrote meanwhile is copied as
    well, a few times: each takes less.
    """
    connection = sqlite3.connect(folder / NAME, isolation_level=None)
    try:
        before = None
        for _ in range(_FOLDS):
            _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if before is not None and pages <= before:
                return
            before = pages
    finally:
        connection.close()
