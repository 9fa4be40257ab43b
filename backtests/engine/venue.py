"""The simulated venue's order delay and fill prices. Engine-specific.

An order decided at T must not fill at a price from before T, but the engine fills it at the last
bar's close. Therefore `NextPrintClient` keeps it until the instrument's next print (the open of its
next bar, fed by `feed.py` as a trade), and `DeskFillModel` sets the price there. What then rests at
the venue meets the rest of the candle in `candle_path.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from itertools import chain
from typing import Any

from nautilus_trader.backtest.engine import SimulatedExchange
from nautilus_trader.backtest.execution_client import BacktestExecClient
from nautilus_trader.backtest.models import FillModel
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import (
    BatchCancelOrders,
    CancelAllOrders,
    CancelOrder,
    ModifyOrder,
    SubmitOrder,
    SubmitOrderList,
    TradingCommand,
)
from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.data import BookOrder, TradeTick
from nautilus_trader.model.enums import BookType, LiquiditySide, OrderSide, OrderType, TimeInForce
from nautilus_trader.model.events import OrderEvent, OrderRejected
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId, StrategyId
from nautilus_trader.model.instruments import Instrument
from nautilus_trader.model.objects import Price
from nautilus_trader.model.orders import Order

from backtests.engine.feed import PRINT_DELAY_NS
from config.documents import SlippageModel
from strategies.account_value import is_spot
from strategies.order_sender import order_only_shrinks

_AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)
_STOPS = (
    *(OrderType.STOP_MARKET, OrderType.STOP_LIMIT),
    *(OrderType.TRAILING_STOP_MARKET, OrderType.TRAILING_STOP_LIMIT),
)


def _is_spot(order: Order) -> bool:
    return is_spot(order.instrument_id.value)


def _is_stop(order: Order) -> bool:
    return order.order_type in _STOPS and order_only_shrinks(order)


class DeskFillModel(FillModel):
    """Fills whole taker orders at the market price plus slippage.

    ``references`` keeps the market price of each order until the accountant reads it. ``forced``
    holds the prices of liquidations and delistings, which get no slippage.
    """

    def __init__(self, slippage: SlippageModel, *, prob_fill_on_limit: float = 0.0) -> None:
        # A resting limit fills when the price passes through it, not when it is touched.
        super().__init__(prob_fill_on_limit=prob_fill_on_limit)
        self.slippage = slippage
        self.references: dict[str, Decimal] = {}
        self.forced: dict[str, Decimal] = {}
        self.finer: dict[InstrumentId, Decimal] = {}
        """Inferred ticks that have become finer than the instrument's."""

    def tick(self, instrument: Instrument) -> Decimal:
        """Return the tick as known by now."""
        found: Decimal | None = self.finer.get(instrument.id)
        return instrument.price_increment.as_decimal() if found is None else found

    def reference(self, order: Order, price: Decimal) -> Decimal:
        """Return the price that a fill at ``price`` is measured against."""
        return self.references.pop(order.client_order_id.value, price)

    def get_orderbook_for_fill_simulation(
        self, instrument: Instrument, order: Order, best_bid: Price, best_ask: Price
    ) -> OrderBook | None:
        """Return a book of one level, large enough for the order, at its fill price.

        A limit order that takes, such as immediate or cancel, slips no further than its own price.
        A resting limit order fills at its price, without slippage.
        """
        buy = order.side == OrderSide.BUY
        name = order.client_order_id.value
        if order.has_price and order.liquidity_side != LiquiditySide.TAKER:
            price = order.price.as_decimal()
        else:
            price = self.forced.pop(name, None)
        if price is None:
            standing = best_ask if buy else best_bid
            reference = standing.as_decimal()
            fraction = self.slippage.charged(order.quantity.as_decimal() * reference)
            if fraction:
                price = slipped_price(reference, fraction, self.tick(instrument), buy=buy)
                if order.has_price:
                    limit = order.price.as_decimal()
                    price = min(price, limit) if buy else max(price, limit)
                level = Price(price, instrument.price_precision)
            else:
                level = standing
        else:
            reference = price
            level = Price(price, instrument.price_precision)
        self.references[name] = reference
        book = OrderBook(instrument.id, BookType.L2_MBP)
        side = OrderSide.SELL if buy else OrderSide.BUY
        book.add(BookOrder(side, level, order.quantity, 1), 0)
        return book


