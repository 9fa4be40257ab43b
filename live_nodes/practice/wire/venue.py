"""The exchange, its market, its memory and its faults as one: what REST and sockets share.

Everything happens on one event loop without awaiting in between, so that a request, what it
changed, and the keeping of it are one step: kept first, told afterwards.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from typing import Protocol

from live_nodes.practice.exchange.exchange import Exchange
from live_nodes.practice.exchange.model import (
    Event,
    Executed,
    Key,
    Level,
    OrderChanged,
    Printed,
    Row,
)
from live_nodes.practice.faults.fault_hooks import FaultHooks
from live_nodes.practice.market.announcements import Announcements
from live_nodes.practice.market.feed import Market, PublicTrade
from live_nodes.practice.market.market_controls import Levers

REMEMBERED_TRADES = 1_000


class Keeper(Protocol):
    """Where the exchange's rows are kept."""

    def save(self, rows: Iterable[Row]) -> None:
        """Keep rows (upsert); return only when a killed process would not lose them."""


class Listener(Protocol):
    """Who is told what happened."""

    def publish(self, events: list[Event], touched: Iterable[Key], now_ms: int) -> None:
        """Tell clients of `events` and of the books of `touched`."""


class Venue:
    """One exchange in operation.

    Parameters
    ----------
    exchange : Exchange
        The pure exchange.
    market : Market
        Where prices come from.
    store : Keeper
        Where rows are kept.
    faults : FaultHooks
        What goes wrong on purpose.
    keys : mapping of str to (str, str)
        Account name to its key and secret.

    Attributes
    ----------
    levers : Levers
        What is done to books on purpose.
    announcements : Announcements
        What is announced of maintenance.
    """

    def __init__(
        self,
        exchange: Exchange,
        market: Market,
        store: Keeper,
        faults: FaultHooks,
        keys: Mapping[str, tuple[str, str]],
    ) -> None:
        self.exchange = exchange
        self.market = market
        self.store = store
        self.faults = faults
        self.listeners: list[Listener] = []
        self.keys = keys
        self.levers = Levers()
        self.announcements = Announcements()
        self._clock_ms = 0
        self.started_ms = self.clock_ms()
        self._touches: defaultdict[Key, int] = defaultdict(int)
        self._trades: defaultdict[Key, deque[Printed]] = defaultdict(
            lambda: deque(maxlen=REMEMBERED_TRADES)
        )

    def clock_ms(self) -> int:
        """Return the true time, UTC milliseconds, never going back: the exchange's own clock."""
        self._clock_ms = max(self._clock_ms, time.time_ns() // 1_000_000)
        return self._clock_ms

    def key_of(self, account: str) -> str:
        """Return an account's key (not its secret)."""
        return self.keys[account][0]

    def told_ms(self) -> int:
        """Return the time that clients are told: true, or wrong on purpose."""
        return self.faults.now_ms()

    def book(self, key: Key, depth: int) -> tuple[list[Level], list[Level]]:
        """Return the visible book as clients are told it, best first."""
        bids, asks = self.exchange.book(key, depth)
        return self.levers.told(self.exchange.symbol(key), bids, asks, self.clock_ms())

    def book_numbers(self, key: Key) -> tuple[int, int]:
        """Return `u` and `seq` of a symbol's book; `seq` goes on upwards after a restart."""
        touches = self._touches[key]
        return touches + 1, self.started_ms * 1_000 + touches

    def recent_trades(self, key: Key, size: int) -> list[Printed | PublicTrade]:
        """Return the latest trades, newest first; those before the start are the market's own."""
        found: list[Printed | PublicTrade] = []
        found += list(self._trades[key])[: -size - 1 : -1]
        if len(found) < size:
            found += self.market.trades(key, self.started_ms, size - len(found))
        return found

    def commit(self) -> list[Event]:
        """Keep what the exchange did since the last call, and return it."""
        events = self.exchange.drain()
        rows = [event.row for event in events if event.row is not None]
        if rows:
            self.store.save(rows)
        return events

    def publish(self, events: list[Event], touched: Iterable[Key] = ()) -> None:
        """Tell clients what was kept; books of the symbols in `events` count as touched."""
        keys = set(touched)
        for event in events:
            if isinstance(event, OrderChanged):
                keys.add(event.order.key)
            elif isinstance(event, Executed):
                keys.add(event.execution.key)
            elif isinstance(event, Printed):
                keys.add(event.key)
                self._trades[event.key].append(event)
        for key in keys:
            self._touches[key] += 1
        now_ms = self.told_ms()
        for listener in self.listeners:
            listener.publish(events, keys, now_ms)

    def settle(self, touched: Iterable[Key] = ()) -> None:
        """Keep and tell what was done to the exchange from elsewhere, such as by an operator."""
        self.publish(self.commit(), touched)

    def step(self) -> None:
        """Let the market go on to now, keep what followed, and tell it."""
        self.faults.poll()
        step = self.market.step(self.exchange, self.clock_ms())
        self.publish(self.commit(), step.quoted)
