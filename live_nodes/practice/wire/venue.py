"""The exchange, its market, state file and faults, shared by REST and WebSocket links.

A request and the storing of its changes are one step without awaiting: first store, then publish.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from config.documents import scenario
from live_nodes.practice.exchange.exchange import Exchange
from live_nodes.practice.exchange.model import BybitRefusal, Key, Level
from live_nodes.practice.exchange.records import Event, ExecutionRow, OrderRow, Printed
from live_nodes.practice.exchange.store import StateFile
from live_nodes.practice.faults import Faults
from live_nodes.practice.market.market_controls import Announcements, MarketControls
from live_nodes.practice.market.path_market import PathMarket
from live_nodes.practice.wire.access import Allowance, KeyTerms, RateLimits
from live_nodes.practice.wire.spelling import Json

REMEMBERED_TRADES = 1_000
StreamListener = Callable[[list[Event], Iterable[Key], int], None]
"""Publishes events, and the books of markets, at a time (ms)."""
EXEC_TYPES: Mapping[type, Literal["BustTrade", "AdlTrade"]] = {
    scenario.Liquidation: "BustTrade",
    scenario.Deleveraging: "AdlTrade",
}
BATCH = "-batch"
TOO_MANY = (10006, "Too many visits. Exceeded the API Rate Limit.")
NOT_FOUND = (10017, "Route not found.")


class PracticeVenue:
    """One exchange in operation, with each account's key and secret in `keys`."""

    def __init__(
        self,
        exchange: Exchange,
        market: PathMarket,
        store: StateFile,
        faults: Faults,
        keys: Mapping[str, tuple[str, str]],
    ) -> None:
        self.exchange = exchange
        self.market = market
        self.store = store
        self.faults = faults
        self.listeners: list[StreamListener] = []
        self.keys = keys
        self.key_terms = dict.fromkeys(keys, KeyTerms())
        self.controls = MarketControls()
        self.announcements = Announcements()
        self._clock_ms = 0
        self.started_ms = self.clock_ms()
        self._touches: defaultdict[Key, int] = defaultdict(int)
        self._trades: defaultdict[Key, deque[Printed]] = defaultdict(
            lambda: deque(maxlen=REMEMBERED_TRADES)
        )

    def clock_ms(self) -> int:
        """Return the exchange's own clock: true time, UTC milliseconds, never going back."""
        self._clock_ms = max(self._clock_ms, time.time_ns() // 1_000_000)
        return self._clock_ms

    def client_ms(self) -> int:
        """Return the time that clients see; a clock fault changes it."""
        return self.faults.now_ms()

    def book(self, key: Key, depth: int) -> tuple[list[Level], list[Level]]:
        """Return the visible book as clients see it, best first."""
        bids, asks = self.exchange.book(key, depth)
        return self.controls.client_book(self.exchange.symbol(key), bids, asks, self.clock_ms())

    def book_numbers(self, key: Key) -> tuple[int, int]:
        """Return `u` and `seq` of a symbol's book; `seq` keeps increasing after a restart."""
        touches = self._touches[key]
        return touches + 1, self.started_ms * 1_000 + touches

    def recent_trades(self, key: Key, size: int) -> list[Printed]:
        """Return the latest trades, newest first; earlier than the start, the market's own."""
        found = list(self._trades[key])[: -size - 1 : -1]
        if len(found) < size:
            found += self.market.trades(key, self.started_ms, size - len(found))
        return found

    def commit(self) -> list[Event]:
        """Store and return the exchange's events since the last call."""
        events = self.exchange.drain()
        rows = [event for event in events if not isinstance(event, Printed)]
        if rows:
            self.store.save(rows)
        return events

    def publish(self, events: list[Event], touched: Iterable[Key] = ()) -> None:
        """Publish stored events; books of the symbols in `events` count as touched."""
        keys = set(touched)
        for event in events:
            if isinstance(event, OrderRow | ExecutionRow):
                keys.add(event.key)
            elif isinstance(event, Printed):
                keys.add(event.key)
                self._trades[event.key].append(event)
        for key in keys:
            self._touches[key] += 1
        now_ms = self.client_ms()
        for listener in self.listeners:
            listener(events, keys, now_ms)

    def settle(self, touched: Iterable[Key] = ()) -> None:
        """Store and publish an operator's changes."""
        self.publish(self.commit(), touched)

    def play(self, event: scenario.VenueEvent) -> bool:
        """Carry out an event of a scenario; false when there is nothing that it changes yet."""
        now_ms = self.clock_ms()
        if isinstance(event, scenario.ForcedClose):
            return self.exchange.force_close(
                event.account, event.symbol, event.part, EXEC_TYPES[type(event)], now_ms
            )
        if isinstance(event, scenario.TickChange):
            done = self.market.change_rules((event.category, event.symbol), tick=event.tick)
        else:
            assert isinstance(event, scenario.Delisting)
            ends_ms = now_ms + round(event.notice * 1_000)
            done = self.market.change_rules(("linear", event.symbol), delivery_ms=ends_ms)
        if done:
            self.store.keep_fact("rules", self.market.saved_rules())
        return done

    def step(self) -> None:
        """Bring the market to now; store and publish the events."""
        self.faults.poll()
        self.faults.play(self.play)
        quoted = self.market.step(self.exchange, self.clock_ms())
        self.publish(self.commit(), quoted)


@dataclass(frozen=True)
class PracticeRequest:
    """One request: `account` is empty for public ones, `params` is query or body."""

    account: str
    params: Mapping[str, Any]
    now_ms: int
    granted: int = 1


@dataclass(frozen=True)
class PracticeResponse:
    """Bybit's answer to a request, with the request's events, which are already stored."""

    code: int = 0
    message: str = "OK"
    result: Json = field(default_factory=dict)
    ext: Json = field(default_factory=dict)
    allowance: Allowance | None = None
    events: list[Event] = field(default_factory=list)


Handler = Callable[[PracticeVenue, PracticeRequest], Json]


@dataclass(frozen=True)
class RequestDispatcher:
    """Carries out requests by path, within the rate limits; those in `writing` change something.

    A handler returns Bybit's ``result`` (a batch's also has ``retExtInfo``) or raises BybitRefusal.
    """

    venue: PracticeVenue
    limits: RateLimits
    handlers: Mapping[str, Handler]
    writing: Collection[str] = ()

    def answer(self, path: str, account: str, params: Mapping[str, Any]) -> PracticeResponse:
        """Carry out a request; its changes are stored when this returns."""
        handler = self.handlers.get(path)
        if handler is None:
            return PracticeResponse(*NOT_FOUND)
        now_ms = self.venue.clock_ms()
        count = 1
        if path.endswith(BATCH) and isinstance(params.get("request"), list):
            count = max(1, len(params["request"]))
        spot = params.get("category") == "spot"
        allowance = self.limits.take(account, path, spot, now_ms, count) if account else None
        if allowance is not None and not allowance.granted:
            return PracticeResponse(*TOO_MANY, allowance=allowance)
        granted = allowance.granted if allowance is not None else count
        try:
            if account:
                writes = path if path in self.writing else ""
                self.venue.key_terms[account].check(now_ms, spot=spot, writes=writes)
            result = handler(self.venue, PracticeRequest(account, params, now_ms, granted))
        except BybitRefusal as refusal:
            return PracticeResponse(refusal.code, refusal.message, allowance=allowance)
        ext = result.pop("retExtInfo", {})
        return PracticeResponse(
            result=result, ext=ext, allowance=allowance, events=self.venue.commit()
        )