def slipped_price(reference: Decimal, fraction: Decimal, tick: Decimal, *, buy: bool) -> Decimal:
    """Return the reference price made worse by the fraction and rounded to the worse tick.

    A sell never fills below one tick.
    """
    if buy:
        steps = (reference * (1 + fraction) / tick).to_integral_value(ROUND_CEILING)
    else:
        steps = (reference * (1 - fraction) / tick).to_integral_value(ROUND_FLOOR)
    return max(steps, Decimal(1)) * tick


@dataclass(slots=True)
class _Waiting:
    command: TradingCommand
    since: int
    prints_left: int
    unpaid_at: Decimal | None = None
    """Price at which the cash for it was missing, while sales were still to come."""


def _sells_spot(entry: _Waiting) -> bool:
    command = entry.command
    return (
        isinstance(command, SubmitOrder)
        and command.order.side == OrderSide.SELL
        and _is_spot(command.order)
    )


class DelayedClient(BacktestExecClient):
    """Answers for a venue that orders are still on their way to."""

    def __init__(self, exchange: SimulatedExchange, kernel: Any) -> None:
        super().__init__(exchange, kernel.msgbus, kernel.cache, kernel.clock)
        self._venue = exchange

    def submit_order_list(self, command: SubmitOrderList) -> None:
        """Send orders one by one, in the same sequence."""
        for order in command.order_list.orders:
            self.submit_order(
                SubmitOrder(
                    trader_id=command.trader_id,
                    strategy_id=command.strategy_id,
                    order=order,
                    command_id=UUID4(),
                    ts_init=command.ts_init,
                    position_id=command.position_id,
                )
            )

    def _submitted(self, order: Order) -> None:
        self.generate_order_submitted(*_names(order), ts_event=self._clock.timestamp_ns())

    def _reject(self, order: Order, why: str) -> None:
        now = self._clock.timestamp_ns()
        self.generate_order_rejected(*_names(order), reason=why, ts_event=now)

    def _withdraw(self, order: Order) -> None:
        now = self._clock.timestamp_ns()
        self.generate_order_canceled(*_names(order), venue_order_id=None, ts_event=now)


def _names(order: Order) -> tuple[StrategyId, InstrumentId, ClientOrderId]:
    return order.strategy_id, order.instrument_id, order.client_order_id


