"""Which price values a position, on any feed."""

from decimal import Decimal

import pytest
from nautilus_trader.cache.cache import Cache
from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.data import BookOrder, MarkPriceUpdate, QuoteTick, TradeTick
from nautilus_trader.model.enums import AggressorSide, BookType, OrderSide
from nautilus_trader.model.identifiers import TradeId

from actors.records.prices import CachePrices
from catalog.engine import to_nautilus
from tests.builders_engine import A, info

INSTRUMENT = to_nautilus(info(A), Decimal(0), Decimal(0))
PRICE, SIZE = INSTRUMENT.make_price, INSTRUMENT.make_qty(1)


def cache_with(*feeds: str) -> Cache:
    """Return a cache that has seen: a mark of 10, a quote 20/22, a book 30/31, a trade at 40."""
    cache = Cache()
    cache.add_instrument(INSTRUMENT)
    name = INSTRUMENT.id
    if "mark" in feeds:
        cache.add_mark_price(MarkPriceUpdate(name, PRICE(10), 1, 1))
    if "quote" in feeds:
        cache.add_quote_tick(QuoteTick(name, PRICE(20), PRICE(22), SIZE, SIZE, 1, 1))
    if "book" in feeds or "half a book" in feeds:
        book = OrderBook(name, BookType.L2_MBP)
        book.add(BookOrder(OrderSide.BUY, PRICE(30), SIZE, 1), 1)
        if "book" in feeds:
            book.add(BookOrder(OrderSide.SELL, PRICE(31), SIZE, 2), 1)
        cache.add_order_book(book)
    if "trade" in feeds:
        side = AggressorSide.NO_AGGRESSOR
        cache.add_trade_tick(TradeTick(name, PRICE(40), SIZE, side, TradeId("1"), 1, 1))
    return cache


@pytest.mark.parametrize(
    ("feeds", "price"),
    [
        (("mark", "quote", "book", "trade"), "10"),
        (("quote", "book", "trade"), "30.5"),
        (("quote", "trade"), "21"),
        # An account that is shown books alone is marked to their mid.
        (("book",), "30.5"),
        (("half a book", "trade"), "40"),
        (("half a book",), None),
        (("trade",), "40"),
        ((), None),
    ],
)
def test_a_position_is_valued_at_mark_else_mid_else_last(feeds, price):
    found = CachePrices(cache_with(*feeds)).price(A)
    assert found == (None if price is None else Decimal(price))


@pytest.mark.parametrize(
    ("feeds", "touch"),
    [
        (("quote", "book"), ("30", "31", "1", "1")),
        (("quote",), ("20", "22", "1", "1")),
        (("half a book",), ("30", None, "1", None)),
        (("mark", "trade"), (None,) * 4),
    ],
)
def test_the_touch_is_the_books_else_the_quotes(feeds, touch):
    found = CachePrices(cache_with(*feeds)).touch(A)
    assert found == tuple(None if side is None else Decimal(side) for side in touch)
