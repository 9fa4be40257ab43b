"""A practice exchange whose market stands still until a test moves it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from aiohttp import ClientSession, ClientWebSocketResponse
from pydantic import TypeAdapter

from config.documents.scenario import Channel, Fault
from live_nodes.practice.exchange.exchange import Exchange
from live_nodes.practice.exchange.model import AccountSpec, Key, Level, PracticeSymbol
from live_nodes.practice.exchange.records import Printed, Row
from live_nodes.practice.faults import FaultEffect, Faults, LinkState
from live_nodes.practice.market.feed import INTERVAL_MS, Candle, FundingRate, PriceKind, Prices
from live_nodes.practice.wire.access import RateLimits
from live_nodes.practice.wire.server import Server, serve
from tests.waiting import DEADLINE

D = Decimal
BTC: Key = ("linear", "BTCUSDT")
ETH: Key = ("linear", "ETHUSDT")
SPOT: Key = ("spot", "BTCUSDT")
KEYS = {name: (f"practice-{name}", f"practice-secret-{name}") for name in ("anna", "bert")}
LAUNCHED = 1_584_230_400_000
READ: TypeAdapter[dict[str, Fault]] = TypeAdapter(dict[str, Fault])
BITCOIN: dict[str, Any] = {"category": "linear", "symbol": "BTCUSDT"}
MARKET: dict[str, Any] = BITCOIN | {"side": "Buy", "orderType": "Market"}
OPEN = {"category": "linear", "settleCoin": "USDT"}
LIMIT = MARKET | {"orderType": "Limit", "qty": "0.010", "price": "49000", "timeInForce": "GTC"}


def listing(category: Any, base: str, tick: str, lot: str) -> PracticeSymbol:
    """Return a coin's perpetual or spot pair."""
    return PracticeSymbol(
        category=category, name=f"{base}USDT", base=base, quote="USDT", settle="USDT",
        tick=D(tick), lot=D(lot), min_qty=D(lot), max_qty=D("1190"), max_market_qty=D("500"),
        min_notional=D("5"), launch_ms=LAUNCHED, funding_minutes=0 if category == "spot" else 480,
        maker_fee=D("0.001") if category == "spot" else D("0.0002"),
        taker_fee=D("0.001") if category == "spot" else D("0.00055"),
    )  # fmt: skip


SYMBOLS = [
    listing("linear", "BTC", "0.1", "0.001"),
    listing("linear", "ETH", "0.01", "0.01"),
    listing("spot", "BTC", "0.1", "0.000001"),
]
MIDDLES = {BTC: D("50000.0"), ETH: D("3000.00"), SPOT: D("50000.0")}
OTHERS = D("100.00")
"""Price of every other coin."""


def perpetuals(number: int) -> list[PracticeSymbol]:
    """Return perpetuals of coins that a test makes up: C00USDT, C01USDT …"""
    return [listing("linear", f"C{n:02}", "0.01", "0.01") for n in range(number)]


