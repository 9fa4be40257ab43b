"""A market for benchmarks: books of which a level changes as often as told, at next to no cost."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from typing import Literal

from live_nodes.practice.exchange.exchange import Exchange
from live_nodes.practice.exchange.model import Key, Level
from live_nodes.practice.market.feed import Prices
from tests.live_nodes.practice.still_market import StillMarket, listing

Name = Literal["ours", "bare"]
PARTIES: tuple[Name, ...] = ("ours", "bare")
"""Nodes of a benchmark, which are also their accounts."""
TRADED: Key = ("linear", "TRADEDUSDT")
"""What the strategies trade; its book is not listened to."""
PRICE, TICK, LOT = Decimal(100), Decimal("0.1"), Decimal("0.1")
SIZES = 2_000
"""Sizes of a best bid before the first one comes again: an order repeats the size it saw."""
LEVELS = 50
IDLE_S = 0.05
LEAST_STEP_S = 0.001
REFRESHED_EVERY = 256
"""Steps between two marks of all symbols, so that their tickers speak."""


class PacedMarket(StillMarket):
    """Its symbols `signal_names` change one after the other.

    `rate` is book updates a second, all symbols together; 0 while nothing changes.
    """

    def __init__(self, signals: int) -> None:
        super().__init__(levels=0)
        self.rate = 0.0
        self.step_seconds = IDLE_S
        self._each = 0
        self._turn = 0
        names = sorted([*signal_names(signals), TRADED[1]])
        self.listed = [
            listing("linear", name.removesuffix("USDT"), str(TICK), str(LOT)) for name in names
        ]
        self.last = {symbol.key: PRICE for symbol in self.listed}
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

    def book(self, key: Key, now_ms: int) -> tuple[list[Level], list[Level]]:
        bids = self._bids
        if key in self._changes:
            bids = [self._sizes[self._changes[key] % SIZES], *bids[1:]]
        return bids, self._asks

    def prices(self, key: Key, now_ms: int) -> Prices:
        """Return the ticker's figures; the mark moves a little now and then."""
        mark = PRICE + TICK * (self.steps // REFRESHED_EVERY % 2)
        return replace(super().prices(key, now_ms), mark=mark, index=mark)

    def step(self, exchange: Exchange, now_ms: int) -> list[Key]:
        """Change the books whose turn it is, and fill up what was bought and sold."""
        if self.steps % REFRESHED_EVERY == 0:
            quoted = [symbol.key for symbol in self.listed]
            for key in quoted:
                exchange.set_mark(key, PRICE, PRICE, now_ms, PRICE)
        else:
            signals = self._signals
            quoted = [signals[(self._turn + n) % len(signals)] for n in range(self._each)]
            self._turn += self._each
        self.steps += 1
        for key in quoted:
            if key in self._changes:
                self._changes[key] += 1
            exchange.quote(key, *self.book(key, now_ms), now_ms)
        exchange.quote(TRADED, *self.book(TRADED, now_ms), now_ms)
        return quoted


def signal_names(number: int) -> list[str]:
    return [f"SIGNAL{n}USDT" for n in range(number)]


def own_signal(party: Name) -> str:
    """Return the symbol whose books a party answers."""
    return signal_names(len(PARTIES))[PARTIES.index(party)]
