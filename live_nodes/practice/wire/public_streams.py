"""The public link: subscribers, and the snapshots and deltas of each topic.

Rules: https://bybit-exchange.github.io/docs/v5/websocket/public/orderbook and its neighbours. Books
of depth 1 and 50 are pushed at every change (Bybit: every 10 and 20 ms). Pauses use the true clock,
so that a clock fault does not silence a topic.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby

import msgspec

from live_nodes.practice.exchange.model import ZERO, BybitRefusal, Key, Level
from live_nodes.practice.exchange.records import Event, ExecutionRow, Printed
from live_nodes.practice.market.feed import INTERVAL_MS, Candle
from live_nodes.practice.wire.connections import WireConnection
from live_nodes.practice.wire.market_payloads import (
    kline_push,
    levels,
    liquidation,
    public_trade,
    ticker_push,
)
from live_nodes.practice.wire.spelling import Json
from live_nodes.practice.wire.venue import PracticeVenue

DEPTHS = {"linear": (1, 50, 200, 500, 1000), "spot": (1, 50, 200, 1000)}
BOOK_PAUSE_MS = {1: 0, 50: 0, 200: 100, 500: 100, 1000: 200}
REPEAT_MS = 3_000
TICKER_PAUSE_MS = {"linear": 100, "spot": 50}
KLINE_PAUSE_MS = 1_000


class PublicStreams:
    """Public topics of linear and spot."""

    def __init__(self, venue: PracticeVenue) -> None:
        self._venue = venue
        self._topics: dict[Key, dict[str, Topic]] = defaultdict(dict)
        self._listeners: dict[tuple[str, str], set[WireConnection]] = defaultdict(set)

    def check(self, category: str, name: str) -> None:
        """Refuse a topic or symbol that does not exist."""
        key = self._key(category, name)
        if name not in self._topics[key]:
            self._make(key, name)

    def subscribe(self, connection: WireConnection, category: str, name: str) -> Json | None:
        """Add a subscriber; return its first message. BybitRefusal 10001: unknown topic."""
        key = self._key(category, name)
        topic = self._topics[key].get(name) or self._make(key, name)
        if topic is not None:
            self._topics[key][name] = topic
        self._listeners[(category, name)].add(connection)
        connection.topics.add(name)
        return topic.snapshot(self._venue.client_ms()) if topic is not None else None

    def unsubscribe(self, connection: WireConnection, category: str, name: str) -> None:
        """Remove a subscriber; a topic without subscribers is dropped."""
        connection.topics.discard(name)
        listeners = self._listeners.get((category, name))
        if listeners is None:
            return
        listeners.discard(connection)
        if not listeners:
            del self._listeners[(category, name)]
            self._topics[(category, name.rsplit(".", 1)[-1])].pop(name, None)

    def leave(self, connection: WireConnection, category: str) -> None:
        """Remove a connection's subscriptions."""
        for name in list(connection.topics):
            self.unsubscribe(connection, category, name)

    def publish(self, events: list[Event], touched: Iterable[Key], now_ms: int) -> None:
        """Push public trades and everything else that changed."""
        prints = [event for event in events if isinstance(event, Printed)]
        for key, group in groupby(prints, lambda event: event.key):
            name = f"publicTrade.{key[1]}"
            if (key[0], name) in self._listeners:
                data = [public_trade(one) for one in group]
                self._send(key[0], name, _message(name, "snapshot", data, now_ms))
        for event in events:
            if isinstance(event, ExecutionRow) and event.exec_type == "BustTrade":
                name = f"allLiquidation.{event.symbol}"
                if (event.category, name) in self._listeners:
                    message = _message(name, "snapshot", [liquidation(event)], now_ms)
                    self._send(event.category, name, message)
        keys = set(touched)
        for key, topics in self._topics.items():
            for topic in topics.values():
                for message in topic.news(key in keys, now_ms):
                    self._send(key[0], topic.name, message)

    def _send(self, category: str, name: str, message: Json) -> None:
        listeners = self._listeners[(category, name)]
        for delay_s, changed in self._venue.faults.on_push("public", name, message):
            text = msgspec.json.encode(changed).decode()
            for connection in listeners:
                connection.send(text, delay_s)

    def _key(self, category: str, name: str) -> Key:
        key = (category, name.rsplit(".", 1)[-1])
        try:
            self._venue.exchange.symbol(key)
        except BybitRefusal:
            raise BybitRefusal(10001, f"Invalid symbol :[{name}]") from None
        return key

    def _make(self, key: Key, name: str) -> Topic | None:
        kind, *middle = name.split(".")[:-1] or [name]
        if kind == "publicTrade" and not middle:
            return None
        if kind == "allLiquidation" and not middle and key[0] == "linear":
            return None
        if kind == "tickers" and not middle:
            return TickerTopic(self._venue, key)
        if kind == "orderbook" and middle in [[str(depth)] for depth in DEPTHS[key[0]]]:
            return BookTopic(self._venue, key, int(middle[0]))
        if kind == "kline" and len(middle) == 1 and middle[0] in INTERVAL_MS:
            return KlineTopic(self._venue, key, middle[0])
        raise BybitRefusal(10001, f"error:handler not found,topic:{name}")


