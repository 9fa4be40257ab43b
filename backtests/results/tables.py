"""Arrow schemas of a result's tables, one a file of the result folder.

Money and quantities are decimal strings, exactly as booked; times are int64 UNIX nanoseconds (UTC);
curves and averages are float64. Only ``nullable`` columns may be empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa

from actors.records.rows import FillRow, columns
from config.errors import DeskError

ALL = "*"
"""Key of all guards together."""


_ARROW = {
    "str": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "bytes": pa.binary(),
    "Decimal": pa.string(),
}


def _schema(columns: str) -> pa.Schema:
    """Return the schema of columns written as ``name type``; ``type?`` may be empty."""
    fields = []
    for column in columns.split(", "):
        name, kind = column.split()
        nullable = kind.endswith("?")
        fields.append(pa.field(name, _ARROW[kind.rstrip("?")], nullable=nullable))
    return pa.schema(fields)


SCHEMAS: dict[str, pa.Schema] = {
    # One row an order; ``ts_arrived`` is when the venue accepted or first filled it, ``side`` is
    # BUY or SELL, ``limit_price`` empty for market orders, ``trigger_price`` that of a stop,
    # ``reason`` its purpose or why it was refused, ``decision_id`` as in fills, ``refusal`` the
    # refusal's `strategies.refusals.Code`, ``refused_by`` the key of the guard that refused it.
    "orders": _schema(
        "client_order_id str, strategy str, instrument str, ts_created int, ts_arrived int?, "
        "ts_closed int?, "
        "side str, type str, quantity str, limit_price str?, trigger_price str?, filled str, "
        "avg_px float?, status str, reduce_only bool, reason str, decision_id str, refusal str?, "
        "refused_by str?"
    ),
    # One row an execution: an `actors.records.rows.FillRow`, what it was worth, and what it cost
    # against ``reference_price`` (positive is worse, empty where that is not known). Of coins
    # bought it has the whole lots that the fee left, and as the fee what else they cost; ``filled``
    # of ``orders`` is what was bought.
    "fills": _schema(
        ", ".join(f"{c.name} {c.kind.__name__}{'?' * c.nullable}" for c in columns(FillRow))
        + ", notional str, slippage str?"
    ),
    # One row a fill of an order on quotes or books: the mid then, and 1, 5 and 30 s after. Empty
    # where there was no book, none came for 30 s, or the run ended before.
    "fill_mids": _schema(
        "execution_id str, instrument str, mid float?, mid_1s float?, mid_5s float?, mid_30s float?"
    ),
    # One row a round trip from flat to flat, or to the end of the run where ``open``. ``side`` is
    # LONG or SHORT, ``quantity`` the peak; ``net`` = ``gross`` - ``fees`` + ``funding``. ``low_px``
    # and ``high_px`` are the extremes of its fills and of the prices while it was held: the mids
    # of each ``venue.valuation`` on books, else the candles; mark prices are none.
    "positions": _schema(
        "strategy str, instrument str, side str, ts_opened int, ts_closed int?, quantity str, "
        "entry_px float, exit_px float?, gross str, fees str, funding str, net str, open bool, "
        "low_px float?, high_px float?"
    ),
    # The curve, strictly rising in ``ts``. ``gross`` and ``net`` are position notionals in USDT,
    # ``drawdown`` is the fraction lost since the highest so far: 0 at a high, positive below it.
    "equity": _schema(
        "ts int, equity float, cash float, unrealized float, gross float, net float, drawdown float"
    ),
    # One row a Decision; ``payload`` is from ``strategies.messages.encode``, and ``decision_id`` is
    # also in its orders and fills.
    "decisions": _schema(
        "ts int, strategy str, data_ts int, kind str, equity str, gross float, net float, "
        "note str, payload bytes, decision_id str"
    ),
    # One row a settlement of a held position; ``quantity`` is signed, ``amount`` what was received.
    "funding": _schema(
        "ts int, strategy str, instrument str, rate str, mark_price str, quantity str, amount str"
    ),
    # One row a guard's verdict on a scope, which replaces its last one there; ``action`` is shrink,
    # halt_entries, reduce_only, flatten, or none (taken back). ``until`` is when a halt may end.
    "verdicts": _schema(
        "ts int, guard str, scope str, action str, multiplier float, until int?, "
        "measured float?, limit float?, reason str"
    ),
    # Indices of simple benchmarks, which start at 1.0.
    "benchmarks": _schema("ts int, btc float?, equal_weight float?"),
    # Execution closes of traded instruments, thinned for drawing: the last, lowest and highest of
    # each stretch of the window that ends at ``ts``.
    "prices": _schema("ts int, instrument str, close float, low float, high float"),
    # One row a guard, and ``*`` for all together: the figures of the same run without it. ``saved``
    # is the run's ending equity less that one's (negative is a cost). ``rerun`` is false where the
    # guard changed nothing, so that no second run was needed.
    "guard_costs": _schema(
        "guard str, rerun bool, saved str, ending_equity str, max_drawdown float, sharpe float?, "
        "trades int, fees float, liquidated_at int?"
    ),
    # One row a `strategies.messages.PairEvent`, all but those of candles; ``payload`` is encoded.
    "pair_events": _schema("ts int, strategy str, kind str, payload bytes"),
    # z-scores and spreads less their mean, as judged at each candle, thinned as prices are.
    "pair_curves": _schema(
        "ts int, strategy str, pair str, z float, low float, high float, spread float"
    ),
}
"""Schemas by table name, which is also the file's stem."""


def table(name: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Return the rows as the named table of ``SCHEMAS``; Decimals become plain strings.

    Raises DeskError when a row lacks a required column, has an unknown one, or a value of another
    type.
    """
    schema = SCHEMAS[name]
    plain = [
        {key: f"{cell:f}" if isinstance(cell, Decimal) else cell for key, cell in row.items()}
        for row in rows
    ]
    if unknown := {key for row in plain for key in row} - set(schema.names):
        raise DeskError(f"{name}: unknown columns {', '.join(sorted(unknown))}")
    try:
        # Nullable first, so that `conform` says which column is empty.
        nullable = pa.schema([field.with_nullable(True) for field in schema])
        result = pa.Table.from_pylist(plain, nullable)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DeskError(f"{name}: {error}") from error
    return conform(name, result)


def fill_columns(fill: FillRow) -> dict[str, Any]:
    """Return a fill as a row of the fills table."""
    return {name: getattr(fill, name) for name in SCHEMAS["fills"].names}


def conform(name: str, given: pa.Table) -> pa.Table:
    """Return the table in the named schema's column order, checked.

    Raises DeskError when columns are missing, unknown, of another type, or empty where they must
    not be.
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
