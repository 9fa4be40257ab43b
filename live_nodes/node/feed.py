"""Subscribe to a price of every instrument; collect market facts for guards. Engine-specific.

Perpetuals use mark prices, spot pairs trades. Strategies subscribe to quotes and books themselves:
on spot, quotes and a book of one instrument spoil each other. Paper trading needs
quotes to fill orders. Guards that measure markets get quotes and funding of perpetuals.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from nautilus_trader.common.actor import Actor
from nautilus_trader.config import ActorConfig
from nautilus_trader.model.data import (
    FundingRateUpdate,
    MarkPriceUpdate,
    OrderBookDeltas,
    QuoteTick,
    TradeTick,
)
from nautilus_trader.model.events import PositionEvent
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.position import Position

from actors.guards.core.snapshot import Market
from actors.records.prices import CachePrices
from catalog.instruments import InstrumentInfo
from strategies.account_value import is_spot

_STAMPED = frozenset((OrderBookDeltas, QuoteTick, TradeTick, MarkPriceUpdate))
_SECONDS = 60
_NONE = -sys.maxsize
"""Below all ages: they are negative where our clock is behind."""


class FeedLag:
    """Age of market data when they are handled, by the exchange's stamps and our clock.

    `newest_ns` is the age of the newest message, None before the first; `waited_ns` how long it
    waited in this process. `too_late` takes that of a message, if longer than `limit_ns`. `on_book`
    is shown each message of a book.
    """

    def __init__(self) -> None:
        self.newest_ns: int | None = None
        self.waited_ns = 0
        self.limit_ns = sys.maxsize
        self.too_late: Callable[[int], None] = lambda waited: None
        self.on_book: Callable[[OrderBookDeltas], None] = lambda deltas: None
        self._worst = _NONE
        self._seconds: deque[int] = deque([_NONE], maxlen=_SECONDS)

    def measured(self, handle: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return a handler of data that measures each message first."""
        clock, stamped = time.time_ns, _STAMPED

        def handled(data: Any) -> None:
            if type(data) in stamped:
                now = clock()
                age = self.newest_ns = now - data.ts_event
                waited = self.waited_ns = now - data.ts_init
                if age > self._worst:
                    self._worst = age
                    # A timer would wait as long.
                    if waited > self.limit_ns:
                        self.too_late(waited)
                if type(data) is OrderBookDeltas:
                    self.on_book(data)
            handle(data)

        return handled

    def end_second(self) -> None:
        """Begin the next second; call it once a second."""
        self._seconds.append(self._worst)
        self._worst = _NONE

    def worst_ns(self) -> int:
        """Return the largest age of the last minute."""
        return max(self._worst, *self._seconds)


class NodeFeedConfig(ActorConfig, frozen=True, kw_only=True):
    """What `NodeFeed` subscribes to.

    `quotes` are what paper fills orders by; `tickers` adds quotes and funding of perpetuals.
    """

    instruments: tuple[str, ...]
    quotes: bool = False
    tickers: bool = False


class NodeFeed(Actor):
    """Subscribes to a price of every instrument, and of perpetuals that others opened beside them.

    `updated_ns` is the last update, or the subscription before one. `delays_ns` is the age of the
    newest update on arrival, by our clock; `lag` that of all data when they are handled.
    `next_funding_ns` is the next settlement. Times are UNIX nanoseconds (UTC).
    """

    def __init__(self, config: NodeFeedConfig) -> None:
        super().__init__(config)
        self.lag = FeedLag()
        self.updated_ns: dict[str, int] = {}
        self.delays_ns: dict[str, int] = {}
        self.next_funding_ns: dict[str, int] = {}
        self.prices_seen: set[str] = set()

    def on_start(self) -> None:
        """Subscribe to prices."""
        now = self.clock.timestamp_ns()
        for name in self.config.instruments:
            instrument = InstrumentId.from_str(name)
            self.updated_ns[name] = now
            if is_spot(name):
                self.subscribe_trade_ticks(instrument)
            else:
                self.subscribe_mark_prices(instrument)
            tickers = self.config.tickers and not is_spot(name)
            if self.config.quotes or tickers:
                self.subscribe_quote_ticks(instrument)
            if tickers:
                self.subscribe_funding_rates(instrument)
        for position in self.cache.positions_open():
            self._value(position)
        self.msgbus.subscribe("events.position.*", self._value)

    def _value(self, held: Position | PositionEvent) -> None:
        # Equity and guards need a price of what others hold outside the universe.
        name = held.instrument_id.value
        if name not in self.updated_ns and not is_spot(name):
            self.updated_ns[name] = self.clock.timestamp_ns()
            self.subscribe_mark_prices(held.instrument_id)

    def missing(self, names: Iterable[str]) -> list[str]:
        """Return the instruments without a price so far."""
        return sorted(set(names) - self.prices_seen)

    def on_funding_rate(self, update: FundingRateUpdate) -> None:
        """Record the next settlement."""
        if update.next_funding_ns is not None:
            self.next_funding_ns[update.instrument_id.value] = update.next_funding_ns

    def on_mark_price(self, data: MarkPriceUpdate | TradeTick | QuoteTick) -> None:
        """Record the update."""
        name = data.instrument_id.value
        self.updated_ns[name] = self.clock.timestamp_ns()
        self.delays_ns[name] = data.ts_init - data.ts_event
        self.see_price(name, is_quote=isinstance(data, QuoteTick))

    def see_price(self, name: str, *, is_quote: bool = False) -> None:
        """Note that an instrument has a price; on paper a quote, which alone fills orders."""
        if is_quote or not self.config.quotes:
            self.prices_seen.add(name)

    on_trade_tick = on_quote_tick = on_mark_price


