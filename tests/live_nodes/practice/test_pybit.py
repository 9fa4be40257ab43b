"""Bybit's own client library against the practice exchange: nobody here wrote it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pybit._websocket_stream
import pybit._websocket_trading
import pybit.unified_trading
import pytest
from pybit.exceptions import InvalidRequestError
from pybit.unified_trading import HTTP, WebSocket, WebSocketTrading

from tests.live_nodes.practice.background import Background, background
from tests.live_nodes.practice.still_market import BTC, KEYS, LIMIT, D
from tests.waiting import eventually

KEY, SECRET = KEYS["anna"]
ORDER = LIMIT | {"timeInForce": "PostOnly"}


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> Iterator[Background]:
    with background() as running:
        public = running.links + "/public/{CHANNEL_TYPE}"
        monkeypatch.setattr(pybit.unified_trading, "PUBLIC_WSS", public)
        monkeypatch.setattr(pybit.unified_trading, "PRIVATE_WSS", f"{running.links}/private")
        monkeypatch.setattr(pybit._websocket_trading, "TRADE_WSS", f"{running.links}/trade")
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


@pytest.fixture
def client(exchange: Background) -> HTTP:
    session = HTTP(api_key=KEY, api_secret=SECRET, max_retries=1)
    session.endpoint = exchange.http
    return session


def test_pybit_reads_the_market(client: HTTP) -> None:
    linear = {"category": "linear", "symbol": "BTCUSDT"}
    assert int(client.get_server_time()["result"]["timeSecond"]) > 0
    instruments = client.get_instruments_info(category="linear")["result"]["list"]
    assert [row["symbol"] for row in instruments] == ["BTCUSDT", "ETHUSDT"]
    assert len(client.get_kline(interval=1, limit=5, **linear)["result"]["list"]) == 5
    assert len(client.get_mark_price_kline(interval=60, limit=5, **linear)["result"]["list"]) == 5
    assert len(client.get_index_price_kline(interval=60, **linear)["result"]["list"]) == 200
    assert len(client.get_orderbook(limit=50, **linear)["result"]["b"]) == 50
    assert client.get_tickers(**linear)["result"]["list"][0]["lastPrice"] == "50000.0"
    assert client.get_funding_rate_history(limit=3, **linear)["result"]["list"]
    assert client.get_public_trade_history(**linear)["result"]["list"]


def test_pybit_trades_by_rest(client: HTTP) -> None:
    placed = client.place_order(orderLinkId="p1", **ORDER)["result"]
    assert client.get_open_orders(category="linear", symbol="BTCUSDT")["result"]["list"]
    client.amend_order(
        category="linear", symbol="BTCUSDT", orderId=placed["orderId"], price="48000"
    )
    client.cancel_order(category="linear", symbol="BTCUSDT", orderLinkId="p1")
    with pytest.raises(InvalidRequestError) as refused:
        client.cancel_order(category="linear", symbol="BTCUSDT", orderLinkId="p1")
    assert refused.value.status_code == 110001
    batch = [ORDER | {"orderLinkId": f"b{n}"} for n in range(3)]
    reply = client.place_batch_order(category="linear", request=batch)
    assert [row["code"] for row in reply["retExtInfo"]["list"]] == [0, 0, 0]
    assert len(client.cancel_all_orders(category="linear", symbol="BTCUSDT")["result"]["list"]) == 3
    client.place_order(**ORDER | {"orderType": "Market", "timeInForce": "IOC", "price": None})
    position = client.get_positions(category="linear", settleCoin="USDT")["result"]["list"][0]
    assert D(position["size"]) == D("0.010")
    assert client.get_executions(category="linear")["result"]["list"]
    assert client.get_wallet_balance(accountType="UNIFIED")["result"]["list"][0]["coin"]
    client.set_leverage(category="linear", symbol="BTCUSDT", buyLeverage="3", sellLeverage="3")
    client.set_trading_stop(
        category="linear", symbol="BTCUSDT", stopLoss="45000", tpslMode="Full", positionIdx=0
    )
    assert client.get_fee_rates(category="linear")["result"]["list"]
    assert client.get_account_info()["result"]["marginMode"] == "REGULAR_MARGIN"
    assert client.get_api_key_information()["result"]["apiKey"] == KEY
    assert len(client.get_order_history(category="linear")["result"]["list"]) == 5
    assert client.get_transaction_log(category="linear")["result"]["list"]
    assert client.get_closed_pnl(category="linear")["result"]["list"] == []


def test_pybit_follows_the_public_link(exchange: Background) -> None:
    reply: dict[str, list[Any]] = {"book": [], "ticker": [], "trade": [], "kline": []}
    socket = WebSocket(testnet=False, channel_type="linear")
    try:
        socket.orderbook_stream(50, "BTCUSDT", reply["book"].append)
        socket.ticker_stream("BTCUSDT", reply["ticker"].append)
        socket.trade_stream("BTCUSDT", reply["trade"].append)
        socket.kline_stream(1, "BTCUSDT", reply["kline"].append)
        eventually(lambda: all(reply[name] for name in ("book", "ticker", "kline")))
        exchange.call(lambda p: p.market.set_bid(BTC, 0, "7.000"))
        exchange.call(lambda p: p.market.prints.append((BTC, "Sell", D("49999.9"), D("0.1"))))
        eventually(lambda: bool(reply["trade"]) and len(reply["book"]) > 1)
        bids = sorted(reply["book"][-1]["data"]["b"], key=lambda row: -D(row[0]))
        assert D(bids[0][1]) in (D("7.000"), D("6.900"))
    finally:
        socket.exit()


def test_pybit_trades_over_the_links(exchange: Background) -> None:
    reply: dict[str, list[Any]] = {}
    private = WebSocket(testnet=False, channel_type="private", api_key=KEY, api_secret=SECRET)
    trade = WebSocketTrading(testnet=False, api_key=KEY, api_secret=SECRET)
    acks: list[Any] = []
    try:
        for name in ("order", "execution", "position", "wallet"):
            reply[name] = []
            getattr(private, f"{name}_stream")(reply[name].append)
        eventually(lambda: _subscribed(exchange) == 4)
        eventually(lambda: exchange.call(lambda p: p.server.sockets.connected()["trade"]) == 1)
        trade.place_order(acks.append, orderLinkId="w1", **ORDER)
        eventually(lambda: bool(reply["order"]) and bool(acks))
        assert reply["order"][0]["data"][0]["orderStatus"] == "New"
        trade.amend_order(
            acks.append, category="linear", symbol="BTCUSDT", orderLinkId="w1", qty="0.020"
        )
        trade.cancel_order(acks.append, category="linear", symbol="BTCUSDT", orderLinkId="w1")
        eventually(lambda: len(acks) == 3)
        trade.place_order(
            acks.append, **ORDER | {"orderType": "Market", "timeInForce": "IOC", "price": ""}
        )
        eventually(lambda: all(reply.values()))
        assert D(reply["position"][-1]["data"][0]["size"]) == D("0.010")
    finally:
        private.exit()
        trade.exit()


def _subscribed(exchange: Background) -> int:
    return exchange.call(
        lambda p: sum(len(one.topics) for one in p.server.sockets.private.connections)
    )