class Topic(ABC):
    """One public topic of one symbol."""

    def __init__(self, venue: PracticeVenue, key: Key, name: str) -> None:
        self.name = f"{name}.{key[1]}"
        self._venue, self._key = venue, key
        self._sent_ms = venue.clock_ms()
        self._stale = False

    @abstractmethod
    def snapshot(self, now_ms: int) -> Json | None:
        """Return the first message for a new subscriber; None for no message."""

    @abstractmethod
    def news(self, touched: bool, now_ms: int) -> Sequence[Json]:
        """Return messages about changes for all subscribers; called after each step and request."""

    def _due(self, touched: bool, pause_ms: int) -> bool:
        self._stale = self._stale or touched
        due = self._stale and self._venue.clock_ms() - self._sent_ms >= pause_ms
        self._stale = self._stale and not due
        return due


class BookTopic(Topic):
    """``orderbook.{depth}.{symbol}``: `u` counts the messages from 1 on, without a gap."""

    def __init__(self, venue: PracticeVenue, key: Key, depth: int) -> None:
        super().__init__(venue, key, f"orderbook.{depth}")
        self._depth = depth
        self._pause = BOOK_PAUSE_MS[depth]
        self._bids, self._asks = venue.book(key, depth)
        self._update = 1
        self._seq = venue.book_numbers(key)[1]

    def snapshot(self, now_ms: int) -> Json:
        """Return the whole book as last sent, so that the next delta fits."""
        return self._message("snapshot", self._bids, self._asks, now_ms)

    def news(self, touched: bool, now_ms: int) -> Sequence[Json]:
        """Return changed levels; the whole book at depth 1, repeated after three quiet seconds."""
        if not self._due(touched, self._pause):
            return self._repetition(now_ms)
        bids, asks = self._venue.book(self._key, self._depth)
        changed_bids = changes(self._bids, bids, bids=True)
        changed_asks = changes(self._asks, asks, bids=False)
        self._bids, self._asks = bids, asks
        if not changed_bids and not changed_asks:
            return self._repetition(now_ms)
        self._update += 1
        self._seq = self._venue.book_numbers(self._key)[1]
        self._sent_ms = self._venue.clock_ms()
        if self._depth == 1:
            return (self._message("snapshot", bids, asks, now_ms),)
        return (self._message("delta", changed_bids, changed_asks, now_ms),)

    def _repetition(self, now_ms: int) -> Sequence[Json]:
        clock_ms = self._venue.clock_ms()
        if self._depth != 1 or clock_ms - self._sent_ms < REPEAT_MS:
            return ()
        self._sent_ms = clock_ms
        return (self._message("snapshot", self._bids, self._asks, now_ms),)

    def _message(
        self, kind: str, bids: Sequence[Level], asks: Sequence[Level], now_ms: int
    ) -> Json:
        sides = {"b": levels(bids), "a": levels(asks)}
        data = {"s": self._key[1], **sides, "u": self._update, "seq": self._seq}
        return _message(self.name, kind, data, now_ms) | {"cts": now_ms}


def changes(old: Sequence[Level], new: Sequence[Level], bids: bool) -> list[Level]:
    """Return changed levels, best first (removed: 0); hashing decimals would be slower."""
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


class TickerTopic(Topic):
    """``tickers.{symbol}``: linear a snapshot, then the changed keys; spot snapshots only."""

    def __init__(self, venue: PracticeVenue, key: Key) -> None:
        super().__init__(venue, key, "tickers")
        self._pause = TICKER_PAUSE_MS[key[0]]
        self._data = self._read()

    def snapshot(self, now_ms: int) -> Json:
        """Return all keys as last sent."""
        return self._message("snapshot", self._data, now_ms)

    def news(self, touched: bool, now_ms: int) -> Sequence[Json]:
        """Return the changes, at most once per pause."""
        if not self._due(touched, self._pause):
            return ()
        data = self._read()
        changed = {name: value for name, value in data.items() if self._data.get(name) != value}
        self._data = data
        if not changed:
            return ()
        self._sent_ms = self._venue.clock_ms()
        if self._key[0] == "spot":
            return (self._message("snapshot", data, now_ms),)
        return (self._message("delta", {"symbol": self._key[1]} | changed, now_ms),)

    def _read(self) -> Json:
        bids, asks = self._venue.book(self._key, 1)
        prices = self._venue.market.prices(self._key, self._venue.clock_ms())
        return ticker_push(self._key, prices, bids, asks)

    def _message(self, kind: str, data: Json, now_ms: int) -> Json:
        number = self._venue.book_numbers(self._key)[1]
        return _message(self.name, kind, data, now_ms) | {"cs": number}


class KlineTopic(Topic):
    """``kline.{interval}.{symbol}``: the forming candle; `confirm` is true once it has closed."""

    def __init__(self, venue: PracticeVenue, key: Key, interval: str) -> None:
        super().__init__(venue, key, f"kline.{interval}")
        self._interval = interval
        self._candle = self._forming()

    def snapshot(self, now_ms: int) -> Json | None:
        """Return the forming candle; None before there is one."""
        return self._message(self._candle, False, now_ms) if self._candle else None

    def news(self, touched: bool, now_ms: int) -> Sequence[Json]:
        """Return the forming candle once a second, and each closed candle at once."""
        before = self._candle
        clock_ms, length = self._venue.clock_ms(), INTERVAL_MS[self._interval]
        closed = before is not None and clock_ms >= before.start_ms + length
        if not closed and clock_ms - self._sent_ms < KLINE_PAUSE_MS:
            return ()
        self._sent_ms = clock_ms
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
        data = [kline_push(candle, self._interval, confirmed, now_ms)]
        return _message(self.name, "snapshot", data, now_ms)


def _message(topic: str, kind: str, data: Json | list[Json], now_ms: int) -> Json:
    return {"topic": topic, "type": kind, "ts": now_ms, "data": data}
