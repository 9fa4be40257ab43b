"""The journal's tables, their values, and migrations from older versions.

Columns of a row are declared only in `actors.records.rows` (of a request, in `order_facts`). A new
column needs the next `VERSION`, its statements in ``MIGRATIONS`` and an entry in ``OLD_VIEWS``.

Times are UNIX nanoseconds (UTC); money and quantities are decimal strings; ``payload`` is JSON.
Tables named in the plural of an event (``intents``, ``fills`` …) only grow, by ids in the order of
writing (`GROWING`); the others hold the newest state of each thing (`CHANGING`). An intent makes
its order by a trigger, so an order waits for one statement and one commit. For the same reason
unsettled orders have no index (a start reads the table once). An id is used once; a second use is a
strategy's fault and stays visible in ``intents``.
"""

from __future__ import annotations

from actors.records.order_facts import OrderFacts
from actors.records.rows import EquityRow, FillRow, LinkRow, OrderRow, PositionRow, Run, columns_sql

VERSION = 3
"""Kept in ``PRAGMA user_version``; a journal of a newer version is refused."""

INTENDED = "INTENDED"
"""The request is written; it is unknown whether it left."""
UNKNOWN = "UNKNOWN"
"""The engine gave up waiting for the venue's answer: the order may be live there."""
NEVER_ARRIVED = "NEVER_ARRIVED"
"""Two queries to the venue, seconds apart, found no such order."""

FUNDING = "Funding"
"""``kind`` of a fill that moves no position."""

TAKEN = "taken "
"""Beginning of the node's states of own coins that others took, by pair."""
FOLLOWED = "coins followed"
"""The node's state with the time until which others took no own coins that `TAKEN` lacks."""
GONE = "own coins gone "
"""Beginning of the guards' states of own coins that the books lost to others, by number."""

GROWING = (
    *("runs", "intents", "order_events", "fills", "decisions", "verdicts", "gates", "notes"),
    *("position_snapshots", "equity"),
)
"""Tables whose rows are never changed, except a run's phase, note and end."""
CHANGING = ("orders", "positions", "explained", "standing", "state", "links", "counters")
"""Tables of newest states."""

TRANSFERS_READ = "transfers complete"
"""The node's state with the time until which the venue's transaction log is read."""

FINAL = frozenset({"FILLED", "CANCELED", "EXPIRED", "REJECTED", "DENIED", NEVER_ARRIVED})
"""Final states of an order."""

TABLES = f"""
CREATE TABLE IF NOT EXISTS runs (id INTEGER PRIMARY KEY, {columns_sql(Run, without="id")});
CREATE TABLE IF NOT EXISTS intents (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, {columns_sql(OrderFacts)}, refused TEXT
);
CREATE TABLE IF NOT EXISTS orders (
    {columns_sql(OrderRow)}, PRIMARY KEY (client_order_id)
) WITHOUT ROWID;
DROP INDEX IF EXISTS orders_unsettled;
CREATE TRIGGER IF NOT EXISTS intended_orders AFTER INSERT ON intents
WHEN new.operation = 'submit' BEGIN
    INSERT OR IGNORE INTO orders (
        client_order_id, venue_order_id, run, created, changed, strategy, instrument, side,
        quantity, filled, price, trigger_price, order_type, reduce_only, is_exit, status, final,
        reason, decision_id, reference_price
    ) VALUES (
        new.client_order_id, '', new.run, new.ts, new.ts, new.strategy, new.instrument, new.side,
        new.quantity, '0', new.price, new.trigger_price, new.order_type, new.reduce_only,
        new.is_exit, 'INTENDED', 0, new.reason, new.decision_id, new.reference_price
    );
END;
CREATE TABLE IF NOT EXISTS order_events (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, ts INTEGER NOT NULL,
    client_order_id TEXT NOT NULL, event TEXT NOT NULL, detail TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS fills (
    id INTEGER PRIMARY KEY, {columns_sql(FillRow)}, run INTEGER NOT NULL,
    UNIQUE (instrument, execution_id)
);
CREATE INDEX IF NOT EXISTS fills_in_time ON fills (ts);
CREATE TABLE IF NOT EXISTS explained (
    instrument TEXT PRIMARY KEY, quantity TEXT NOT NULL, changed INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS positions (
    {columns_sql(PositionRow)}, PRIMARY KEY (instrument, owner)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS position_snapshots (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, ts INTEGER NOT NULL,
    {columns_sql(PositionRow, without="changed")}
);
CREATE TABLE IF NOT EXISTS equity (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, {columns_sql(EquityRow)}
);
CREATE TABLE IF NOT EXISTS decisions (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, ts INTEGER NOT NULL, strategy TEXT NOT NULL,
    data_ts INTEGER NOT NULL, kind TEXT NOT NULL, payload BLOB NOT NULL, decision_id TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS verdicts (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, ts INTEGER NOT NULL, guard TEXT NOT NULL,
    scope TEXT NOT NULL, action INTEGER NOT NULL, payload BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS standing (
    guard TEXT NOT NULL, scope TEXT NOT NULL, since INTEGER NOT NULL, payload BLOB NOT NULL,
    PRIMARY KEY (guard, scope)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (
    owner TEXT NOT NULL, name TEXT NOT NULL, changed INTEGER NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (owner, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS gates (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, ts INTEGER NOT NULL, name TEXT NOT NULL,
    passed INTEGER NOT NULL, detail TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS links ({columns_sql(LinkRow)}, PRIMARY KEY (name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters (
    name TEXT PRIMARY KEY, value INTEGER NOT NULL, changed INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, ts INTEGER NOT NULL, kind TEXT NOT NULL,
    text TEXT NOT NULL
);
"""

