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
from operator import itemgetter
from typing import NamedTuple

from live_nodes.practice.exchange.model import ZERO, Key, Level, PracticeSymbol, Side
from live_nodes.practice.exchange.records import MarketRow

_price = itemgetter(0)


def _falling(level: Level) -> Decimal:
    return -level[0]


def _beyond(side: Side, price: Decimal, limit: Decimal | None) -> bool:
    return limit is not None and (price > limit if side == "Buy" else price < limit)


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

    @property
    def rank(self) -> tuple[Decimal, int]:
        """Sort key: best price first, then the earliest."""
        return (-self.price if self.side == "Buy" else self.price, self.priority)


class Hit(NamedTuple):
    """The next piece of a match; without an order, the house is the other party."""

    price: Decimal
    qty: Decimal
    maker: RestingOrder | None


@dataclass(slots=True, eq=False)
class OrderBook:
    """The house's levels and the accounts' orders, best first."""

    bids: Sequence[Level] = ()
    asks: Sequence[Level] = ()
    buys: list[RestingOrder] = field(default_factory=list)
    sells: list[RestingOrder] = field(default_factory=list)

    def rest(self, order: RestingOrder, *, join: bool = True) -> None:
        """Add an order; ``join`` puts it behind the house's present quantity at its price."""
        if join:
            order.ahead = self._house_at(order.side, order.price)
        insort(self._orders(order.side), order, key=lambda o: o.rank)

    def remove(self, side: Side, order_id: str) -> RestingOrder | None:
        """Remove an order; return null when it is not in the book."""
        orders = self._orders(side)
        for i, order in enumerate(orders):
            if order.order_id == order_id:
                return orders.pop(i)
        return None

    def find(self, side: Side, order_id: str) -> RestingOrder | None:
        """Return a resting order, or null."""
        return next((o for o in self._orders(side) if o.order_id == order_id), None)

    def peek(self, side: Side, limit: Decimal | None, qty: Decimal) -> Hit | None:
        """Return the next piece that a taker of this side would match; change nothing."""
        buying = side == "Buy"
        levels = self.asks if buying else self.bids
        orders = self.sells if buying else self.buys
        house, order = levels[0] if levels else None, orders[0] if orders else None
        if order is not None and (
            house is None or (order.price <= house[0] if buying else order.price >= house[0])
        ):
            if house is not None and order.price == house[0] and order.ahead > 0:
                hit = Hit(house[0], min(qty, house[1], order.ahead), None)
            else:
                hit = Hit(order.price, min(qty, order.leaves), order)
        elif house is not None:
            hit = Hit(house[0], min(qty, house[1]), None)
        else:
            return None
        return None if _beyond(side, hit.price, limit) else hit

    def take(self, side: Side, hit: Hit) -> None:
        """Execute a hit of :meth:`peek` or :meth:`print_hit`, or a print that met no order."""
        if hit.maker is not None:
            self._fill(hit.maker, hit.qty)
        else:
            self._take_house("Sell" if side == "Buy" else "Buy", hit.price, hit.qty)

    def crosses(self, side: Side, price: Decimal) -> bool:
        """Whether an order of this side and price would trade at once."""
        return self.peek(side, price, Decimal(1)) is not None

    def fillable(self, side: Side, limit: Decimal | None, qty: Decimal) -> Decimal:
        """Return how much of a quantity would trade at once within the limit."""
        found = ZERO
        for _, size in self._pieces(side, limit):
            found += size
            if found >= qty:
                return qty
        return found

    def cost(self, side: Side, limit: Decimal | None, qty: Decimal) -> Decimal:
        """Return the quote coin that :meth:`fillable` would pay or receive."""
        left, paid = qty, ZERO
        for price, size in self._pieces(side, limit):
            piece = min(left, size)
            paid += piece * price
            left -= piece
        return paid

    def worth(self, side: Side, limit: Decimal | None, amount: Decimal, lot: Decimal) -> Decimal:
        """Return the whole lots that an amount of quote coin trades within the limit."""
        got, left = ZERO, amount
        for price, size in self._pieces(side, limit):
            if price * size >= left:
                return (got + left / price) // lot * lot
            got += size
            left -= price * size
        return got // lot * lot

    def quote(self, bids: Sequence[Level], asks: Sequence[Level]) -> bool:
        """Replace the house's levels; return true when they may cross resting orders."""
        self.bids, self.asks = bids, asks
        if not self.buys and not self.sells:
            return False
        for order in (*self.buys, *self.sells):
            if order.ahead:
                order.ahead = min(order.ahead, self._house_at(order.side, order.price))
        return True

    def meet(self) -> tuple[Side, Hit] | None:
        """Return the house's side and the next resting order it crosses, at the order's price."""
        if self.sells and self.bids and self.bids[0][0] >= self.sells[0].price:
            order = self.sells[0]
            return "Buy", Hit(order.price, min(order.leaves, self.bids[0][1]), order)
        if self.buys and self.asks and self.asks[0][0] <= self.buys[0].price:
            order = self.buys[0]
            return "Sell", Hit(order.price, min(order.leaves, self.asks[0][1]), order)
        return None

    def take_meeting(self, house: Side, hit: Hit) -> None:
        """Execute the result of :meth:`meet`."""
        assert hit.maker is not None
        self._fill(hit.maker, hit.qty)
        self._take_house(house, (self.bids if house == "Buy" else self.asks)[0][0], hit.qty)

    def print_hit(self, side: Side, price: Decimal, qty: Decimal) -> Hit | None:
        """Return the next piece of a house taker's trade at a price; null when it meets no order.

        Better prices match first; at the price, the queue ahead does, as a piece without a maker.
        """
        orders = self.sells if side == "Buy" else self.buys
        if not orders:
            return None
        order = orders[0]
        if order.price < price if side == "Buy" else order.price > price:
            return Hit(order.price, min(qty, order.leaves), order)
        if order.price != price:
            return None
        if order.ahead > 0:
            return Hit(price, min(qty, order.ahead), None)
        return Hit(price, min(qty, order.leaves), order)

    def best(self, side: Side) -> Decimal | None:
        """Return the best price of a side, house and accounts together."""
        levels, orders = (self.bids, self.buys) if side == "Buy" else (self.asks, self.sells)
        if not orders:
            return levels[0][0] if levels else None
        if not levels:
            return orders[0].price
        pick = max if side == "Buy" else min
        return pick(levels[0][0], orders[0].price)

    def visible(self, depth: int) -> tuple[list[Level], list[Level]]:
        """Return both sides, aggregated, best first, at most ``depth`` levels each."""
        return (
            self._merged(self.bids, self.buys, depth, -1),
            self._merged(self.asks, self.sells, depth, 1),
        )

    def _orders(self, side: Side) -> list[RestingOrder]:
        return self.buys if side == "Buy" else self.sells

    def _house_at(self, side: Side, price: Decimal) -> Decimal:
        levels = self.bids if side == "Buy" else self.asks
        if side == "Buy":
            i = bisect_left(levels, -price, key=_falling)
        else:
            i = bisect_left(levels, price, key=_price)
        return levels[i][1] if i < len(levels) and levels[i][0] == price else ZERO

    def _fill(self, order: RestingOrder, qty: Decimal) -> None:
        order.leaves -= qty
        order.ahead = ZERO
        if not order.leaves:
            self.remove(order.side, order.order_id)

    def _take_house(self, house: Side, price: Decimal, qty: Decimal) -> None:
        levels = list(self.bids if house == "Buy" else self.asks)
        key = _falling if house == "Buy" else _price
        i = bisect_left(levels, -price if house == "Buy" else price, key=key)
        if i < len(levels) and levels[i][0] == price:
            left = levels[i][1] - qty
            if left > 0:
                levels[i] = (price, left)
            else:
                del levels[i]
            if house == "Buy":
                self.bids = levels
            else:
                self.asks = levels
        for order in self._orders(house):
            if order.price == price and order.ahead:
                order.ahead = max(ZERO, order.ahead - qty)

    def _pieces(self, side: Side, limit: Decimal | None) -> Iterator[Level]:
        levels, orders = (self.asks, self.sells) if side == "Buy" else (self.bids, self.buys)
        own = [(o.price, o.leaves) for o in orders]
        best_first = _price if side == "Buy" else _falling
        pieces = sorted([*levels, *own], key=best_first) if own else levels
        return takewhile(lambda piece: not _beyond(side, piece[0], limit), pieces)

    @staticmethod
    def _merged(
        levels: Sequence[Level], orders: list[RestingOrder], depth: int, sign: int
    ) -> list[Level]:
        if not orders:
            return list(levels[:depth])
        sums: dict[Decimal, Decimal] = dict(levels)
        for order in orders:
            sums[order.price] = sums.get(order.price, ZERO) + order.leaves
        return sorted(sums.items(), key=lambda level: sign * level[0])[:depth]


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
        bid, ask = self.book.best("Buy"), self.book.best("Sell")
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
