"""Reads a journal: for the node itself, for recovery, and for other processes.

`read` opens the journal of a running, stopped or dead node, and never writes to it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import msgspec

from actors.records.journal_files import NAME
from actors.records.journal_schema import FOLLOWED, GONE, OLD_VIEWS, TAKEN, VERSION
from actors.records.rows import (
    MARKS,
    EquityRow,
    FillRow,
    LinkRow,
    OrderRow,
    PositionRow,
    Run,
    from_sql,
)
from config.errors import DeskError, InputError
from strategies.messages import Action, Decision, Verdict

_DECISIONS = msgspec.json.Decoder(Decision)
_VERDICTS = msgspec.json.Decoder(Verdict)
_GONE = msgspec.json.Decoder(tuple[int, str, Decimal, Decimal])
_PATIENCE_S = 5.0
_CLOCKS_NS = 5_000_000_000
"""How far the times of positions may be out of the order in which they were written."""


def connect(path: Path, mode: Literal["rwc", "rw", "ro"] = "rwc") -> sqlite3.Connection:
    """Return an autocommit connection whose rows give values by column name."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        timeout=_PATIENCE_S,
    )
    connection.row_factory = sqlite3.Row
    return connection


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """Return a journal's version, 0 for one without tables.

    Raises
    ------
    DeskError
        If a newer perpdesk wrote it.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise DeskError(
            f"{path}: written by a newer perpdesk (journal version {version}, "
            f"this one knows {VERSION}); use that one"
        )
    return version


class JournalReader:
    """Queries of a journal. Times are UNIX nanoseconds (UTC)."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.closed = False
        self.node = ""

    @property
    def connection(self) -> sqlite3.Connection:
        """The journal itself, for what reads tables as they are."""
        return self._connection

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if not self.closed:
            self.closed = True
            self._connection.close()

    @contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """Read all inside as of one moment, whatever the node writes meanwhile."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def show_as_this_version(self, path: Path) -> None:
        """Read an older journal as if it had this version; nothing can be written afterwards."""
        version = version_of(self._connection, path)
        if not version:
            if any(path.parent.glob("journal.backup-*.db")):
                raise DeskError(f"{path}: it is empty; the next start restores its backup")
            raise InputError(f"{path}: no journal yet; the node's first start makes it")
        if version in OLD_VIEWS:
            self._connection.executescript(OLD_VIEWS[version])
        self._connection.execute("PRAGMA query_only=ON")

    def runs(self, limit: int = 1) -> list[Run]:
        """Return the last runs, the newest first."""
        rows = self.query("SELECT * FROM runs ORDER BY id DESC LIMIT ?", limit)
        return [from_sql(Run, row) for row in rows]

    def unsettled(self) -> list[OrderRow]:
        """Return the orders without a final outcome, the oldest first."""
        return self._orders("WHERE final = 0 ORDER BY created, client_order_id")

    def order(self, client_order_id: str) -> OrderRow | None:
        """Return one order, or None."""
        found = self._orders("WHERE client_order_id = ?", client_order_id)
        return found[0] if found else None

    def orders_since(self, ts: int) -> list[OrderRow]:
        """Return the orders made at or after a time, the oldest first."""
        return self._orders("WHERE created >= ? ORDER BY created, client_order_id", ts)

    def orders_changed_since(self, ts: int) -> list[OrderRow]:
        """Return the orders made or changed at or after a time, the oldest first."""
        return self._orders("WHERE changed >= ? ORDER BY created, client_order_id", ts)

    def intents(self, client_order_id: str | None = None) -> list[dict[str, Any]]:
        """Return the requests of one order, or all, in the order they were written."""
        return self.query(
            "SELECT * FROM intents WHERE ? IS NULL OR client_order_id = ? ORDER BY id",
            client_order_id,
            client_order_id,
        )

    def refused_between(self, since: int, until: int) -> dict[str, str]:
        """Return why orders of since <= ts < until were refused before they left, by their id."""
        rows = self._between("intents", since, until - 1)
        return {row["client_order_id"]: row["refused"] for row in rows if row["refused"]}

    def order_events(self, client_order_id: str) -> list[dict[str, Any]]:
        """Return an order's events in the order they came."""
        return self.query(
            "SELECT * FROM order_events WHERE client_order_id = ? ORDER BY id", client_order_id
        )

    def fills_since(self, ts: int, limit: int = -1) -> list[FillRow]:
        """Return the executions at or after a time, the oldest first."""
        rows = self.query(
            "SELECT * FROM fills WHERE ts >= ? ORDER BY ts, execution_id LIMIT ?", ts, limit
        )
        return [from_sql(FillRow, row) for row in rows]

    def fill_number_before(self, ts: int) -> int:
        """Return the number before the first execution at or after a time, else the last."""
        statement = "SELECT coalesce(min(id) - 1, (SELECT max(id) FROM fills), 0) AS id FROM fills"
        return int(self.query(f"{statement} WHERE ts >= ?", ts)[0]["id"])

    def fills_numbered(self, after: int, limit: int) -> tuple[int, list[FillRow]]:
        """Return some executions after a number, in the order of writing, and the last number."""
        rows = self.query("SELECT * FROM fills WHERE id > ? ORDER BY id LIMIT ?", after, limit)
        return rows[-1]["id"] if rows else after, [from_sql(FillRow, row) for row in rows]

    def executions_since(self, ts: int) -> set[tuple[str, str]]:
        """Return instrument and id of each execution at or after a time."""
        statement = "SELECT instrument, execution_id FROM fills WHERE ts >= ?"
        return {(row[0], row[1]) for row in self._connection.execute(statement, (ts,))}

    def explained(self) -> dict[str, Decimal]:
        """Return the positions from our own orders, signed base coin by instrument."""
        rows = self.query("SELECT instrument, quantity FROM explained")
        return {row["instrument"]: Decimal(row["quantity"]) for row in rows}

    def explained_in(self, instrument: str) -> Decimal:
        """Return the position from our own orders in one instrument, signed base coin."""
        rows = self.query("SELECT quantity FROM explained WHERE instrument = ?", instrument)
        return Decimal(rows[0]["quantity"]) if rows else Decimal(0)

    def own(self) -> dict[str, Decimal]:
        """Return `explained` without the coins that others took of them (`Journal.take`)."""
        rows = self.query("SELECT * FROM state WHERE owner = 'node' AND name GLOB ?", f"{TAKEN}*")
        taken = {row["name"].removeprefix(TAKEN): Decimal(row["value"].decode()) for row in rows}
        return {name: held - taken.get(name, 0) for name, held in self.explained().items()}

    def moved_by_others(self) -> list[FillRow]:
        """Return others' executions since own coins were last all there."""
        since = self.load_state("node", FOLLOWED) or self.load_state("node", "fills complete") or 0
        rows = self.query("SELECT * FROM fills WHERE ts >= ? AND strategy = ''", int(since))
        return [from_sql(FillRow, row) for row in rows]

    def coins_gone(self, since: int, until: int) -> list[tuple[int, str, Decimal, Decimal]]:
        """Return own coins that the books lost to others at since < ts <= until, the oldest first.

        Each is time, pair, coins (negative where they came back) and price; older journals lack it.
        """
        rows = self.query("SELECT changed, value FROM state WHERE name GLOB ?", f"{GONE}*")
        found = []
        for row in rows:
            ts, pair, coins, price = _GONE.decode(row["value"])
            # Those of a start were gone before its first equity.
            found.append((ts or int(row["changed"]), pair, coins, price))
        return sorted(move for move in found if since < move[0] <= until)

    def last_owner(self, instrument: str) -> str:
        """Return the strategy of the newest own execution in an instrument, empty without one."""
        rows = self.query(
            "SELECT strategy FROM fills WHERE instrument = ? AND strategy != ''"
            " ORDER BY ts DESC LIMIT 1",
            instrument,
        )
        return str(rows[0]["strategy"]) if rows else ""

    def last_own_fill(self, instrument: str) -> FillRow | None:
        """Return the newest execution of an own order in an instrument that has an id."""
        rows = self.query(
            "SELECT * FROM fills WHERE instrument = ? AND strategy != '' AND client_order_id != ''"
            " ORDER BY ts DESC, id DESC LIMIT 1",
            instrument,
        )
        return from_sql(FillRow, rows[0]) if rows else None

    def last_fill_ts(self) -> int | None:
        """Return the time of the newest execution."""
        return self.query("SELECT max(ts) AS ts FROM fills")[0]["ts"]

    def holdings(self) -> list[PositionRow]:
        """Return the newest state of every position, closed ones included."""
        rows = self.query("SELECT * FROM positions ORDER BY instrument, owner")
        return [from_sql(PositionRow, row) for row in rows]

    def last_equity(self) -> EquityRow | None:
        """Return the last equity of the account."""
        rows = self.query("SELECT * FROM equity ORDER BY id DESC LIMIT 1")
        return from_sql(EquityRow, rows[0]) if rows else None

    def equity_since(self, ts: int) -> list[EquityRow]:
        """Return the account's equity from a time on, the oldest first."""
        rows = self.query("SELECT * FROM equity WHERE ts >= ? ORDER BY id", ts)
        return [from_sql(EquityRow, row) for row in rows]

    def last_equity_until(self, ts: int) -> EquityRow | None:
        """Return the last equity at or before a time."""
        rows = self.query("SELECT * FROM equity WHERE id = ?", self._first_id("equity", ts + 1) - 1)
        return from_sql(EquityRow, rows[0]) if rows else None

    def equity_between(self, since: int, until: int) -> list[EquityRow]:
        """Return the account's equity at since <= ts <= until, the oldest first."""
        rows = self._between("equity", since, until)
        return [from_sql(EquityRow, row) for row in rows]

    def equity_curve(self, since: int, until: int) -> list[tuple[Any, ...]]:
        """Return `equity_between` as tuples of ts, equity, balance, gross and net, in float."""
        money = ", ".join(f"CAST({name} AS REAL)" for name in ("equity", "balance", "gross", "net"))
        return [tuple(row) for row in self._rows("equity", since, until, f"ts, {money}")]

    def holdings_at(self, ts: int) -> dict[tuple[str, str], Decimal]:
        """Return what owners held by the snapshot of that time, by owner and instrument."""
        rows = self._between("position_snapshots", ts - _CLOCKS_NS, ts + _CLOCKS_NS)
        return {
            (row["owner"], row["instrument"]): held
            for row in rows
            if row["ts"] == ts and (held := Decimal(row["quantity"]))
        }

    def decisions_between(self, since: int, until: int) -> list[Decision]:
        """Return the decisions of since <= ts < until, the oldest first."""
        rows = self._between("decisions", since, until - 1)
        return [_DECISIONS.decode(row["payload"]) for row in rows]

    def verdicts_between(self, since: int, until: int) -> list[tuple[int, Verdict]]:
        """Return the verdicts that stood at ``since``, then those of since <= ts < until.

        Each has its own time; both are in the order of writing.
        """
        rows = self.query("SELECT ts, payload FROM verdicts WHERE ts < ? ORDER BY id", until)
        found = [(row["ts"], _VERDICTS.decode(row["payload"])) for row in rows]
        stood: dict[tuple[str, str], tuple[int, Verdict]] = {}
        for ts, verdict in found:
            if ts < since:
                stood.pop((verdict.guard, verdict.scope), None)
                if verdict.action != Action.NONE:
                    stood[verdict.guard, verdict.scope] = ts, verdict
        return [*stood.values(), *(one for one in found if one[0] >= since)]

    def decisions(self, limit: int = -1, *, but: str = "") -> list[Decision]:
        """Return the last decisions, without those of the kind `but`; the newest first."""
        query = "SELECT payload FROM decisions WHERE kind != ? ORDER BY id DESC LIMIT ?"
        rows = self.query(query, but, limit)
        return [_DECISIONS.decode(row["payload"]) for row in rows]

    def last_decision_number(self) -> int:
        """Return the number of the newest decision, 0 without any."""
        return int(self.query("SELECT coalesce(max(id), 0) AS id FROM decisions")[0]["id"])

    def decisions_numbered(self, after: int, until: int, *kinds: str) -> list[Decision]:
        """Return decisions of some kinds by their numbers, the oldest first, none of dry runs."""
        rows = self.query(
            "SELECT payload FROM decisions WHERE id > ? AND id <= ?"
            f" AND kind IN ({', '.join('?' * len(kinds))})"
            " AND run NOT IN (SELECT id FROM runs WHERE dry_run) ORDER BY id",
            after,
            until,
            *kinds,
        )
        return [_DECISIONS.decode(row["payload"]) for row in rows]

    def standing(self) -> list[tuple[int, Verdict]]:
        """Return the verdicts that still stand, each with its start time."""
        rows = self.query("SELECT since, payload FROM standing ORDER BY guard, scope")
        return [(row["since"], _VERDICTS.decode(row["payload"])) for row in rows]

    def verdicts(self, limit: int = -1) -> list[Verdict]:
        """Return the last verdicts, the newest first."""
        rows = self.query("SELECT payload FROM verdicts ORDER BY id DESC LIMIT ?", limit)
        return [_VERDICTS.decode(row["payload"]) for row in rows]

    def verdicts_of(self, guard: str) -> list[tuple[int, int, Verdict]]:
        """Return all verdicts of a guard, the oldest first, as run, time and verdict."""
        rows = self.query(
            "SELECT run, ts, payload FROM verdicts WHERE guard = ? ORDER BY id", guard
        )
        return [(row["run"], row["ts"], _VERDICTS.decode(row["payload"])) for row in rows]

    def load_state(self, owner: str, name: str) -> bytes | None:
        """Return an owner's last saved state of a name, or None."""
        rows = self.query("SELECT value FROM state WHERE owner = ? AND name = ?", owner, name)
        return bytes(rows[0]["value"]) if rows else None

    def marks(self) -> dict[str, Decimal]:
        """Return the mark prices of the last equity, by instrument."""
        kept = self.load_state("", MARKS)
        return {} if kept is None else msgspec.json.decode(kept, type=dict[str, Decimal])

    def state_names(self, owner: str, beginning: str) -> list[str]:
        """Return the names of an owner's states with this prefix, sorted."""
        rows = self.query(
            "SELECT name FROM state WHERE owner = ? AND name GLOB ? ORDER BY name",
            owner,
            f"{beginning}*",
        )
        return [row["name"] for row in rows]

    def states(self, name: str) -> dict[str, bytes]:
        """Return the last saved states of a name, by owner."""
        rows = self.query("SELECT owner, value FROM state WHERE name = ? ORDER BY owner", name)
        return {row["owner"]: bytes(row["value"]) for row in rows}

    def gates(self, run: int) -> list[dict[str, Any]]:
        """Return the results of the start-up gates in a run."""
        return self.query(
            "SELECT ts, name, passed, detail FROM gates WHERE run = ? ORDER BY id", run
        )

    def links(self) -> list[LinkRow]:
        """Return the newest state of every link."""
        return [from_sql(LinkRow, row) for row in self.query("SELECT * FROM links ORDER BY name")]

    def counters(self) -> dict[str, int]:
        """Return all counters by name."""
        rows = self.query("SELECT name, value FROM counters ORDER BY name")
        return {row["name"]: row["value"] for row in rows}

    def last_id(self, table: str) -> int:
        """Return the id of the newest row of a table that only grows, 0 for none."""
        return int(self.query(f"SELECT coalesce(max(id), 0) AS id FROM {table}")[0]["id"])

    def notes(self, limit: int = -1) -> list[dict[str, Any]]:
        """Return the last notes, the newest first."""
        return self.query("SELECT run, ts, kind, text FROM notes ORDER BY id DESC LIMIT ?", limit)

    def _between(self, table: str, since: int, until: int) -> list[dict[str, Any]]:
        return [dict(row) for row in self._rows(table, since, until, "*")]

    def _rows(self, table: str, since: int, until: int, what: str) -> sqlite3.Cursor:
        # Without an index of times: ids rise with them, but for a clock that was set back.
        span = self._first_id(table, since), self._first_id(table, until + 1)
        statement = f"SELECT {what} FROM {table} WHERE id >= ? AND id < ? ORDER BY id"
        return self._connection.execute(statement, span)

    def _first_id(self, table: str, ts: int) -> int:
        """Return the first id of a row at or after a time."""
        low, high = self._connection.execute(
            f"SELECT coalesce(min(id), 1), coalesce(max(id), 0) + 1 FROM {table}"
        ).fetchone()
        statement = f"SELECT id, ts FROM {table} WHERE id >= ? ORDER BY id LIMIT 1"
        while low < high:
            middle = (low + high) // 2
            found, at = self._connection.execute(statement, (middle,)).fetchone()
            low, high = (low, middle) if at >= ts else (found + 1, high)
        return int(low)

    def _orders(self, where: str, *values: Any) -> list[OrderRow]:
        rows = self.query(f"SELECT * FROM orders {where}", *values)
        return [from_sql(OrderRow, row) for row in rows]

    def query(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        """Return a statement's rows, values by column name."""
        return [*self.each(statement, *values)]

    def each(self, statement: str, *values: Any) -> Iterator[dict[str, Any]]:
        """Yield a statement's rows, values by column name."""
        yield from map(dict, self._connection.execute(statement, values))


@contextmanager
def read(folder: Path) -> Iterator[JournalReader]:
    """Open a node's journal for reading, beside its running writer or without one.

    A journal of an older version stays as it is: what that version did not have is empty.

    Raises
    ------
    InputError
        If there is no journal in the folder, or it has no tables yet.
    DeskError
        If a newer version wrote it, or it can't be read.
    """
    path = folder / NAME
    if not path.exists():
        raise InputError(f"{path}: no journal yet: this node has never been started")
    try:
        # SQLite's read-only mode would fail on the WAL of a dead writer.
        reading = JournalReader(connect(path, "rw"))
        try:
            reading.show_as_this_version(path)
            yield reading
        finally:
            reading.close()
    except sqlite3.OperationalError as error:
        raise DeskError(
            f"{path}: can't be read: {error}; SQLite needs the right and the room to write in "
            "its folder"
        ) from error
    except sqlite3.DatabaseError as error:
        raise DeskError(
            f"{path}: it is damaged ({error}); the next start restores its backup"
        ) from error
