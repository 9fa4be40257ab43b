"""The journal's tables, and the words in them.

Times are UNIX nanoseconds (UTC); money and quantities are decimal strings; everything that is
called ``payload`` is JSON. Tables named in the plural of an event (``intents``, ``fills`` …) only
grow; ``orders``, ``positions``, ``explained``, ``links``, ``counters``, ``standing`` and ``state``
hold the newest word on each thing. An intent makes its order by a trigger, so that an order on its
way waits for one statement and one commit; there is no index on what is unsettled for the same
reason (a start reads the table whole, once). An id is used once; one that comes twice is a fault of
the strategy and stays visible in ``intents``.
"""

from __future__ import annotations

VERSION = 1
"""Kept in ``PRAGMA user_version``; a journal of a newer version is refused, never guessed at."""

INTENDED = "INTENDED"
"""An order whose request was written down; whether it left nobody knows yet."""
UNKNOWN = "UNKNOWN"
"""The engine gave the order up without an answer of the venue: it may well be live there."""
NEVER_ARRIVED = "NEVER_ARRIVED"
"""The venue was asked twice, some seconds apart, and does not know the order."""

FUNDING = "Funding"
"""``kind`` of a fill that moves no position."""

FINAL = frozenset({"FILLED", "CANCELED", "EXPIRED", "REJECTED", "DENIED", NEVER_ARRIVED})
"""States after which nothing can happen to an order any more."""

TABLES = """
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY, started INTEGER NOT NULL, ended INTEGER, pid INTEGER NOT NULL,
    node TEXT NOT NULL, environment TEXT NOT NULL, document TEXT NOT NULL,
    dry_run INTEGER NOT NULL, phase TEXT NOT NULL, note TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS intents (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, ts INTEGER NOT NULL, operation TEXT NOT NULL,
    client_order_id TEXT NOT NULL, strategy TEXT NOT NULL, instrument TEXT NOT NULL,
    side TEXT NOT NULL, quantity TEXT NOT NULL, price TEXT, trigger_price TEXT,
    order_type TEXT NOT NULL, time_in_force TEXT NOT NULL, reduce_only INTEGER NOT NULL,
    post_only INTEGER NOT NULL, is_exit INTEGER NOT NULL, reason TEXT NOT NULL, refused TEXT
);
CREATE TABLE IF NOT EXISTS orders (
    client_order_id TEXT PRIMARY KEY, venue_order_id TEXT NOT NULL, run INTEGER NOT NULL,
    created INTEGER NOT NULL, changed INTEGER NOT NULL, strategy TEXT NOT NULL,
    instrument TEXT NOT NULL, side TEXT NOT NULL, quantity TEXT NOT NULL, filled TEXT NOT NULL,
    price TEXT, trigger_price TEXT, order_type TEXT NOT NULL, reduce_only INTEGER NOT NULL,
    is_exit INTEGER NOT NULL, status TEXT NOT NULL, final INTEGER NOT NULL, reason TEXT NOT NULL
) WITHOUT ROWID;
DROP INDEX IF EXISTS orders_unsettled;
CREATE TRIGGER IF NOT EXISTS intended_orders AFTER INSERT ON intents
WHEN new.operation = 'submit' BEGIN
    INSERT OR IGNORE INTO orders VALUES (
        new.client_order_id, '', new.run, new.ts, new.ts, new.strategy, new.instrument, new.side,
        new.quantity, '0', new.price, new.trigger_price, new.order_type, new.reduce_only,
        new.is_exit, 'INTENDED', 0, new.reason
    );
END;
CREATE TABLE IF NOT EXISTS order_events (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, ts INTEGER NOT NULL,
    client_order_id TEXT NOT NULL, event TEXT NOT NULL, detail TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS fills (
    instrument TEXT NOT NULL, execution_id TEXT NOT NULL, run INTEGER NOT NULL,
    ts INTEGER NOT NULL, client_order_id TEXT NOT NULL, venue_order_id TEXT NOT NULL,
    strategy TEXT NOT NULL, side TEXT NOT NULL, quantity TEXT NOT NULL, price TEXT NOT NULL,
    fee TEXT NOT NULL, fee_currency TEXT NOT NULL, liquidity TEXT NOT NULL, kind TEXT NOT NULL,
    source TEXT NOT NULL,
    PRIMARY KEY (instrument, execution_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS explained (
    instrument TEXT PRIMARY KEY, quantity TEXT NOT NULL, changed INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS fills_in_time ON fills (ts);
CREATE TABLE IF NOT EXISTS positions (
    instrument TEXT NOT NULL, owner TEXT NOT NULL, changed INTEGER NOT NULL,
    quantity TEXT NOT NULL, entry_price TEXT NOT NULL, realized TEXT NOT NULL,
    PRIMARY KEY (instrument, owner)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS position_snapshots (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, ts INTEGER NOT NULL, instrument TEXT NOT NULL,
    owner TEXT NOT NULL, quantity TEXT NOT NULL, entry_price TEXT NOT NULL, realized TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS equity (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, ts INTEGER NOT NULL, equity TEXT NOT NULL,
    balance TEXT NOT NULL, gross TEXT NOT NULL, net TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS decisions (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, ts INTEGER NOT NULL, strategy TEXT NOT NULL,
    data_ts INTEGER NOT NULL, kind TEXT NOT NULL, payload BLOB NOT NULL
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
CREATE TABLE IF NOT EXISTS links (
    name TEXT PRIMARY KEY, state TEXT NOT NULL, since INTEGER NOT NULL, changed INTEGER NOT NULL,
    detail TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters (
    name TEXT PRIMARY KEY, value INTEGER NOT NULL, changed INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, ts INTEGER NOT NULL, kind TEXT NOT NULL,
    text TEXT NOT NULL
);
"""