class MarketReader:
    """Facts of instruments' markets for guards (`actors.desk.risk_desk.MarketFacts`).

    `lag_ns` is the delay of the event loop when guards last looked, `waited_ns` how long the newest
    message waited in this process, `skew_ns` the venue's clock minus ours. `closed` are the
    instruments in which the venue takes no orders.
    """

    def __init__(
        self, cache: Any, infos: Mapping[str, InstrumentInfo], instruments: Iterable[str]
    ) -> None:
        self._cache = cache
        self._prices = CachePrices(cache)
        self._infos = infos
        self._instruments = tuple(sorted(instruments))
        self.feed: NodeFeed | None = None
        self.waited_ns: Callable[[], int] = lambda: (
            0 if self.feed is None else self.feed.lag.waited_ns
        )
        self.lag_ns = 0
        self.skew_ns = 0
        self.closed: frozenset[str] = frozenset()

    def __call__(self, now: int) -> dict[str, Market]:
        """Return the facts of each instrument at `now`, UNIX nanoseconds (UTC)."""
        late = max(self.lag_ns, self.waited_ns())
        return {name: self._market(name, now, late) for name in self._instruments}

    def at_order(self, name: str, now: int) -> Market:
        """Return the facts of one instrument while an order of it is checked."""
        return self._market(name, now, max(self.lag_ns, self.waited_ns()))

    def _market(self, name: str, now: int, late: int) -> Market:
        instrument = self._cache.instrument(self._prices.id(name))
        info = self._infos.get(name)
        bid, ask, bid_size, ask_size = self._prices.touch(name)
        trades_coins = isinstance(instrument, CurrencyPair)
        feed = self.feed
        delay = None if feed is None else feed.delays_ns.get(name)
        return Market(
            price=self._prices.price(name),
            bid=bid,
            ask=ask,
            bid_size=bid_size,
            ask_size=ask_size,
            tick=Decimal(0) if instrument is None else instrument.price_increment.as_decimal(),
            silent_ns=self._silence(name, now, trades_coins),
            delay_ns=None if delay is None else max(0, delay + self.skew_ns) + late,
            next_funding_ns=None if info is None else self._next_funding(name, info, now),
            trading=name not in self.closed,
            maintenance_rate=Decimal(0) if info is None else Decimal(info.maintenance_margin),
            taker_fee=Decimal(0) if instrument is None else Decimal(instrument.taker_fee),
            spot=trades_coins,
        )

    def _next_funding(self, name: str, info: InstrumentInfo, now: int) -> int | None:
        # The adapter passes a new settlement on only with a new rate, which at Bybit often stays
        # the same. From midnight UTC on, perpetuals settle once an interval.
        interval = info.funding_minutes * 60 * 10**9
        announced = None if self.feed is None else self.feed.next_funding_ns.get(name)
        if not interval or (announced is not None and announced > now):
            return announced
        first = 0 if announced is None else announced
        return first + ((now - first) // interval + 1) * interval

    def _silence(self, name: str, now: int, is_spot: bool) -> int | None:
        instrument_id = self._prices.id(name)
        quote, book = self._cache.quote_tick(instrument_id), self._cache.order_book(instrument_id)
        moments = [
            *([] if quote is None else [quote.ts_init]),
            *([] if book is None else [book.ts_last]),
        ]
        if not is_spot and self.feed is not None and name in self.feed.updated_ns:
            moments.append(self.feed.updated_ns[name])
        return max(0, now - max(moments)) if moments else None
