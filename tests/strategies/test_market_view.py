"""What a strategy reads of an order book, against books made by hand."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

from nautilus_trader.cache.cache import Cache
from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.data import BookOrder
from nautilus_trader.model.enums import BookType, OrderSide
from nautilus_trader.model.instruments import Instrument
from nautilus_trader.model.objects import Quantity

from strategies.market_view import MarketView
from tests.builders_engine import perpetual, price


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
