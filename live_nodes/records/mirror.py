"""Mirror a node's journal into PostgreSQL: every table, a moment behind, from beside the node.

The tables are those of the journal (`actors.records.journal_schema`) in the schema ``perpdesk``,
each row with its ``journal``, NAME.ENVIRONMENT. Each look takes what is new as of one moment and
writes it in one transaction: a mirror that dies, or a server that does, goes on from what is there.
A journal that went back, as to a backup, begins anew; what the mirror had of it stays under the
name ``NAME.ENVIRONMENT until <UTC stamp>``.
"""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actors.records.chain import columns_of, follow_connection
from actors.records.journal_files import NAME
from actors.records.journal_reading import version_of
from actors.records.journal_schema import CHANGING, GROWING, VERSION
from config.documents import Node
from config.errors import DeskError, GateRefused
from live_nodes.local.keys import ENV_FILE, Secret, secret_of

if TYPE_CHECKING:
    import psycopg

SCHEMA = "perpdesk"
EVERY_S = 1.0
MOST = 5000
"""Rows of a table in one transaction."""
_SHARE = 20
"""A look may take this machine's processor for one part in so many of the time."""
LATE_S = 60.0
"""It is said that a server has not answered for so long."""
_BACK_NS = 600_000_000_000
"""So far back orders are read again, as the node's clock may be set back."""
_AGAIN_S = 1.0
_PARAMETERS: dict[str, Any] = {
    "connect_timeout": 5,
    "tcp_user_timeout": 20_000,
    "options": "-c statement_timeout=60000",
    "application_name": "perpdesk mirror",
    "client_encoding": "UTF8",  # A database of SQL_ASCII gives bytes else.
}
_DELETES = ("standing", "state")
"""Tables that a node deletes rows of."""

Rows = dict[tuple[Any, ...], tuple[Any, ...]]


def mirror_url(node: Node, variables: Mapping[str, str]) -> Secret | None:
    """Return where the node's journal is mirrored, None where it is not.

    Raises GateRefused if the variable is missing or holds no URL of a PostgreSQL server.
    """
    if node.mirror is None:
        return None
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    url = secret_of(node.mirror, variables)[0].reveal()
    what = f"{node.name}: mirror: {node.mirror}"
    if not url:
        raise GateRefused(
            f"{what} is not set: put the server's URL into {ENV_FILE} or the environment, or leave "
            "out `mirror:`"
        )
    try:
        is_one = url.startswith(("postgresql://", "postgres://")) and conninfo_to_dict(url)
    except ProgrammingError:
        # Its words may have the password.
        is_one = False
    if not is_one:
        raise GateRefused(f"{what} must be like postgresql://user:password@host/database")
    return Secret(url)


def journal_of(node: Node) -> str:
    """Return the name of a node's journal in the mirror."""
    return f"{node.name}.{node.environment}"


def migrate(url: Secret) -> None:
    """Bring the server's tables to this version; safe to call twice and by several at once."""
    import psycopg
    import sqlalchemy as sa
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    engine = sa.create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(url.reveal(), **_PARAMETERS),
        poolclass=sa.NullPool,
    )
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


