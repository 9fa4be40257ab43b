"""A market inside a source's candles; all but `step` and `move` are pure functions of the time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import islice
from uuid import UUID

from live_nodes.practice.exchange.exchange import Exchange
from live_nodes.practice.exchange.model import MINUTE_MS, Key, Level, PracticeSymbol, Side
from live_nodes.practice.exchange.records import Printed
from live_nodes.practice.market.feed import (
    INTERVAL_MS,
    Candle,
    CandleSource,
    FundingRate,
    PriceKind,
    Prices,
    figures,
    floor_ms,
    longer,
    rows,
)
from live_nodes.practice.market.market_controls import MarketControls
from live_nodes.practice.market.price_paths import PathPrices, PriceMove, seed_of
from live_nodes.practice.market.synthetic_book import SyntheticBook, quantity, top_of_book

LEAST_TRADE_MS = 100
TRADED = 0.6
"""Share of the possible trade times at which a trade happens."""
CATCH_UP_TRADES = 5


@dataclass
class PathMarket:
    """Prices, trades, books and funding that agree with a source's candles.

    `depth` is levels per side; prices, books and trades change at multiples of `update_ms`. Funding
    before `began_ms`, the exchange's first start, is not paid. `moves`, `settlements` and `rules`
    come from :meth:`saved_moves`, :meth:`saved_settlements` and :meth:`saved_rules`, oldest first.
    `halted` returns the symbols that take no orders now.
    """

    source: CandleSource
    seed: int
    depth: int
    update_ms: int
    began_ms: int
    moves: Iterable[tuple[str, str, int, float]] = ()
    settlements: Iterable[tuple[str, str, int, str]] = ()
    rules: Iterable[tuple[str, str, str | None, int | None]] = ()

    def __post_init__(self) -> None:
        self.controls = MarketControls()
        self._added: dict[Key, list[FundingRate]] = {}
        moves: dict[Key, list[PriceMove]] = {}
        for category, name, time_ms, rate in self.settlements:
            stamp = FundingRate(time_ms, Decimal(rate))
            self._added.setdefault((category, name), []).append(stamp)
        for category, name, time_ms, factor in self.moves:
            moves.setdefault((category, name), []).append(PriceMove(time_ms, factor))
        self.step_seconds = self.update_ms / 1_000
        self._prices = PathPrices(self.source, self.seed, moves)
        self._trade_ms = -(-LEAST_TRADE_MS // self.update_ms) * self.update_ms
        self._books: dict[Key, SyntheticBook] = {}
        self.halted: Callable[[], frozenset[Key]] = frozenset
        self._halted: frozenset[Key] | None = None
        self._symbols: dict[Key, PracticeSymbol] = {}
        self._listed: dict[Key, PracticeSymbol] = {}
        self._rules: dict[Key, tuple[Decimal | None, int | None]] = {
            (category, name): (Decimal(tick) if tick else None, delivery_ms)
            for category, name, tick, delivery_ms in self.rules
        }
        self._funded: dict[Key, int] = {}
        self._stepped_ms: int | None = None
        self._moved: set[Key] = set()

    def symbols(self, now_ms: int) -> list[PracticeSymbol]:
        """Return all symbols launched by now, sorted by category and name."""
        listed = self.source.symbols(now_ms)
        found = [self._ruled(symbol, now_ms) for symbol in listed] if self._rules else listed
        self._listed = {symbol.key: symbol for symbol in listed}
        self._symbols = {symbol.key: symbol for symbol in found}
        return found

    def klines(
        self,
        key: Key,
        interval: str,
        start_ms: int | None,
        end_ms: int | None,
        limit: int,
        now_ms: int,
        price: PriceKind = "last",
    ) -> list[Candle]:
        """Return candles that start in [start_ms, end_ms], oldest first, also the forming one.

        As at Bybit, more than `limit` candles are cut to the newest, but to the oldest when only a
        start is given. Times without data have no candle. Unknown symbol or interval: KeyError.
        """
        length = INTERVAL_MS[interval]
        self._symbol(key, now_ms)
        symbol = self._listed[key]
        end = now_ms if end_ms is None else min(end_ms, now_ms)
        if end < 0:
            return []
        if start_ms is None:
            start = floor_ms(end, length) - (limit - 1) * length
        elif end_ms is None:
            # Bybit pages forward when only a start is given.
            start = start_ms
            end = min(end, floor_ms(start + length - 1, length) + limit * length - 1)
        else:
            start = max(start_ms, floor_ms(end, length) - (limit - 1) * length)
        start = max(0, floor_ms(start + length - 1, length))
        if start > end:
            return []
        last = floor_ms(end, length) + length - 1
        at = self._market_ms(now_ms)
        return rows(symbol, longer(self._prices.cut(key, length, start, last, at, price), length))

    def funding_history(
        self, key: Key, start_ms: int | None, end_ms: int | None, limit: int, now_ms: int
    ) -> list[FundingRate]:
        """Return settlements in [start_ms, end_ms] up to now, newest first, at most `limit`."""
        end = now_ms if end_ms is None else min(end_ms, now_ms)
        return self._settlements(key, start_ms or 0, end)[::-1][:limit]

    def funding(self, key: Key, now_ms: int) -> tuple[Decimal, int]:
        """Return the rate of the next settlement and its time; ``(0, 0)`` for spot."""
        symbol = self._symbol(key, now_ms)
        if not symbol.funding_minutes:
            return Decimal(0), 0
        every = symbol.funding_minutes * MINUTE_MS
        coming = self._settlements(key, now_ms + 1, now_ms + 2 * every)
        if coming:
            return coming[0].rate, coming[0].time_ms
        return Decimal(0), (now_ms // every + 1) * every

    def trades(self, key: Key, now_ms: int, limit: int) -> list[Printed]:
        """Return the house's trades until now, newest first."""
        newest = now_ms // self._trade_ms
        # Some draws give no trade, so look further back than the wanted number.
        return list(islice(self._trades(key, range(newest, newest - limit * 3, -1)), limit))

    def book(self, key: Key, now_ms: int) -> tuple[list[Level], list[Level]]:
        """Return the house's bids and asks, best first; empty where nothing trades."""
        at = self._market_ms(now_ms)
        symbol = self._symbol(key, now_ms)
        price = self._ticks(key, at, "last")
        if price is None or symbol.status != "Trading":
            return [], []
        bid, ask = top_of_book(price, self._side(key, at // self._trade_ms * self._trade_ms))
        book = self._books.get(key)
        if book is None:
            own = seed_of(self.seed, "book", *key)
            lasting = max(1, self.update_ms * self.depth)
            book = self._books[key] = SyntheticBook(symbol, self.depth, lasting, own)
        return self.controls.shown(symbol, *book.draw(bid, ask, self._worth(key, at), at), now_ms)

    def prices(self, key: Key, now_ms: int) -> Prices:
        """Return the ticker's figures."""
        symbol = self._symbol(key, now_ms)
        at = self._market_ms(now_ms)
        last, mark, index = (self._price(symbol, at, kind) for kind in ("last", "mark", "index"))
        day = self._prices.day(key, at)
        prices = (last, mark, index)
        return figures(
            self._listed[key], prices, day, self.source.length_ms, at, self.funding(key, now_ms)
        )

    def step(self, exchange: Exchange, now_ms: int) -> list[Key]:
        """Update the exchange to now; return the markets that may have changed.

        Repeating a `now_ms` changes nothing. Settles each due funding once, also those missed while
        the exchange was down.
        """
        at = self._market_ms(now_ms)
        before = self._stepped_ms
        if before is not None and at <= before:
            return []
        known = {symbol.key: symbol for symbol in exchange.symbols()}
        symbols = self.symbols(now_ms)
        trading = [symbol for symbol in symbols if symbol.status == "Trading"]
        self._settle(exchange, symbols, at, now_ms)
        for symbol in symbols:
            if known.get(symbol.key) != symbol:
                exchange.put_symbol(symbol, now_ms)
        self.apply_halts(exchange, now_ms)
        for symbol in trading:
            key = symbol.key
            if key in self._moved:
                # What the trades trigger would fill on the book from before the move.
                exchange.quote(key, *self.book(key, now_ms), now_ms)
            for trade in self._new_trades(exchange, key, before, now_ms):
                exchange.trade(key, trade.side, trade.price, trade.qty, now_ms)
            # Quote the book after the trades, so that it does not lack what they filled.
            bids, asks = self.book(key, now_ms)
            exchange.quote(key, bids, asks, now_ms)
            mark, index, last = (
                self._price(symbol, at, kind) for kind in ("mark", "index", "last")
            )
            exchange.set_mark(key, mark, index, now_ms, last)
        self._stepped_ms = at
        self._moved.clear()
        return [symbol.key for symbol in trading]

    def _new_trades(
        self, exchange: Exchange, key: Key, before_ms: int | None, now_ms: int
    ) -> Iterator[Printed]:
        latest = self._market_ms(now_ms) // self._trade_ms
        since = latest - 1 if before_ms is None else before_ms // self._trade_ms
        return self._trades(key, range(max(since, latest - CATCH_UP_TRADES) + 1, latest + 1))

    def _trades(self, key: Key, numbers: range) -> Iterator[Printed]:
        drawn = (self._trade(key, number * self._trade_ms) for number in numbers)
        return (trade for trade in drawn if trade is not None)

    def apply_halts(self, exchange: Exchange, now_ms: int) -> None:
        """Halt and resume the symbols that `halted` returns."""
        wanted = self.halted()
        before = self._halted
        if before is None:
            # First call since the start: a killed exchange may have been halted.
            before = frozenset(s.key for s in exchange.symbols() if exchange.market(s.key).halted)
        for key in wanted ^ before:
            if key in self._symbols:
                exchange.halt(key, key in wanted, now_ms)
        self._halted = wanted

    def move(self, key: Key, price: Decimal, now_ms: int) -> None:
        """Set the last price to `price` and scale all later prices alike."""
        self._symbol(key, now_ms)
        at = self._market_ms(now_ms)
        self._prices.move(key, max(1, round(price / self._listed[key].tick)), at)
        self._moved.add(key)
        self._stepped_ms = None

    def change_rules(
        self, key: Key, *, tick: Decimal | None = None, delivery_ms: int | None = None
    ) -> bool:
        """Change a symbol's tick, or close it at a time; false when it is not traded."""
        present = self._symbols.get(key)
        if present is None or present.status != "Trading":
            return False
        old_tick, old_ms = self._rules.get(key, (None, None))
        self._rules[key] = (tick or old_tick, delivery_ms or old_ms)
        self._books.pop(key, None)
        self._stepped_ms = None
        return True

    def saved_rules(self) -> list[tuple[str, str, str | None, int | None]]:
        """Return the changed rules for the state file."""
        return [(*k, str(tick) if tick else None, ms) for k, (tick, ms) in self._rules.items()]

    def _ruled(self, symbol: PracticeSymbol, now_ms: int) -> PracticeSymbol:
        tick, delivery_ms = self._rules.get(symbol.key, (None, None))
        closed = delivery_ms is not None and now_ms >= delivery_ms
        return replace(
            symbol,
            tick=tick or symbol.tick,
            delivery_ms=delivery_ms or symbol.delivery_ms,
            status="Closed" if closed else symbol.status,
        )

    def add_settlement(self, key: Key, rate: Decimal | None, time_ms: int) -> FundingRate:
        """Add a funding settlement; without a rate, use the next settlement's rate."""
        taken = self.funding(key, time_ms)[0] if rate is None else rate
        added = FundingRate(time_ms, taken)
        own = self._added.setdefault(key, [])
        own.append(added)
        own.sort(key=lambda stamp: stamp.time_ms)
        return added

    def cancel_settlements(self, now_ms: int) -> None:
        """Cancel the added settlements that are still in the future."""
        for key, own in self._added.items():
            self._added[key] = [stamp for stamp in own if stamp.time_ms <= now_ms]

    def saved_settlements(self) -> list[tuple[str, str, int, str]]:
        """Return the added settlements for the state file."""
        return [(*k, s.time_ms, str(s.rate)) for k, own in self._added.items() for s in own]

    def saved_moves(self) -> list[tuple[str, str, int, float]]:
        """Return the price moves for the state file."""
        return [(*k, m.time_ms, m.factor) for k, own in self._prices.moves.items() for m in own]

    def _symbol(self, key: Key, now_ms: int) -> PracticeSymbol:
        if key not in self._symbols:
            self.symbols(now_ms)
        return self._symbols[key]

    def _market_ms(self, now_ms: int) -> int:
        return now_ms // self.update_ms * self.update_ms

    def _settle(
        self, exchange: Exchange, symbols: list[PracticeSymbol], at: int, now_ms: int
    ) -> None:
        due: list[tuple[int, Key, Decimal, PracticeSymbol]] = []
        known = {symbol.key for symbol in exchange.symbols()}
        for symbol in symbols:
            if symbol.funding_minutes and symbol.key in known:
                paid = self._funded.get(symbol.key)
                if paid is None:
                    paid = max(self.began_ms, exchange.market(symbol.key).funded_ms)
                due.extend(
                    (stamp.time_ms, symbol.key, stamp.rate, symbol)
                    for stamp in self._settlements(symbol.key, paid + 1, at)
                )
                self._funded[symbol.key] = at
        for stamp_ms, key, rate, symbol in sorted(due, key=lambda item: item[:2]):
            mark = self._price(symbol, stamp_ms, "mark")
            exchange.set_mark(key, mark, self._price(symbol, stamp_ms, "index"), stamp_ms)
            exchange.settle_funding(key, rate, stamp_ms)

    def _settlements(self, key: Key, first_ms: int, last_ms: int) -> list[FundingRate]:
        found = self.source.funding(key, first_ms, last_ms)
        called = [
            stamp for stamp in self._added.get(key, ()) if first_ms <= stamp.time_ms <= last_ms
        ]
        return sorted([*found, *called], key=lambda stamp: stamp.time_ms) if called else found

    def _price(self, symbol: PracticeSymbol, time_ms: int, price: PriceKind) -> Decimal:
        ticks = self._ticks(symbol.key, time_ms, price)
        return Decimal(0) if ticks is None else ticks * symbol.tick

    def _ticks(self, key: Key, time_ms: int, price: PriceKind) -> int | None:
        """Return the price in the ticks of now; the source counts in its own."""
        ticks = self._prices.ticks(key, time_ms, price)
        if ticks is None or key not in self._rules:
            return ticks
        return max(1, round(ticks * self._listed[key].tick / self._symbols[key].tick))

    def _side(self, key: Key, time_ms: int) -> Side:
        now, before = (
            self._ticks(key, stamp, "last") or 0 for stamp in (time_ms, time_ms - self.update_ms)
        )
        if now == before:
            return "Buy" if seed_of(self.seed, "side", *key, time_ms) & 1 else "Sell"
        return "Buy" if now > before else "Sell"

    def _worth(self, key: Key, time_ms: int) -> float:
        """Return the usual value of a level: two seconds of turnover, within limits."""
        return min(max(self._prices.turnover(key, time_ms) * 2, 5_000.0), 200_000.0)

    def _trade(self, key: Key, time_ms: int) -> Printed | None:
        draw = seed_of(self.seed, "trade", *key, time_ms)
        if (draw & 0xFFFF) / 0x10000 >= TRADED or not self._prices.traded(key, time_ms):
            return None
        symbol = self._symbol(key, time_ms)
        price = self._ticks(key, time_ms, "last")
        if price is None or symbol.status != "Trading":
            return None
        worth = self._worth(key, time_ms) * (0.02 + 0.5 * ((draw >> 16) & 0xFFFF) / 0x10000)
        name, side = str(UUID(f"{draw:016x}{time_ms:016x}")), self._side(key, time_ms)
        qty = quantity(symbol, worth, price)
        return Printed(key, name, side, price * symbol.tick, qty, time_ms)
