"""Writes each kind of row into a journal.

Each call commits when it returns, unless it is inside `together`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

from actors.records.coins import coins_moved
from actors.records.journal_reading import JournalReader
from actors.records.journal_schema import FINAL, FUNDING, INTENDED, TAKEN
from actors.records.order_facts import OrderFacts
from actors.records.rows import (
    EquityRow,
    FillRow,
    OrderRow,
    PositionRow,
    columns,
    plain,
    to_sql,
    values_of,
)
from config.errors import DeskError
from strategies.messages import Action, Decision, Verdict, encode
from strategies.refusals import Refusal, as_reason

_REFUSED = sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR
_BEGIN, _COMMIT = "BEGIN IMMEDIATE", "COMMIT"
_SAVE = "INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?)"
_INTENT_COLUMNS = ("run", "refused", *(column.name for column in columns(OrderFacts)))
_INTENT = (
    f"INSERT INTO intents ({', '.join(_INTENT_COLUMNS)})"
    f" VALUES ({', '.join('?' * len(_INTENT_COLUMNS))})"
)


class JournalError(DeskError):
    """The journal can't be written: no entry may leave until it can."""

    def __init__(self, error: BaseException, what: str = "the journal") -> None:
        super().__init__(
            f"{what} can't be written: {error}; free space on its disk, or let this user write "
            "there, then start again"
        )


