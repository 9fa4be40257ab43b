"""The simulated venue of backtests on quotes and order books. Engine-specific.

Nautilus matches: takers walk the levels and use them up, makers wait for what is before them. This
module adds what it lacks: commands take time and keep their order, the rest of a market order that
found too little is cancelled (as at Bybit), and the venue's own closes fill at their price. Prices
of accounts and guards are read from the venue's books when they are needed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from decimal import Decimal
from heapq import heappop, heappush
from typing import Any

import numpy as np
from nautilus_trader.backtest.engine import SimulatedExchange
from nautilus_trader.execution.messages import SubmitOrder, TradingCommand
from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.enums import LiquiditySide, OrderType
from nautilus_trader.model.events import OrderFilled
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.instruments import Instrument
from nautilus_trader.model.objects import Price
from nautilus_trader.model.orders import Order

from actors.measures import Floats
from actors.records.rows import FillRow
from backtests.engine.accountant import Accountant
from backtests.engine.feed import PriceGrid
from backtests.engine.market import RunMarket
from backtests.engine.venue import DelayedClient, DeskFillModel
from config.documents import NoSlippage
from strategies.order_ids import is_protective
from strategies.order_tags import decision_of
from strategies.refusals import as_reason, from_venue

HORIZONS_S = (1, 5, 30)
_MIDS_TIMER = "fill mids"
_TAKING = (OrderType.MARKET, OrderType.STOP_MARKET, OrderType.TRAILING_STOP_MARKET)


class VenueBooks:
    """The venue's own books: top, mid, and the prices that value an account."""

    def __init__(self, exchange: SimulatedExchange, market: RunMarket) -> None:
        self._market, self._cache = market, exchange.cache
        self._books = {name: exchange.get_book(name) for name in market.instrument_ids}
        self._in_order = [self._books[name] for name in market.instrument_ids]
        self._decimals = [made.price_precision + 1 for made in market.instruments]
        self._seen = [0] * len(market.ids)

    def book(self, instrument_id: InstrumentId) -> OrderBook | None:
        """Return an instrument's book, None for an unknown one."""
        return self._books.get(instrument_id)

    def mid(self, instrument_id: InstrumentId) -> Decimal | None:
        """Return the middle of best bid and ask, None unless bid < ask."""
        book = self._books[instrument_id]
        bid, ask = book.best_bid_price(), book.best_ask_price()
        if bid is None or ask is None or bid >= ask:
            return None
        middle: Decimal = (bid.as_decimal() + ask.as_decimal()) / 2
        return middle

    def standing_mid(self, instrument_id: InstrumentId) -> float | None:
        """Return the mid; at the moment of a trade on quotes, that of the quote before it."""
        mid = self.mid(instrument_id)
        if mid is not None:
            return float(mid)
        quote = self._cache.quote_tick(instrument_id)
        return None if quote is None else float(quote.bid_price + quote.ask_price) / 2

    def value(self, grid: PriceGrid, row: int, before: Floats) -> None:
        """Fill a row of the grid with the prices as they stand: mark, else mid, else as before."""
        assert grid.marks is not None
        assert grid.mids is not None
        assert grid.real is not None
        last = [book.ts_last for book in self._in_order]
        grid.real[row] = [new > seen for new, seen in zip(last, self._seen, strict=True)]
        self._seen = last
        grid.mids[row] = [
            round(book.midpoint(), decimals) if (book.spread() or 0.0) > 0.0 else np.nan
            for book, decimals in zip(self._in_order, self._decimals, strict=True)
        ]
        known = np.where(np.isnan(grid.marks[row]), grid.mids[row], grid.marks[row])
        grid.close[row] = np.where(np.isnan(known), before, known)
        grid.low[row] = grid.high[row] = grid.close[row]


