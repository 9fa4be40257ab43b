"""Open orders that passed the gate, and the exposure that they may add. Engine-specific."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Protocol

from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.events import (
    OrderCanceled,
    OrderDenied,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderModifyRejected,
    OrderRejected,
    OrderUpdated,
)
from nautilus_trader.model.identifiers import ClientOrderId
from nautilus_trader.model.orders import Order

from actors.guards.core.snapshot import Holding
from strategies.account_value import is_spot
from strategies.order_ids import is_protective, owner_of
from strategies.order_sender import order_only_shrinks

ZERO = Decimal(0)
_CHANGES = OrderUpdated, OrderModifyRejected
_ENDS = OrderCanceled, OrderDenied, OrderExpired, OrderRejected


class AccountView(Protocol):
    """The account: from the ledger in a backtest, from the cache live."""

    def value(self) -> tuple[float, float]:
        """Return cash plus unrealised profit, settlement currency, and all positions' notional."""

    def position(self, instrument: str) -> Decimal:
        """Return the signed position."""

    def price(self, instrument: str) -> Decimal | None:
        """Return the newest price, or None."""

    def worth(self) -> Decimal | None:
        """Return the exact equity, or None before the venue reported it."""

    def balance(self) -> Decimal | None:
        """Return the realised balance, with fees and funding; None before the venue reported it."""

    def free_cash(self) -> Decimal:
        """Return the cash that spot buys may spend; zero before the venue reported it."""

    def holdings(self) -> Sequence[Holding]:
        """Return every open position of every owner, sorted by instrument, then owner."""


def protects(order: Order) -> bool:
    """Whether the order is a stop or a take-profit that can only shrink what is held."""
    return is_protective(order.client_order_id.value) and order_only_shrinks(order)


def protects_from_outside(order: Order) -> bool:
    """Whether an order that did not pass the gate only protects a position.

    Besides our own stops, it is what others' orders can only shrink, as the stop that the venue
    attaches to a position: it keeps the venue's id.
    """
    is_others = owner_of(order.client_order_id.value) is None
    return protects(order) or (is_others and order_only_shrinks(order))


class PendingOrders:
    """Tracks orders from the gate until they end.

    ``left`` is what each may still fill: signed base coin, by instrument id and client order id.
    """

    def __init__(self, kernel: Any, account: AccountView) -> None:
        self.left: dict[str, dict[str, Decimal]] = {}
        self._reducing: set[str] = set()
        self._cache = kernel.cache
        self._clock = kernel.clock
        self._account = account
        self._added: dict[str, float] = {}
        self._changed: set[str] = set()
        self._valued_at = -1
        kernel.msgbus.subscribe("events.order.*", self._on_order_event)

    def put(self, order: Order, left: Decimal) -> None:
        """Count what an order may still fill (signed base coin), unless it protects a position.

        A stop at the venue is not a certain exit, and only one of two sibling orders fills.
        """
        if protects(order):
            return
        name = order.instrument_id.value
        self.left.setdefault(name, {})[order.client_order_id.value] = left
        if order.is_reduce_only:
            self._reducing.add(order.client_order_id.value)
        self._changed.add(name)

    def drop(self, order: Order) -> Decimal | None:
        """Remove an order; return what it may still have filled, or None when it is unknown."""
        name = order.instrument_id.value
        self._changed.add(name)
        self._reducing.discard(order.client_order_id.value)
        return self.left.get(name, {}).pop(order.client_order_id.value, None)

    def both_sides(self, order: Order, position: Decimal) -> tuple[Decimal, Decimal]:
        """Return what the other orders in its instrument may still buy and sell, unsigned.

        ``position`` is the signed one in the instrument.
        """
        instrument = order.instrument_id.value
        pending = self.left.get(instrument, {})
        lefts = [(left, name in self._reducing) for name, left in pending.items()]
        # Orders from before the start are only in the engine.
        for other in self._cache.orders_open(instrument_id=order.instrument_id):
            name = other.client_order_id
            known = name.value in pending or name == order.client_order_id
            if not known and not protects_from_outside(other):
                lefts.append((left_of(other), other.is_reduce_only))
        return sides(position, lefts)

    def spot_cash(self, order: Order) -> tuple[Decimal, bool]:
        """Return what other spot buys may cost, and whether resting spot sales may bring cash.

        Sales at market come first at the venue: they pay for it.
        """
        cost, sells = ZERO, False
        for name, pending in self.left.items():
            if not is_spot(name):
                continue
            for order_id, left in pending.items():
                other = self._cache.order(ClientOrderId(order_id))
                limit = other is not None and other.has_price
                if left < 0 and limit:
                    sells = True
                elif order_id != order.client_order_id.value:
                    price = other.price.as_decimal() if limit else self._account.price(name)
                    cost += left * (price or ZERO)
        return cost, sells

    def added(self) -> float:
        """Return what all orders, counted as filled, add to the gross exposure.

        Only changed instruments are valued again, because a rebalance sends hundreds of orders at
        the same prices.
        """
        now = self._clock.timestamp_ns()
        if now != self._valued_at:
            self._valued_at = now
            self._added.clear()
            self._changed.update(name for name, orders in self.left.items() if orders)
        # Sorted, so that sums don't depend on the hash seed.
        for name in sorted(self._changed):
            self._added[name] = self._added_by(name)
        self._changed.clear()
        return sum(self._added.values())

    def _added_by(self, name: str) -> float:
        pending = self.left.get(name)
        price = self._account.price(name) if pending else None
        if not pending or price is None:
            return 0.0
        position = self._account.position(name)
        buys, sells = sides(position, [(v, k in self._reducing) for k, v in pending.items()])
        after = position + buys - sells
        return float((abs(after) - abs(position)) * price)

    def _on_order_event(self, event: OrderEvent) -> None:
        pending = self.left.get(event.instrument_id.value)
        if not pending:
            return
        self._changed.add(event.instrument_id.value)
        name = event.client_order_id.value
        if name not in pending:
            return
        if isinstance(event, OrderFilled):
            pending[name] -= signed(event.order_side, event.last_qty.as_decimal())
            if not pending[name]:
                self._forget(pending, name)
        elif isinstance(event, _CHANGES):
            pending[name] = left_of(self._cache.order(event.client_order_id))
        elif isinstance(event, _ENDS):
            self._forget(pending, name)

    def _forget(self, pending: dict[str, Decimal], name: str) -> None:
        del pending[name]
        self._reducing.discard(name)


def sides(position: Decimal, orders: Iterable[tuple[Decimal, bool]]) -> tuple[Decimal, Decimal]:
    """Return what orders may buy and sell, unsigned, from what each may fill and if it may only
    reduce: exits that could close a position twice, as a stop and a take-profit, count once.
    """
    buys = sells = covers = closes = ZERO
    for left, reduces in orders:
        if left > 0:
            buys, covers = (buys, covers + left) if reduces else (buys + left, covers)
        else:
            sells, closes = (sells, closes - left) if reduces else (sells - left, closes)
    return buys + min(covers, max(-position, ZERO)), sells + min(closes, max(position, ZERO))


def left_of(order: Order) -> Decimal:
    """Return what an order may still fill, signed base coin."""
    return signed(order.side, order.quantity.as_decimal() - order.filled_qty.as_decimal())


def signed(side: OrderSide, quantity: Decimal) -> Decimal:
    """Return a quantity with the sign of its side: sells are negative."""
    return quantity if side == OrderSide.BUY else -quantity
