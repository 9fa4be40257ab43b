"""The public link: who subscribed to what, and one rendering of each message for all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import groupby
from typing import Any

import msgspec

from live_nodes.practice.exchange.model import Event, Key, Printed, Refusal
from live_nodes.practice.market.feed import INTERVAL_MS
from live_nodes.practice.wire.connections import Connection
from live_nodes.practice.wire.market_payloads import public_trade
from live_nodes.practice.wire.topics import DEPTHS, BookTopic, KlineTopic, TickerTopic, Topic
from live_nodes.practice.wire.venue import Venue

Json = dict[str, Any]
encode = msgspec.json.encode


class PublicStreams:
    """Public topics of linear and spot.

    Parameters
    ----------
    venue : Venue
        The exchange in operation.
    """

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._topics: dict[Key, dict[str, Topic]] = defaultdict(dict)
        self._listeners: dict[tuple[str, str], set[Connection]] = defaultdict(set)

    def check(self, category: str, name: str) -> None:
        """Refuse a topic or symbol that does not exist."""
        key = self._key(category, name)
        if name not in self._topics[key]:
            self._make(key, name)

    def subscribe(self, connection: Connection, category: str, name: str) -> Json | None:
        """Add a subscriber; return what it is told first.

        Raises
        ------
        Refusal
            10001 for a topic or a symbol that does not exist; its message is Bybit's `ret_msg`.
        """
        key = self._key(category, name)
        topic = self._topics[key].get(name) or self._make(key, name)
        if topic is not None:
            self._topics[key][name] = topic
        self._listeners[(category, name)].add(connection)
        connection.topics.add(name)
        return topic.snapshot(self._venue.told_ms()) if topic is not None else None

    def unsubscribe(self, connection: Connection, category: str, name: str) -> None:
        """Take a subscriber away; a topic that no one listens to is no longer kept."""
        connection.topics.discard(name)
        listeners = self._listeners.get((category, name))
        if listeners is None:
            return
        listeners.discard(connection)
        if not listeners:
            del self._listeners[(category, name)]
            self._topics[(category, name.rsplit(".", 1)[-1])].pop(name, None)

    def leave(self, connection: Connection, category: str) -> None:
        """Take a connection's subscriptions away."""
        for name in list(connection.topics):
            self.unsubscribe(connection, category, name)

    def publish(self, events: list[Event], touched: Iterable[Key], now_ms: int) -> None:
        """Tell subscribers of prints, and of whatever else has changed."""
        prints = [event for event in events if isinstance(event, Printed)]
        for key, group in groupby(prints, lambda event: event.key):
            self._publish_trades(key, list(group), now_ms)
        keys = set(touched)
        for key, topics in self._topics.items():
            for topic in topics.values():
                for message in topic.news(key in keys, now_ms):
                    self._send(key[0], topic.name, message)

    def _publish_trades(self, key: Key, prints: list[Printed], now_ms: int) -> None:
        name = f"publicTrade.{key[1]}"
        if (key[0], name) in self._listeners:
            data = [public_trade(one) for one in prints]
            message = {"topic": name, "type": "snapshot", "ts": now_ms, "data": data}
            self._send(key[0], name, message)

    def _send(self, category: str, name: str, message: Json) -> None:
        listeners = self._listeners[(category, name)]
        for delay_s, told in self._venue.faults.on_push("public", name, message):
            text = encode(told).decode()
            for connection in listeners:
                if delay_s:
                    connection.send_later(delay_s, text)
                else:
                    connection.send(text)

    def _key(self, category: str, name: str) -> Key:
        key = (category, name.rsplit(".", 1)[-1])
        try:
            self._venue.exchange.symbol(key)
        except Refusal:
            raise Refusal(10001, f"Invalid symbol :[{name}]") from None
        return key

    def _make(self, key: Key, name: str) -> Topic | None:
        kind, *middle = name.split(".")[:-1] or [name]
        if kind == "publicTrade" and not middle:
            return None
        if kind == "tickers" and not middle:
            return TickerTopic(self._venue, key)
        if kind == "orderbook" and middle in [[str(depth)] for depth in DEPTHS[key[0]]]:
            return BookTopic(self._venue, key, int(middle[0]))
        if kind == "kline" and len(middle) == 1 and middle[0] in INTERVAL_MS:
            return KlineTopic(self._venue, key, middle[0])
        raise Refusal(10001, f"error:handler not found,topic:{name}")
