"""Databases of the trial ledger: a SQLite file, or PostgreSQL by URL, of one SQL.

Who writes holds one lock from `begin` to COMMIT or ROLLBACK; who reads waits for nobody.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config.errors import InputError

if TYPE_CHECKING:
    import psycopg

PATIENCE_S = 60
URLS = ("postgresql://", "postgres://")
_LOCK = 0x70657270
"""Of PostgreSQL: any number that others of the same database do not use."""


class SqliteFile:
    """A file of SQLite, made with its folder where it is missing."""

    failures = (sqlite3.Error, OSError)

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)

    def open(self, tables: str, version: int) -> int:
        """Make tables where they are missing; return the version of those that are there."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = sqlite3.connect(self.path, isolation_level=None, timeout=PATIENCE_S)
        try:
            return self._prepare(tables, version)
        except BaseException:
            self.close()
            raise

    def _prepare(self, tables: str, version: int) -> int:
        self._use_wal()
        # No wait for the disk at each trial: a kill loses nothing; of a loss of power the newest
        # trials are run again, and counted then.
        self._file.execute("PRAGMA synchronous = NORMAL")
        found = int(self._file.execute("PRAGMA user_version").fetchone()[0])
        if found <= version:
            tables = tables.format(number="INTEGER PRIMARY KEY", bytes="BLOB")
            self._file.executescript(
                f"BEGIN IMMEDIATE; {tables} PRAGMA user_version = {version}; COMMIT;"
            )
        return max(found, version)

    def begin(self) -> None:
        """Begin to write: wait until no other does."""
        # At once, not at the first write: two processes would read the same and then collide.
        self._file.execute("BEGIN IMMEDIATE")

    def execute(self, sql: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        """Run one statement; ``?`` stands for a value."""
        return self._file.execute(sql, values)

    def execute_many(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        """Run one statement with each of many rows."""
        self._file.executemany(sql, rows)

    def said(self, error: Exception) -> str:
        """Return an error's text."""
        return str(error)

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._file.close()

    def _use_wal(self) -> None:
        # SQLite's own patience is not for this: two processes that make a new file would collide.
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                self._file.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > until:
                    raise
                time.sleep(0.01)


class PostgresServer:
    """A database of PostgreSQL by URL; what the URL lacks comes from PGPASSWORD and the like.

    Raises InputError where the URL can't be read; it is not repeated, as it may hold a password.
    """

    def __init__(self, url: str) -> None:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict

        self.failures = (psycopg.Error,)
        try:
            given = {key: str(value) for key, value in conninfo_to_dict(url).items()}
        except psycopg.Error:
            given = {"host": "@"}
        place = [given.get(key, "") for key in ("host", "port", "dbname")]
        # A password with signs of its own is cut in the wrong place: its end is a host's begin.
        if "@" in "".join(place) or place[1].strip("0123456789,"):
            raise InputError(
                "PERPDESK_TRIALS: not a URL of PostgreSQL, such as "
                "postgresql://user@host:5432/trials; in a password write @ as %40, : as %3A, / as "
                "%2F, ? as %3F, % as %25, or set PGPASSWORD"
            )
        self._url, self._secret = url, given.get("password", "")
        who, port = given.get("user", ""), place[1]
        at = f"{who}{'@' * bool(who)}{place[0]}{':' * bool(port)}{port}"
        self.name = f"postgresql://{at}/{place[2]}"

    def open(self, tables: str, version: int) -> int:
        """Make tables where they are missing; return the version of those that are there."""
        import psycopg

        # Statements are not prepared: a pooler may hand the next one to another session.
        self._server = psycopg.connect(
            self._url,
            autocommit=True,
            prepare_threshold=None,
            connect_timeout=PATIENCE_S // 4,
            keepalives_idle=PATIENCE_S,
        )
        try:
            return self._prepare(tables, version)
        except BaseException:
            self.close()
            raise

    def _prepare(self, tables: str, version: int) -> int:
        known = "SELECT to_regclass('ledger_version') IS NOT NULL"
        newest = "SELECT max(version) FROM ledger_version"
        self.begin()
        found = self._one(newest) if self._one(known) else 0
        if found < version:
            key = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
            self._server.execute(tables.format(number=key, bytes="BYTEA").encode())
            self.execute("CREATE TABLE IF NOT EXISTS ledger_version (version BIGINT PRIMARY KEY)")
            self.execute("INSERT INTO ledger_version VALUES (?)", (version,))
        self.execute("COMMIT")
        return max(found, version)

    def begin(self) -> None:
        """Begin to write: wait until no other does."""
        # A machine that vanished must not hold the lock for longer than others wait.
        self._server.execute(
            f"BEGIN; SET LOCAL lock_timeout = '{PATIENCE_S}s';"
            f" SET LOCAL idle_in_transaction_session_timeout = '{PATIENCE_S // 2}s';"
            f" SELECT pg_advisory_xact_lock({_LOCK})".encode()
        )

    def execute(self, sql: str, values: tuple[Any, ...] = ()) -> psycopg.Cursor[Any]:
        """Run one statement; ``?`` stands for a value."""
        return self._server.execute(sql.replace("?", "%s").encode(), values)

    def execute_many(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        """Run one statement with each of many rows, without a wait for each."""
        self._server.cursor().executemany(sql.replace("?", "%s").encode(), rows)

    def said(self, error: Exception) -> str:
        """Return an error's text, without the password."""
        text = str(error).strip()
        return text.replace(self._secret, "***") if self._secret else text

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        self._server.close()

    def _one(self, sql: str) -> Any:
        (row,) = self._server.execute(sql.encode()).fetchall()
        return row[0]
