"""A market for benchmarks: books of which a level changes as often as told, at next to no cost."""

from __future__ import annotations

import math
from decimal import Decimal

from live_nodes.practice.exchange.exchange import Exchange
from live_nodes.practice.exchange.model import Key, Level, PracticeSymbol
from live_nodes.practice.market.feed import (
    INTERVAL_MS,
    Candle,
    FundingRate,
    MarketStep,
    PriceKind,
    Prices,
    PublicTrade,
)

TRADED: Key = ("linear", "TRADEDUSDT")
"""What the strategies trade; its book is not listened to."""
PRICE, TICK, LOT = Decimal(100), Decimal("0.1"), Decimal("0.1")
SIZES = 64
"""Sizes of a best bid before the first one comes again: an order repeats the size it saw."""
LEVELS = 50
IDLE_S = 0.05
LEAST_STEP_S = 0.001
EIGHT_HOURS_MS = 28_800_000
REFRESHED_EVERY = 256
"""Steps between two marks of all symbols, so that their tickers speak."""


class PacedMarket:
    """A `live_nodes.practice.market.feed.Market`; its symbols `signal_names` change one after the
    other.

    Parameters
    ----------
    signals : int
        How many symbols change.

    Attributes
    ----------
    rate : float
        Book updates a second, all symbols together; 0 while nothing changes.
    """

    def __init__(self, signals: int) -> None:
        self.rate = 0.0
        self.step_seconds = IDLE_S
        self._each = 0
        self._steps = 0
        self._turn = 0
        names = [*signal_names(signals), TRADED[1]]
        self._symbols = sorted(map(_symbol, names), key=lambda symbol: symbol.name)
        self._signals: list[Key] = [("linear", name) for name in signal_names(signals)]
        self._changes = dict.fromkeys(self._signals, 0)
        self._bids = [(PRICE - n * TICK, LOT * SIZES * 4) for n in range(1, LEVELS + 1)]
        self._asks = [(PRICE + n * TICK, LOT * SIZES * 4) for n in range(LEVELS)]
        # The same objects at each turn: levels that did not change are told by their identity.
        best = PRICE - TICK
        self._sizes: list[Level] = [(best, LOT * n) for n in range(1, SIZES + 1)]

    def pace(self, rate: float) -> None:
        """Let there be so many book updates a second from now on."""
        self.rate = rate
        self._each = math.ceil(rate * LEAST_STEP_S)
        self.step_seconds = self._each / rate if rate else IDLE_S

    def symbols(self, now_ms: int) -> list[PracticeSymbol]:
        """Return the symbols."""
        return self._symbols

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
        """Return candles that stand still."""
        length = INTERVAL_MS[interval]
        newest = min(now_ms, now_ms if end_ms is None else end_ms) // length
        oldest = newest - limit + 1 if start_ms is None else -(-start_ms // length)
        one = Decimal(1)
        return [
            Candle(number * length, PRICE, PRICE, PRICE, PRICE, one, PRICE)
            for number in range(max(oldest, newest - limit + 1), newest + 1)
        ]

    def funding_history(
        self, key: Key, start_ms: int | None, end_ms: int | None, limit: int, now_ms: int
    ) -> list[FundingRate]:
        """Return none."""
        return []

    def funding(self, key: Key, now_ms: int) -> tuple[Decimal, int]:
        """Return a rate of nothing; it is never settled."""
        return Decimal(0), (now_ms // EIGHT_HOURS_MS + 1) * EIGHT_HOURS_MS

    def trades(self, key: Key, now_ms: int, limit: int) -> list[PublicTrade]:
        """Return none."""
        return []

    def book(self, key: Key, now_ms: int) -> tuple[list[Level], list[Level]]:
        """Return bids and asks, best first."""
        bids = self._bids
        if key in self._changes:
            bids = [self._sizes[self._changes[key] % SIZES], *bids[1:]]
        return bids, self._asks

    def prices(self, key: Key, now_ms: int) -> Prices:
        """Return the ticker's figures; the mark moves a little now and then."""
        mark = PRICE + TICK * (self._steps // REFRESHED_EVERY % 2)
        return Prices(
            last=PRICE,
            mark=mark,
            index=mark,
            previous_24h=PRICE,
            high_24h=PRICE,
            low_24h=PRICE,
            volume_24h=Decimal(1000),
            turnover_24h=PRICE * 1000,
            previous_1h=PRICE,
            open_interest=Decimal(1000),
            funding_rate=Decimal(0),
            next_funding_ms=self.funding(key, now_ms)[1],
            funding_minutes=480,
        )

    def step(self, exchange: Exchange, now_ms: int) -> MarketStep:
        """Change the books whose turn it is, and fill up what was bought and sold."""
        if self._steps % REFRESHED_EVERY == 0:
            quoted = [symbol.key for symbol in self._symbols]
            for key in quoted:
                exchange.set_mark(key, PRICE, PRICE, now_ms, PRICE)
        else:
            signals = self._signals
            quoted = [signals[(self._turn + n) % len(signals)] for n in range(self._each)]
            self._turn += self._each
        self._steps += 1
        for key in quoted:
            if key in self._changes:
                self._changes[key] += 1
            exchange.quote(key, *self.book(key, now_ms), now_ms)
        exchange.quote(TRADED, *self.book(TRADED, now_ms), now_ms)
        return MarketStep(tuple(quoted))

    def move(self, key: Key, price: Decimal, now_ms: int) -> None:
        """Refuse: nothing here moves by hand."""
        raise NotImplementedError("the market of a benchmark is not moved by hand")


def signal_names(number: int) -> list[str]:
    """Return the names of the symbols that change."""
    return [f"SIGNAL{n}USDT" for n in range(number)]


def _symbol(name: str) -> PracticeSymbol:
    return PracticeSymbol(
        category="linear",
        name=name,
        base=name.removesuffix("USDT"),
        quote="USDT",
        settle="USDT",
        tick=TICK,
        lot=LOT,
        min_qty=LOT,
        max_qty=LOT * 100_000,
        max_market_qty=LOT * 100_000,
        min_notional=Decimal(5),
        funding_minutes=480,
        launch_ms=1_584_230_400_000,
    )
