"""The newest prices in the engine's cache, in backtests and live. Engine-specific.

They need more than trades: with a feed of order books alone, nautilus_trader 1.231.0 values
positions at their entry prices.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from nautilus_trader.model.enums import PriceType
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Price, Quantity

Touch = tuple[Decimal | None, ...]
"""Best bid and ask, and the sizes displayed at them; None where unknown."""
EngineTouch = tuple[Price | None, Price | None, Quantity | None, Quantity | None]
BookOf = Callable[[InstrumentId], Any]
"""Returns the order book of an instrument, None without one."""


class CachePrices:
    """Prices by instrument id: mark, else mid of the book, else mid of the quote, else last.

    The book comes before the quote: when both are subscribed, Bybit's adapter also makes quotes of
    changes deep in a perpetual's book. ``book_of`` replaces the cache's books.
    """

    def __init__(self, cache: Any, book_of: BookOf | None = None) -> None:
        self._cache = cache
        self.book_of: BookOf = book_of or cache.order_book
        self._ids: dict[str, InstrumentId] = {}

    def price(self, instrument: str) -> Decimal | None:
        """Return the price to value a position at, or None."""
        name = self._ids.get(instrument) or self.id(instrument)
        mark = self._cache.mark_price(name)
        if mark is not None:
            value: Decimal = mark.value.as_decimal()
            return value
        bid, ask, _, _ = self.touch(instrument)
        if bid is not None and ask is not None:
            return (bid + ask) / 2
        last = self._cache.price(name, PriceType.LAST)
        return None if last is None else Decimal(last.as_decimal())

    def touch(self, instrument: str) -> Touch:
        """Return best prices and their sizes of the book, else of the quote; None if missing."""
        return decimals(self.engine_touch(self.id(instrument)))

    def engine_touch(self, name: InstrumentId) -> EngineTouch:
        """Return best bid and ask, and their sizes, as the engine has them."""
        book = self.book_of(name)
        if book is not None:
            sizes = book.best_bid_size(), book.best_ask_size()
            return book.best_bid_price(), book.best_ask_price(), *sizes
        quote = self._cache.quote_tick(name)
        if quote is None:
            return None, None, None, None
        return quote.bid_price, quote.ask_price, quote.bid_size, quote.ask_size

    def id(self, instrument: str) -> InstrumentId:
        """Return the engine's id of an instrument."""
        found = self._ids.get(instrument)
        if found is None:
            found = self._ids[instrument] = InstrumentId.from_str(instrument)
        return found


def decimals(touch: EngineTouch) -> Touch:
    """Return the engine's best prices and sizes as decimals."""
    return tuple(None if part is None else part.as_decimal() for part in touch)
