"""What the tables of a run look like: one Arrow schema a file of the result folder.

Money and quantities are decimal strings, exactly as booked; times are int64 UNIX nanoseconds (UTC);
curves and averages are float64. A column that may be empty says so in ``nullable``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa

from actors.records.rows import FillRow, columns
from config.errors import DeskError

ALL = "*"
"""Stands for all guards together; no guard has it as its key."""


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


ORDERS = pa.schema(
    [
        _required("client_order_id", pa.string()),
        _required("strategy", pa.string()),
        _required("instrument", pa.string()),
        _required("ts_created", pa.int64()),
        pa.field("ts_closed", pa.int64()),
        _required("side", pa.string()),
        _required("type", pa.string()),
        _required("quantity", pa.string()),
        _required("filled", pa.string()),
        pa.field("avg_px", pa.float64()),
        _required("status", pa.string()),
        _required("reduce_only", pa.bool_()),
        _required("reason", pa.string()),
        _required("decision_id", pa.string()),
        pa.field("refused_by", pa.string()),
    ]
)
"""One row an order; ``side`` is BUY or SELL, ``reason`` what it was for or why it was refused,
``decision_id`` the decision that it carried out, empty for none, ``refused_by`` the key of the
guard that refused it."""

_ARROW = {str: pa.string(), int: pa.int64(), Decimal: pa.string()}

FILLS = pa.schema(
    [
        *(pa.field(c.name, _ARROW[c.kind], nullable=c.nullable) for c in columns(FillRow)),
        _required("notional", pa.string()),
        pa.field("slippage", pa.string()),
    ]
)
"""One row an execution: an `actors.records.rows.FillRow`, what it was worth, and what it cost
against ``reference_price`` (positive is worse, empty where that is not known)."""

POSITIONS = pa.schema(
    [
        _required("strategy", pa.string()),
        _required("instrument", pa.string()),
        _required("side", pa.string()),
        _required("ts_opened", pa.int64()),
        pa.field("ts_closed", pa.int64()),
        _required("quantity", pa.string()),
        _required("entry_px", pa.float64()),
        pa.field("exit_px", pa.float64()),
        _required("gross", pa.string()),
        _required("fees", pa.string()),
        _required("funding", pa.string()),
        _required("net", pa.string()),
        _required("open", pa.bool_()),
    ]
)
"""One row a round trip from flat to flat, or to the end of the run where ``open``. ``side`` is LONG
or SHORT, ``quantity`` the peak; ``net`` = ``gross`` - ``fees`` + ``funding``."""

EQUITY = pa.schema(
    [
        _required("ts", pa.int64()),
        _required("equity", pa.float64()),
        _required("cash", pa.float64()),
        _required("unrealized", pa.float64()),
        _required("gross", pa.float64()),
        _required("net", pa.float64()),
        _required("drawdown", pa.float64()),
    ]
)
"""The curve, strictly rising in ``ts``. ``gross`` and ``net`` are position notionals in USDT,
``drawdown`` is the fraction lost since the highest so far: 0 at a high, positive below it."""

DECISIONS = pa.schema(
    [
        _required("ts", pa.int64()),
        _required("strategy", pa.string()),
        _required("data_ts", pa.int64()),
        _required("kind", pa.string()),
        _required("equity", pa.string()),
        _required("gross", pa.float64()),
        _required("net", pa.float64()),
        _required("note", pa.string()),
        _required("payload", pa.binary()),
        _required("decision_id", pa.string()),
    ]
)
"""One row a Decision; ``payload`` is the message as ``strategies.messages.encode`` wrote it, and
``decision_id`` what its orders and fills name it by."""

FUNDING = pa.schema(
    [
        _required("ts", pa.int64()),
        _required("strategy", pa.string()),
        _required("instrument", pa.string()),
        _required("rate", pa.string()),
        _required("mark_price", pa.string()),
        _required("quantity", pa.string()),
        _required("amount", pa.string()),
    ]
)
"""One row a settlement of a held position; ``quantity`` is signed, ``amount`` what was received."""

VERDICTS = pa.schema(
    [
        _required("ts", pa.int64()),
        _required("guard", pa.string()),
        _required("scope", pa.string()),
        _required("action", pa.string()),
        _required("multiplier", pa.float64()),
        pa.field("until", pa.int64()),
        pa.field("measured", pa.float64()),
        pa.field("limit", pa.float64()),
        _required("reason", pa.string()),
    ]
)
"""One row a guard's word on a scope, in place of its one before there; ``action`` is shrink,
halt_entries, reduce_only, flatten, or none where it takes it back. ``until`` is when it is
looked at again, where it has an end."""

BENCHMARKS = pa.schema(
    [
        _required("ts", pa.int64()),
        pa.field("btc", pa.float64()),
        pa.field("equal_weight", pa.float64()),
    ]
)
"""What doing something plain would have given: indices that start at 1.0."""

GUARD_COSTS = pa.schema(
    [
        _required("guard", pa.string()),
        _required("rerun", pa.bool_()),
        _required("saved", pa.string()),
        _required("ending_equity", pa.string()),
        _required("max_drawdown", pa.float64()),
        pa.field("sharpe", pa.float64()),
        _required("trades", pa.int64()),
        _required("fees", pa.float64()),
        pa.field("liquidated_at", pa.int64()),
    ]
)
"""One row a guard, and ``*`` for all together, where there are any: the figures of the same run
without it. ``saved`` is the run's ending equity less that one's (negative is what it cost). Where
``rerun`` is false it left no trace, and nothing changes without it."""

SCHEMAS: dict[str, pa.Schema] = {
    "orders": ORDERS,
    "fills": FILLS,
    "positions": POSITIONS,
    "equity": EQUITY,
    "decisions": DECISIONS,
    "funding": FUNDING,
    "verdicts": VERDICTS,
    "benchmarks": BENCHMARKS,
    "guard_costs": GUARD_COSTS,
}
"""Table name, which is also the file's stem, to its schema."""


