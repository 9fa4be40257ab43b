"""Inputs of guards: snapshots of the desk, and events between them. Plain data.

Money and quantities are exact decimals in the settlement currency and in base coin, quantities
signed (short is negative); times are UNIX nanoseconds (UTC). Nothing here knows the engine, so that
a run's tape of these can be played to guards again.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal

import msgspec

ZERO = Decimal(0)


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """An open position of one owner in one instrument.

    Parameters
    ----------
    strategy : str
        The component's key; empty when it is nobody's of this desk (``external``).
    instrument : str
        Instrument id.
    quantity : Decimal
        Signed base coin, never zero.
    entry : Decimal
        Average price of what is open.
    price : Decimal or None
        What it is valued at now: mark, else mid of the touch, else last; None before any is known.
    """

    strategy: str
    instrument: str
    quantity: Decimal
    entry: Decimal
    price: Decimal | None

    @property
    def value(self) -> Decimal:
        """Signed value at the price, at the entry where no price is known."""
        return self.quantity * (self.entry if self.price is None else self.price)


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one instrument's market; None where nothing is.

    Parameters
    ----------
    price : Decimal or None
        As `Holding.price`.
    bid, ask : Decimal or None
        Best prices; candles show none.
    tick : Decimal
        Price increment.
    silent_ns : int or None
        How long nothing was heard of it when it should have been.
    delay_ns : int or None
        How old its newest event was when it came here, plus what this process then lagged behind.
    next_funding_ns : int or None
        Its next funding settlement; None for spot.
    last_funding_ns : int or None
        Its newest settlement, where that is told: prices of a backtest may skip several.
    trading : bool
        Whether the venue takes orders in it.
    gone : bool
        Whether it takes none ever again: it is delisted.
    maintenance_rate : Decimal
        Maintenance margin per unit of value, at the venue's first tier.
    taker_fee : Decimal
        Taker fee per unit of value: what closing costs.
    spot : bool
        Whether it is a spot pair.
    """

    price: Decimal | None = None
    bid: Decimal | None = None
    ask: Decimal | None = None
    tick: Decimal = ZERO
    silent_ns: int | None = None
    delay_ns: int | None = None
    next_funding_ns: int | None = None
    last_funding_ns: int | None = None
    trading: bool = True
    gone: bool = False
    maintenance_rate: Decimal = ZERO
    taker_fee: Decimal = ZERO
    spot: bool = False