class BookFillModel(DeskFillModel):
    """Lets Nautilus fill from its book; says which price each order is measured against."""

    def __init__(self, queue: str) -> None:
        # Without luck: at the limit, orders fill in their turn, or only when the price passes it.
        super().__init__(NoSlippage(), prob_fill_on_limit=0.0 if queue == "pessimistic" else 1.0)
        self.mid: Callable[[InstrumentId], Decimal | None] = lambda _: None
        self._arrival: dict[tuple[str, str], tuple[str, Decimal]] = {}

    def get_orderbook_for_fill_simulation(
        self, instrument: Instrument, order: Order, best_bid: Price, best_ask: Price
    ) -> OrderBook | None:
        """Return None: the book is the venue's."""
        return None

    def ordered(self, order: Order) -> None:
        """Note the price when an order is made: the mid at its decision's first order there."""
        decision, mid = decision_of(order.tags), self.mid(order.instrument_id)
        key = order.strategy_id.value, order.instrument_id.value
        known = self._arrival.get(key)
        if decision and known is not None and known[0] == decision:
            mid = known[1]
        elif mid is not None and decision:
            self._arrival[key] = decision, mid
        # What protects a position is measured from the price at which it triggers.
        if mid is not None and not is_protective(order.client_order_id.value):
            self.references[order.client_order_id.value] = mid

    def reference(self, order: Order, price: Decimal) -> Decimal:
        """Return the price that a fill is measured against."""
        name = order.client_order_id.value
        found = self.references.get(name)
        if found is None:
            found = self.references[name] = self.mid(order.instrument_id) or price
        if order.is_closed:
            del self.references[name]
        return found


class BookClient(DelayedClient):
    """Sends commands to the simulated venue after their latency, in the order they were made.

    ``delay`` returns how long a command of a moment takes, nanoseconds. The engine's own latency
    model mixes up commands whose delays differ, and lets them meet the book after their arrival.
    """

    def __init__(
        self,
        exchange: SimulatedExchange,
        kernel: Any,
        accountant: Accountant,
        fill_model: BookFillModel,
        delay: Callable[[int], int],
    ) -> None:
        super().__init__(exchange, kernel)
        self._accountant = accountant
        self._fill_model, self._delay = fill_model, delay
        self._under_way: deque[tuple[int, TradingCommand]] = deque()
        self._closed: set[InstrumentId] = set()
        kernel.msgbus.subscribe("events.order.*", self._on_event)

    # Commands ------------------------------------------------------------------------------------

    def submit_order(self, command: SubmitOrder) -> None:
        """Send an order."""
        self._submitted(command.order)
        self._fill_model.ordered(command.order)
        self._send(command)

    def _send(self, command: TradingCommand) -> None:
        now = self._clock.timestamp_ns()
        due = now + self._delay(now)
        if self._under_way:
            # Later commands don't overtake.
            due = max(due, self._under_way[-1][0])
        elif due == now:
            self._arrive(command)
            return
        self._under_way.append((due, command))
        if len(self._under_way) == 1:
            self._wake(due)

    modify_order = cancel_order = cancel_all_orders = batch_cancel_orders = _send

    def _wake(self, due: int) -> None:
        clock = self._accountant.clock
        if "commands" in clock.timer_names:
            clock.cancel_timer("commands")
        clock.set_time_alert_ns(name="commands", alert_time_ns=due, callback=self._on_due)

    def _on_due(self, event: object) -> None:
        now = self._clock.timestamp_ns()
        while self._under_way and self._under_way[0][0] <= now:
            self._arrive(self._under_way.popleft()[1])
        if self._under_way:
            self._wake(self._under_way[0][0])

    def _arrive(self, command: TradingCommand) -> None:
        why = self._refused(command.order) if isinstance(command, SubmitOrder) else ""
        if why:
            self._reject(command.order, why)
        else:
            self._venue.send(command)

    def _refused(self, order: Order) -> str:
        if order.instrument_id in self._closed:
            return as_reason(from_venue("venue", f"{order.instrument_id} is no longer traded"))
        if order.has_price:
            return self._accountant.unpaid(order, order.price.as_decimal())
        # What it would pay on its way through the levels, which are floats to the engine.
        paid = self._venue.get_book(order.instrument_id).get_avg_px_for_quantity(
            order.quantity, order.side
        )
        return self._accountant.unpaid(order, round(Decimal(repr(paid)), 9))

    # The venue's own acts ------------------------------------------------------------------------

    def send_now(self, command: SubmitOrder) -> None:
        """Fill a venue's own order (liquidation, delisting) whole, at its price."""
        order, instrument = command.order, self._cache.instrument(command.instrument_id)
        self._submitted(order)
        price = self._fill_model.forced.pop(order.client_order_id.value)
        self._fill_model.references[order.client_order_id.value] = price
        self._venue.get_matching_engine(instrument.id).fill_order(
            order, Price(price, instrument.price_precision), order.quantity, LiquiditySide.TAKER
        )

    def take_back_all(self, instrument_id: InstrumentId) -> None:
        """Cancel all orders of an instrument that are still on their way."""
        for entry in list(self._under_way):
            command = entry[1]
            if isinstance(command, SubmitOrder) and command.instrument_id == instrument_id:
                self._under_way.remove(entry)
                self._withdraw(command.order)

    def close_market(self, instrument_id: InstrumentId) -> None:
        """Cancel all orders of an instrument, and refuse further ones: its data have ended."""
        self.take_back_all(instrument_id)
        self._closed.add(instrument_id)
        for order in self._cache.orders_open(instrument_id=instrument_id):
            self._venue.get_matching_engine(instrument_id).cancel_order(order)

    def _on_event(self, event: object) -> None:
        if isinstance(event, OrderFilled):
            order = self._cache.order(event.client_order_id)
            if order.order_type in _TAKING and order.is_open:
                # It may fill further in this very step: look once the step is over.
                self._accountant.later(lambda: self._cancel_rest(order))

    def _cancel_rest(self, order: Order) -> None:
        if order.is_open:
            self._venue.get_matching_engine(order.instrument_id).cancel_order(order)