class StillMarket:
    """50,000 USDT a bitcoin and 3,000 an ether, one of each at every tick around it."""

    step_seconds = 0.005

    def __init__(self, levels: int = 60, more: Iterable[PracticeSymbol] = ()) -> None:
        self.books: dict[Key, tuple[list[Level], list[Level]]] = {}
        self.listed = [*SYMBOLS, *more]
        self.last = {symbol.key: MIDDLES.get(symbol.key, OTHERS) for symbol in self.listed}
        for symbol in self.listed:
            middle, tick = self.last[symbol.key], symbol.tick
            self.books[symbol.key] = (
                [(middle - n * tick, D("1.500")) for n in range(1, levels + 1)],
                [(middle + n * tick, D("1.500")) for n in range(1, levels + 1)],
            )
        self.changed = set(self.books)
        self.prints: list[tuple[Key, Any, Decimal, Decimal]] = []
        self.steps = 0

    def symbols(self, now_ms: int) -> list[PracticeSymbol]:
        return self.listed

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
        length = INTERVAL_MS[interval]
        newest = min(now_ms, end_ms if end_ms is not None else now_ms) // length
        oldest = -(-start_ms // length) if start_ms is not None else newest - limit + 1
        numbers = range(max(oldest, newest - limit + 1), newest + 1)
        last = self.last[key]
        return [
            Candle(n * length, last, last + 10, last - 10, last, D("12.3"), D("615000"))
            for n in numbers
        ]

    def funding_history(
        self, key: Key, start_ms: int | None, end_ms: int | None, limit: int, now_ms: int
    ) -> list[FundingRate]:
        eight = 8 * 3_600_000
        newest = min(now_ms, end_ms or now_ms) // eight
        stamps = [n * eight for n in range(newest, newest - limit, -1)]
        return [FundingRate(s, D("0.0001")) for s in stamps if start_ms is None or s >= start_ms]

    def funding(self, key: Key, now_ms: int) -> tuple[Decimal, int]:
        eight = 8 * 3_600_000
        return D("0.0001"), (now_ms // eight + 1) * eight

    def trades(self, key: Key, now_ms: int, limit: int) -> list[Printed]:
        return [
            Printed(key, f"house-{n}", "Buy", self.last[key], D("0.005"), now_ms - n)
            for n in range(min(limit, 5))
        ]

    def book(self, key: Key, now_ms: int) -> tuple[list[Level], list[Level]]:
        return self.books[key]

    def prices(self, key: Key, now_ms: int) -> Prices:
        last = self.last[key]
        rate, due = (D(0), 0) if key[0] == "spot" else self.funding(key, now_ms)
        return Prices(
            last=last, mark=last, index=last, previous_24h=last - 100, high_24h=last + 10,
            low_24h=last - 110, volume_24h=D("1000"), turnover_24h=D("1000") * last,
            previous_1h=last - 1, open_interest=D("68744.761"), funding_rate=rate,
            next_funding_ms=due, funding_minutes=0 if key[0] == "spot" else 480,
        )  # fmt: skip

    def step(self, exchange: Exchange, now_ms: int) -> list[Key]:
        self.steps += 1
        quoted = sorted(self.changed)
        self.changed.clear()
        for key in quoted:
            exchange.quote(key, *self.books[key], now_ms)
            exchange.set_mark(key, self.last[key], self.last[key], now_ms, self.last[key])
        for key, side, price, qty in self.prints:
            exchange.trade(key, side, price, qty, now_ms)
        self.prints.clear()
        return quoted

    def move(self, key: Key, price: Decimal, now_ms: int) -> None:
        shift = price - self.last[key]
        bids, asks = self.books[key]
        self.books[key] = ([(p + shift, q) for p, q in bids], [(p + shift, q) for p, q in asks])
        self.last[key] = price
        self.changed.add(key)

    def set_bid(self, key: Key, place: int, qty: str) -> None:
        """Change the quantity of one bid."""
        bids, asks = self.books[key]
        changed = list(bids)
        changed[place] = (bids[place][0], D(qty))
        self.books[key] = (changed, asks)
        self.changed.add(key)


class Kept:
    """Rows in memory."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Row] = {}

    def save(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self.rows[(row.table, row.row_key)] = row


class Scripted(Faults):
    """Faults as data, and some that a test sets by hand."""

    def __init__(self, faults: Mapping[str, Fault] | None = None) -> None:
        super().__init__(faults)
        self.http: FaultEffect | None = None
        self.links: dict[Channel, LinkState] = {}
        self.skew_ms = 0
        self.requests: list[tuple[str, str, str | None]] = []

    def on_http(self, method: str, path: str, account: str | None) -> FaultEffect | None:
        self.requests.append((method, path, account))
        fault, self.http = self.http, None
        return fault or super().on_http(method, path, account)

    def link(self, channel: Channel) -> LinkState:
        return self.links.get(channel) or super().link(channel)

    def kill(self, channel: Channel) -> None:
        self.links[channel] = "killed"
        self.on_kill(channel)

    def now_ms(self) -> int:
        return super().now_ms() + self.skew_ms


class Practice:
    """A running exchange and a signed client of it."""

    def __init__(
        self, server: Server, market: StillMarket, faults: Scripted, kept: Kept, http: ClientSession
    ) -> None:
        self.server, self.market, self.faults, self.kept = server, market, faults, kept
        self.http = http

    async def get(self, path: str, account: str | None = None, **params: Any) -> Any:
        """Ask; signed when an account is given. Return the whole envelope."""
        query = urlencode(params)
        headers = signed(account, query) if account else {}
        url = f"{self.server.http}{path}?{query}"
        async with self.http.get(url, headers=headers) as answer:
            return await answer.json()

    async def rows(self, path: str, account: str | None = None, **params: Any) -> Any:
        """Return the rows of a list."""
        answer = await self.get(path, account, **params)
        assert answer["retCode"] == 0, answer
        return answer["result"]["list"]

    async def post(self, path: str, account: str = "anna", **body: Any) -> Any:
        """Post a signed body."""
        text = json.dumps(body)
        headers = signed(account, text) | {"Content-Type": "application/json"}
        async with self.http.post(
            f"{self.server.http}{path}", data=text, headers=headers
        ) as answer:
            return await answer.json()


def signed(account: str, payload: str, skew_ms: int = 0) -> dict[str, str]:
    """Return the headers of a signed request."""
    key, secret = KEYS[account]
    stamp = str(time.time_ns() // 1_000_000 + skew_ms)
    text = f"{stamp}{key}5000{payload}"
    return {
        "X-BAPI-API-KEY": key,
        "X-BAPI-TIMESTAMP": stamp,
        "X-BAPI-RECV-WINDOW": "5000",
        "X-BAPI-SIGN": hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest(),
    }


def login(account: str, frame: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return an auth frame."""
    key, secret = KEYS[account]
    expires = time.time_ns() // 1_000_000 + 5_000
    sign = hmac.new(secret.encode(), f"GET/realtime{expires}".encode(), hashlib.sha256)
    return {"op": "auth", "args": [key, expires, sign.hexdigest()]} | (frame or {})


@asynccontextmanager
async def practice(
    limits: RateLimits | None = None, faults: Scripted | None = None
) -> AsyncIterator[Practice]:
    """Run an exchange with the accounts anna and bert until the block ends."""
    market, kept, faults = StillMarket(), Kept(), faults or Scripted()
    rich = AccountSpec("anna", balances=(("USDT", D(100_000)), ("BTC", D(1))))
    exchange = Exchange(SYMBOLS, [rich, AccountSpec("bert")])
    server = await serve(exchange, market, KEYS, faults, kept, limits=limits)
    async with ClientSession() as http:
        try:
            yield Practice(server, market, faults, kept, http)
        finally:
            await server.stop()


type Scene = Callable[[Practice], Coroutine[Any, Any, None]]


def with_faults(**faults: Any) -> Callable[[Scene], Callable[[], None]]:
    """Run a test against a fresh exchange with a scenario's faults."""

    def decorate(test: Scene) -> Callable[[], None]:
        async def body() -> None:
            found = Scripted(READ.validate_python(faults))
            async with asyncio.timeout(DEADLINE), practice(faults=found) as running:
                await test(running)

        def run() -> None:
            asyncio.run(body())

        run.__name__, run.__doc__ = test.__name__, test.__doc__
        return run

    return decorate


on_exchange = with_faults()
"""Run a test against a fresh exchange."""


def operation(op: str, request_id: str, **body: Any) -> dict[str, Any]:
    """Return a request of the trade link."""
    header = {"X-BAPI-TIMESTAMP": str(time.time_ns() // 1_000_000)}
    return {"op": op, "reqId": request_id, "header": header, "args": [body]}


class Client:
    """A WebSocket client that reads JSON."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.socket = socket

    async def ask(self, message: dict[str, Any]) -> Any:
        """Send a message and return the next one that comes."""
        await self.socket.send_str(json.dumps(message))
        return await self.next()

    async def subscribe(self, *topics: str) -> Any:
        """Subscribe to topics and return the answer."""
        return await self.ask({"op": "subscribe", "args": list(topics), "req_id": topics[0]})

    async def operate(self, op: str, request_id: str, **body: Any) -> Any:
        """Send an operation and return the next message."""
        return await self.ask(operation(op, request_id, **body))

    async def next(self) -> Any:
        """Return the next message."""
        return json.loads(await self.socket.receive_str(timeout=DEADLINE))

    async def quiet(self, seconds: float = 0.1) -> list[Any]:
        """Return what comes in a while."""
        found = []
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    found.append(json.loads(await self.socket.receive_str()))
        return found


@asynccontextmanager
async def link(running: Practice, path: str, account: str | None = None) -> AsyncIterator[Client]:
    """Connect to a link, and log in when an account is given."""
    url = f"{running.server.sockets_url}/{path}"
    async with running.http.ws_connect(url, autoping=True) as socket:
        client = Client(socket)
        if account is not None:
            reply = await client.ask(login(account))
            assert reply.get("success") or reply.get("retCode") == 0
        yield client