class Derivable(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """An input that caches what several guards derive from it: see `once`."""

    @cached_property
    def derived(self) -> dict[Any, Any]:
        """What was worked out, by function and arguments."""
        return {}


def once[T: Derivable, *Rest, R](function: Callable[[T, *Rest], R]) -> Callable[[T, *Rest], R]:
    """Cache a pure function of a snapshot or an order, for all guards that need it.

    The result is shared, so nobody may change it.
    """

    def shared(source: T, *rest: *Rest) -> R:
        known: dict[Any, R] = source.derived
        key = (function, rest)
        if key not in known:
            known[key] = function(source, *rest)
        return known[key]

    return shared


class Snapshot(Derivable, frozen=True, kw_only=True, dict=True):
    """The desk at one moment: after every move of prices in a backtest, live some times a second;
    and, in both, when a halt may end and when a UTC day begins.

    Parameters
    ----------
    now : int
        UNIX nanoseconds (UTC).
    equity : Decimal
        Balance plus what open positions have gained.
    balance : Decimal
        What is realised, fees and funding included.
    holdings : tuple of Holding
        Sorted by instrument, then strategy; external ones included.
    results : dict of str to Decimal
        Net profit of each strategy since the desk's first start: fees and funding included, what is
        open valued at its price.
    results_by_instrument : dict of str to Decimal
        The same of each instrument ever traded, over all strategies; only for guards that
        `need` it, else empty.
    markets : dict of str to Market
        By instrument id; only those of guards that `need` them, else empty.
    leverage : Decimal
        Largest gross value per unit of equity that the document allows.
    maintenance : str
        Why the venue takes no orders, in words; empty while it does.
    moved : bool
        Whether prices may have moved since the one before: not where the desk looks for the time
        alone. Such a look is no sample of prices.
    """

    now: int
    equity: Decimal
    balance: Decimal = ZERO
    holdings: tuple[Holding, ...] = ()
    results: dict[str, Decimal] = msgspec.field(default_factory=dict)
    results_by_instrument: dict[str, Decimal] = msgspec.field(default_factory=dict)
    markets: dict[str, Market] = msgspec.field(default_factory=dict)
    leverage: Decimal = Decimal(1)
    maintenance: str = ""
    moved: bool = True


class OpenExposure(Derivable, frozen=True, kw_only=True, dict=True):
    """What an owner holds at the very moment of an order, and what is still under way.

    Parameters
    ----------
    strategy, instrument : str
        As in `Holding`.
    held : Decimal
        Signed base coin; fills since the newest snapshot are in it.
    buys, sells : Decimal
        What orders that have left may still fill on each side, unsigned base coin; a change of an
        order counts as the order that it asks for. The asked order itself is not among them.
    buy_orders, sell_orders : int
        How many orders these are, without those that are reduce-only.
    price : Decimal
        As `Holding.price`; what the order asks, else the entry, where none is known.
    """

    strategy: str
    instrument: str
    held: Decimal
    buys: Decimal = ZERO
    sells: Decimal = ZERO
    buy_orders: int = 0
    sell_orders: int = 0
    price: Decimal


class OrderRequested(Derivable, frozen=True, kw_only=True, tag=True, dict=True):
    """An order that stands at the order gate and has passed all else; ``price`` None is a market
    order. Exits are shown too, and are never refused.

    ``open_exposure`` has one row for each owner and instrument that holds anything or has anything
    under way, and always one for the order's own; it is filled in only where a guard needs it.
    """

    ts: int
    strategy: str
    instrument: str
    quantity: Decimal
    price: Decimal | None
    is_exit: bool
    order_id: str = ""
    open_exposure: tuple[OpenExposure, ...] = ()


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """An entry that a guard, the order gate or a hold refused: it never left, and there was no
    `OrderRequested`.

    A guard that did not admit it gets this in the very state in which it refused.
    """

    ts: int
    strategy: str
    instrument: str
    reason: str


class FillEvent(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A fill. ``slippage`` is what it cost against the price that stood when its order left, per
    unit of value (positive is worse); None where that is not known, and for passive fills.
    """

    ts: int
    strategy: str
    instrument: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    slippage: float | None = None
    opened: bool = False


class RoundTripEvent(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A position that came back to flat: a round trip, and what it brought net of fees and funding,
    at its ``peak`` size worth ``value``.
    """

    ts: int
    strategy: str
    instrument: str
    net: Decimal
    value: Decimal = ZERO


class VenueResponse(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The venue's answer to a request: accepted, or rejected with its reason."""

    ts: int
    strategy: str
    instrument: str
    accepted: bool
    reason: str = ""


class ErrorEvent(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Something of the desk failed: a request, a sweep, a component."""

    ts: int
    source: str
    text: str


class Mismatch(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The venue's account differs from the desk's books (``kind``: as the sweep's
    findings, such as ``position``, ``ghost_order``, ``unknown_fill``, ``balance``).
    """

    ts: int
    kind: str
    instrument: str
    detail: str


DeskEvent = (
    OrderRequested | Refused | FillEvent | RoundTripEvent | VenueResponse | ErrorEvent | Mismatch
)
"""What happens between two snapshots."""

Input = Snapshot | DeskEvent

Need = Literal["markets", "results_by_instrument", "open_exposure"]
"""Parts of a Snapshot, and of an OrderRequested, that cost time and are filled in only where a
guard asks for them."""
