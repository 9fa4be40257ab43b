"""One market's state: its rules, its book, its prices, and what waits for a price there."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from live_nodes.practice.exchange.book import Book
from live_nodes.practice.exchange.model import ZERO, Key, MarketRow, Symbol


@dataclass(slots=True)
class Market:
    """Everything the exchange knows of one market.

    ``waiting`` maps conditional orders to their accounts, oldest first; ``holders`` are the
    accounts with a position.
    """

    symbol: Symbol
    book: Book = field(default_factory=Book)
    last: Decimal = ZERO
    mark: Decimal = ZERO
    index: Decimal = ZERO
    halted: bool = False
    house: Decimal = ZERO
    funded_ms: int = 0
    prints: int = 0
    seq: int = 0
    waiting: dict[str, str] = field(default_factory=dict)
    holders: dict[str, None] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """Category and name."""
        return self.symbol.key

    @property
    def value_price(self) -> Decimal:
        """What positions are valued at: the mark price, the last price while there is none."""
        return self.mark or self.last

    @property
    def reference(self) -> Decimal:
        """The price that limits are measured from: mark, else last, else the middle; 0 if none."""
        if self.mark or self.last:
            return self.mark or self.last
        bid, ask = self.book.best("Buy"), self.book.best("Sell")
        if bid is not None and ask is not None:
            return (bid + ask) / 2
        return bid or ask or ZERO

    def price_by(self, trigger_by: str) -> Decimal:
        """Give the price that a trigger looks at; 0 while unknown."""
        if trigger_by == "MarkPrice":
            return self.mark
        return self.index if trigger_by == "IndexPrice" else self.last

    def row(self) -> MarketRow:
        """Give what must be kept of it."""
        return MarketRow(
            category=self.symbol.category,
            symbol=self.symbol.name,
            last=self.last,
            mark=self.mark,
            index=self.index,
            halted=self.halted,
            house=self.house,
            funded_ms=self.funded_ms,
            prints=self.prints,
            seq=self.seq,
        )
