"""Market data for a strategy: instruments, best prices, equity and positions. Engine-specific.

All of it is read from the engine's cache on each call; only constants are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Literal, NamedTuple, Protocol

from nautilus_trader.cache.base import CacheFacade
from nautilus_trader.model.enums import BookType, PriceType
from nautilus_trader.model.identifiers import InstrumentId, StrategyId
from nautilus_trader.model.instruments import CurrencyPair, Instrument
from nautilus_trader.model.objects import Currency
from nautilus_trader.portfolio.base import PortfolioFacade

from strategies.account_value import Account, Contract, Margin
from strategies.sizing.rounding import ZERO, Lot
from strategies.tactics.pricing import Terms, TopOfBook

BOOK_DEPTH = 50
"""Levels a side; Bybit has 1, 50, 200 and 1000, and sends these every 20 ms."""
BookSource = Literal["none", "quotes", "book"]
"""Where best bids and asks come from: nowhere (candles alone), quotes, or books of many levels."""
Price = Callable[[InstrumentId], Decimal | None]
_MONEY = Decimal("0.00000001")


class ViewedEngine(Protocol):
    """Parts of the engine that the view reads; Nautilus's Strategy has them."""

    @property
    def id(self) -> StrategyId:
        """The strategy's id."""

    @property
    def cache(self) -> CacheFacade:
        """Holds instruments, prices, orders and positions."""

    @property
    def portfolio(self) -> PortfolioFacade:
        """Holds the account."""

    def subscribe_quote_ticks(self, instrument_id: InstrumentId) -> None:
        """Subscribe to best prices."""

    def subscribe_order_book_deltas(
        self, instrument_id: InstrumentId, book_type: BookType, depth: int
    ) -> None:
        """Subscribe to an order book."""


class _Facts(NamedTuple):
    instrument: Instrument
    lot: Lot
    tick: Decimal
    max_quantity: Decimal | None


