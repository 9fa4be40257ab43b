"""One market: its order book, prices and waiting orders, in price-time priority.

The house is the exchange's own market maker: each quote replaces its aggregated levels. An
account's order waits behind the house quantity that was at its price when it came (``ahead``); only
trades and smaller quotes change that queue, and only shorten it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import takewhile
from typing import NamedTuple

from live_nodes.practice.exchange.model import ZERO, Key, Level, PracticeSymbol, Side
from live_nodes.practice.exchange.records import MarketRow


@dataclass(slots=True, eq=False)
class RestingOrder:
    """An account's order in the book; the book changes ``leaves`` and ``ahead``."""

    account: str
    order_id: str
    side: Side
    price: Decimal
    leaves: Decimal
    priority: int
    ahead: Decimal = ZERO


class Hit(NamedTuple):
    """The next piece of a match; without an order, the house is the other party."""

    price: Decimal
    qty: Decimal
    maker: RestingOrder | None


@dataclass(slots=True, eq=False)
class BookSide:
    """The house's levels and the accounts' orders, best first; ``sign`` is -1 for bids, else 1."""

    sign: int
    levels: Sequence[Level] = ()
    orders: list[RestingOrder] = field(default_factory=list)

    def rank(self, price: Decimal) -> Decimal:
        """Return the sort key of a price: the better, the lower."""
        return self.sign * price

    def best(self) -> Decimal | None:
        """Return the best price, house and accounts together."""
        first = [price for price, _ in self.levels[:1]] + [o.price for o in self.orders[:1]]
        return min(first, key=self.rank, default=None)

    def add(self, order: RestingOrder) -> None:
        """Add an order, behind those of its price that came before."""
        insort(self.orders, order, key=lambda o: (self.rank(o.price), o.priority))

    def fill(self, order: RestingOrder, qty: Decimal) -> None:
        """Fill an order; one that is filled whole is removed."""
        order.leaves -= qty
        order.ahead = ZERO
        if not order.leaves:
            self.orders.remove(order)

    def house_at(self, price: Decimal) -> Decimal:
        """Return the house's quantity at a price."""
        place = self._place(price)
        return ZERO if place is None else self.levels[place][1]

    def take_house(self, price: Decimal, qty: Decimal) -> None:
        """Take from the house at a price; the queue of the orders there gets shorter."""
        place = self._place(price)
        if place is not None:
            levels, left = list(self.levels), self.levels[place][1] - qty
            levels[place : place + 1] = [(price, left)] if left > 0 else []
            self.levels = levels
        for order in self.orders:
            if order.price == price and order.ahead:
                order.ahead = max(ZERO, order.ahead - qty)

    def next(self, qty: Decimal) -> Hit | None:
        """Return the next piece that a taker would match."""
        house, order = next(iter(self.levels), None), next(iter(self.orders), None)
        if order is None or (house is not None and self.rank(house[0]) < self.rank(order.price)):
            return None if house is None else Hit(house[0], min(qty, house[1]), None)
        if house is not None and order.price == house[0] and order.ahead > 0:
            return Hit(house[0], min(qty, house[1], order.ahead), None)
        return Hit(order.price, min(qty, order.leaves), order)

    def beyond(self, price: Decimal, limit: Decimal | None) -> bool:
        """Whether a price is worse than a taker's limit."""
        return limit is not None and self.rank(price) > self.rank(limit)

    def pieces(self, limit: Decimal | None) -> Iterator[Level]:
        """Return all that a taker would match within a limit."""
        own = [(o.price, o.leaves) for o in self.orders]
        both = sorted([*self.levels, *own], key=lambda p: self.rank(p[0])) if own else self.levels
        return takewhile(lambda piece: not self.beyond(piece[0], limit), both)

    def visible(self, depth: int) -> list[Level]:
        """Return the levels, house and accounts together, at most ``depth`` of them."""
        if not self.orders:
            return list(self.levels[:depth])
        sums: dict[Decimal, Decimal] = dict(self.levels)
        for order in self.orders:
            sums[order.price] = sums.get(order.price, ZERO) + order.leaves
        return sorted(sums.items(), key=lambda level: self.rank(level[0]))[:depth]

    def _place(self, price: Decimal) -> int | None:
        place = bisect_left(self.levels, self.rank(price), key=lambda p: self.rank(p[0]))
        found = place < len(self.levels) and self.levels[place][0] == price
        return place if found else None


