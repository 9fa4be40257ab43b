"""The synthetic book: a pure function of seed, symbol, price and time; few levels change."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from live_nodes.practice.exchange.model import Level, PracticeSymbol, Side
from live_nodes.practice.market.price_paths import uniforms

SPREAD = 0.00002
GRID = 0.00005
"""Distance of bid and ask, and of two levels, as a fraction of the price (at least a tick)."""
_NOTHING: Level = (Decimal(0), Decimal(0))


def top_of_book(price: int, side: Side) -> tuple[int, int]:
    """Return bid and ask in ticks, from the last trade's price and its taker's side."""
    spread = max(1, round(price * SPREAD))
    return (price - spread, price) if side == "Buy" else (price, price + spread)


class SyntheticBook:
    """Draws one symbol's books; a level's size lasts `lasting_ms`."""

    def __init__(self, symbol: PracticeSymbol, depth: int, lasting_ms: int, seed: int) -> None:
        self._depth = depth
        self._bids = _Side(symbol, lasting_ms, seed ^ 0xB1D)
        self._asks = _Side(symbol, lasting_ms, seed ^ 0xA5C)
        self._top: tuple[int, int] | None = None
        self._below: list[int] = []
        self._above: list[int] = []

    def draw(
        self, bid: int, ask: int, worth: float, now_ms: int
    ) -> tuple[list[Level], list[Level]]:
        """Draw levels, best first, of about `worth` quote coin; `bid` and `ask` are in ticks."""
        if self._top != (bid, ask):
            self._top = (bid, ask)
            grid = _nice(bid * GRID)
            count = range(self._depth - 1)
            bids, asks = (bid - 1) // grid * grid, (ask // grid + 1) * grid
            self._below = [bid, *(price for n in count if (price := bids - n * grid) > 0)]
            self._above = [ask, *(asks + n * grid for n in count)]
        return (
            self._bids.draw(self._below, worth, now_ms),
            self._asks.draw(self._above, worth, now_ms),
        )


class _Side:
    def __init__(self, symbol: PracticeSymbol, lasting_ms: int, seed: int) -> None:
        self._symbol = symbol
        self._lasting_ms = lasting_ms
        self._seed = np.uint64(seed)
        self._least = max(1, int(symbol.min_qty / symbol.lot))
        self._prices: list[int] = []
        self._own = np.empty(0, np.uint64)
        self._phase = np.empty(0, np.int64)
        self._drawn: dict[int, tuple[int, float, Level]] = {}
        self._levels: list[Level] = []
        self._worth = -1.0
        self._drawn_ms = 0
        self._until_ms: NDArray[np.int64] = np.empty(0, np.int64)

    def draw(self, prices: list[int], worth: float, now_ms: int) -> list[Level]:
        if prices is self._prices and worth == self._worth and now_ms >= self._drawn_ms:
            # Usual case: only time has passed, so one or two levels are out of date.
            old = np.flatnonzero(self._until_ms <= now_ms)
        else:
            old = np.arange(len(prices))
            if prices is not self._prices:
                self._place(prices)
        self._worth, self._drawn_ms = worth, now_ms
        if len(old):
            ages = (now_ms + self._phase[old]) // self._lasting_ms
            self._until_ms[old] = (ages + 1) * self._lasting_ms - self._phase[old]
            self._renew(old.tolist(), ages.tolist(), worth)
        return list(self._levels)

    def _place(self, prices: list[int]) -> None:
        self._prices = prices
        self._own = np.array(prices).astype(np.uint64) * np.uint64(0x2545F4914F6CDD1D) + self._seed
        self._phase = (uniforms(self._own) * self._lasting_ms).astype(np.int64)
        kept = self._drawn
        self._drawn = {price: kept[price] for price in prices if price in kept}
        self._levels = [_NOTHING] * len(prices)
        self._until_ms = np.zeros(len(prices), np.int64)

    def _renew(self, places: list[int], ages: list[int], worth: float) -> None:
        drawn = self._drawn
        old = [
            (place, age)
            for place, age in zip(places, ages, strict=True)
            if (last := drawn.get(self._prices[place])) is None
            or last[0] != age
            or last[1] != worth
        ]
        if old:
            self._redraw([place for place, _ in old], [age for _, age in old], worth)
        for place in places:
            self._levels[place] = drawn[self._prices[place]][2]

    def _redraw(self, places: list[int], ages: list[int], worth: float) -> None:
        symbol = self._symbol
        age = np.array(ages, np.uint64)
        luck = uniforms(self._own[places] ^ (age * np.uint64(0x9E6C63D0876A9A35)))
        # Skewed as real sizes are: between a fifth and about four times the usual worth.
        wealth = (worth * (0.2 + 4 * luck**3)).tolist()
        for place, its_age, worth_here in zip(places, ages, wealth, strict=True):
            price = self._prices[place]
            lots = round(worth_here / (price * float(symbol.tick)) / float(symbol.lot))
            level = (price * symbol.tick, max(lots, self._least) * symbol.lot)
            self._drawn[price] = (its_age, worth, level)


def _nice(value: float) -> int:
    """Return the largest of 1, 2, 5, 10, 20 … up to the value; at least 1."""
    if value < 1:
        return 1
    power = 10 ** int(math.log10(value))
    return int(next(power * step for step in (5, 2, 1) if power * step <= value))


def quantity(symbol: PracticeSymbol, worth: float, price: int) -> Decimal:
    """Return the quantity of about this value, in whole lots and not below the minimum."""
    lots = round(worth / (price * float(symbol.tick)) / float(symbol.lot))
    return max(lots * symbol.lot, symbol.min_qty)
