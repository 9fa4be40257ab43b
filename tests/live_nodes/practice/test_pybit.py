"""Bybit's own client library on the links of the practice exchange: nobody here wrote it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pybit._websocket_stream
import pybit._websocket_trading
import pybit.unified_trading
import pytest
from pybit.unified_trading import WebSocket, WebSocketTrading

from tests.live_nodes.practice.background import Background, background
from tests.live_nodes.practice.still_market import BITCOIN, BTC, KEYS, LIMIT, MARKET, D
from tests.waiting import eventually

KEY, SECRET = KEYS["anna"]
ORDER = LIMIT | {"timeInForce": "PostOnly"}


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> Iterator[Background]:
    with background() as running:
        public = running.where.ws_public + "/{CHANNEL_TYPE}"
        monkeypatch.setattr(pybit.unified_trading, "PUBLIC_WSS", public)
        monkeypatch.setattr(pybit.unified_trading, "PRIVATE_WSS", running.where.ws_private)
        monkeypatch.setattr(pybit._websocket_trading, "TRADE_WSS", running.where.ws_trade)
        # pybit notes what it asked for only after it has sent it: an answer that comes in between
        # ends its thread or is dropped, and its next call waits without bound.
        lock = threading.RLock()
        for manager, name in (
            (pybit._websocket_stream._WebSocketManager, "_on_message"),
            (pybit._websocket_stream._V5WebSocketManager, "subscribe"),
            (pybit._websocket_trading._V5TradeWebSocketManager, "_send_order_operation"),
        ):
            monkeypatch.setattr(manager, name, _one_at_a_time(lock, getattr(manager, name)))
        yield running


def _one_at_a_time(lock: Any, act: Callable[..., Any]) -> Callable[..., Any]:
    def held(*arguments: Any, **named: Any) -> Any:
        with lock:
            return act(*arguments, **named)

    return held


def test_pybit_follows_the_public_link(exchange: Background) -> None:
    reply: dict[str, list[Any]] = {"book": [], "ticker": [], "trade": [], "kline": []}
    socket = WebSocket(testnet=False, channel_type="linear")
    try:
        socket.orderbook_stream(50, "BTCUSDT", reply["book"].append)
        socket.ticker_stream("BTCUSDT", reply["ticker"].append)
        socket.trade_stream("BTCUSDT", reply["trade"].append)
        socket.kline_stream(1, "BTCUSDT", reply["kline"].append)
        eventually(lambda: all(reply[name] for name in ("book", "ticker", "kline")))
        exchange.call(lambda: exchange.market.set_bid(BTC, 0, "7.000"))
        exchange.call(lambda: exchange.market.prints.append((BTC, "Sell", D("49999.9"), D("0.1"))))
        eventually(lambda: bool(reply["trade"]) and len(reply["book"]) > 1)
        bids = sorted(reply["book"][-1]["data"]["b"], key=lambda row: -D(row[0]))
        assert D(bids[0][1]) in (D("7.000"), D("6.900"))
    finally:
        socket.exit()


def test_pybit_trades_over_the_links(exchange: Background) -> None:
    reply: dict[str, list[Any]] = {n: [] for n in ("order", "execution", "position", "wallet")}
    private = WebSocket(testnet=False, channel_type="private", api_key=KEY, api_secret=SECRET)
    trade = WebSocketTrading(testnet=False, api_key=KEY, api_secret=SECRET)
    acks: list[Any] = []
    try:
        for name, found in reply.items():
            getattr(private, f"{name}_stream")(found.append)
        links = exchange.server.sockets.private
        eventually(lambda: sum(len(one.topics) for one in list(links.connections)) == 4)
        eventually(lambda: exchange.call(lambda: exchange.server.sockets.connected()["trade"]) == 1)
        trade.place_order(acks.append, orderLinkId="w1", **ORDER)
        eventually(lambda: bool(reply["order"]) and bool(acks))
        assert reply["order"][0]["data"][0]["orderStatus"] == "New"
        trade.amend_order(acks.append, orderLinkId="w1", qty="0.020", **BITCOIN)
        trade.cancel_order(acks.append, orderLinkId="w1", **BITCOIN)
        eventually(lambda: len(acks) == 3)
        trade.place_order(acks.append, qty="0.010", **MARKET)
        eventually(lambda: all(reply.values()))
        assert D(reply["position"][-1]["data"][0]["size"]) == D("0.010")
    finally:
        private.exit()
        trade.exit()
