"""Everything that is written into a journal, each kind of row by a call of its own.

Each call commits when it returns, unless it stands inside `together`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

from actors.records.journal_reading import JournalReader
from actors.records.journal_schema import FINAL, FUNDING, INTENDED
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

_INTENT_COLUMNS = ("run", "refused", *(column.name for column in columns(OrderFacts)))
_INTENT = (
    f"INSERT INTO intents ({', '.join(_INTENT_COLUMNS)})"
    f" VALUES ({', '.join('?' * len(_INTENT_COLUMNS))})"
)


class JournalError(DeskError):
    """The journal can't be written: no entry may leave until it can."""


class JournalWriter(JournalReader):
    """The writing half of a journal.

    Attributes
    ----------
    run : int
        The run that rows are written under; 0 before one begins.
    fill_listeners : list of callable
        Called with every execution that is new to the journal, whoever brought it, inside the
        commit that writes it down: what they write stands or falls with it.
    """

    def __init__(self, connection: sqlite3.Connection, clock_ns: Callable[[], int]) -> None:
        super().__init__(connection)
        self.run = 0
        self.fill_listeners: list[Callable[[FillRow], None]] = []
        self._clock_ns = clock_ns

    # Requests and what became of them ----------------------------------------------------------

    def intended(self, facts: OrderFacts) -> None:
        """Write a request down before it leaves (`Observer`)."""
        self._intent(facts, None)

    def refused(self, facts: OrderFacts, refusal: Refusal) -> None:
        """Write down a request that was not let through (`Observer`)."""
        with self.together():
            self._intent(facts, as_reason(refusal))
            if facts.operation == "submit":
                self.outcome(facts.client_order_id, "DENIED", reason=str(refusal))

    def _intent(self, facts: OrderFacts, refused: str | None) -> None:
        self._write(_INTENT, (self.run, refused, *values_of(facts)))

    def _order(self, facts: OrderFacts) -> None:
        """Write down an order without an intent: it is not this run's."""
        row = OrderRow(
            client_order_id=facts.client_order_id,
            venue_order_id="",
            run=self.run,
            created=facts.ts,
            changed=facts.ts,
            strategy=facts.strategy,
            instrument=facts.instrument,
            side=facts.side,
            quantity=facts.quantity,
            filled=Decimal(0),
            price=facts.price,
            trigger_price=facts.trigger_price,
            order_type=facts.order_type,
            reduce_only=facts.reduce_only,
            is_exit=facts.is_exit,
            status=INTENDED,
            final=False,
            reason=facts.reason,
            decision_id=facts.decision_id,
            reference_price=facts.reference_price,
        )
        self._insert("orders", to_sql(row), " ON CONFLICT DO NOTHING")

    def adopt(self, facts: OrderFacts, venue_order_id: str, status: str) -> None:
        """Take in an order that the venue knows and the journal does not."""
        with self.together():
            self._order(facts)
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
        """Write down what became of an order; what is not given stays as it was.

        Parameters
        ----------
        status : str
            The engine's word (ACCEPTED, PARTIALLY_FILLED, FILLED, …) or one of
            `journal_schema`; those in ``FINAL`` settle it.
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
        """Write down an event of an order as the engine sent it."""
        self._write(
            "INSERT INTO order_events (run, ts, client_order_id, event, detail)"
            " VALUES (?, ?, ?, ?, ?)",
            (self.run, ts, client_order_id, event, detail),
        )

    def fill(self, row: FillRow) -> bool:
        """Write down an execution; returns False when it was known already.

        What it lacks of its order, the decision and the price that stood, is taken from there. One
        of an owner's orders also moves the position that our own orders explain.
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
                before = self.explained().get(row.instrument, Decimal(0))
                self.explain({row.instrument: before + row.signed})
            for listener in self.fill_listeners:
                listener(row)
        return True

    def explain(self, positions: Mapping[str, Decimal]) -> None:
        """Take positions, signed base coin by instrument, for explained from here on."""
        with self.together():
            for instrument, quantity in positions.items():
                self._write(
                    "INSERT OR REPLACE INTO explained VALUES (?, ?, ?)",
                    (instrument, plain(quantity), self._clock_ns()),
                )

    # What is held and what it is worth ---------------------------------------------------------

    def positions(self, rows: Iterable[PositionRow]) -> None:
        """Write down holdings that changed: their newest state and their history."""
        with self.together():
            for row in rows:
                values = to_sql(row)
                self._insert("positions", values, verb="INSERT OR REPLACE")
                changed = values.pop("changed")
                self._insert("position_snapshots", values | {"run": self.run, "ts": changed})

    def equity(self, row: EquityRow) -> None:
        """Write down what the account is worth."""
        self._insert("equity", to_sql(row) | {"run": self.run})

    # Messages ----------------------------------------------------------------------------------

    def decision(self, decision: Decision) -> None:
        """Write down a strategy's decision."""
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
        """Write down a guard's verdict, and keep it among those that stand."""
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

    # The node itself ---------------------------------------------------------------------------

    def gate(self, name: str, passed: bool, detail: str) -> None:
        """Write down what a start-up gate found."""
        self._write(
            "INSERT INTO gates (run, ts, name, passed, detail) VALUES (?, ?, ?, ?, ?)",
            (self.run, self._clock_ns(), name, passed, detail),
        )

    def link(self, name: str, state: str, detail: str = "") -> None:
        """Write down the state of a link; ``since`` moves only when the state changes."""
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
        """Write down something a trader should be able to read later."""
        self._write(
            "INSERT INTO notes (run, ts, kind, text) VALUES (?, ?, ?, ?)",
            (self.run, self._clock_ns(), kind, text),
        )

    # State of strategies and guards ------------------------------------------------------------

    def save_state(self, owner: str, name: str, value: bytes) -> None:
        """Save a piece of state; returns when it survives the death of the process."""
        self._write(
            "INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?)",
            (owner, name, self._clock_ns(), value),
        )

    def forget_states(self, owner: str, beginning: str) -> None:
        """Forget every piece of an owner's state whose name begins so."""
        self._write("DELETE FROM state WHERE owner = ? AND name GLOB ?", (owner, f"{beginning}*"))

    # Commits -----------------------------------------------------------------------------------

    @contextmanager
    def together(self) -> Iterator[None]:
        """Commit what is written inside as one: all of it or nothing; may be nested."""
        if self._connection.in_transaction:
            yield
            return
        self._write("BEGIN IMMEDIATE")
        try:
            yield
            self._write("COMMIT")
        except BaseException:
            # SQLite rolls back by itself when the disk is full.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _write(self, statement: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise JournalError(f"the journal can't be written: {error}") from error

    def _insert(
        self, name: str, values: dict[str, Any], tail: str = "", verb: str = "INSERT"
    ) -> sqlite3.Cursor:
        marks = ", ".join("?" * len(values))
        return self._write(
            f"{verb} INTO {name} ({', '.join(values)}) VALUES ({marks}){tail}",
            tuple(values.values()),
        )
