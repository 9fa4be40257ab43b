"""The journal: a node's decisions, requests, fills and positions in SQLite, safe after kill -9.

One SQLite file a node, one writer. What a call wrote survives the death of the process once it
returns (WAL, ``synchronous=NORMAL``: a commit is one write, some ten microseconds, no fsync; only a
power cut can lose the last ones, and a kill what a full disk refused, see `keep_rows`). The order
matters: an intent is written before its request leaves, a strategy's state before the action that
follows from it.

    journal = Journal.open(folder, node="reversal")     # GateRefused when another process has it
    if journal.restored: say(journal.restored)          # was corrupt, a backup took its place
    journal.begin_run(environment="practice", document=config_hash, dry_run=False)
    gate.observers.append(journal)                      # `intended` and `refused` of `Observer`
    strategy.attach_state(journal.state("reversal"))    # a `StateStore`
    for order in journal.unsettled(): ...               # orders without a final outcome
    journal.outcome(order_id, "NEVER_ARRIVED")          # what recovery found out
    journal.phase("running"); ...; journal.end_run("stopped"); journal.close()
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

from actors.records.journal_files import NAME, OLD, Lock, Restored, back_up, fold, mended
from actors.records.journal_reading import connect, version_of
from actors.records.journal_schema import MIGRATIONS, TABLES, VERSION
from actors.records.journal_writing import JournalError, JournalWriter

__all__ = ["Journal", "JournalError", "JournalState"]


WAL_PAGES = 16_000
"""Limits the WAL to 64 MB if `fold` finds no moment between two commits."""
_PAGE = 4096
ROOM = 1 << 20
"""Bytes that must be free, beside those of the rows that wait, before they are written."""


class JournalState:
    """A strategy's or guard's state in the journal: a `StateStore`."""

    def __init__(self, journal: Journal, owner: str) -> None:
        self._journal = journal
        self._owner = owner

    def load(self, name: str) -> bytes | None:
        """Return the last saved value of the name, or None."""
        return self._journal.load_state(self._owner, name)

    def save(self, name: str, value: bytes) -> None:
        """Save a value; it survives the death of the process once this returns."""
        self._journal.save_state(self._owner, name, value)


class Journal(JournalWriter):
    """A node's journal; `open` it, then read and write it.

    ``restored`` is set when the file was damaged and a backup, or an empty journal, replaced it.
    ``failed`` has what `back_up` and `fold` failed at, by their names, until they succeed again.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        folder: Path,
        lock: Lock,
        restored: Restored | None,
        clock_ns: Callable[[], int],
    ) -> None:
        super().__init__(connection, clock_ns)
        self.folder = folder
        self.restored = restored
        self._lock = lock
        self._backup: threading.Thread | None = None
        self._folding: threading.Thread | None = None
        self.failed: dict[str, str] = {}
        self._file: sqlite3.Connection | None = None
        self._inode = (folder / NAME).stat().st_ino

    @classmethod
    def open(
        cls, folder: Path, *, node: str, clock_ns: Callable[[], int] = time.time_ns
    ) -> Journal:
        """Open or make the journal of a node, in its state `folder`.

        A damaged file is moved aside and the last good backup put in its place (`restored`). A
        journal of an older version is copied (``journal.version-<n>.db``), then migrated.

        Raises
        ------
        GateRefused
            If another process has it open; the message names its pid.
        DeskError
            If it can't be read or was written by a newer version.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = Lock(folder)
        except OSError as error:
            raise JournalError(error, f"the state folder {folder}") from error
        try:
            restored = mended(folder)
            connection = connect(folder / NAME)
            try:
                version = version_of(connection, folder / NAME)
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=NORMAL")
                # `fold` does it in another thread, as it waits for the disk; this is the limit.
                connection.execute(f"PRAGMA wal_autocheckpoint={WAL_PAGES}")
                kept = back_up(folder, OLD.format(version)) if version in MIGRATIONS else None
                steps = "".join(MIGRATIONS[old] for old in range(version or VERSION, VERSION))
                connection.executescript(
                    f"BEGIN;{steps}{TABLES}PRAGMA user_version={VERSION};COMMIT;"
                )
            except BaseException:
                connection.close()
                raise
        except (OSError, sqlite3.Error) as error:
            lock.release()
            raise JournalError(error, f"the state folder {folder}") from error
        except BaseException:
            lock.release()
            raise
        journal = cls(connection, folder, lock, restored, clock_ns)
        journal.node = node
        if restored is not None:
            journal.note("restored", str(restored))
        if kept is not None:
            journal.note(
                "migrated",
                f"from journal version {version} to {VERSION}; as it was it is kept in {kept.name}",
            )
        return journal

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin_run(self, *, environment: str, document: str, dry_run: bool = False) -> int:
        """Start a run; new rows belong to it."""
        cursor = self._write(
            "INSERT INTO runs (started, pid, node, environment, document, dry_run, phase, note)"
            " VALUES (?, ?, ?, ?, ?, ?, 'starting', '')",
            (self._clock_ns(), os.getpid(), self.node, environment, document, dry_run),
        )
        self.run = int(cursor.lastrowid or 0)
        return self.run

    def phase(self, phase: str, note: str = "") -> None:
        """Write the phase of the run: starting, running, stopping."""
        self._write("UPDATE runs SET phase = ?, note = ? WHERE id = ?", (phase, note, self.run))

    def end_run(self, phase: str = "stopped", note: str = "") -> None:
        """End the run: stopped, or failed and why."""
        self._write(
            "UPDATE runs SET ended = ?, phase = ?, note = ? WHERE id = ?",
            (self._clock_ns(), phase, note, self.run),
        )

    def keep_rows(self) -> None:
        """Keep in memory what a full disk refuses, from here on, until `write_kept` can write it.

        All is read and written as before, in order, but for two things: `intended` raises for an
        entry, so that none leaves before its row is on the disk, and a kill loses what waits.
        """
        self.keeps = True
        # None of the open transaction that has it may go to the disk before its end.
        for setting in ("cache_spill = OFF", "temp_store = MEMORY"):
            self._connection.execute(f"PRAGMA {setting}")

    @property
    def kept(self) -> int:
        """Number of statements that wait in memory."""
        return 0 if self.full is None else len(self._uncommitted)

    def write_kept(self) -> None:
        """Write what waits as one commit, if there is room; `full` says whether it still waits.

        Rows wait as well from here on when the file was removed, or moved, until it is back.
        """
        if self.full is None:
            if self.keeps and self._file is None and self._is_gone():
                self.full = sqlite3.OperationalError(f"{self.folder / NAME} is gone")
                self._again()
            return
        self._drop_replaced()
        try:
            self._find_room()
            self._connection.execute("COMMIT")
        except (OSError, sqlite3.Error):
            if not self._connection.in_transaction:
                self._again()
            return
        self.full = None
        self._uncommitted.clear()

    def _is_gone(self) -> bool:
        # SQLite goes on in a file that has no name any more.
        try:
            return (self.folder / NAME).stat().st_ino != self._inode
        except OSError:
            return True

    def _find_room(self) -> None:
        if self._is_gone():
            raise FileNotFoundError(self.folder / NAME)
        # A commit that fails takes all back, and is no way to try.
        (pages,) = self._connection.execute("PRAGMA page_count").fetchone()
        size = ROOM + 2 * _PAGE * max(0, pages - self._pages)
        probe = self.folder / f".{NAME}.room"
        file = os.open(probe, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            # Already here: a kill must leave nothing that takes the room.
            probe.unlink()
            # macOS has none: there the commit finds out.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file, 0, size)
        finally:
            os.close(file)

    def go_on_in_memory(self) -> None:
        """Write to a copy in memory from here on, as the file can't be written; safe to call twice.

        So a node can still cancel, close and verify; its next start asks the venue what was done.
        The copy is empty when the file can't be read either.
        """
        if self._file is not None or self.full is not None:
            return
        self._file, memory = self._connection, sqlite3.connect(":memory:", isolation_level=None)
        memory.row_factory = self._file.row_factory
        try:
            if self._file.in_transaction:
                self._file.execute("ROLLBACK")
            self._file.backup(memory)
        except sqlite3.Error:
            memory.executescript(TABLES)
        self._connection = memory

    def state(self, owner: str) -> JournalState:
        """Return the `StateStore` of a strategy's or guard's key."""
        return JournalState(self, owner)

    def back_up(self) -> None:
        """Start a backup in another thread; `failed` says whether it failed."""
        if self._backup is None or not self._backup.is_alive():
            self._backup = self._begun(back_up)

    def fold(self) -> None:
        """Start to fold the WAL into the file in another thread, so that no commit has to."""
        if self._folding is None or not self._folding.is_alive():
            self._folding = self._begun(fold)

    def _begun(self, work: Callable[[Path], object]) -> threading.Thread | None:
        if self._file is not None or self.full is not None:
            return None
        thread = threading.Thread(
            target=self._work, args=(work,), name="journal backup", daemon=True
        )
        thread.start()
        return thread

    def _work(self, work: Callable[[Path], object]) -> None:
        try:
            work(self.folder)
        except (OSError, sqlite3.Error) as error:
            self.failed[work.__name__] = str(error)
        else:
            self.failed.pop(work.__name__, None)

    def close(self) -> None:
        """Make a last backup, fold the WAL in, release the lock; safe to call twice.

        Raises JournalError when rows that wait, or the backup, can't be written.
        """
        if self.closed:
            return
        try:
            for thread in (self._backup, self._folding):
                if thread is not None:
                    thread.join()
            self.write_kept()
            if self.full is not None:
                raise JournalError(self.full, f"the last {self.kept:,} rows of the journal")
            if self._file is None:
                back_up(self.folder)
        except (OSError, sqlite3.Error) as error:
            raise JournalError(error, "the journal's backup") from error
        finally:
            super().close()
            if self._file is not None:
                self._file.close()
            self._lock.release()