def table(name: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Return the rows as the named table.

    Parameters
    ----------
    name : str
        A key of ``SCHEMAS``.
    rows : iterable of mapping
        Column to value. Decimals may be given as Decimal: they are written as plain strings.

    Raises
    ------
    DeskError
        When a row lacks a required column, has an unknown one, or a value of another type.
    """
    schema = SCHEMAS[name]
    listed = list(rows)
    columns = {field.name: [row.get(field.name) for row in listed] for field in schema}
    for field in schema:
        if pa.types.is_string(field.type):
            columns[field.name] = [_plain(value) for value in columns[field.name]]
    known = frozenset(schema.names)
    for row in listed:
        if unknown := row.keys() - known:
            raise DeskError(f"{name}: unknown columns {', '.join(sorted(unknown))}")
    try:
        # Nullable first, so that `conform` says which column is empty.
        result = pa.table(columns, schema=pa.schema([f.with_nullable(True) for f in schema]))
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DeskError(f"{name}: {error}") from error
    return conform(name, result)


def fill_columns(fill: FillRow) -> dict[str, Any]:
    """Return a fill as a row of the fills table."""
    known = {column.name: getattr(fill, column.name) for column in columns(FillRow)}
    return known | {"notional": fill.notional, "slippage": fill.slippage}


def conform(name: str, given: pa.Table) -> pa.Table:
    """Return the table in the named schema's column order, checked.

    Raises
    ------
    DeskError
        When columns are missing, unknown, of another type, or empty where they must not be.
    """
    schema = SCHEMAS[name]
    missing = [column for column in schema.names if column not in given.column_names]
    unknown = [column for column in given.column_names if column not in schema.names]
    if missing or unknown:
        raise DeskError(
            f"{name}: columns missing: {', '.join(missing) or 'none'}; "
            f"unknown: {', '.join(unknown) or 'none'}"
        )
    ordered = given.select(schema.names)
    for field in schema:
        if not field.nullable and ordered.column(field.name).null_count:
            raise DeskError(f"{name}.{field.name}: empty in some rows, and it may not be")
    try:
        ordered = ordered.cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise DeskError(f"{name}: {error}") from error
    return ordered


def empty(name: str) -> pa.Table:
    """Return the named table without rows."""
    return SCHEMAS[name].empty_table()


def _plain(value: Any) -> Any:
    return format(value, "f") if isinstance(value, Decimal) else value
