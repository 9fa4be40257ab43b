"""What goes into the journal and comes out of it: frozen rows, no engine type."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


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
    """The newest word on one order of ours; times in UNIX nanoseconds, quantities in base coin."""

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


@dataclass(frozen=True, slots=True)
class FillRow:
    """One execution of the venue.

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
    side : {"BUY", "SELL", ""}
        Empty for funding.
    quantity, price, fee : Decimal
        Unsigned base coin, price, what was paid (negative is a rebate).
    fee_currency, liquidity, kind, source : str
        ``liquidity`` MAKER or TAKER; ``kind`` as the venue says (Trade, Funding, BustTrade …);
        ``source`` is who brought it: push, sweep or recovery.
    """

    instrument: str
    execution_id: str
    ts: int
    client_order_id: str
    venue_order_id: str
    strategy: str
    side: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_currency: str
    liquidity: str
    kind: str
    source: str


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