class JournalWriter(JournalReader):
    """The writing half of a journal.

    ``run`` is the run of new rows, 0 before one begins. ``fill_listeners`` get every execution that
    is new to the journal, inside its commit: their writes succeed or fail with it. ``on_failure``
    gets every error of writing, whoever catches it. ``full`` is why rows wait in memory, None while
    the file has all of them (`Journal.keep_rows`).
    """

    keeps = False
    full: sqlite3.Error | None = None

    def __init__(self, connection: sqlite3.Connection, clock_ns: Callable[[], int]) -> None:
        super().__init__(connection)
        self.run = 0
        self.fill_listeners: list[Callable[[FillRow], None]] = []
        self.on_failure: Callable[[JournalError], None] = lambda error: None
        self._clock_ns = clock_ns
        # All that no commit has; while the disk is full, an open transaction has it as well.
        self._uncommitted: list[tuple[str, tuple[Any, ...]]] = []
        self._pages = 0

    def intended(self, facts: OrderFacts) -> None:
        """Write a request before it leaves (`Observer`); on a full disk only exits may leave."""
        if self.full is None or facts.is_exit:
            mark = len(self._uncommitted)
            self._intent(facts, None)
            if self.full is None or facts.is_exit:
                return
            self._take_back(mark)
        raise JournalError(self.full)

    def refused(self, facts: OrderFacts, refusal: Refusal) -> None:
        """Write a refused request (`Observer`)."""
        with self.together():
            self._intent(facts, as_reason(refusal))
            if facts.operation == "submit":
                self.outcome(facts.client_order_id, "DENIED", reason=str(refusal))

    def _intent(self, facts: OrderFacts, refused: str | None) -> None:
        self._write(_INTENT, (self.run, refused, *values_of(facts)))

    def adopt(self, facts: OrderFacts, venue_order_id: str, status: str) -> None:
        """Add an order that the venue knows and the journal does not; it is not this run's."""
        own: dict[str, Any] = {"created": facts.ts, "changed": facts.ts, "run": self.run}
        own |= {"venue_order_id": "", "filled": Decimal(0), "status": INTENDED, "final": False}
        names = [column.name for column in columns(OrderRow) if column.name not in own]
        row = OrderRow(**own, **{name: getattr(facts, name) for name in names})
        with self.together():
            self._insert("orders", to_sql(row), " ON CONFLICT DO NOTHING")
            self.outcome(facts.client_order_id, status, venue_order_id=venue_order_id)

    def outcome(
        self,
        client_order_id: str,
        status: str,
        *,
        venue_order_id: str = "",
        filled: Decimal | None = None,
        quantity: Decimal | None = None,
        price: Decimal | None = None,
        reason: str = "",
    ) -> None:
        """Write the new state of an order; values not given stay as they are.

        ``status`` is the engine's word (ACCEPTED, PARTIALLY_FILLED, FILLED, …) or one of
        `journal_schema`; those in ``FINAL`` settle the order.
        """
        self._write(
            "UPDATE orders SET status = ?, final = ?, changed = ?,"
            " venue_order_id = CASE WHEN ? = '' THEN venue_order_id ELSE ? END,"
            " filled = coalesce(?, filled), quantity = coalesce(?, quantity),"
            " price = coalesce(?, price), reason = CASE WHEN ? = '' THEN reason ELSE ? END"
            " WHERE client_order_id = ?",
            (
                status,
                status in FINAL,
                self._clock_ns(),
                venue_order_id,
                venue_order_id,
                plain(filled),
                plain(quantity),
                plain(price),
                reason,
                reason,
                client_order_id,
            ),
        )

    def order_event(self, client_order_id: str, event: str, detail: str, ts: int) -> None:
        """Write an order event as the engine sent it."""
        self._write(
            "INSERT INTO order_events (run, ts, client_order_id, event, detail)"
            " VALUES (?, ?, ?, ?, ?)",
            (self.run, ts, client_order_id, event, detail),
        )

    def fill(self, row: FillRow) -> bool:
        """Write an execution; return False when it was already there.

        A missing decision or reference price comes from its order. The fill of an owner's order
        also changes the explained position.
        """
        order = self.order(row.client_order_id) if row.client_order_id else None
        if order is not None:
            row = replace(
                row,
                decision_id=row.decision_id or order.decision_id,
                reference_price=row.reference_price or order.reference_price,
            )
        values = to_sql(row) | {"run": self.run}
        with self.together():
            if not self._insert("fills", values, " ON CONFLICT DO NOTHING").rowcount:
                return False
            if row.strategy and row.kind != FUNDING:
                before = self.explained_in(row.instrument)
                self.explain({row.instrument: before + coins_moved(row)})
            for listener in self.fill_listeners:
                listener(row)
        return True

    def explain(self, positions: Mapping[str, Decimal]) -> None:
        """Set the explained positions, signed base coin by instrument."""
        with self.together():
            for instrument, quantity in positions.items():
                self._write(
                    "INSERT OR REPLACE INTO explained VALUES (?, ?, ?)",
                    (instrument, plain(quantity), self._clock_ns()),
                )

    def take(self, pair: str, coins: Decimal) -> None:
        """Count own coins as taken by others, for good: `explained` stays, `own` has them not."""
        before = self.explained_in(pair) - self.own()[pair]
        self.save_state("node", f"{TAKEN}{pair}", plain(before + coins).encode())

    def accept(self, positions: Mapping[str, Decimal]) -> None:
        """Set the explained positions to what the trader goes on from."""
        with self.together():
            self.explain(positions)
            for name in positions:
                self.forget_states("node", f"{TAKEN}{name}")

    def positions(self, rows: Iterable[PositionRow]) -> None:
        """Write changed positions: their newest state and their history."""
        with self.together():
            for row in rows:
                values = to_sql(row)
                self._insert("positions", values, verb="INSERT OR REPLACE")
                changed = values.pop("changed")
                self._insert("position_snapshots", values | {"run": self.run, "ts": changed})

    def equity(self, row: EquityRow) -> None:
        """Write the account's equity."""
        self._insert("equity", to_sql(row) | {"run": self.run})

    def decision(self, decision: Decision) -> None:
        """Write a strategy's decision."""
        self._write(
            "INSERT INTO decisions (run, ts, strategy, data_ts, kind, payload, decision_id)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                self.run,
                decision.ts,
                decision.strategy,
                decision.data_ts,
                decision.kind,
                encode(decision),
                decision.id,
            ),
        )

    def verdict(self, verdict: Verdict) -> None:
        """Write a guard's verdict, and update the standing verdicts."""
        now, payload = self._clock_ns(), encode(verdict)
        with self.together():
            self._write(
                "INSERT INTO verdicts (run, ts, guard, scope, action, payload)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (self.run, now, verdict.guard, verdict.scope, int(verdict.action), payload),
            )
            if verdict.action == Action.NONE:
                self._write(
                    "DELETE FROM standing WHERE guard = ? AND scope = ?",
                    (verdict.guard, verdict.scope),
                )
            else:
                self._write(
                    "INSERT INTO standing VALUES (?, ?, ?, ?) ON CONFLICT (guard, scope)"
                    " DO UPDATE SET payload = excluded.payload",
                    (verdict.guard, verdict.scope, now, payload),
                )

    def gate(self, name: str, passed: bool, detail: str) -> None:
        """Write the result of a start-up gate."""
        self._write(
            "INSERT INTO gates (run, ts, name, passed, detail) VALUES (?, ?, ?, ?, ?)",
            (self.run, self._clock_ns(), name, passed, detail),
        )

    def link(self, name: str, state: str, detail: str = "") -> None:
        """Write the state of a link; ``since`` changes only with the state."""
        now = self._clock_ns()
        self._write(
            "INSERT INTO links VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
            " since = CASE WHEN state = excluded.state THEN since ELSE excluded.since END,"
            " state = excluded.state, changed = excluded.changed, detail = excluded.detail",
            (name, state, now, now, detail),
        )

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter, which lives as long as the journal."""
        self._write(
            "INSERT INTO counters VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
            " value = value + excluded.value, changed = excluded.changed",
            (name, by, self._clock_ns()),
        )

    def note(self, kind: str, text: str) -> None:
        """Write a note for the trader."""
        self._write(
            "INSERT INTO notes (run, ts, kind, text) VALUES (?, ?, ?, ?)",
            (self.run, self._clock_ns(), kind, text),
        )

    def save_state(self, owner: str, name: str, value: bytes) -> None:
        """Save a piece of state; it survives the death of the process once this returns."""
        self._write(_SAVE, (owner, name, self._clock_ns(), value))

    def forget_states(self, owner: str, beginning: str) -> None:
        """Delete an owner's states whose names have this prefix."""
        self._write("DELETE FROM state WHERE owner = ? AND name GLOB ?", (owner, f"{beginning}*"))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Commit all writes inside as one: all or nothing; may be nested."""
        if self._connection.in_transaction and self.full is None:
            yield
            return
        mark = len(self._uncommitted)
        if self.full is None:
            self._write(_BEGIN)
        try:
            yield
            if self.full is None:
                self._write(_COMMIT)
        except BaseException:
            self._take_back(mark)
            raise

    def _write(self, statement: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        new = [] if statement in (_BEGIN, _COMMIT) else [(statement, values)]
        try:
            cursor = self._connection.execute(statement, values)
        except sqlite3.Error as error:
            cursor = self._kept(new, error)
        else:
            self._uncommitted += new
        if not self._connection.in_transaction:
            self._uncommitted.clear()
        return cursor

    def _kept(self, new: list[tuple[str, tuple[Any, ...]]], error: sqlite3.Error) -> sqlite3.Cursor:
        """Go on in memory after the first error of a disk that takes no more; raise all others."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if self.full is not None or not self.keeps or code not in _REFUSED:
            raise self._failed(error) from error
        self.full = error
        self._uncommitted += new
        return self._again()

    def _failed(self, error: sqlite3.Error) -> JournalError:
        if self.full is not None:
            self.full = None
            self._take_back(0)
        failure = JournalError(error)
        self.on_failure(failure)
        return failure

    def _again(self) -> sqlite3.Cursor:
        """Begin a transaction, which stays open, with all that no commit has."""
        connection = self._connection
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            cursor = connection.execute(_BEGIN)
            (self._pages,) = connection.execute("PRAGMA page_count").fetchone()
            for statement, values in self._uncommitted:
                cursor = connection.execute(statement, values)
        except sqlite3.Error as error:
            raise self._failed(error) from error
        return cursor

    def _drop_replaced(self) -> None:
        """Keep only the newest of each state, so that days of rows fit in memory."""
        rows = list(enumerate(self._uncommitted))
        newest = {row[1][:2]: n for n, row in rows if row[0] == _SAVE}
        self._uncommitted = [r for n, r in rows if r[0] != _SAVE or newest[r[1][:2]] == n]

    def _take_back(self, mark: int) -> None:
        del self._uncommitted[mark:]
        if self.full is not None:
            self._again()
        # SQLite rolls back by itself when the disk is full.
        elif self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _insert(
        self, name: str, values: dict[str, Any], tail: str = "", verb: str = "INSERT"
    ) -> sqlite3.Cursor:
        marks = ", ".join("?" * len(values))
        return self._write(
            f"{verb} INTO {name} ({', '.join(values)}) VALUES ({marks}){tail}",
            tuple(values.values()),
        )
