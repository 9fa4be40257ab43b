"""What a strategy sees of the market besides candles: best prices, and how much stands near them.

Engine-specific: quotes and books are the engine's, read from its cache whenever they are needed.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from nautilus_trader.model.enums import BookType
from nautilus_trader.model.identifiers import InstrumentId

from strategies.sizing.rounding import ZERO
from strategies.tactics.pricing import Touch

if TYPE_CHECKING:
    from strategies.base import DeskStrategy

BOOK_DEPTH = 50
"""Levels a side; Bybit has 1, 50, 200 and 1000, and sends these every 20 ms."""
TouchSource = Literal["none", "quotes", "book"]
"""Where best bids and asks come from: nowhere (candles alone), quotes, or books of many levels."""


class Touches:
    """Best bids and asks, from where the builder said.

    Parameters
    ----------
    strategy : DeskStrategy
        Who subscribes.
    """

    def __init__(self, strategy: DeskStrategy) -> None:
        self._strategy = strategy
        self._watched: set[InstrumentId] = set()
        self.source: TouchSource = "quotes"

    def watch(self, instrument_id: InstrumentId) -> None:
        """Subscribe to the instrument's best bid and ask, once.

        Never to both quotes and a book: on spot the adapter mixes them up (nautilus/live.md 4.9).
        """
        if instrument_id in self._watched or self.source == "none":
            return
        self._watched.add(instrument_id)
        if self.source == "quotes":
            self._strategy.subscribe_quote_ticks(instrument_id)
        else:
            self._strategy.subscribe_order_book_deltas(
                instrument_id, BookType.L2_MBP, depth=BOOK_DEPTH
            )

    def newest(self, instrument_id: InstrumentId) -> Touch | None:
        """Return the newest best prices, None when they are not known or make no sense."""
        if self.source == "quotes":
            quote = self._strategy.cache.quote_tick(instrument_id)
            if quote is None:
                return None
            parts = (quote.bid_price, quote.ask_price, quote.bid_size, quote.ask_size)
        else:
            book = self._strategy.cache.order_book(instrument_id)
            if book is None:
                return None
            parts = (
                book.best_bid_price(),
                book.best_ask_price(),
                book.best_bid_size(),
                book.best_ask_size(),
            )
        if any(part is None for part in parts):
            return None
        touch = Touch(*(part.as_decimal() for part in parts))
        return touch if ZERO < touch.bid < touch.ask else None

    def depth(self, instrument_id: InstrumentId, bps: float) -> float:
        """Return the value displayed within ``bps`` of the mid on the thinner side.

        Settlement currency; zero when no best prices are known. Quotes show these alone.
        """
        touch = self.newest(instrument_id)
        if touch is None:
            return 0.0
        if self.source == "quotes":
            sides = [[(touch.bid, touch.bid_size)], [(touch.ask, touch.ask_size)]]
        else:
            book = self._strategy.cache.order_book(instrument_id)
            sides = [
                [(level.price.as_decimal(), Decimal(repr(level.size()))) for level in levels]
                for levels in (book.bids(), book.asks())
            ]
        reach = touch.mid * Decimal(repr(bps)) / 10_000
        near = [
            sum(price * size for price, size in side if abs(price - touch.mid) <= reach)
            for side in sides
        ]
        return float(min(near))
