"""Strategies that are driven by a test: one of the desk, one of plain Nautilus."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from nautilus_trader.model.enums import BookType, OrderSide
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId
from nautilus_trader.trading.strategy import Strategy

from strategies.base import DeskStrategy, DeskStrategyConfig
from strategies.refusals import readable

BTC_ID = InstrumentId.from_str("BTCUSDT-LINEAR.BYBIT")
SPOT_ID = InstrumentId.from_str("BTCUSDT-SPOT.BYBIT")
BUY, SELL = OrderSide.BUY, OrderSide.SELL


class Hands:
    """What a test does with a strategy, and the strategy's events."""

    where: InstrumentId = BTC_ID
    cache: Any
    order_factory: Any
    portfolio: Any
    submit_order: Any

    def remember(self) -> None:
        self.events: list[Any] = []
        self.updates = 0

    def limit(self, side: OrderSide, price: str, qty: str = "0.010", **more: Any) -> ClientOrderId:
        make_price = self.cache.instrument(self.where).make_price
        return self._send("limit", side, qty, price=make_price(Decimal(price)), **more)

    def market_order(self, side: OrderSide, qty: str = "0.010", **more: Any) -> ClientOrderId:
        return self._send("market", side, qty, **more)

    def _send(self, kind: str, side: OrderSide, qty: str, **more: Any) -> ClientOrderId:
        quantity = self.cache.instrument(self.where).make_qty(Decimal(qty))
        order = getattr(self.order_factory, kind)(
            self.where, side, quantity, client_order_id=self.name_of_next(), **more
        )
        loop = asyncio.get_event_loop()
        if loop.is_running():
            self.submit_order(order)
        else:
            # A test calls from outside, and orders leave on the node's running loop.
            loop.call_soon(self.submit_order, order)
            loop.run_until_complete(asyncio.sleep(0))
        return order.client_order_id  # type: ignore[no-any-return]

    def name_of_next(self) -> ClientOrderId | None:
        return None

    def status(self, name: ClientOrderId) -> str:
        return str(self.cache.order(name).status_string())

    def reasons(self, name: ClientOrderId) -> list[str]:
        """Return why the venue or the gate refused an order, in words."""
        return [
            readable(str(event.reason))
            for event in self.events
            if event.client_order_id == name and hasattr(event, "reason")
        ]

    def net(self) -> Decimal:
        """Return the position, all strategies and manual trades together."""
        found = self.cache.positions_open(instrument_id=self.where)
        return sum((position.signed_decimal_qty() for position in found), Decimal(0))

    def best_bid(self) -> tuple[str, str]:
        book = self.cache.order_book(self.where)
        return str(book.best_bid_price()), str(book.best_bid_size())


class ByHandConfig(DeskStrategyConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As of any strategy of the desk."""


class ByHand(Hands, DeskStrategy):
    """A strategy of the desk."""

    Config = ByHandConfig

    def on_start(self) -> None:
        self.stopped: list[InstrumentId] = []
        DeskStrategy.on_start(self)
        self.remember()
        self.where = self.instrument_ids[0]
        self.expect_book("book")
        self.market.watch(self.where)

    def name_of_next(self) -> ClientOrderId | None:
        return self.next_order_id()

    def on_stopped_out(self, instrument_id: InstrumentId) -> None:
        self.stopped.append(instrument_id)

    def on_order_event(self, event: Any) -> None:
        DeskStrategy.on_order_event(self, event)
        self.events.append(event)

    def on_order_book_deltas(self, deltas: Any) -> None:
        DeskStrategy.on_order_book_deltas(self, deltas)
        self.updates += 1


class PlainByHand(Hands, Strategy):
    """A strategy as anyone would write it."""

    quotes = False

    def on_start(self) -> None:
        self.remember()
        self.subscribe_order_book_deltas(self.where, BookType.L2_MBP, 50)
        if self.quotes:
            self.subscribe_quote_ticks(self.where)

    def on_order_event(self, event: Any) -> None:
        self.events.append(event)

    def on_order_book_deltas(self, deltas: Any) -> None:
        self.updates += 1
