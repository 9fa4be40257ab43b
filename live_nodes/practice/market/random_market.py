"""A random market: each price is a pure function of seed and time.

The logarithm of a price is a sum of smooth noises, each four times as slow and twice as large as
the one before: like a random walk over minutes to months, but it returns to its mean.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from config.documents.exchange import RandomMarket, RandomSymbol
from live_nodes.practice.exchange.model import DAY_MS, MINUTE_MS, Key, PracticeSymbol
from live_nodes.practice.market.feed import CandleColumns, FundingRate, PriceKind, joined
from live_nodes.practice.market.price_paths import seed_of, uniforms

MINUTES_A_DAY = 1_440
PERIODS = tuple(4**power for power in range(10))
"""Minutes between the knots of each noise, from one minute to half a year."""
LAUNCH_MS = 1_704_067_200_000
"""2024-01-01: launch time of all symbols."""
DAILY_TURNOVER = 500_000_000.0
"""Of each symbol, in the quote coin."""
BASE_RATE = 0.0001
"""The interest part of Bybit's funding rate, for eight hours."""
QUOTES = ("USDT", "USDC")


class RandomSource:
    """A `live_nodes.practice.market.feed.CandleSource` of one-minute candles."""

    length_ms = MINUTE_MS

    def __init__(self, document: RandomMarket) -> None:
        self._document = document
        self._specs: dict[Key, RandomSymbol] = {
            (product, name): spec
            for name, spec in document.symbols.items()
            for product in spec.products
        }
        self._symbols = [_symbol(document, key, spec) for key, spec in sorted(self._specs.items())]
        # Variance of a day's change: twice a noise's own where knots are less than a day apart,
        # else that of the straight line between two knots.
        daily = np.sqrt(
            sum(2 * period * min(1.0, MINUTES_A_DAY / period) ** 2 for period in PERIODS)
        )
        self._size = float(document.volatility) / daily
        self._day = lru_cache(maxsize=256)(self._draw_day)

    def symbols(self, now_ms: int) -> list[PracticeSymbol]:
        """Return all symbols launched by now, sorted; all are ``Trading``."""
        return [symbol for symbol in self._symbols if symbol.launch_ms <= now_ms]

    def candles(self, key: Key, first_ms: int, last_ms: int, price: PriceKind) -> CandleColumns:
        """Return the candles that start in [first_ms, last_ms]; all price kinds are equal."""
        first = max(first_ms, LAUNCH_MS)
        days = range(first // DAY_MS, last_ms // DAY_MS + 1)
        return joined(self._day(key, day) for day in days).between(first, last_ms)

    def latest(self, key: Key, before_ms: int) -> CandleColumns:
        """Return the one candle of last prices that starts at or before the time, or none."""
        start = before_ms // MINUTE_MS * MINUTE_MS
        return self.candles(key, start, start, "last")

    def funding(self, key: Key, first_ms: int, last_ms: int) -> list[FundingRate]:
        """Return settlements in [first_ms, last_ms], oldest first, also future ones."""
        if key[0] == "spot":
            return []
        every = self._document.funding_minutes * MINUTE_MS
        first = -(-max(first_ms, LAUNCH_MS) // every)
        return [
            FundingRate(index * every, self._rate(key, index))
            for index in range(first, last_ms // every + 1)
        ]

    def _rate(self, key: Key, index: int) -> Decimal:
        luck = seed_of(self._document.seed, "funding", *key, index) / 2**64
        part = self._document.funding_minutes / 480
        return Decimal(f"{BASE_RATE * part * (4 * luck - 1):.8f}")

    def _log_prices(self, name: str, minutes: NDArray[np.int64]) -> NDArray[np.float64]:
        total = np.zeros(len(minutes))
        for period in PERIODS:
            own = np.uint64(seed_of(self._document.seed, name, period))
            knot, inside = np.divmod(minutes, period)
            left, right = (_normal_like(own + (knot + step).astype(np.uint64)) for step in (0, 1))
            share = inside / period
            total += np.sqrt(period) * ((1 - share) * left + share * right)
        return total * self._size

    def _draw_day(self, key: Key, day: int) -> CandleColumns:
        spec, name = self._specs[key], key[1]
        minutes = np.arange(day * MINUTES_A_DAY - 1, (day + 1) * MINUTES_A_DAY)
        logs = self._log_prices(name, minutes)
        ticks = np.exp(logs) * float(spec.price / spec.tick)
        edges = np.maximum(2, np.rint(ticks).astype(np.int64))
        open_, close = edges[:-1], edges[1:]
        own = np.uint64(seed_of(self._document.seed, "wick", name))
        luck = [uniforms(own + minutes[1:].astype(np.uint64) * np.uint64(4 + n)) for n in range(3)]
        reach = close * (self._size * 2)
        high = np.maximum(open_, close) + np.rint(luck[0] * reach).astype(np.int64)
        low = np.maximum(1, np.minimum(open_, close) - np.rint(luck[1] * reach).astype(np.int64))
        worth = DAILY_TURNOVER / MINUTES_A_DAY * (0.3 + 1.4 * luck[2])
        price = close * float(spec.tick)
        lots = np.maximum(1, np.rint(worth / price / float(spec.lot))).astype(np.int64)
        starts = minutes[1:] * MINUTE_MS
        return CandleColumns(starts, open_, high, low, close, lots, lots * float(spec.lot) * price)


def _normal_like(values: NDArray[np.uint64]) -> NDArray[np.float64]:
    parts = [uniforms(values * np.uint64(3) + np.uint64(step)) for step in range(3)]
    return (parts[0] + parts[1] + parts[2] - 1.5) * 2


def _symbol(document: RandomMarket, key: Key, spec: RandomSymbol) -> PracticeSymbol:
    category, name = key
    quote = next(coin for coin in QUOTES if name.endswith(coin))
    linear = category == "linear"
    most = (Decimal(10_000_000) / spec.price // spec.lot + 1) * spec.lot
    return PracticeSymbol(
        category="linear" if linear else "spot", name=name, base=name.removesuffix(quote),
        quote=quote, settle=quote, tick=spec.tick, lot=spec.lot, min_qty=spec.lot, max_qty=most,
        max_market_qty=most, min_notional=Decimal(5), max_leverage=Decimal(100 if linear else 1),
        maintenance_margin=Decimal("0.005" if linear else 0),
        funding_minutes=document.funding_minutes if linear else 0, launch_ms=LAUNCH_MS,
    )  # fmt: skip
