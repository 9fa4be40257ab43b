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
from nautilus_trader.model.objects import Price

Touch = tuple[Decimal | None, Decimal | None]
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
        name = self.id(instrument)
        mark = self._cache.mark_price(name)
        if mark is not None:
            value: Decimal = mark.value.as_decimal()
            return value
        bid, ask = self.touch(instrument)
        if bid is not None and ask is not None:
            return (bid + ask) / 2
        last = self._cache.price(name, PriceType.LAST)
        return None if last is None else Decimal(last.as_decimal())

    def touch(self, instrument: str) -> Touch:
        """Return the best bid and ask of the book, else of the quote; None where missing."""
        return decimals(self.engine_touch(self.id(instrument)))

    def engine_touch(self, name: InstrumentId) -> tuple[Price | None, Price | None]:
        """Return best bid and ask as the engine has them."""
        book = self.book_of(name)
        if book is not None:
            return book.best_bid_price(), book.best_ask_price()
        quote = self._cache.quote_tick(name)
        return (None, None) if quote is None else (quote.bid_price, quote.ask_price)

    def id(self, instrument: str) -> InstrumentId:
        """Return the engine's id of an instrument."""
        found = self._ids.get(instrument)
        if found is None:
            found = self._ids[instrument] = InstrumentId.from_str(instrument)
        return found


def decimals(touch: tuple[Price | None, Price | None]) -> Touch:
    """Return the engine's best bid and ask as decimals."""
    bid, ask = touch
    return None if bid is None else bid.as_decimal(), None if ask is None else ask.as_decimal()
