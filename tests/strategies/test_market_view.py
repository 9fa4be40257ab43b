"""What a strategy reads of an order book, against books made by hand."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

from nautilus_trader.cache.cache import Cache
from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.data import Bar, BarType, BookOrder
from nautilus_trader.model.enums import BookType, OrderSide
from nautilus_trader.model.instruments import Instrument
from nautilus_trader.model.objects import Quantity

from config.durations import bar_type
from strategies.base import DeskStrategy
from strategies.desk_config import DeskStrategyConfig
from strategies.market_view import MarketView
from tests.builders_engine import A, B, Candles, at, hourly_bar, open_print, perpetual, play, price


def book_of(instrument: Instrument, *levels: tuple[str, float, float]) -> OrderBook:
    book = OrderBook(instrument.id, BookType.L2_MBP)
    for level in levels:
        show(book, *level)
    return book


def show(book: OrderBook, side: str, at: float, size: float) -> None:
    """Show a size at a price, always of one moment and one sequence."""
    way = OrderSide.BUY if side == "bid" else OrderSide.SELL
    book.update(BookOrder(way, price(at), Quantity(size, 3), 0), 7)


def test_levels_and_top_are_of_the_book_as_it_stands_at_each_look() -> None:
    instrument = perpetual()
    cache = Cache()
    cache.add_instrument(instrument)
    book = book_of(instrument, ("bid", 99.0, 1.0), ("bid", 98.0, 4.0), ("ask", 101.0, 2.0))
    cache.add_order_book(book)
    view = MarketView(cast(Any, SimpleNamespace(cache=cache)), (instrument.id,), "USDT")
    view.source = "book"
    name = instrument.id

    first = view.levels(name, 2)
    assert first == (((99.0, 1.0), (98.0, 4.0)), ((101.0, 2.0),))
    assert view.levels(name, 2) is first  # nothing changed: nothing is read again
    assert view.levels(name, 1) == (((99.0, 1.0),), ((101.0, 2.0),))
    top = view.top_of_book(name)
    assert top is not None
    assert (top.bid, top.ask_size) == (Decimal("99.00"), Decimal("2.000"))

    show(book, "ask", 100.5, 3.0)
    assert view.levels(name, 2)[1] == ((100.5, 3.0), (101.0, 2.0))
    top = view.top_of_book(name)
    assert top is not None
    assert (top.ask, top.ask_size) == (Decimal("100.50"), Decimal("3.000"))

    show(book, "bid", 100.5, 1.0)
    assert view.top_of_book(name) is None  # crossed

    # As many changes, of the same moment, of a book that replaces it.
    cache.add_order_book(book_of(instrument, *[("bid", 90.0, float(n)) for n in range(1, 6)]))
    assert view.levels(name, 2) == (((90.0, 5.0),), ())


class Notes(DeskStrategy):
    """Buys one of each, and notes at each candle, and a moment later, what it is worth."""

    def on_start(self) -> None:
        super().on_start()
        self.noted: list[tuple[int, Decimal, list[Decimal | None]]] = []
        for name in self.ids:
            self.subscribe_bars(BarType.from_str(bar_type(name, "1h")))
        self.clock.set_time_alert_ns("later", at(2, 5), lambda event: self._note())

    def on_bar(self, bar: Bar) -> None:
        if bar.ts_event == at(1):
            self.send_market(bar.bar_type.instrument_id, Decimal(1), "one")
        self._note()

    def _note(self) -> None:
        prices = [self.market.last_price(name) for name in self.instrument_ids]
        self.noted.append((self.clock.timestamp_ns(), self.equity(), prices))


def test_equity_at_a_candle_is_valued_at_its_close_and_from_the_next_open_on_at_that() -> None:
    """It was valued at the open of that candle, an hour before: the newest trade of the engine."""
    strategy = Notes(DeskStrategyConfig(key="notes", instruments=(A, B)))
    tape = {
        A: Candles(opens=[100, 110, 130, 130], closes=[105, 120, 130, 130]),
        B: Candles(opens=[50, 50, 50, 50]),
    }
    play(tape, strategy)
    assert strategy.noted[:5] == [
        (at(1), Decimal(10_000), [Decimal(105), Decimal(50)]),
        (at(1), Decimal(10_000), [Decimal(105), Decimal(50)]),
        (at(2), Decimal(10_010), [Decimal(120), Decimal(50)]),
        (at(2), Decimal(10_010), [Decimal(120), Decimal(50)]),
        (at(2, 5), Decimal(10_020), [Decimal(130), Decimal(50)]),
    ]


def test_the_price_is_that_of_the_newest_trade_or_candle_of_any_interval() -> None:
    instrument, cache = perpetual(), Cache()
    cache.add_instrument(instrument)
    view = MarketView(cast(Any, SimpleNamespace(cache=cache)), (instrument.id,), "USDT")

    def day(ts: int, close: float) -> Bar:
        bar = hourly_bar(instrument, ts, close, close, close, close)
        kind = BarType.from_str(bar_type(instrument.id.value, "1d"))
        return Bar(kind, bar.open, bar.high, bar.low, bar.close, bar.volume, ts, ts)

    assert view.engine_price(instrument.id) is None
    cache.add_bar(day(at(1), 100.0))
    assert view.engine_price(instrument.id) == Decimal(100)
    cache.add_trade_tick(open_print(instrument, 101.0, at(1, 1)))
    assert view.engine_price(instrument.id) == Decimal(101)
    cache.add_bar(hourly_bar(instrument, at(2), 102.0, 102.0, 102.0, 102.0))
    assert view.engine_price(instrument.id) == Decimal(102)
    cache.add_bar(day(at(25), 103.0))
    assert view.engine_price(instrument.id) == Decimal(103)
    cache.add_trade_tick(open_print(instrument, 104.0, at(25, 1)))
    assert view.engine_price(instrument.id) == Decimal(104)
