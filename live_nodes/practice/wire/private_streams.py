"""The private link: an account's orders, fills, positions and money, told as they change."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from itertools import groupby
from typing import Any

import msgspec

from live_nodes.practice.exchange.model import (
    Event,
    Executed,
    Key,
    OrderChanged,
    PositionChanged,
    WalletChanged,
)
from live_nodes.practice.wire import account_payloads
from live_nodes.practice.wire import payloads as write
from live_nodes.practice.wire.connections import Connection
from live_nodes.practice.wire.venue import Venue

Json = dict[str, Any]
PLAIN = ("order", "execution", "execution.fast", "position", "wallet", "greeks", "dcp")
TOPICS = frozenset(PLAIN) | {
    f"{name}.{category}"
    for name in ("order", "execution", "execution.fast", "position")
    for category in ("linear", "spot", "inverse", "option")
}
_PUSHED = (OrderChanged, Executed, PositionChanged, WalletChanged)


class PrivateStreams:
    """Private topics of every account.

    Parameters
    ----------
    venue : Venue
        The exchange in operation.

    Attributes
    ----------
    connections : set of Connection
        Those that are open.
    """

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self.connections: set[Connection] = set()

    def publish(self, events: list[Event], touched: Iterable[Key], now_ms: int) -> None:
        """Push to each account what happened to it, in order, neighbours of a kind together."""
        pushed = [event for event in events if isinstance(event, _PUSHED)]
        for (kind, account), group in groupby(pushed, lambda one: (type(one), one.account)):
            mine = [one for one in self.connections if one.account == account]
            if not mine:
                continue
            told = list(group)
            for topic, product, data in _told(kind, told):
                self._push(mine, account, topic, product, data, now_ms)

    def _push(
        self,
        connections: list[Connection],
        account: str,
        topic: str,
        product: str,
        data: list[Json],
        now_ms: int,
    ) -> None:
        names = (topic, f"{topic}.{product}")
        listeners = [one for one in connections if not one.topics.isdisjoint(names)]
        if not listeners:
            return
        message = {
            "id": uuid.uuid4().hex,
            "topic": topic,
            "creationTime": now_ms,
            "data": data,
        }
        for delay_s, changed in self._venue.faults.on_push("private", topic, message, account):
            for connection in listeners:
                name = topic if topic in connection.topics else names[1]
                text = msgspec.json.encode(changed | {"topic": name}).decode()
                if delay_s:
                    connection.send_later(delay_s, text)
                else:
                    connection.send(text)


def _told(kind: type, events: list[Any]) -> list[tuple[str, str, list[Json]]]:
    """Return (topic, product, data) of events of one kind."""
    if kind is WalletChanged:
        # Only the last of several: they are snapshots of one wallet.
        return [("wallet", "", [account_payloads.wallet(events[-1].wallet)])]
    if kind is PositionChanged:
        return [
            ("position", "linear", [account_payloads.position_push(one.position) for one in events])
        ]
    found: list[tuple[str, str, list[Json]]] = []
    for product, group in groupby(events, lambda one: str(one.row.category)):
        rows = [one.row for one in group]
        if kind is OrderChanged:
            found.append(("order", product, [write.order_push(row) for row in rows]))
            continue
        found.append(("execution", product, [write.execution_push(row) for row in rows]))
        trades = [row for row in rows if row.exec_type == "Trade"]
        if trades:
            fast = [write.fast_execution_push(row) for row in trades]
            found.append(("execution.fast", product, fast))
    return found