class MarketView:
    """Market and account as one strategy sees them.

    ``source`` says where best bids and asks come from. ``listed`` has listing times by id, UNIX
    nanoseconds (UTC); the instrument's ``info`` is used for missing ones. ``last_price`` returns
    the newest price that values a position, None without any; a strategy that decides on candles
    replaces it by their closes.
    """

    def __init__(
        self, engine: ViewedEngine, instrument_ids: Sequence[InstrumentId], settlement: str
    ) -> None:
        self._engine = engine
        self._venue = instrument_ids[0].venue if instrument_ids else None
        self._settlement = settlement
        self._facts: dict[InstrumentId, _Facts] = {}
        self._watched: set[InstrumentId] = set()
        self.source: BookSource = "quotes"
        self.listed: dict[str, int] = {}
        self.leverages: dict[str, Decimal] = {}
        """Of each perpetual at the venue; empty in a backtest and on paper."""
        self.last_price: Price = self.engine_price

    # Instruments -------------------------------------------------------------------------------

    def instrument(self, instrument_id: InstrumentId) -> Instrument:
        """Return the instrument.

        Raises
        ------
        KeyError
            If the builder did not add it to the engine.
        """
        found = self._engine.cache.instrument(instrument_id)
        if found is None:
            raise KeyError(f"instrument {instrument_id} is not known to the engine")
        return found

    def _known(self, instrument_id: InstrumentId) -> _Facts:
        found = self.instrument(instrument_id)
        kept = self._facts.get(instrument_id)
        # The venue may change its rules while a node runs: read a new instrument object again.
        if kept is None or kept.instrument is not found:
            kept = self._facts[instrument_id] = _facts_of(found)
        return kept

    def lot(self, instrument_id: InstrumentId) -> Lot:
        """Return lot step, minimum quantity and minimum value of orders."""
        return self._known(instrument_id).lot

    def terms(self, instrument_id: InstrumentId, *, exits: bool) -> Terms:
        """Return lot, tick and largest order; ``exits`` for orders that only shrink.

        Bybit holds sales of coins to its minimum as well.
        """
        facts = self._known(instrument_id)
        return Terms(
            tick=facts.tick,
            step=facts.lot.step,
            min_quantity=facts.lot.min_quantity,
            min_notional=facts.lot.min_notional,
            max_quantity=facts.max_quantity,
            exits=exits and not self.is_spot(instrument_id),
        )

    def is_spot(self, instrument_id: InstrumentId) -> bool:
        """Whether the instrument is a spot pair, which can't be sold short or reduce-only."""
        return isinstance(self.instrument(instrument_id), CurrencyPair)

    def listed_ns(self, instrument_id: InstrumentId) -> int | None:
        """Return the instrument's listing time, UNIX nanoseconds (UTC), None when unknown."""
        known = self.listed.get(instrument_id.value)
        return known or (self.instrument(instrument_id).info or {}).get("listed_ns")

    # Prices ------------------------------------------------------------------------------------

    def engine_price(self, instrument_id: InstrumentId) -> Decimal | None:
        """Return the engine's last price, None without any."""
        price = self._engine.cache.price(instrument_id, PriceType.LAST)
        return None if price is None else price.as_decimal()

    def newest_price(self, instrument_id: InstrumentId) -> Decimal | None:
        """Return the mid of the best prices, else the mark price, else `last_price`."""
        top = self.top_of_book(instrument_id)
        if top is not None:
            return top.mid
        mark = self._engine.cache.mark_price(instrument_id)
        return self.last_price(instrument_id) if mark is None else mark.value.as_decimal()

    @property
    def sees_top_of_book(self) -> bool:
        """Whether best bids and asks are available; candles alone have none."""
        return self.source != "none"

    def watch(self, instrument_id: InstrumentId) -> None:
        """Subscribe once to the instrument's best bid and ask, from ``source``.

        Never to both quotes and a book: on spot the adapter mixes them up.
        """
        if instrument_id in self._watched or self.source == "none":
            return
        self._watched.add(instrument_id)
        if self.source == "quotes":
            self._engine.subscribe_quote_ticks(instrument_id)
        else:
            self._engine.subscribe_order_book_deltas(
                instrument_id, BookType.L2_MBP, depth=BOOK_DEPTH
            )

    def top_of_book(self, instrument_id: InstrumentId) -> TopOfBook | None:
        """Return the best bid and ask, None when unknown or unless 0 < bid < ask."""
        parts: tuple[Any, ...]
        if self.source == "quotes":
            quote = self._engine.cache.quote_tick(instrument_id)
            if quote is None:
                return None
            parts = (quote.bid_price, quote.ask_price, quote.bid_size, quote.ask_size)
        else:
            book = self._engine.cache.order_book(instrument_id)
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
        top = TopOfBook(*(part.as_decimal() for part in parts))
        return top if ZERO < top.bid < top.ask else None

    def depth(self, instrument_id: InstrumentId, bps: float) -> float:
        """Return the value displayed within ``bps`` of the mid on the thinner side.

        Settlement currency; zero when no best prices are known. Quotes have the best prices alone.
        """
        top = self.top_of_book(instrument_id)
        if top is None:
            return 0.0
        if self.source == "quotes":
            sides = [[(top.bid, top.bid_size)], [(top.ask, top.ask_size)]]
        else:
            book = self._engine.cache.order_book(instrument_id)
            sides = [
                [(level.price.as_decimal(), Decimal(repr(level.size()))) for level in levels]
                for levels in (book.bids(), book.asks())
            ]
        reach = top.mid * Decimal(repr(bps)) / 10_000
        near = [
            sum(price * size for price, size in side if abs(price - top.mid) <= reach)
            for side in sides
        ]
        return float(min(near))

    # Account and positions ---------------------------------------------------------------------

    def equity(self, price_of: Price | None = None) -> Decimal:
        """Return balance plus unrealised profit, settlement currency.

        Valued at `last_price`, so that it fits the decision's data, or at the prices given. A
        position without any price counts as even.
        """
        price_of = price_of or self.last_price
        account = self._engine.portfolio.account(self._venue)
        total = account.balance_total(Currency.from_str(self._settlement))
        contracts = [
            Contract(
                position.instrument_id.value,
                position.signed_decimal_qty(),
                Decimal(repr(position.avg_px_open)),
                price_of(position.instrument_id),
            )
            for position in self._engine.cache.positions_open()
        ]
        cash = {} if total is None else {self._settlement: total.as_decimal()}
        return Account(cash, contracts, coin=self._settlement).equity.quantize(_MONEY)

    def margin(self) -> Margin | None:
        """Return the account's free margin, None where the leverages are unknown, as in backtests.

        The venue's wallet counts the margin of every position and open order as locked.
        """
        if not self.leverages:
            return None
        account = self._engine.portfolio.account(self._venue)
        locked = account.balance_locked(Currency.from_str(self._settlement))
        used = ZERO if locked is None else locked.as_decimal()
        return Margin(self.equity(self.newest_price) - used, self.leverages)

    def holdings(self) -> dict[str, Decimal]:
        """Return this strategy's open positions, signed base coin by instrument id."""
        held: dict[str, Decimal] = {}
        for position in self._engine.cache.positions_open(strategy_id=self._engine.id):
            name = position.instrument_id.value
            held[name] = held.get(name, ZERO) + position.signed_decimal_qty()
        return held

    def holding(self, instrument_id: InstrumentId) -> Decimal:
        """Return this strategy's open position in one instrument, signed base coin."""
        positions = self._engine.cache.positions_open(
            instrument_id=instrument_id, strategy_id=self._engine.id
        )
        return sum((position.signed_decimal_qty() for position in positions), ZERO)

    def entry_price(self, instrument_id: InstrumentId) -> Decimal | None:
        """Return the average entry price of this strategy's position, None without one."""
        found = [
            (abs(position.signed_decimal_qty()), Decimal(repr(position.avg_px_open)))
            for position in self._engine.cache.positions_open(
                instrument_id=instrument_id, strategy_id=self._engine.id
            )
        ]
        held = sum((quantity for quantity, _ in found), ZERO)
        return sum((quantity * price for quantity, price in found), ZERO) / held if held else None

    def shrinks(self, instrument_id: InstrumentId, quantity: Decimal) -> bool:
        """Whether an order of a signed quantity can only shrink the position."""
        held = self.holding(instrument_id)
        return held * quantity < ZERO and abs(quantity) <= abs(held)


def _facts_of(found: Instrument) -> _Facts:
    lot = Lot(
        step=found.size_increment.as_decimal(),
        min_quantity=ZERO if found.min_quantity is None else found.min_quantity.as_decimal(),
        min_notional=ZERO if found.min_notional is None else found.min_notional.as_decimal(),
    )
    largest = None if found.max_quantity is None else found.max_quantity.as_decimal()
    return _Facts(found, lot, found.price_increment.as_decimal(), largest)
