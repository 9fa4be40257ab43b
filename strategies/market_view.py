"""Market data for a strategy: instruments, best prices, equity and positions. Engine-specific.

All of it is read from the engine on each call; only constants are kept, and what was read of a book
until it changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from itertools import chain
from struct import pack_into
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from nautilus_trader.cache.base import CacheFacade
from nautilus_trader.common.component import Clock
from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.data import OrderBookDeltas, TradeTick
from nautilus_trader.model.enums import (
    AggregationSource,
    BookType,
    OrderSide,
    PriceType,
    RecordFlag,
)
from nautilus_trader.model.identifiers import InstrumentId, StrategyId
from nautilus_trader.model.instruments import CurrencyPair, Instrument
from nautilus_trader.model.objects import FIXED_PRECISION, Currency
from nautilus_trader.model.objects import Price as EnginePrice
from nautilus_trader.portfolio.base import PortfolioFacade
from numpy.typing import NDArray

from strategies.account_value import Account, Contract, Margin
from strategies.sizing.rounding import ZERO, Lot
from strategies.tactics.pricing import Terms, TopOfBook

BOOK_DEPTH = 50
"""Levels a side; Bybit has 1, 50, 200 and 1000, and sends these every 20 ms."""
BookSource = Literal["none", "quotes", "book"]
"""Where best bids and asks come from: nowhere (candles alone), quotes, or books of many levels."""
Level = tuple[float, float]
"""A price of an order book, and the size displayed there in base coin."""
Levels = tuple[Level, ...]
Floats = NDArray[np.float64]
Price = Callable[[InstrumentId], Decimal | None]
_Unread = Literal["unread"]
BookOf = Callable[[InstrumentId], OrderBook | None]
_LOST = RecordFlag.RESERVED_1.value
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
        self, instrument_id: InstrumentId, book_type: BookType, depth: int, *, managed: bool = True
    ) -> None:
        """Subscribe to an order book; ``managed`` ones are kept in the cache."""

    def subscribe_trade_ticks(self, instrument_id: InstrumentId) -> None:
        """Subscribe to trades."""

    @property
    def clock(self) -> Clock:
        """Time."""


class _Facts(NamedTuple):
    instrument: Instrument
    lot: Lot
    tick: Decimal
    max_quantity: Decimal | None


class _CachedBook:
    """What was read of a book since it changed last: most messages are trades, which change none.

    ``spans`` are the ticks from the best price to the last level read, of bids and of asks.
    """

    __slots__ = ("book", "changes", "levels", "spans", "top", "ts_last")

    def __init__(self, book: OrderBook) -> None:
        self.book, self.changes, self.ts_last = book, -1, -1
        self.levels: dict[int, tuple[Levels, Levels]] = {}
        self.spans = [8, 8]
        self.top: TopOfBook | _Unread | None = None


class ShownBook(OrderBookDeltas):
    """A message of a backtest, with the best levels after it, which were read for all at once.

    ``levels`` has shape (2, count, 2): bids and asks, the best first, each with price and size; NaN
    and 0 where there is none. ``trades`` has a row for each since the message before: its age then,
    nanoseconds, price, size and side, 1 where the aggressor bought, else -1.
    """

    __slots__ = ("levels", "trades")
    levels: Floats
    trades: Floats


def level_rows(bids: Levels, asks: Levels, count: int) -> Floats:
    """Return levels as `ShownBook` has them."""
    rows, none = np.empty((2, count, 2)), ((math.nan, 0.0),) * count
    filled = bids + none[len(bids) :] + asks + none[len(asks) :]
    # Assigning tuples to an array takes several times as long.
    pack_into(f"{rows.size}d", rows, 0, *chain.from_iterable(filled))
    return rows


def update_id(deltas: OrderBookDeltas) -> int:
    """Return Bybit's id of a book's message, one more than the last one's; 0 where it has none."""
    return int(deltas.deltas[-1].order.order_id)


def skips(before: int, update: int) -> bool:
    """Whether messages are missing between those of two ids of a book (`update_id`)."""
    return 0 < before < update - 1


def follows_loss(deltas: OrderBookDeltas) -> bool:
    """Whether a recording says that messages before this one are missing (`catalog.engine`)."""
    return bool(deltas.flags & _LOST)


