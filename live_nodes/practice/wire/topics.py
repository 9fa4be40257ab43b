"""Public topics: what each tells a new subscriber, and what it tells of a change.

Depths, intervals, snapshot and delta rules, and push frequencies are of
https://bybit-exchange.github.io/docs/v5/websocket/public/orderbook and its neighbours. Books of
depth 1 and 50 are told at every change (Bybit: every 10 and 20 ms). Pauses are measured by the true
clock, so that a clock that is told wrong on purpose does not silence a topic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from live_nodes.practice.exchange.model import ZERO, Key, Level
from live_nodes.practice.market.feed import INTERVAL_MS, Candle
from live_nodes.practice.wire.market_payloads import kline_push, levels, ticker_push
from live_nodes.practice.wire.venue import Venue

Json = dict[str, Any]
DEPTHS = {"linear": (1, 50, 200, 500, 1000), "spot": (1, 50, 200, 1000)}
BOOK_PAUSE_MS = {1: 0, 50: 0, 200: 100, 500: 100, 1000: 200}
REPEAT_MS = 3_000
TICKER_PAUSE_MS = {"linear": 100, "spot": 50}
KLINE_PAUSE_MS = 1_000


class Topic(Protocol):
    """One public topic of one symbol."""

    name: str

    def snapshot(self, now_ms: int) -> Json | None:
        """Return what a new subscriber is told first; None for nothing."""

    def news(self, touched: bool, now_ms: int) -> Sequence[Json]:
        """Return what has changed, for everyone; called after each step and request."""


class BookTopic:
    """``orderbook.{depth}.{symbol}``: `u` counts the messages from 1 on, without a gap."""

    def __init__(self, venue: Venue, key: Key, depth: int) -> None:
        self.name = f"orderbook.{depth}.{key[1]}"
        self._venue = venue
        self._key = key
        self._depth = depth
        self._pause = BOOK_PAUSE_MS[depth]
        self._bids, self._asks = venue.book(key, depth)
        self._update = 1
        self._seq = venue.book_numbers(key)[1]
        self._told_ms = venue.clock_ms()
        self._stale = False

    def snapshot(self, now_ms: int) -> Json:
        """Return the whole book as everyone last heard it, so that the next delta fits."""
        return self._message("snapshot", self._bids, self._asks, now_ms)

    def news(self, touched: bool, now_ms: int) -> Sequence[Json]:
        """Return the changed levels; of depth 1 the whole, and again after three quiet seconds."""
        self._stale = self._stale or touched
        clock_ms = self._venue.clock_ms()
        if not self._stale or clock_ms - self._told_ms < self._pause:
            return self._repetition(clock_ms, now_ms)
        self._stale = False
        bids, asks = self._venue.book(self._key, self._depth)
        changed_bids = changes(self._bids, bids, bids=True)
        changed_asks = changes(self._asks, asks, bids=False)
        self._bids, self._asks = bids, asks
        if not changed_bids and not changed_asks:
            return self._repetition(clock_ms, now_ms)
        self._update += 1
        self._seq = self._venue.book_numbers(self._key)[1]
        self._told_ms = clock_ms
        if self._depth == 1:
            return (self._message("snapshot", bids, asks, now_ms),)
        return (self._message("delta", changed_bids, changed_asks, now_ms),)

    def _repetition(self, clock_ms: int, now_ms: int) -> Sequence[Json]:
        if self._depth != 1 or clock_ms - self._told_ms < REPEAT_MS:
            return ()
        self._told_ms = clock_ms
        return (self._message("snapshot", self._bids, self._asks, now_ms),)

    def _message(
        self, kind: str, bids: Sequence[Level], asks: Sequence[Level], now_ms: int
    ) -> Json:
        return {
            "topic": self.name,
            "type": kind,
            "ts": now_ms,
            "data": {
                "s": self._key[1],
                "b": levels(bids),
                "a": levels(asks),
                "u": self._update,
                "seq": self._seq,
            },
            "cts": now_ms,
        }


def changes(old: Sequence[Level], new: Sequence[Level], bids: bool) -> list[Level]:
    """Return the levels that differ, best first, those that went with quantity 0.

    Both sides are sorted, so they are walked side by side: hashing decimals would cost more.
    """
    if old == new:
        return []
    found: list[Level] = []
    place = 0
    for level in new:
        price = level[0]
        while place < len(old):
            before = old[place]
            if before is level or before[0] == price:
                place += 1
                if before[1] != level[1]:
                    found.append(level)
                break
            if (before[0] > price) is not bids:
                found.append(level)
                break
            found.append((before[0], ZERO))
            place += 1
        else:
            found.append(level)
    found += [(price, ZERO) for price, _ in old[place:]]
    return found


class TickerTopic:
    """``tickers.{symbol}``: linear a snapshot, then the changed keys; spot snapshots only."""

    def __init__(self, venue: Venue, key: Key) -> None:
        self.name = f"tickers.{key[1]}"
        self._venue = venue
        self._key = key
        self._pause = TICKER_PAUSE_MS[key[0]]
        self._data = self._read()
        self._told_ms = venue.clock_ms()
        self._stale = False

    def snapshot(self, now_ms: int) -> Json:
        """Return all keys as everyone last heard them."""
        return self._message("snapshot", self._data, now_ms)

    def news(self, touched: bool, now_ms: int) -> Sequence[Json]:
        """Return what has changed, at most once a pause."""
        self._stale = self._stale or touched
        clock_ms = self._venue.clock_ms()
        if not self._stale or clock_ms - self._told_ms < self._pause:
            return ()
        self._stale = False
        data = self._read()
        changed = {name: value for name, value in data.items() if self._data.get(name) != value}
        self._data = data
        if not changed:
            return ()
        self._told_ms = clock_ms
        if self._key[0] == "spot":
            return (self._message("snapshot", data, now_ms),)
        return (self._message("delta", {"symbol": self._key[1]} | changed, now_ms),)

    def _read(self) -> Json:
        bids, asks = self._venue.book(self._key, 1)
        prices = self._venue.market.prices(self._key, self._venue.clock_ms())
        return ticker_push(self._key, prices, bids, asks)

    def _message(self, kind: str, data: Json, now_ms: int) -> Json:
        return {
            "topic": self.name,
            "type": kind,
            "data": data,
            "cs": self._venue.book_numbers(self._key)[1],
            "ts": now_ms,
        }


class KlineTopic:
    """``kline.{interval}.{symbol}``: the forming candle; `confirm` once it has closed."""

    def __init__(self, venue: Venue, key: Key, interval: str) -> None:
        self.name = f"kline.{interval}.{key[1]}"
        self._venue = venue
        self._key = key
        self._interval = interval
        self._candle = self._forming()
        self._told_ms = venue.clock_ms()

    def snapshot(self, now_ms: int) -> Json | None:
        """Return the forming candle; None before there is one."""
        return self._message(self._candle, False, now_ms) if self._candle else None

    def news(self, touched: bool, now_ms: int) -> Sequence[Json]:
        """Return the forming candle once a second, and the closed one as soon as it has closed."""
        before = self._candle
        clock_ms, length = self._venue.clock_ms(), INTERVAL_MS[self._interval]
        closed = before is not None and clock_ms >= before.start_ms + length
        if not closed and clock_ms - self._told_ms < KLINE_PAUSE_MS:
            return ()
        self._told_ms = clock_ms
        found: list[Json] = []
        if before is not None and closed:
            final = self._latest(before.start_ms)
            found.append(self._message(final or before, True, now_ms))
        self._candle = self._forming()
        if self._candle is not None and self._candle != before:
            found.append(self._message(self._candle, False, now_ms))
        return found

    def _forming(self) -> Candle | None:
        candle = self._latest(None)
        if candle is None:
            return None
        ends = candle.start_ms + INTERVAL_MS[self._interval]
        return candle if self._venue.clock_ms() < ends else None

    def _latest(self, start_ms: int | None) -> Candle | None:
        now_ms = self._venue.clock_ms()
        rows = self._venue.market.klines(self._key, self._interval, start_ms, start_ms, 1, now_ms)
        return rows[-1] if rows else None

    def _message(self, candle: Candle, confirmed: bool, now_ms: int) -> Json:
        return {
            "topic": self.name,
            "type": "snapshot",
            "data": [kline_push(candle, self._interval, confirmed, now_ms)],
            "ts": now_ms,
        }
