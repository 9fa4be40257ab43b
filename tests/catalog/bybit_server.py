"""A small local server of the market part of Bybit v5 that keeps the requests."""

import asyncio
import threading
import time
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Self

from aiohttp import web

from live_nodes.practice.wire.market_payloads import instrument
from tests.live_nodes.practice.pure import symbol

HOUR_MS = 3_600_000
MINUTES = {"1": 1, "5": 5, "60": 60, "D": 1440}


def price(opened_ms: int, mark: bool = False) -> tuple[str, str, str, str]:
    """Open, high, low, close of the candle that opens then; mark prices lie 0.05 above."""
    base = 100 + opened_ms // HOUR_MS % 50 + (0.05 if mark else 0.0)
    return tuple(f"{base + shift:.2f}" for shift in (0, 1, -1, 0.5))  # type: ignore[return-value]


@dataclass
class Market:
    """The server's data and faults.

    `launch_ms` is the first candle's open, `refuse` the retCodes of the next answers. After
    `fail_after` requests every answer is HTTP 403.
    """

    launch_ms: int = 1_704_067_200_000
    symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT")
    refuse: list[int] = field(default_factory=list)
    fail_after: int | None = None
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def count(self, path: str) -> int:
        return sum(name == path for name, _ in self.asked)

    async def answer(self, request: web.Request) -> web.Response:
        name = request.path.removeprefix("/v5/market/")
        query = dict(request.query)
        self.asked.append((name, query))
        if self.fail_after is not None and len(self.asked) > self.fail_after:
            return web.Response(status=403, text="forbidden")
        code = self.refuse.pop(0) if self.refuse else 0
        method = "_" + name.replace("-", "_").replace("/", "_")
        result = {} if code else getattr(self, method)(query)
        body = {"retCode": code, "retMsg": "Too many visits!" if code else "OK", "result": result}
        now_ms = int(time.time() * 1000)
        return web.json_response(body | {"retExtInfo": {}, "time": now_ms})

    def _instruments_info(self, query: dict[str, str]) -> dict:
        index = int(query.get("cursor", 0))
        rows = [self._instrument(s) for s in self.symbols]
        # Pages of two: the question passes the cursor on.
        page = rows[index : index + 2]
        cursor = str(index + 2) if index + 2 < len(rows) else ""
        return {"category": "linear", "list": page, "nextPageCursor": cursor}

    def _instrument(self, name: str) -> dict:
        facts = {"tick": Decimal("0.05"), "max_leverage": Decimal(50), "launch_ms": self.launch_ms}
        return instrument(symbol(("linear", name), name.removesuffix("USDT"), **facts))

    def _opens(self, query: dict[str, str], step: int, low: str, high: str) -> list[int]:
        now = int(time.time() * 1000)
        first = max(int(query.get(low, 0)), self.launch_ms)
        last = min(int(query.get(high, now)), now)
        newest = last // step * step
        oldest = -(-first // step) * step
        limit = int(query.get("limit", 200))
        return list(range(newest, oldest - 1, -step))[:limit]

    def _kline(self, query: dict[str, str], mark: bool = False) -> dict:
        step = MINUTES[query["interval"]] * 60_000
        rows = []
        for opened in self._opens(query, step, "start", "end"):
            row = [str(opened), *price(opened, mark)]
            rows.append(row if mark else [*row, "1.5", "150.75"])
        return {"category": "linear", "symbol": query["symbol"], "list": rows}

    def _mark_price_kline(self, query: dict[str, str]) -> dict:
        return self._kline(query, mark=True)

    def _funding_history(self, query: dict[str, str]) -> dict:
        stamps = self._opens(query, 8 * HOUR_MS, "startTime", "endTime")
        rows = [
            {"symbol": query["symbol"], "fundingRate": "0.0001", "fundingRateTimestamp": str(t)}
            for t in stamps
        ]
        return {"category": "linear", "list": rows}


class Server:
    """Runs a `Market` on 127.0.0.1 in a thread of its own."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application()
        app.router.add_get("/{path:.*}", self.market.answer)
        runner = web.AppRunner(app)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        self._loop.run_until_complete(site.start())
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()
