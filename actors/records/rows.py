"""Rows of the journal and their conversion to columns. No engine types.

A row class is the only declaration of its SQLite columns, and of the Arrow columns of a result's
fills.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from operator import attrgetter
from typing import Any, Literal, get_args, get_origin, get_type_hints


@dataclass(frozen=True, slots=True)
class Run:
    """One start of a node; ``ended`` is None while it runs, and also when it was killed.

    ``phase`` is ``starting``, ``running``, ``stopping``, ``stopped`` or ``failed``.
    """

    id: int
    started: int
    ended: int | None
    pid: int
    node: str
    environment: str
    document: str
    dry_run: bool
    phase: str
    note: str


@dataclass(frozen=True, slots=True)
class OrderRow:
    """The newest state of one order of ours; times in UNIX nanoseconds, quantities in base coin."""

    client_order_id: str
    venue_order_id: str
    run: int
    created: int
    changed: int
    strategy: str
    instrument: str
    side: str
    quantity: Decimal
    filled: Decimal
    price: Decimal | None
    trigger_price: Decimal | None
    order_type: str
    reduce_only: bool
    is_exit: bool
    status: str
    final: bool
    reason: str
    decision_id: str = ""
    reference_price: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FillRow:
    """One execution, in a backtest and live, in the journal and in results.

    In the journal also cash that moved without one, as deposits: its instrument is ``USDT``, its
    kind the venue's word, its ``fee`` what left the account.

    Parameters
    ----------
    instrument, execution_id : str
        Its identity; the same execution is kept once, whatever its source.
    ts : int
        UNIX nanoseconds (UTC), the venue's time.
    client_order_id, venue_order_id : str
        The first is empty for funding and for manual orders.
    strategy : str
        The owner's key, empty for a foreign order.
    decision_id : str
        The order's decision (`strategies.messages.Decision.id`), or the moment when a strategy that
        publishes none made it; empty for guards' exits and others' orders.
    side : {"BUY", "SELL", ""}
        Of funding the venue's word, if any: it moves no position, so ask ``kind`` first.
    quantity : Decimal
        Unsigned base coin.
    reference_price : Decimal or None
        Price when the order left (live) or reached the market (backtest), to compute slippage.
        None when unknown, as for a manual order.
    fee : Decimal
        What was paid (negative is a rebate).
    kind : str
        In a backtest ``order``, ``liquidation`` or ``delisting``; live the venue's word (Trade,
        Funding, BustTrade …).
    source : str
        ``backtest``, ``push``, ``sweep`` or ``recovery``.
    """

    instrument: str
    execution_id: str = ""
    ts: int
    client_order_id: str = ""
    venue_order_id: str = ""
    strategy: str
    decision_id: str = ""
    side: str
    quantity: Decimal
    price: Decimal
    reference_price: Decimal | None = None
    fee: Decimal
    fee_coin: str = ""
    liquidity: str
    kind: str
    source: str = ""

    @property
    def signed(self) -> Decimal:
        """Base coin, buys positive and sells negative."""
        return -self.quantity if self.side == "SELL" else self.quantity

    @property
    def notional(self) -> Decimal:
        """Value of the fill in the settlement currency, positive."""
        return self.quantity * self.price

    @property
    def slippage(self) -> Decimal | None:
        """Cost against the reference price; positive is worse, None without one."""
        reference = self.reference_price
        return None if reference is None else self.signed * (self.price - reference)


@dataclass(frozen=True, slots=True)
class PositionRow:
    """An owner's position: signed base coin, entry price, realised profit."""

    instrument: str
    owner: str
    changed: int
    quantity: Decimal
    entry_price: Decimal
    realized: Decimal


MARKS = "marks"
"""State of no owner: JSON of instrument to the mark price of the last equity."""


def marks_of_day(ts: int) -> str:
    """Return the name of the state with the mark prices of the last equity of a UTC day.

    >>> marks_of_day(86_400_000_000_000)
    'marks 1970-01-02'
    """
    return f"{MARKS} {datetime.fromtimestamp(ts // 1_000_000_000, UTC):%Y-%m-%d}"


@dataclass(frozen=True, slots=True)
class EquityRow:
    """The account's equity, settlement currency."""

    ts: int
    equity: Decimal
    balance: Decimal
    gross: Decimal
    net: Decimal


@dataclass(frozen=True, slots=True)
class LinkRow:
    """The state of one link, its start, and the time of the last check."""

    name: str
    state: str
    since: int
    changed: int
    detail: str


@dataclass(frozen=True, slots=True)
class Column:
    """Name and value type of a column, and whether it may be empty."""

    name: str
    kind: type
    nullable: bool


def columns(row: type) -> tuple[Column, ...]:
    """Return a row class's columns in the order of its declaration."""
    made: Any = row
    return _columns(made)


@cache
def _columns(row: Any) -> tuple[Column, ...]:
    found = []
    for name, hint in get_type_hints(row).items():
        kinds = (str,) if get_origin(hint) is Literal else get_args(hint) or (hint,)
        found.append(Column(name, kinds[0], type(None) in kinds))
    return tuple(found)


_SQL = {str: "TEXT", int: "INTEGER", bool: "INTEGER", Decimal: "TEXT"}


def columns_sql(row: type, *, without: str = "") -> str:
    """Return a row's columns, all but one, for ``CREATE TABLE``."""
    return ", ".join(
        f"{column.name} {_SQL[column.kind]}{'' if column.nullable else ' NOT NULL'}"
        for column in columns(row)
        if column.name != without
    )


def to_sql(row: Any) -> dict[str, Any]:
    """Return a row as column to value; a Decimal becomes a plain string."""
    return dict(zip((column.name for column in columns(type(row))), values_of(row), strict=True))


def values_of(row: Any) -> list[Any]:
    """Return a row's values as in `to_sql`, but fast: orders wait while an intent is written."""
    getter, decimals = _getter(row.__class__)
    values = list(getter(row))
    for place in decimals:
        if values[place] is not None:
            values[place] = f"{values[place]:f}"
    return values


@cache
def _getter(row: Any) -> tuple[attrgetter[Any], list[int]]:
    names, kinds = zip(*((column.name, column.kind) for column in columns(row)), strict=True)
    return attrgetter(*names), [n for n, kind in enumerate(kinds) if kind is Decimal]


def from_sql[R](row: type[R], values: Mapping[str, Any]) -> R:
    """Return the row in a table's columns; other columns are left out."""
    found = {column.name: (column.kind, values[column.name]) for column in columns(row)}
    return row(**{name: v if v is None else kind(v) for name, (kind, v) in found.items()})


def plain(value: Any) -> Any:
    """Return a Decimal as a plain string, all else as it is."""
    return f"{value:f}" if isinstance(value, Decimal) else value
