"""ccxt against the practice exchange: nobody here wrote it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ccxt
import pytest

from tests.live_nodes.practice.background import background
from tests.live_nodes.practice.still_market import KEYS

KEY, SECRET = KEYS["anna"]
SYMBOL = "BTC/USDT:USDT"


@pytest.fixture
def client() -> Iterator[Any]:
    with background() as running:
        found = ccxt.bybit({"apiKey": KEY, "secret": SECRET, "enableRateLimit": False})
        found.urls["api"] = dict.fromkeys(found.urls["api"], running.where.http)
        found.has["fetchCurrencies"] = False
        found.options |= {"fetchMarkets": {"types": ["linear", "spot"]}, "unifiedMarginStatus": 5}
        found.options |= {"enableUnifiedAccount": True, "enableUnifiedMargin": False}
        yield found


def test_ccxt_reads_the_market(client: Any) -> None:
    markets = client.load_markets()
    assert set(markets) >= {SYMBOL, "ETH/USDT:USDT", "BTC/USDT"}
    assert markets[SYMBOL]["limits"]["amount"]["min"] == 0.001
    assert client.fetch_order_book(SYMBOL, 50)["bids"][0] == [49999.9, 1.5]
    assert client.fetch_ticker(SYMBOL)["last"] == 50_000
    assert client.fetch_ticker("BTC/USDT")["last"] == 50_000
    for fetch in (client.fetch_ohlcv, client.fetch_mark_ohlcv, client.fetch_index_ohlcv):
        assert len(fetch(SYMBOL, "1m", limit=5)) == 5
    assert client.fetch_trades(SYMBOL)
    assert client.fetch_funding_rate(SYMBOL)["fundingRate"] == 0.0001
    assert client.fetch_funding_rate_history(SYMBOL, limit=3)


def test_ccxt_trades(client: Any) -> None:
    client.load_markets()
    order = client.create_order(
        SYMBOL, "limit", "buy", 0.01, 49_000, {"clientOrderId": "c1", "postOnly": True}
    )
    assert [row["clientOrderId"] for row in client.fetch_open_orders(SYMBOL)] == ["c1"]
    client.edit_order(order["id"], SYMBOL, "limit", "buy", 0.02, 48_000)
    assert client.fetch_open_order(order["id"], SYMBOL)["amount"] == 0.02
    client.cancel_order(order["id"], SYMBOL)
    with pytest.raises(ccxt.OrderNotFound):
        client.cancel_order(order["id"], SYMBOL)
    assert [row["status"] for row in client.fetch_canceled_orders(SYMBOL)] == ["canceled"]
    client.create_order(SYMBOL, "market", "buy", 0.01)
    position = client.fetch_position(SYMBOL)
    assert (position["side"], position["contracts"]) == ("long", 0.01)
    assert [row["symbol"] for row in client.fetch_positions([SYMBOL])] == [SYMBOL]
    assert len(client.fetch_my_trades(SYMBOL)) == 1
    assert client.fetch_balance()["USDT"]["total"] < 100_000
    client.set_leverage(5, SYMBOL)
    client.create_order(SYMBOL, "market", "sell", 0.01, None, {"reduceOnly": True})
    assert client.fetch_trading_fee(SYMBOL)["taker"] == 0.00055


def test_ccxt_trades_spot(client: Any) -> None:
    client.load_markets()
    order = client.create_order("BTC/USDT", "limit", "buy", 0.01, 49_000)
    assert [row["id"] for row in client.fetch_open_orders("BTC/USDT")] == [order["id"]]
    client.cancel_all_orders("BTC/USDT")
    assert client.fetch_open_orders("BTC/USDT") == []


def test_ccxt_is_refused_with_a_wrong_secret(client: Any) -> None:
    client.secret = "wrong"
    with pytest.raises(ccxt.AuthenticationError):
        client.fetch_balance()