class MarketView:
    """Market and account as one strategy sees them.

    ``source`` says where best bids and asks come from. ``listed`` has listing times by id, UNIX
    nanoseconds (UTC); the instrument's ``info`` is used for missing ones. ``last_price`` returns
    the price that values a position, that of the newest trade or candle, None without any; a
    strategy that decides on candles replaces it by their closes.
    """

    def __init__(
        self, engine: ViewedEngine, instrument_ids: Sequence[InstrumentId], settlement: str
    ) -> None:
        self._engine = engine
        self._venue = instrument_ids[0].venue if instrument_ids else None
        self._settlement = settlement
        self._facts: dict[InstrumentId, _Facts] = {}
        self._watched: set[InstrumentId] = set()
        self._cached_books: dict[InstrumentId, _CachedBook] = {}
        self._venue_book: BookOf | None = None
        self.delay_of: Callable[[int], int] = lambda stamp: 0
        """What the clock leaves out of the age of an event, nanoseconds."""
        self.source: BookSource = "quotes"
        self.has_books = False
        """Whether the venue has order books beside its quotes, as all but paper."""
        self.listed: dict[str, int] = {}
        self.leverages: dict[str, Decimal] = {}
        """Of each perpetual at the venue; empty in a backtest and on paper."""
        self.last_price: Price = self.engine_price
        self.wallet: Callable[[], Decimal | None] = self._reported_cash
        """Returns the account's cash, in a node with what executions moved beside its wallet."""

    def read_venue(
        self, book_of: BookOf, delay_of: Callable[[int], int], source: BookSource
    ) -> None:
        """Read the books of a backtest's venue, so that the engine keeps no second one.

        ``delay_of`` returns how old the data of a moment are when they reach a strategy.
        """
        self._venue_book, self.delay_of, self.source = book_of, delay_of, source

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
        """Return the price of the engine's newest trade or candle, None without any."""
        cache = self._engine.cache
        price, trade = cache.price(instrument_id, PriceType.LAST), cache.trade_tick(instrument_id)
        newest = 0 if trade is None else trade.ts_event
        # The engine prefers a trade, however old: in a backtest the open of the candle before.
        for kind in cache.bar_types(instrument_id, PriceType.LAST, AggregationSource.EXTERNAL):
            bar = cache.bar(kind)
            if bar is not None and bar.ts_event > newest:
                price, newest = bar.close, bar.ts_event
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

    def want_levels(self) -> None:
        """Read order books instead of quotes where there are any; call it before `watch`."""
        if self.source == "quotes" and self.has_books:
            self.source = "book"

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
            own = {} if self._venue_book is None else {"managed": False}
            self._engine.subscribe_order_book_deltas(
                instrument_id, BookType.L2_MBP, depth=BOOK_DEPTH, **own
            )

    def watch_trades(self, instrument_id: InstrumentId) -> None:
        """Subscribe to the instrument's trades, which `trades` and ``on_trade_tick`` then show."""
        self._engine.subscribe_trade_ticks(instrument_id)

    def trades(self, instrument_id: InstrumentId, count: int) -> list[TradeTick]:
        """Return the newest trades, the newest first."""
        found: list[TradeTick] = self._engine.cache.trade_ticks(instrument_id)[:count]
        return found

    def event_age_ns(self, instrument_id: InstrumentId) -> int | None:
        """Return how old the best prices are, by the exchange's stamp; None without any.

        Live, the difference of the two clocks is taken out. In a backtest the delay of
        ``venue.latency.feed`` counts, which strategies don't wait for.
        """
        if self.source == "quotes":
            quote = self._engine.cache.quote_tick(instrument_id)
            stamp = None if quote is None else quote.ts_event
        else:
            book = self._book(instrument_id)
            stamp = None if book is None or not book.update_count else book.ts_last
        if stamp is None:
            return None
        age: int = self._engine.clock.timestamp_ns() - stamp + self.delay_of(stamp)
        return max(0, age)

    def _book(self, instrument_id: InstrumentId) -> OrderBook | None:
        book_of = self._venue_book or self._engine.cache.order_book
        return book_of(instrument_id)

    def _cached(self, instrument_id: InstrumentId) -> _CachedBook | None:
        book = self._book(instrument_id)
        if book is None:
            return None
        kept = self._cached_books.get(instrument_id)
        if kept is None or kept.book is not book:
            kept = self._cached_books[instrument_id] = _CachedBook(book)
        if kept.changes != book.update_count or kept.ts_last != book.ts_last:
            kept.changes, kept.ts_last, kept.top = book.update_count, book.ts_last, "unread"
            kept.levels.clear()
        return kept

    def top_of_book(self, instrument_id: InstrumentId) -> TopOfBook | None:
        """Return the best bid and ask, None when unknown or unless 0 < bid < ask."""
        if self.source == "quotes":
            quote = self._engine.cache.quote_tick(instrument_id)
            if quote is None:
                return None
            return _top(quote.bid_price, quote.ask_price, quote.bid_size, quote.ask_size)
        cached = self._cached(instrument_id)
        if cached is None:
            return None
        if not isinstance(cached.top, str):
            return cached.top
        book = cached.book
        prices = book.best_bid_price(), book.best_ask_price()
        cached.top = top = _top(*prices, book.best_bid_size(), book.best_ask_size())
        return top

    def depth(self, instrument_id: InstrumentId, bps: float) -> float:
        """Return the value displayed within ``bps`` of the mid on the thinner side.

        Settlement currency; zero when no best prices are known. Quotes have the best prices alone.
        """
        top = self.top_of_book(instrument_id)
        if top is None:
            return 0.0
        reach = top.mid * Decimal(repr(bps)) / 10_000
        if self.source == "quotes":
            near = [
                price * size if abs(price - top.mid) <= reach else ZERO
                for price, size in ((top.bid, top.bid_size), (top.ask, top.ask_size))
            ]
            return float(min(near))
        book: Any = self._book(instrument_id)
        found = self.instrument(instrument_id)
        unit, sizes = Decimal(1).scaleb(-found.price_precision), found.size_precision
        lowest = max((top.mid - reach).quantize(unit, ROUND_CEILING), ZERO)
        highest = (top.mid + reach).quantize(unit, ROUND_FLOOR)
        # Levels far from the mid are never built: a book may have thousands.
        sides = (
            book.get_all_crossed_levels(
                OrderSide.SELL, EnginePrice(lowest, found.price_precision), sizes
            ),
            book.get_all_crossed_levels(
                OrderSide.BUY, EnginePrice(highest, found.price_precision), sizes
            ),
        )
        return min(sum(p.as_double() * s.as_double() for p, s in side) for side in sides)

    def levels(self, instrument_id: InstrumentId, count: int) -> tuple[Levels, Levels]:
        """Return the best ``count`` levels of bids and asks, the best first.

        Quotes have one a side. Each side may be shorter, or empty.
        """
        if self.source == "quotes":
            quote = self._engine.cache.quote_tick(instrument_id)
            if quote is None:
                return (), ()
            bid, ask, bid_size, ask_size = [
                # The engine's own division can be one bit off the decimal number.
                round(part.as_double(), part.precision)
                for part in (quote.bid_price, quote.ask_price, quote.bid_size, quote.ask_size)
            ]
            if not 0.0 < bid < ask:
                return (), ()
            return ((bid, bid_size),)[:count], ((ask, ask_size),)[:count]
        cached = self._cached(instrument_id)
        if cached is None:
            return (), ()
        found = cached.levels.get(count)
        if found is None:
            book, spans = cached.book, cached.spans
            sizes = self._known(instrument_id).instrument.size_precision
            found = cached.levels[count] = (
                _levels(book, OrderSide.SELL, book.best_bid_price(), count, sizes, spans),
                _levels(book, OrderSide.BUY, book.best_ask_price(), count, sizes, spans),
            )
        return found

    def levels_after(self, deltas: OrderBookDeltas, count: int) -> Floats:
        """Return the best ``count`` levels as they stand after a message, as `ShownBook` has them.

        For handlers of that message. Backtests have them at hand for `Hooks.levels_needed`.
        """
        if isinstance(deltas, ShownBook) and deltas.levels.shape[1] >= count:
            return deltas.levels[:, :count]
        return level_rows(*self.levels(deltas.instrument_id, count), count)

    # Account and positions ---------------------------------------------------------------------

    def equity(self, price_of: Price | None = None) -> Decimal:
        """Return balance plus unrealised profit, settlement currency.

        Valued at `last_price`, so that it fits the decision's data, or at the prices given. A
        position without any price counts as even.
        """
        return self._account(price_of or self.last_price).equity.quantize(_MONEY)

    def free_cash(self) -> Decimal:
        """Return the cash that coins may be bought for: losses of perpetuals are not there."""
        return self._account(self.last_price).free_cash

    def _account(self, price_of: Price) -> Account:
        contracts = [
            Contract(
                position.instrument_id.value,
                position.signed_decimal_qty(),
                Decimal(repr(position.avg_px_open)),
                price_of(position.instrument_id),
            )
            for position in self._engine.cache.positions_open()
        ]
        cash = self.wallet()
        found = {} if cash is None else {self._settlement: cash}
        return Account(found, contracts, coin=self._settlement)

    def _reported_cash(self) -> Decimal | None:
        account = self._engine.portfolio.account(self._venue)
        total = account.balance_total(Currency.from_str(self._settlement))
        return None if total is None else total.as_decimal()

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
        return sum([position.signed_decimal_qty() for position in positions], ZERO)

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


