"""What goes into the journal and comes out of it, and how a row becomes columns. No engine type.

A row is declared once: the journal's SQLite columns come from it, and so do the Arrow columns of a
result's fills.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from operator import attrgetter
from typing import Any, Literal, get_args, get_origin, get_type_hints


@dataclass(frozen=True, slots=True)
class Run:
    """One start of a node. ``ended`` is None while it runs, and for ever when it was killed.

    ``phase`` is where it stands: ``starting``, ``running``, ``stopping``, ``stopped``, ``failed``.
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
    """One execution, as it is booked in a backtest and live, in the journal and in results.

    Parameters
    ----------
    instrument, execution_id : str
        Its identity; the same execution is kept once, whoever brings it.
    ts : int
        UNIX nanoseconds (UTC), the venue's time.
    client_order_id, venue_order_id : str
        The order's; the first is empty for funding and for orders of a human.
    strategy : str
        The owner's key, empty for a foreign order.
    decision_id : str
        The decision that its order carries out (`strategies.messages.Decision.id`), empty for none.
    side : {"BUY", "SELL", ""}
        Empty for funding.
    quantity, price : Decimal
        Unsigned base coin, and its price.
    reference_price : Decimal or None
        The price that stood when the order left (live) or reached the market (backtest): what
        slippage is counted from. None where nobody knows it, as of a human's order.
    fee : Decimal
        What was paid (negative is a rebate).
    fee_coin : str
        The coin that it was paid in.
    liquidity : {"MAKER", "TAKER"}
        Whether it rested or took.
    kind : str
        In a backtest ``order``, ``liquidation`` or ``delisting``; live the venue's word (Trade,
        Funding, BustTrade …).
    source : str
        Who brought it: ``backtest``, ``push``, ``sweep`` or ``recovery``.
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
        """What it cost against the reference price; positive is worse, None without one."""
        reference = self.reference_price
        return None if reference is None else self.signed * (self.price - reference)


@dataclass(frozen=True, slots=True)
class PositionRow:
    """What an owner holds in an instrument: signed base coin, entry price, realised profit."""

    instrument: str
    owner: str
    changed: int
    quantity: Decimal
    entry_price: Decimal
    realized: Decimal


@dataclass(frozen=True, slots=True)
class EquityRow:
    """What the account is worth, settlement currency."""

    ts: int
    equity: Decimal
    balance: Decimal
    gross: Decimal
    net: Decimal


@dataclass(frozen=True, slots=True)
class LinkRow:
    """The state of one link, since when, and when it was last looked at."""

    name: str
    state: str
    since: int
    changed: int
    detail: str


# How a row becomes columns ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a row: its name, the type of its values, and whether it may be empty."""

    name: str
    kind: type
    nullable: bool


def columns(row: type) -> tuple[Column, ...]:
    """Return the columns of a row's class, in the order in which it declares them."""
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
    """Return a row's columns, all but one, as they stand in ``CREATE TABLE``."""
    return ", ".join(
        f"{column.name} {_SQL[column.kind]}{'' if column.nullable else ' NOT NULL'}"
        for column in columns(row)
        if column.name != without
    )


def to_sql(row: Any) -> dict[str, Any]:
    """Return a row as column to value; a Decimal is written as a plain string."""
    return dict(zip((column.name for column in columns(type(row))), values_of(row), strict=True))


def values_of(row: Any) -> list[Any]:
    """Return a row's values as `to_sql` has them: an order waits while its intent is written."""
    kind: Any = row.__class__
    return [f"{v:f}" if v.__class__ is Decimal else v for v in _getter(kind)(row)]


@cache
def _getter(row: Any) -> attrgetter[Any]:
    return attrgetter(*(column.name for column in columns(row)))


def from_sql[R](row: type[R], values: Mapping[str, Any]) -> R:
    """Return the row of a class that a table's columns hold; other columns are left out."""
    found = {column.name: (column.kind, values[column.name]) for column in columns(row)}
    return row(**{name: v if v is None else kind(v) for name, (kind, v) in found.items()})


def plain(value: Any) -> Any:
    """Return a Decimal as a plain string, all else as it is."""
    return f"{value:f}" if isinstance(value, Decimal) else value
