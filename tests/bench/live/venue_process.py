"""The practice exchange of a benchmark, with a stopwatch.

Told what to do by lines of JSON on its standard input, each answered by one on standard output; it
ends with its input. The stopwatch runs from the moment at which a changed book is about to be sent
to the moment at which the order that answers it has come in.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import defaultdict
from decimal import Decimal
from typing import Any

from config.documents.scenario import Channel, Kill
from live_nodes.local.keys import practice_keys
from live_nodes.practice.exchange.exchange import Exchange
from live_nodes.practice.exchange.model import AccountSpec
from live_nodes.practice.exchange.records import OrderRow
from live_nodes.practice.exchange.requests import OrderRequest
from live_nodes.practice.faults import FaultEffect, Faults
from live_nodes.practice.wire.access import RateLimits
from live_nodes.practice.wire.server import serve
from tests.bench.live.paced_market import PARTIES, PRICE, TICK, TRADED, PacedMarket, own_signal

BALANCE = Decimal(10_000_000)
FASTER = 1_000
"""Times Bybit's limit of requests."""
BEST_BID = f"{PRICE - TICK:f}"


class Stopwatch(Faults):
    """Notes when books leave and when operations come in; monotonic nanoseconds."""

    def __init__(self) -> None:
        super().__init__()
        # When a symbol's book with a size at its best bid was sent.
        self.left: dict[tuple[str, Decimal], int] = {}
        self.came = 0  # When the newest operation of the trade link came in
        self.pushes = 0  # Books sent

    def on_push(
        self, channel: Channel, topic: str, payload: dict[str, Any], account: str | None = None
    ) -> list[tuple[float, dict[str, Any]]]:
        if topic.startswith("orderbook."):
            self.pushes += 1
            data = payload["data"]
            if data["b"] and data["b"][0][0] == BEST_BID:
                # Other topics that changed are made before any leaves: the more a node listens to,
                # the longer that takes the exchange.
                key = data["s"], Decimal(data["b"][0][1])
                asyncio.get_running_loop().call_soon(self._leave, key)
        return [(0.0, payload)]

    def _leave(self, key: tuple[str, Decimal]) -> None:
        self.left[key] = time.monotonic_ns()

    def on_op(self, op: str, account: str | None) -> FaultEffect | None:
        self.came = time.monotonic_ns()
        return super().on_op(op, account)


class TimedExchange(Exchange):
    """Matches each order with the book that it answers.

    By account: `latencies` in nanoseconds, and `arrivals` of its orders in monotonic nanoseconds.
    """

    def __init__(self, market: PacedMarket, watch: Stopwatch) -> None:
        accounts = [AccountSpec(name, balances=(("USDT", BALANCE),)) for name in PARTIES]
        super().__init__(market.symbols(0), accounts)
        self._watch = watch
        self._signal = {name: own_signal(name) for name in PARTIES}
        self.latencies: dict[str, list[int]] = defaultdict(list)
        self.arrivals: dict[str, list[int]] = defaultdict(list)

    def create(self, account: str, request: OrderRequest, now_ms: int) -> OrderRow:
        """Take an order, note when it came and which book it answers."""
        came = self._watch.came
        self.arrivals[account].append(came)
        if request.symbol == TRADED[1]:
            left = self._watch.left.pop((self._signal[account], request.qty), None)
            if left is not None:
                self.latencies[account].append(came - left)
        return super().create(account, request, now_ms)


class Nowhere:
    """Keeps no rows: what a disk costs the exchange is not what is measured."""

    def save(self, rows: Any) -> None:
        """Keep nothing."""


async def main(signals: int) -> None:
    """Serve until standard input ends."""
    market, watch = PacedMarket(signals), Stopwatch()
    exchange = TimedExchange(market, watch)
    keys = {name: practice_keys(name) for name in PARTIES}
    limits = RateLimits(factor=FASTER)
    server = await serve(exchange, market, keys, watch, Nowhere(), limits=limits)

    def answer(told: dict[str, Any]) -> dict[str, Any]:
        match told["do"]:
            case "pace":
                market.pace(told["rate"])
            case "begin":
                exchange.latencies.clear()
                exchange.arrivals.clear()
                watch.left.clear()
            case "kill":
                watch.add("cut", Kill(channel=told["channel"]))
                watch.poll()
                watch.clear()
            case "report":
                return {
                    "latencies": exchange.latencies,
                    "arrivals": exchange.arrivals,
                    "pushes": watch.pushes,
                    "cpu_s": time.process_time(),
                    "now": time.monotonic_ns(),
                }
        return {"now": time.monotonic_ns()}

    lines = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(lines)
    try:
        print(json.dumps({"port": server.port}), flush=True)
        await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
        while line := await lines.readline():
            print(json.dumps(answer(json.loads(line))), flush=True)
    finally:
        await server.stop()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