class Mirror:
    """Follows the journal in a state folder; `say` gets each failure and recovery once."""

    def __init__(self, folder: Path, name: str, url: Secret, say: Callable[[str], None]) -> None:
        self._path, self._name, self._url, self._say = folder / NAME, name, url, say
        self._migrated = False
        self._trouble = ""
        self._asked = math.inf
        self.rows = 0
        """Written until now."""

    def run(self, ended: Callable[[float], bool]) -> bool:
        """Mirror until `ended`, which waits for so many seconds; return whether all is there."""
        over = threading.Event()
        threading.Thread(target=self._watch, args=(over,), name="late", daemon=True).start()
        try:
            return self._mirror(ended)
        finally:
            over.set()

    def _mirror(self, ended: Callable[[float], bool]) -> bool:
        import psycopg
        import sqlalchemy as sa
        from alembic.util import CommandError

        while True:
            try:
                if not self._migrated:
                    with self._waiting():
                        migrate(self._url)
                    self._migrated = True
                with (
                    psycopg.connect(self._url.reveal(), autocommit=True, **_PARAMETERS) as server,
                    closing(follow_connection(self._path)) as journal,
                ):
                    if self._follow(_Session(self._name, journal, server, self._say), ended):
                        return True
            except (psycopg.Error, sa.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
                # The first line, as others show statements with their rows.
                self._tell(f"the mirror waits: {str(error).strip().splitlines()[0]}")
            except DeskError as error:
                self._tell(f"the mirror waits: {error}")
            except (CommandError, KeyError) as error:
                self._tell(
                    "the mirror waits: its tables are not this version's, another perpdesk or "
                    f"somebody changed them: {type(error).__name__}: {error}"
                )
            if ended(_AGAIN_S):
                return False

    def _tell(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._say(trouble or "the mirror goes on")
        self._trouble = trouble

    def _watch(self, over: threading.Event) -> None:
        """Say that a server does not answer: one that is frozen, or locked, ends no connection."""
        while not over.wait(EVERY_S):
            if time.monotonic() - self._asked > LATE_S:
                self._tell(f"the mirror waits: its server has not answered for {LATE_S:g} s")

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        self._asked = time.monotonic()
        try:
            yield
        finally:
            self._asked = math.inf

    def _follow(self, session: _Session, ended: Callable[[float], bool]) -> bool:
        """Return whether it ended; not, where another file took the journal's place."""
        with self._waiting():
            session.resume()
        opened, last = self._path.stat().st_ino, False
        while True:
            began = time.thread_time()
            with self._waiting():
                count, more = session.look()
            self.rows += count
            self._tell("")
            if more:
                continue
            if last:
                return True
            last = ended(max(EVERY_S, _SHARE * (time.thread_time() - began)))
            if self._path.stat().st_ino != opened:
                return False


class _Session:
    """A connection to the server: how far it is, and what it has of newest states."""

    def __init__(
        self,
        name: str,
        journal: sqlite3.Connection,
        server: psycopg.Connection[Any],
        say: Callable[[str], None],
    ) -> None:
        self._name, self._journal, self._server, self._say = name, journal, server, say
        self._upto: dict[str, int] = {}
        self._known: dict[str, Rows] = {}
        self._orders_from: tuple[int, str] = (0, "")
        self._seen: int | None = None

    def resume(self) -> None:
        """Find out what the server has; put it aside where the journal has other rows."""
        version = version_of(self._journal, Path(NAME))
        if version != VERSION:
            raise DeskError(f"the journal has version {version}: the node's next start migrates it")
        if not self._one("SELECT pg_try_advisory_lock(hashtext('perpdesk'), hashtext(%s))"):
            raise DeskError(f"another process mirrors {self._name}")
        self._kinds = self._column_kinds()
        self._keys = {table: _key_of(self._journal, table) for table in (*GROWING, *CHANGING)}
        if any(not self._continues(table) for table in GROWING):
            aside = f"{self._name} until {datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
            with self._server.transaction():
                for table in self._keys:
                    self._server.execute(
                        f"UPDATE {SCHEMA}.{table} SET journal = %s WHERE journal = %s".encode(),
                        (aside, self._name),
                    )
            self._say(f"the journal went back; its rows of before stay in the mirror as {aside!r}")
        self._upto = {table: self._newest(table) for table in GROWING}
        # All orders once: the server can't know what a clock that was set back has hidden.
        self._orders_from = (0, "")
        self._known = {table: self._mirrored(table) for table in _small()} | {"orders": {}}

    def look(self) -> tuple[int, bool]:
        """Write what is new in one transaction; return how many rows, and whether more wait."""
        commits = int(self._journal.execute("PRAGMA data_version").fetchone()[0])
        if commits == self._seen:
            return 0, False
        new: dict[str, Rows] = {}
        self._journal.execute("BEGIN")
        try:
            for table in GROWING:
                if table != "runs":
                    where = f"WHERE id > {self._upto[table]} ORDER BY id LIMIT {MOST}"
                    new[table] = self._rows(table, where)
            orders = self._rows(
                "orders",
                "WHERE (changed, client_order_id) > (?, ?)"
                f" ORDER BY changed, client_order_id LIMIT {MOST}",
                *self._orders_from,
            )
            small = {table: self._rows(table) for table in _small()}
        finally:
            self._journal.execute("COMMIT")
        more = any(len(rows) == MOST for rows in (*new.values(), orders))
        for table, rows in (small | {"orders": orders}).items():
            known = self._known[table]
            new[table] = {key: row for key, row in rows.items() if known.get(key) != row}
        gone = {table: self._known[table].keys() - small[table].keys() for table in _DELETES}
        with self._server.transaction(), self._server.cursor() as cursor:
            for table, rows in new.items():
                if rows:
                    cursor.executemany(
                        self._upsert(table), [(self._name, *r) for r in rows.values()]
                    )
            for table, keys in gone.items():
                where = " AND ".join(f"{name} = %s" for name in ("journal", *self._keys[table]))
                for key in keys:
                    cursor.execute(
                        f"DELETE FROM {SCHEMA}.{table} WHERE {where}".encode(), (self._name, *key)
                    )
        # Only now: it may have failed.
        self._upto |= {t: max(new[t])[0] for t in GROWING if t != "runs" and new[t]}
        self._known |= small
        self._move_orders(orders)
        self._seen = None if more else commits
        return sum(map(len, new.values())), more

    def _move_orders(self, rows: Rows) -> None:
        names = list(self._kinds["orders"])
        changed = names.index("changed")
        known = self._known["orders"] | rows
        newest = max((row[changed] for row in known.values()), default=0)
        if len(rows) == MOST:
            key, row = list(rows.items())[-1]
            self._orders_from = (row[changed], key[0])
        elif known:
            self._orders_from = (newest - _BACK_NS, "")
        kept = {key: row for key, row in known.items() if row[changed] >= newest - _BACK_NS}
        self._known["orders"] = kept

    def _continues(self, table: str) -> bool:
        """Whether the newest row that the server has of a table is the journal's own."""
        newest = self._newest(table)
        if not newest:
            return True
        ours = self._rows(table, f"WHERE id = {newest}").get((newest,))
        theirs = self._mirrored(table, f"AND id = {newest}").get((newest,))
        kept = columns_of(self._journal, table)
        places = [n for n, name in enumerate(self._kinds[table]) if name in kept]
        return ours is not None and all(ours[n] == (theirs or ours)[n] for n in places)

    def _newest(self, table: str) -> int:
        return int(self._one(f"SELECT max(id) FROM {SCHEMA}.{table} WHERE journal = %s") or 0)

    def _one(self, statement: str) -> Any:
        row = self._server.execute(statement.encode(), (self._name,)).fetchone()
        return None if row is None else row[0]

    def _column_kinds(self) -> dict[str, dict[str, str]]:
        rows = self._server.execute(
            "SELECT table_name, column_name, data_type FROM information_schema.columns"
            f" WHERE table_schema = '{SCHEMA}' ORDER BY table_name, ordinal_position".encode()
        )
        found: dict[str, dict[str, str]] = {}
        for table, column, kind in rows:
            if column != "journal":
                found.setdefault(table, {})[column] = kind
        return found

    def _rows(self, table: str, rest: str = "", *values: Any) -> Rows:
        """Return rows of the journal as the server has them, by key."""
        kinds = self._kinds[table]
        found = self._journal.execute(f"SELECT {', '.join(kinds)} FROM {table} {rest}", values)
        as_kinds = list(kinds.values())
        places = [list(kinds).index(name) for name in self._keys[table]]
        rows = (tuple(map(_value, row, as_kinds)) for row in found)
        return {tuple(row[n] for n in places): row for row in rows}

    def _mirrored(self, table: str, rest: str = "") -> Rows:
        """Return rows of the server, by key."""
        kinds = self._kinds[table]
        names = (f"{name}::text" if kind == "json" else name for name, kind in kinds.items())
        found = self._server.execute(
            f"SELECT {', '.join(names)} FROM {SCHEMA}.{table} WHERE journal = %s {rest}".encode(),
            (self._name,),
        )
        places = [list(kinds).index(name) for name in self._keys[table]]
        return {tuple(row[n] for n in places): tuple(row) for row in found}

    def _upsert(self, table: str) -> bytes:
        names, keys = list(self._kinds[table]), self._keys[table]
        changes = ", ".join(f"{name} = excluded.{name}" for name in names if name not in keys)
        # Orders come again and again.
        unless = f" WHERE {table}.changed != excluded.changed" if table == "orders" else ""
        return (
            f"INSERT INTO {SCHEMA}.{table} (journal, {', '.join(names)})"
            f" VALUES ({', '.join(['%s'] * (len(names) + 1))})"
            f" ON CONFLICT (journal, {', '.join(keys)}) DO UPDATE SET {changes}{unless}"
        ).encode()


def _small() -> tuple[str, ...]:
    """Return the tables that are compared as a whole at each look."""
    return ("runs", *(table for table in CHANGING if table != "orders"))


def _key_of(journal: sqlite3.Connection, table: str) -> list[str]:
    rows = journal.execute(f"PRAGMA table_info({table})").fetchall()
    return [row[1] for row in sorted(rows, key=lambda row: row[5]) if row[5]]


def _value(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "numeric":
        return Decimal(value)
    text = value.decode() if kind == "json" else value
    # PostgreSQL's texts can't have it.
    return text.replace("\0", "\ufffd") if isinstance(text, str) else text