MIGRATIONS = {
    1: """
    DROP TRIGGER IF EXISTS intended_orders;
    ALTER TABLE intents ADD COLUMN decision_id TEXT NOT NULL DEFAULT '';
    ALTER TABLE intents ADD COLUMN reference_price TEXT;
    ALTER TABLE orders ADD COLUMN decision_id TEXT NOT NULL DEFAULT '';
    ALTER TABLE orders ADD COLUMN reference_price TEXT;
    ALTER TABLE fills ADD COLUMN decision_id TEXT NOT NULL DEFAULT '';
    ALTER TABLE fills ADD COLUMN reference_price TEXT;
    ALTER TABLE fills RENAME COLUMN fee_currency TO fee_coin;
    ALTER TABLE decisions ADD COLUMN decision_id TEXT NOT NULL DEFAULT '';
    UPDATE decisions SET decision_id = strategy || '@' || ts;
    """,
    # An id in the order of writing, which followers of the journal go by.
    2: """
    ALTER TABLE fills RENAME TO fills_before;
    DROP INDEX IF EXISTS fills_in_time;
    CREATE TABLE fills (
        id INTEGER PRIMARY KEY, instrument TEXT NOT NULL, execution_id TEXT NOT NULL,
        ts INTEGER NOT NULL, client_order_id TEXT NOT NULL, venue_order_id TEXT NOT NULL,
        strategy TEXT NOT NULL, decision_id TEXT NOT NULL, side TEXT NOT NULL,
        quantity TEXT NOT NULL, price TEXT NOT NULL, reference_price TEXT, fee TEXT NOT NULL,
        fee_coin TEXT NOT NULL, liquidity TEXT NOT NULL, kind TEXT NOT NULL, source TEXT NOT NULL,
        run INTEGER NOT NULL, UNIQUE (instrument, execution_id)
    );
    INSERT INTO fills (
        instrument, execution_id, ts, client_order_id, venue_order_id, strategy, decision_id, side,
        quantity, price, reference_price, fee, fee_coin, liquidity, kind, source, run
    ) SELECT
        instrument, execution_id, ts, client_order_id, venue_order_id, strategy, decision_id, side,
        quantity, price, reference_price, fee, fee_coin, liquidity, kind, source, run
    FROM fills_before ORDER BY ts, execution_id;
    DROP TABLE fills_before;
    """,
}
"""Statements that migrate each version to the next; run at open, after a backup."""

_IN_TIME = "row_number() OVER (ORDER BY ts, execution_id) AS id"
_UNKNOWN_DECISION = "*, '' AS decision_id, NULL AS reference_price"
OLD_VIEWS = {
    1: f"""
    CREATE TEMP VIEW intents AS SELECT {_UNKNOWN_DECISION} FROM main.intents;
    CREATE TEMP VIEW orders AS SELECT {_UNKNOWN_DECISION} FROM main.orders;
    CREATE TEMP VIEW fills AS
        SELECT {_IN_TIME}, {_UNKNOWN_DECISION}, fee_currency AS fee_coin FROM main.fills;
    """,
    2: f"CREATE TEMP VIEW fills AS SELECT {_IN_TIME}, * FROM main.fills;",
}
"""Views that let a reader use a journal of each older version like one of this version."""