def _top(*parts: Any) -> TopOfBook | None:
    if any(part is None for part in parts):
        return None
    top = TopOfBook(*(part.as_decimal() for part in parts))
    return top if ZERO < top.bid < top.ask else None


def _levels(
    book: OrderBook,
    taking: OrderSide,
    best: EnginePrice | None,
    count: int,
    sizes: int,
    spans: list[int],
) -> Levels:
    """Return levels that ``taking`` meets, from a stretch of the book that has enough.

    ``spans`` has the stretch of each side in ticks: most books change little between two looks. The
    engine makes two objects a level, so the stretch is as short as it may be.
    """
    if best is None:
        return ()
    up = taking == OrderSide.BUY
    raw, precision = best.raw, best.precision
    tick = 10 ** (FIXED_PRECISION - precision)
    span = spans[up]
    while True:
        end = EnginePrice.from_raw(max(raw + (span if up else -span) * tick, 0), precision)
        found = book.get_all_crossed_levels(taking, end, sizes)
        if len(found) >= count or span * tick > raw:
            break
        span *= 2
    if len(found) > count:
        span = abs(found[count][0].raw - raw) // tick
    # A book with too few levels is searched whole, but from a short stretch the next time.
    spans[up] = span if len(found) >= count else 64
    return tuple([(price.as_double(), size.as_double()) for price, size in found[:count]])
