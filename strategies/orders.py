"""A strategy's own orders: how they are named and sent, and which are still under way.

Engine-specific. Orders are fetched from the cache whenever they are needed, never held.
"""

from __future__ import annotations

from collections.abc import Container
from decimal import Decimal
from typing import TYPE_CHECKING

from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.events import (
    OrderCanceled,
    OrderDenied,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderRejected,
)
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId
from nautilus_trader.model.objects import Quantity
from nautilus_trader.model.orders import Order

from strategies.order_ids import is_closers, numbered, order_id, owner_of, session_of
from strategies.sizing.rounding import ZERO, split

if TYPE_CHECKING:
    from strategies.base import DeskStrategy

_ENDS = (OrderCanceled, OrderDenied, OrderExpired, OrderRejected)


class Orders:
    """The orders of one strategy.

    Parameters
    ----------
    strategy : DeskStrategy
        Whose they are.
    """

    def __init__(self, strategy: DeskStrategy) -> None:
        self._strategy = strategy
        self._id_prefix = ""
        self._made = 0
        self._own: set[ClientOrderId] = set()

    @property
    def unanswered(self) -> bool:
        """Whether one that was sent has not ended."""
        return bool(self._own)

    # Sent --------------------------------------------------------------------------------------

    def begin_session(self) -> None:
        """Name the orders from now on after this start."""
        config = self._strategy.config
        session = session_of(self._strategy.clock.timestamp_ns())
        self._id_prefix = order_id(config.node, config.key, session, 0)[:-1]

    def next_id(self) -> ClientOrderId:
        """Return the id of the next order."""
        self._made += 1
        return ClientOrderId(numbered(self._id_prefix, self._made))

    def send(self, order: Order) -> None:
        """Send an order and remember that it is under way."""
        self._own.add(order.client_order_id)
        self._strategy.submit_order(order)

    def send_market(self, instrument_id: InstrumentId, quantity: Decimal, tags: list[str]) -> None:
        """Send market orders for a signed quantity of base coin, as few as the venue takes."""
        strategy = self._strategy
        found = strategy.instrument(instrument_id)
        largest = None if found.max_quantity is None else found.max_quantity.as_decimal()
        shrinks = strategy.shrinks(instrument_id, quantity)
        reduce_only = shrinks and not strategy.is_spot(instrument_id)
        for size in split(abs(quantity), found.size_increment.as_decimal(), largest):
            strategy.send(
                strategy.order_factory.market(
                    instrument_id,
                    OrderSide.BUY if quantity > ZERO else OrderSide.SELL,
                    Quantity(size, found.size_precision),
                    reduce_only=reduce_only,
                    tags=tags,
                    client_order_id=strategy.next_order_id(),
                )
            )

    # Under way ---------------------------------------------------------------------------------

    def under_way(self, instruments: Container[str] | None = None) -> list[Order]:
        """Return those that may still fill, of earlier sessions too, all or in some instruments.

        Sorted by instrument, then in the order they were made.
        """
        cache, mine = self._strategy.cache, self._strategy.id
        found = {order.client_order_id: order for order in cache.orders_open(strategy_id=mine)}
        for order in cache.orders_inflight(strategy_id=mine):
            found[order.client_order_id] = order
        # Live, one that was just sent is none of these before the engines' queues have passed it.
        for name in self._own:
            order = cache.order(name)
            if order is not None and not order.is_closed:
                found[name] = order
        return sorted(
            (
                o
                for o in found.values()
                if (instruments is None or o.instrument_id.value in instruments)
                and self._is_mine(o)
            ),
            key=lambda o: (
                o.instrument_id,
                o.ts_init,
                len(o.client_order_id.value),
                o.client_order_id,
            ),
        )

    def _is_mine(self, order: Order) -> bool:
        """Whether it is to be worked: the closer's is not, nor what a claim brings in of others."""
        if is_closers(order.client_order_id.value):
            return False
        config = self._strategy.config
        if self._strategy.adopts_orders or not config.claims:
            return True
        owner = owner_of(order.client_order_id.value)
        return owner is not None and owner == (config.node, config.key)

    def hear(self, event: OrderEvent) -> bool:
        """Take in what became of an order; return whether that was its end."""
        if isinstance(event, OrderFilled):
            order = self._strategy.cache.order(event.client_order_id)
            ended = order is not None and order.is_closed
        else:
            ended = isinstance(event, _ENDS)
        if ended:
            self._own.discard(event.client_order_id)
        return ended