@dataclass(slots=True, eq=False)
class OrderBook:
    """Both sides of a book."""

    bids: BookSide = field(default_factory=lambda: BookSide(-1))
    asks: BookSide = field(default_factory=lambda: BookSide(1))

    def of(self, side: Side) -> BookSide:
        """Return where orders of a side rest."""
        return self.bids if side == "Buy" else self.asks

    def against(self, side: Side) -> BookSide:
        """Return what takers of a side match."""
        return self.asks if side == "Buy" else self.bids

    def rest(self, order: RestingOrder, *, join: bool = True) -> None:
        """Add an order; ``join`` puts it behind the house's present quantity at its price."""
        own = self.of(order.side)
        if join:
            order.ahead = own.house_at(order.price)
        own.add(order)

    def remove(self, side: Side, order_id: str) -> None:
        """Remove an order, if it is in the book."""
        own = self.of(side)
        own.orders = [order for order in own.orders if order.order_id != order_id]

    def find(self, side: Side, order_id: str) -> RestingOrder | None:
        """Return a resting order, or null."""
        return next((o for o in self.of(side).orders if o.order_id == order_id), None)

    def peek(self, side: Side, limit: Decimal | None, qty: Decimal) -> Hit | None:
        """Return the next piece that a taker of this side would match; change nothing."""
        against = self.against(side)
        hit = against.next(qty)
        return None if hit is None or against.beyond(hit.price, limit) else hit

    def take(self, side: Side, hit: Hit) -> None:
        """Execute a hit of :meth:`peek` or :meth:`print_hit`, or a print that met no order."""
        if hit.maker is not None:
            self.against(side).fill(hit.maker, hit.qty)
        else:
            self.against(side).take_house(hit.price, hit.qty)

    def crosses(self, side: Side, price: Decimal) -> bool:
        """Whether an order of this side and price would trade at once."""
        return self.peek(side, price, Decimal(1)) is not None

    def fillable(self, side: Side, limit: Decimal | None, qty: Decimal) -> Decimal:
        """Return how much of a quantity would trade at once within the limit."""
        found = ZERO
        for _, size in self.against(side).pieces(limit):
            found += size
            if found >= qty:
                return qty
        return found

    def cost(self, side: Side, limit: Decimal | None, qty: Decimal) -> Decimal:
        """Return the quote coin that :meth:`fillable` would pay or receive."""
        left, paid = qty, ZERO
        for price, size in self.against(side).pieces(limit):
            piece = min(left, size)
            paid += piece * price
            left -= piece
        return paid

    def worth(self, side: Side, limit: Decimal | None, amount: Decimal, lot: Decimal) -> Decimal:
        """Return the whole lots that an amount of quote coin trades within the limit."""
        got, left = ZERO, amount
        for price, size in self.against(side).pieces(limit):
            if price * size >= left:
                return (got + left / price) // lot * lot
            got += size
            left -= price * size
        return got // lot * lot

    def quote(self, bids: Sequence[Level], asks: Sequence[Level]) -> bool:
        """Replace the house's levels; return true when they may cross resting orders."""
        self.bids.levels, self.asks.levels = bids, asks
        for own in (self.bids, self.asks):
            for order in own.orders:
                if order.ahead:
                    order.ahead = min(order.ahead, own.house_at(order.price))
        return bool(self.bids.orders or self.asks.orders)

    def meet(self) -> tuple[Side, Hit] | None:
        """Return the house's side and the next resting order it crosses, at the order's price."""
        sides: tuple[Side, Side] = ("Buy", "Sell")
        for side in sides:
            house, orders = self.of(side), self.against(side).orders
            if orders and house.levels and not house.beyond(house.levels[0][0], orders[0].price):
                order = orders[0]
                return side, Hit(order.price, min(order.leaves, house.levels[0][1]), order)
        return None

    def take_meeting(self, house: Side, hit: Hit) -> None:
        """Execute the result of :meth:`meet`."""
        assert hit.maker is not None
        self.against(house).fill(hit.maker, hit.qty)
        self.of(house).take_house(self.of(house).levels[0][0], hit.qty)

    def print_hit(self, side: Side, price: Decimal, qty: Decimal) -> Hit | None:
        """Return the next piece of a house taker's trade at a price; null when it meets no order.

        Better prices match first; at the price, the queue ahead does, as a piece without a maker.
        """
        against = self.against(side)
        order = next(iter(against.orders), None)
        if order is None or against.beyond(order.price, price):
            return None
        if order.price == price and order.ahead > 0:
            return Hit(price, min(qty, order.ahead), None)
        return Hit(order.price, min(qty, order.leaves), order)

    def visible(self, depth: int) -> tuple[list[Level], list[Level]]:
        """Return both sides, aggregated, best first, at most ``depth`` levels each."""
        return self.bids.visible(depth), self.asks.visible(depth)


@dataclass(slots=True)
class MarketState:
    """One market: rules, book, prices, holders and ``waiting`` orders (oldest first)."""

    symbol: PracticeSymbol
    book: OrderBook = field(default_factory=OrderBook)
    last: Decimal = ZERO
    mark: Decimal = ZERO
    index: Decimal = ZERO
    halted: bool = False
    house: Decimal = ZERO
    funded_ms: int = 0
    prints: int = 0
    seq: int = 0
    waiting: dict[str, str] = field(default_factory=dict)
    holders: dict[str, None] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """Category and name."""
        return self.symbol.key

    @property
    def value_price(self) -> Decimal:
        """Price at which positions are valued: the mark price, or the last price without one."""
        return self.mark or self.last

    @property
    def reference(self) -> Decimal:
        """Reference price of limits: mark, else last, else middle price; 0 if none."""
        if self.mark or self.last:
            return self.mark or self.last
        bid, ask = self.book.bids.best(), self.book.asks.best()
        if bid is not None and ask is not None:
            return (bid + ask) / 2
        return bid or ask or ZERO

    def price_by(self, trigger_by: str) -> Decimal:
        """Return the price that a trigger is compared with; 0 while unknown."""
        if trigger_by == "MarkPrice":
            return self.mark
        return self.index if trigger_by == "IndexPrice" else self.last

    def row(self) -> MarketRow:
        """Return the row to store."""
        return MarketRow(
            self.symbol.category, self.symbol.name, self.last, self.mark, self.index, self.halted,
            self.house, self.funded_ms, self.prints, self.seq,
        )  # fmt: skip
