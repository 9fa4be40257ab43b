"""Inputs of guards: snapshots of the desk, and events between them. Plain data.

Money and quantities are exact decimals in the settlement currency and in base coin. Short
quantities are negative. Times are UNIX nanoseconds (UTC). Nothing here imports the engine, so that
guards can replay a run's tape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import msgspec

ZERO = Decimal(0)


class Holding(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An open position of one strategy in one instrument."""

    strategy: str  # empty when no strategy of this desk owns it (``external``)
    instrument: str
    quantity: Decimal  # signed base coin, never zero
    entry: Decimal  # average price of what is open
    price: Decimal | None  # mark, else mid of the touch, else last, else None

    @property
    def value(self) -> Decimal:
        """Signed value at the price, or at the entry price where no price is known."""
        return self.quantity * (self.entry if self.price is None else self.price)


class Market(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Market data and rules of one instrument; None where unknown."""

    price: Decimal | None = None  # as `Holding.price`
    bid: Decimal | None = None  # best price; candles have none
    ask: Decimal | None = None
    bid_size: Decimal | None = None  # displayed at the best price, base coin
    ask_size: Decimal | None = None
    tick: Decimal = ZERO  # price increment
    silent_ns: int | None = None  # time without data when there should have been some
    delay_ns: int | None = None  # age of the newest event on arrival, plus this process's lag
    next_funding_ns: int | None = None  # None for spot
    last_funding_ns: int | None = None  # where known: backtest prices may skip several
    trading: bool = True  # whether the venue takes orders in it
    gone: bool = False  # delisted: it never takes orders again
    maintenance_rate: Decimal = ZERO  # maintenance margin per unit of value, first tier
    taker_fee: Decimal = ZERO  # per unit of value: the cost of closing
    spot: bool = False


def once[T, *Rest, R](function: Callable[[T, *Rest], R]) -> Callable[[T, *Rest], R]:
    """Cache a pure function of a snapshot or an order; do not change the shared result.

    The first argument keeps it: an object with a ``__dict__``, as of a Struct with ``dict=True``.
    """

    def shared(source: T, *rest: *Rest) -> R:
        known: dict[Any, R] = vars(source).setdefault("derived", {})
        key = (function, rest)
        if key not in known:
            known[key] = function(source, *rest)
        return known[key]

    return shared


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The desk at one moment.

    A backtest takes one after each price move, a live node some a second. Both also take one when a
    halt may end and when a UTC day begins.
    """

    now: int  # UNIX nanoseconds (UTC)
    equity: Decimal  # balance plus unrealised profit
    balance: Decimal = ZERO  # realised, fees and funding included
    flows: Decimal = ZERO  # what others paid in since the first start, less what they took out
    holdings: Sequence[Holding] = ()  # by instrument, then strategy; external ones included
    # Net profit of each strategy since the desk's first start: with fees, funding, open positions.
    results: Mapping[str, Decimal] = msgspec.field(default_factory=dict)
    # The same of each instrument ever traded; only for guards that `need` it, else empty.
    results_by_instrument: Mapping[str, Decimal] = msgspec.field(default_factory=dict)
    # By instrument id; only those of guards that `need` them, else empty.
    markets: Mapping[str, Market] = msgspec.field(default_factory=dict)
    leverage: Decimal = Decimal(1)  # the document's largest gross value per unit of equity
    maintenance: str = ""  # why the venue takes no orders; empty while it does
    moved: bool = True  # False for a look at the time alone, which is no sample of prices


class ExposureRange(NamedTuple):
    """The lowest and highest signed value that a position can reach, and the worse of them."""

    low: Decimal
    high: Decimal
    worst: Decimal


def range_between(low: Decimal, high: Decimal) -> ExposureRange:
    """Return the range between two values, the lower first."""
    return ExposureRange(low, high, max(high, -low))


class OpenExposure(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A strategy's position at the moment of an order, and its pending orders."""

    strategy: str
    instrument: str
    held: Decimal  # signed base coin, with fills since the newest snapshot
    # Pending, unsigned base coin: without the asked order; a requested change counts as made.
    buys: Decimal = ZERO
    sells: Decimal = ZERO
    buy_orders: int = 0  # their number, without reduce-only orders
    sell_orders: int = 0
    price: Decimal  # as `Holding.price`, else the order's price, else the entry

    @property
    def reach(self) -> ExposureRange:
        """Range of the position's value while any part of the pending orders fills."""
        low, high = self.held - self.sells, self.held + self.buys
        return range_between(low * self.price, high * self.price)


class Ranges(NamedTuple):
    """The range of each instrument's value over all owners, and the sum of the worst of them."""

    by_instrument: Mapping[str, ExposureRange]
    worst: Decimal

    def changed(self, name: str, found: ExposureRange | None) -> Ranges:
        """Return the ranges with another one of an instrument, or without it."""
        ranges, worst = dict(self.by_instrument), self.worst
        before = ranges.pop(name, None)
        if before is not None:
            worst -= before.worst
        if found is not None:
            ranges[name], worst = found, worst + found.worst
        return Ranges(ranges, worst)


NO_RANGES = Ranges({}, ZERO)


def ranges_of(rows: Iterable[OpenExposure]) -> Ranges:
    """Return the ranges of rows; an instrument's owners add up."""
    ranges: dict[str, ExposureRange] = {}
    for row in rows:
        name, own = row.instrument, row.reach
        if name in ranges:
            own = range_between(ranges[name].low + own.low, ranges[name].high + own.high)
        ranges[name] = own
    return Ranges(ranges, sum((found.worst for found in ranges.values()), ZERO))


class OrderRequested(msgspec.Struct, frozen=True, kw_only=True, tag=True, dict=True):
    """An order at the order gate that passed all other checks; ``price`` None is a market order.

    Exits are included, and never refused. ``open_exposure`` has one row for each owner and
    instrument with a position or pending orders, and always one for the order's own, sorted by
    instrument, then owner. It is filled in only where a guard needs it.
    """

    ts: int
    strategy: str
    instrument: str
    quantity: Decimal
    price: Decimal | None
    is_exit: bool
    order_id: str = ""
    open_exposure: tuple[OpenExposure, ...] = ()
    ranges: Ranges = NO_RANGES  # `ranges_of` these rows; a desk keeps them up


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """An entry that a guard, the order gate or a hold refused.

    It never left and has no `OrderRequested`. The guard that refused it gets this in the same
    state.
    """

    ts: int
    strategy: str
    instrument: str
    reason: str


class FillEvent(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A fill.

    ``slippage`` is its cost against the price when its order left, per unit of value (positive is
    worse); None where unknown, and for passive fills. ``decision_slippage`` is that of any fill
    against the price when the first order of its decision left. ``entry`` is False where it only
    shrinks a position.
    """

    ts: int
    strategy: str
    instrument: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    slippage: float | None = None
    decision_slippage: float | None = None
    opened: bool = False
    entry: bool = True


class RoundTripEvent(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A position that closed: its result net of fees and funding, its ``value`` at peak size."""

    ts: int
    strategy: str
    instrument: str
    net: Decimal
    value: Decimal = ZERO


class VenueResponse(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The venue's response to a request: accepted, or rejected with a reason."""

    ts: int
    strategy: str
    instrument: str
    accepted: bool
    reason: str = ""


class ErrorEvent(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A failure in the desk: a request, a sweep, a component."""

    ts: int
    source: str
    text: str


class Mismatch(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A difference between the venue's account and the desk's books (``kind``: as the sweep's)."""

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
"""Costly parts of a Snapshot or an OrderRequested, filled in only for guards that need them."""