class NextPrintClient(DelayedClient):
    """Sends each instrument's orders to the exchange at that instrument's next trade.

    An instrument in a data gap has no price, so its orders wait and never fill at an old one. A
    cancel of a waiting order withdraws it before it reaches the market. Orders leave at the first
    print after arrival, or with ``prints_to_wait`` 2 one candle later. Of spot, sales come first:
    what they bring pays for buys at the same moment.

    An order that can rest and is sent at the very moment of a print, as a stop on the fill of an
    entry, leaves at once: all that its candle still brings is after it. ``walking`` is the
    instrument that moves along a `CandlePath`; stops that only reduce join it at once.

    A market exit at the very moment at which the venue refused a stop of its instrument, because
    the price had passed it, also leaves at once: it fills at the price that refused the stop.
    """

    def __init__(self, exchange: SimulatedExchange, kernel: Any, prints_to_wait: int) -> None:
        super().__init__(exchange, kernel)
        self._prints_to_wait = prints_to_wait
        self._waiting: dict[InstrumentId, list[_Waiting]] = {}
        self.walking: InstrumentId | None = None
        self.unpaid: Callable[[Order, Decimal], str] = lambda order, price: ""
        """Returns why an order can't be paid at a price, empty where it can."""
        self._stop_refused_at: dict[InstrumentId, int] = {}
        kernel.msgbus.subscribe("data.trades.*", self._release)
        # Before the strategies, which send their exits while they handle the rejection.
        kernel.msgbus.subscribe("events.order.*", self._note_refused_stop, priority=10)

    def _release(self, tick: TradeTick) -> None:
        waiting = self._waiting.get(tick.instrument_id)
        if not waiting:
            return
        opened = tick.ts_event - PRINT_DELAY_NS
        left: list[_Waiting] = []
        ready: list[_Waiting] = []
        for entry in waiting:
            # An order that came after the candle's open must not fill at it.
            if entry.since <= opened:
                entry.prints_left -= 1
            (left if entry.prints_left else ready).append(entry)
        self._waiting[tick.instrument_id] = left
        for entry in ready:
            self._arrive(entry, tick.price.as_decimal())

    def pay_waiting(self) -> None:
        """Send the buys whose cash a sale of coins has just brought."""
        for entry in [*chain.from_iterable(self._waiting.values())]:
            if entry.unpaid_at is not None:
                self._waiting[entry.command.instrument_id].remove(entry)
                self._arrive(entry, entry.unpaid_at)

    def _arrive(self, entry: _Waiting, price: Decimal) -> None:
        command = entry.command
        order = command.order if isinstance(command, SubmitOrder) else None
        why = "" if order is None or order.has_trigger_price else self.unpaid(order, price)
        if order is None or not why:
            self._venue.send(command)
            return
        if any(map(_sells_spot, chain.from_iterable(self._waiting.values()))):
            entry.unpaid_at, entry.prints_left = price, 1
            self._waiting[order.instrument_id].append(entry)
            return
        self._reject(order, why)

    def _note_refused_stop(self, event: OrderEvent) -> None:
        if isinstance(event, OrderRejected):
            order = self._cache.order(event.client_order_id)
            if order is not None and _is_stop(order):
                self._stop_refused_at[event.instrument_id] = self._clock.timestamp_ns()

    def _wait(self, command: TradingCommand) -> None:
        entry = _Waiting(command, self._clock.timestamp_ns(), self._prints_to_wait)
        self._waiting.setdefault(command.instrument_id, []).append(entry)

    def submit_order(self, command: SubmitOrder) -> None:
        """Keep the order until the instrument's next print, unless it may leave at once."""
        self._submitted(command.order)
        if self._leaves_at_once(command.order):
            self._venue.send(command)
        else:
            self._wait(command)

    def _leaves_at_once(self, order: Order) -> bool:
        if order.order_type == OrderType.MARKET and (
            order.is_reduce_only or (order.side == OrderSide.SELL and _is_spot(order))
        ):
            return self._stop_refused_at.get(order.instrument_id) == self._clock.timestamp_ns()
        if order.order_type == OrderType.MARKET or order.time_in_force in _AT_ONCE:
            return False
        if self.walking is not None:
            return _is_stop(order) and order.instrument_id == self.walking
        newest = self._cache.trade_tick(order.instrument_id)
        return newest is not None and newest.ts_event == self._clock.timestamp_ns()

    def modify_order(self, command: ModifyOrder) -> None:
        """Queue the change behind its waiting order, or send it when the order has left."""
        if self._waiting.get(command.instrument_id):
            self._wait(command)
        else:
            super().modify_order(command)

    def cancel_order(self, command: CancelOrder) -> None:
        """Withdraw a waiting order, or send the cancel when it has left."""
        name = command.client_order_id
        if not self._take_back(command.instrument_id, lambda order: order.client_order_id == name):
            super().cancel_order(command)

    def cancel_all_orders(self, command: CancelAllOrders) -> None:
        """Withdraw all waiting orders of that side, then cancel the others."""
        side, both = command.order_side, OrderSide.NO_ORDER_SIDE
        self._take_back(command.instrument_id, lambda order: side in (both, order.side))
        super().cancel_all_orders(command)

    def batch_cancel_orders(self, command: BatchCancelOrders) -> None:
        """Cancel one by one."""
        for cancel in command.cancels:
            self.cancel_order(cancel)

    def send_now(self, command: SubmitOrder) -> None:
        """Send a venue's own order (liquidation, delisting) without waiting."""
        self._submitted(command.order)
        self._venue.send(command)

    def take_back_all(self, instrument_id: InstrumentId) -> None:
        """Cancel all waiting orders of an instrument that will not trade again."""
        self._take_back(instrument_id, lambda _: True)
        self._waiting.pop(instrument_id, None)

    def _take_back(self, instrument_id: InstrumentId, fits: Callable[[Order], bool]) -> bool:
        """Withdraw the waiting orders that fit; return whether there was one."""
        queue = self._waiting.get(instrument_id, [])
        found = [e for e in queue if isinstance(e.command, SubmitOrder) and fits(e.command.order)]
        for entry in found:
            # A strategy that hears of one may have cancelled another.
            if entry in queue:
                queue.remove(entry)
                self._withdraw(entry.command.order)
        return bool(found)