class FillMids:
    """Collects the mids at each fill of an order, and 1, 5 and 30 s after it, for `fill_mids`.

    They are read in the run, by timers: reading them later would replay millions of messages, and
    need the catalog.
    """

    def __init__(self, books: VenueBooks, accountant: Accountant, market: RunMarket) -> None:
        self.rows: list[dict[str, Any]] = []
        self._books, self._accountant, self._market = books, accountant, market
        self._due: list[tuple[int, int, int, int]] = []

    def filled(self, fill: FillRow) -> None:
        """Note the mid at a fill; set the timer for those after it."""
        if fill.kind != "order":
            return
        mid = self._books.standing_mid(self._id(fill.instrument))
        row = {"execution_id": fill.execution_id, "instrument": fill.instrument, "mid": mid}
        for seconds in HORIZONS_S:
            due = fill.ts + seconds * 10**9
            heappush(self._due, (due, len(self.rows), seconds, fill.ts))
        self.rows.append(row)
        self._wake()

    def _id(self, instrument: str) -> Any:
        return self._market.instrument_ids[self._market.column[instrument]]

    def _wake(self) -> None:
        clock = self._accountant.clock
        if _MIDS_TIMER in clock.timer_names:
            clock.cancel_timer(_MIDS_TIMER)
        if self._due:
            clock.set_time_alert_ns(
                name=_MIDS_TIMER, alert_time_ns=self._due[0][0], callback=self._on_due
            )

    def _on_due(self, event: object) -> None:
        now = self._accountant.clock.timestamp_ns()
        while self._due and self._due[0][0] <= now:
            _, place, seconds, filled = heappop(self._due)
            row = self.rows[place]
            name = self._id(row["instrument"])
            row[f"mid_{seconds}s"] = self._books.standing_mid(name)
            book = self._books.book(name)
            if seconds == HORIZONS_S[-1] and (book is None or book.ts_last <= filled):
                # A quiet second is no hole; half a minute of silence may be one.
                row.update({f"mid_{each}s": None for each in HORIZONS_S})
        self._wake()
