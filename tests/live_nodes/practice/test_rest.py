"""REST over a real connection."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live_nodes.practice.exchange.exchange import Exchange
from live_nodes.practice.exchange.model import AccountSpec, BybitRefusal
from live_nodes.practice.wire.access import KeyTerms, RateLimits
from live_nodes.practice.wire.server import HANDLERS
from live_nodes.practice.wire.venue import PracticeVenue, RequestDispatcher
from tests.live_nodes.practice.still_market import (
    BITCOIN,
    KEYS,
    LIMIT,
    MARKET,
    OPEN,
    SYMBOLS,
    D,
    Kept,
    Practice,
    Scripted,
    StillMarket,
    on_exchange,
    practice,
    signed,
)

MINUTE = 60_000


@on_exchange
async def test_the_time_comes_in_bybit_s_envelope(p: Practice) -> None:
    reply = await p.get("/v5/market/time")
    assert set(reply) == {"retCode", "retMsg", "result", "retExtInfo", "time"}
    assert abs(int(reply["result"]["timeNano"]) - time.time_ns()) < 5 * 10**9
    assert reply["result"]["timeSecond"] == reply["result"]["timeNano"][:-9]


@on_exchange
async def test_instruments_come_in_pages(p: Practice) -> None:
    path, found, cursor = "/v5/market/instruments-info", [], ""
    for _ in range(2):
        page = (await p.get(path, category="linear", limit=1, cursor=cursor))["result"]
        found += [row["symbol"] for row in page["list"]]
        cursor = page["nextPageCursor"]
    assert (found, cursor) == (["BTCUSDT", "ETHUSDT"], "")
    assert [row["symbol"] for row in await p.rows(path, category="spot")] == ["BTCUSDT"]
    assert await p.rows(path, category="linear", status="Closed") == []


@on_exchange
async def test_candles_come_newest_first_and_respect_their_window(p: Practice) -> None:
    now = time.time_ns() // 1_000_000
    minutes = BITCOIN | {"interval": 1}
    starts = [int(row[0]) for row in await p.rows("/v5/market/kline", limit=3, **minutes)]
    assert starts == sorted(starts, reverse=True)
    assert len(starts) == 3
    assert now - starts[0] < 2 * MINUTE
    window = {"start": now - 10 * MINUTE, "end": now - 5 * MINUTE}
    starts = [int(row[0]) for row in await p.rows("/v5/market/kline", **minutes, **window)]
    assert len(starts) in (5, 6)
    assert all(window["start"] <= start <= window["end"] for start in starts)
    days = {"symbol": "BTCUSDT", "interval": "D", "limit": 2}
    assert [len(row) for row in await p.rows("/v5/market/mark-price-kline", **days)] == [5, 5]


@on_exchange
async def test_a_wrong_request_is_refused_by_naming_the_parameter(p: Practice) -> None:
    for path, params, words in (
        ("kline", {"symbol": "BTCUSDT", "interval": "7"}, "Invalid period!"),
        ("kline", {"symbol": "BTCUSDT"}, "interval is missing"),
        ("kline", BITCOIN | {"interval": 1, "limit": "²"}, "limit"),
        ("kline", BITCOIN | {"interval": 1, "limit": "1" * 5_000}, "limit"),
        ("orderbook", {"category": "linear"}, "symbol is missing"),
        ("orderbook", {"category": "option", "symbol": "X"}, "must be one of"),
        ("tickers", {}, "category is missing"),
        ("tickers", {"category": "linear", "symbol": "NOUSDT"}, "symbol"),
        ("recent-trade", BITCOIN | {"limit": "x"}, "limit must be a whole number"),
        ("funding/history", BITCOIN | {"startTime": "1"}, "endTime must be given"),
    ):
        reply = await p.get(f"/v5/market/{path}", **params)
        assert reply["retCode"] == 10001
        assert words in reply["retMsg"]


@on_exchange
async def test_books_trades_tickers_and_funding_are_served(p: Practice) -> None:
    book = (await p.get("/v5/market/orderbook", limit=2, **BITCOIN))["result"]
    assert book["b"] == [["49999.9", "1.500"], ["49999.8", "1.500"]]
    assert book["a"] == [["50000.1", "1.500"], ["50000.2", "1.500"]]
    assert len(await p.rows("/v5/market/recent-trade", limit=3, **BITCOIN)) == 3
    tickers = {row["symbol"]: row for row in await p.rows("/v5/market/tickers", category="linear")}
    assert tickers["ETHUSDT"]["bid1Price"] == "2999.99"
    assert tickers["BTCUSDT"]["fundingRate"] == "0.0001"
    rates = await p.rows("/v5/market/funding/history", limit=2, **BITCOIN)
    newest, older = (int(row["fundingRateTimestamp"]) for row in rates)
    assert newest - older == 8 * 3_600_000


@on_exchange
async def test_unknown_paths_and_methods_are_not_found(p: Practice) -> None:
    assert (await p.get("/v5/market/nothing"))["retCode"] == 10017
    assert (await p.get("/v5/order/create", "anna"))["retCode"] == 10017
    assert (await p.post("/v5/order/realtime"))["retCode"] == 10017


@on_exchange
async def test_open_interest_and_risk_limits_are_served(p: Practice) -> None:
    path, hourly = "/v5/market/open-interest", BITCOIN | {"intervalTime": "1h", "limit": 2}
    page = (await p.get(path, **hourly))["result"]
    more = (await p.get(path, cursor=page["nextPageCursor"], **hourly))["result"]
    rows = page["list"] + more["list"]
    assert {D(row["openInterest"]) / D(row["singleOpenInterest"]) for row in rows} == {2}
    times = [int(row["timestamp"]) for row in rows]
    assert [a - b for a, b in itertools.pairwise(times)] == [60 * MINUTE] * 3
    assert not times[0] % (60 * MINUTE)
    limits = await p.rows("/v5/market/risk-limit", category="linear")
    assert [(row["symbol"], row["maxLeverage"], row["initialMargin"]) for row in limits] == [
        ("BTCUSDT", "100.00", "0.01"), ("ETHUSDT", "100.00", "0.01"),
    ]  # fmt: skip
    tier = await p.post("/v5/position/set-risk-limit", riskId=1, **BITCOIN)
    assert (tier["retCode"], tier["result"]["riskLimitValue"]) == (0, "2000000")


@on_exchange
async def test_other_modes_are_refused_with_bybit_s_code(p: Practice) -> None:
    for path, body, code in (
        ("position/switch-mode", BITCOIN | {"mode": 3}, 110029),
        ("position/switch-isolated", BITCOIN | {"tradeMode": 1}, 100028),
        ("account/set-margin-mode", {"setMarginMode": "ISOLATED_MARGIN"}, 3400045),
        ("order/create", LIMIT | {"positionIdx": 1}, 10001),
        ("position/set-risk-limit", BITCOIN | {"riskId": 2}, 10001),
    ):
        assert (await p.post(f"/v5/{path}", **body))["retCode"] == code, path


@on_exchange
async def test_private_paths_want_a_good_signature(p: Practice) -> None:
    path, query = "/v5/account/info", "a=b%20c&d=%C3%A9"
    url = f"{p.server.http}{path}?{query}"
    for headers, code in (
        ({}, 10003),
        (signed("anna", query), 0),
        (signed("anna", "other"), 10004),
    ):
        async with p.http.get(url, headers=headers) as answer:
            assert (await answer.json())["retCode"] == code
            assert answer.status == (401 if code == 10003 else 200)
    p.faults.skew_ms = 60_000
    assert (await p.get(path, "anna"))["retCode"] == 10002


@on_exchange
async def test_a_body_that_is_no_json_object_is_refused(p: Practice) -> None:
    for body in ("{", "[]", "nonsense", b"\xff\xfe"):
        headers = signed("anna", body if isinstance(body, str) else "x")
        url = f"{p.server.http}/v5/order/create"
        async with p.http.post(url, data=body, headers=headers) as answer:
            reply = await answer.json()
        assert reply["retCode"] == 10001
        assert "body" in reply["retMsg"]


@on_exchange
async def test_an_order_rests_is_amended_and_is_cancelled(p: Practice) -> None:
    placed = await p.post("/v5/order/create", orderLinkId="mine-1", **LIMIT)
    both = {"orderId": placed["result"]["orderId"], "orderLinkId": "mine-1"}
    assert placed["result"] == both
    ids = BITCOIN | {"orderLinkId": "mine-1"}
    amended = await p.post("/v5/order/amend", price="48000", qty="0.020", **ids)
    assert amended["result"] == both
    (row,) = await p.rows("/v5/order/realtime", "anna", **ids)
    assert (row["orderStatus"], row["price"], row["qty"]) == ("New", "48000", "0.020")
    assert await p.rows("/v5/order/realtime", "bert", **ids) == []
    assert (await p.post("/v5/order/cancel", **ids))["result"] == both
    assert (await p.post("/v5/order/cancel", **ids))["retCode"] == 110001
    assert await p.rows("/v5/order/realtime", "anna", **OPEN) == []
    (row,) = await p.rows("/v5/order/history", "anna", category="linear")
    assert (row["orderStatus"], row["cancelType"]) == ("Cancelled", "CancelByUser")
    assert row["leavesQty"] == "0"


@on_exchange
async def test_a_market_order_fills_and_shows_everywhere(p: Practice) -> None:
    order_id = (await p.post("/v5/order/create", qty="2", **MARKET))["result"]["orderId"]
    fills = await p.rows("/v5/execution/list", "anna", category="linear", orderId=order_id)
    past = {"category": "linear", "endTime": time.time_ns() // 1_000_000 - MINUTE}
    assert await p.rows("/v5/execution/list", "anna", **past) == []
    assert sorted((r["execPrice"], r["execQty"]) for r in fills) == [
        ("50000.1", "1.500"),
        ("50000.2", "0.500"),
    ]
    (position,) = await p.rows("/v5/position/list", "anna", **OPEN)
    assert (position["side"], D(position["size"])) == ("Buy", D(2))
    assert D(position["avgPrice"]) == D("50000.125")
    flat = await p.rows("/v5/position/list", "anna", category="linear", symbol="ETHUSDT")
    assert D(flat[0]["size"]) == 0
    unified = {"accountType": "UNIFIED", "coin": "USDT"}
    usdt = (await p.rows("/v5/account/wallet-balance", "anna", **unified))[0]["coin"][0]
    # Taker fee 0.055 % of 100,000.25.
    assert D(usdt["walletBalance"]) == D(100_000) - D("55.0001375")
    log = await p.rows("/v5/account/transaction-log", "anna", category="linear")
    assert sum(D(row["change"]) for row in log) == -D("55.0001375")
    await p.post("/v5/order/create", qty="2", reduceOnly=True, **MARKET | {"side": "Sell"})
    closed = await p.rows("/v5/position/closed-pnl", "anna", category="linear")
    assert D(closed[0]["closedSize"]) == 2
    assert ("orders", order_id) in p.kept.rows


@on_exchange
async def test_the_transaction_log_has_all_that_moved_money_and_adds_up(p: Practice) -> None:
    spot = MARKET | {"category": "spot", "marketUnit": "baseCoin"}
    await p.post("/v5/order/create", qty="1", **MARKET)
    await p.post("/v5/order/create", qty="0.5", **spot)
    exchange, now_ms = p.server.venue.exchange, p.server.venue.clock_ms()
    exchange.transfer("anna", "TRANSFER_IN", "USDT", D(250), now_ms)
    exchange.transfer("anna", "TRANSFER_OUT", "USDT", D(-1000), now_ms)
    with pytest.raises(BybitRefusal, match="insufficient"):
        exchange.transfer("anna", "TRANSFER_OUT", "USDT", D(-95_000), now_ms)
    log = await p.rows("/v5/account/transaction-log", "anna", accountType="UNIFIED")
    moved = [(row["type"], row["currency"], D(row["change"])) for row in log]
    assert moved == [
        ("TRANSFER_OUT", "USDT", D(-1000)),
        ("TRANSFER_IN", "USDT", D(250)),
        ("TRADE", "USDT", D("-25000.05")),
        ("TRADE", "BTC", D("0.4995")),
        ("TRADE", "USDT", D("-27.500055")),
    ]
    wallet = exchange.wallet("anna")
    assert wallet.coin("USDT").balance == 100_000 + sum(m for _, c, m in moved if c == "USDT")
    assert wallet.coin("BTC").balance == 1 + D("0.4995")
    only = {"type": "TRANSFER_IN", "currency": "USDT"}
    (row,) = await p.rows("/v5/account/transaction-log", "anna", **only)
    assert (row["cashFlow"], D(row["cashBalance"])) == ("250", D("75222.449945"))
    kept = Exchange(exchange.symbols(), [AccountSpec("anna"), AccountSpec("bert")])
    kept.restore(exchange.rows())
    assert kept.transfers("anna") == exchange.transfers("anna")


@on_exchange
async def test_lists_come_in_pages_that_new_rows_do_not_shift(p: Practice) -> None:
    names = []
    for number in range(5):
        await p.post("/v5/order/create", orderLinkId=f"n{number}", **LIMIT)
    pages = BITCOIN | {"limit": 2, "cursor": ""}
    for late in ("late", "later", "latest"):
        page = (await p.get("/v5/order/realtime", "anna", **pages))["result"]
        names += [row["orderLinkId"] for row in page["list"]]
        pages["cursor"] = page["nextPageCursor"]
        await p.post("/v5/order/create", orderLinkId=late, **LIMIT)
    assert names == ["n4", "n3", "n2", "n1", "n0"]
    assert pages["cursor"] == ""
    pages["cursor"] = "nonsense"
    assert (await p.get("/v5/order/realtime", "anna", **pages))["retCode"] == 10001


@on_exchange
async def test_a_batch_answers_for_each_order(p: Practice) -> None:
    async def batch(kind: str, *request: Any) -> tuple[Any, list[int]]:
        reply = await p.post(f"/v5/order/{kind}-batch", category="linear", request=request)
        return reply["result"]["list"], [row["code"] for row in reply["retExtInfo"]["list"]]

    ether = {"symbol": "ETHUSDT", "orderLinkId": "c"}
    rows, codes = await batch(
        "create",
        LIMIT | {"orderLinkId": "a"},
        LIMIT | {"orderLinkId": "b", "qty": "0.0001"},
        LIMIT | ether | {"price": "2900", "qty": "1"},
    )
    assert codes == [0, 10001, 0]
    assert [row["orderLinkId"] for row in rows] == ["a", "b", "c"]
    assert [bool(row["orderId"]) for row in rows] == [True, False, True]
    assert rows[1]["createAt"] == ""
    names = [{"symbol": "BTCUSDT", "orderLinkId": name} for name in "ab"]
    assert (await batch("cancel", *names))[1] == [0, 110001]
    assert (await batch("amend", ether | {"price": "2800"}))[1] == [0]
    wiped = await p.post("/v5/order/cancel-all", **OPEN)
    assert [row["orderLinkId"] for row in wiped["result"]["list"]] == ["c"]
    assert wiped["result"]["success"] == "1"
    none = await p.post("/v5/order/create-batch", category="linear", request=[])
    assert none["retCode"] == 10001


@on_exchange
async def test_leverage_modes_and_stops_are_set_with_bybit_s_codes(p: Practice) -> None:
    for sell, code in (("5", 0), ("5", 110043), ("6", 10001)):
        leverage = BITCOIN | {"buyLeverage": "5", "sellLeverage": sell}
        reply = await p.post("/v5/position/set-leverage", **leverage)
        assert (reply["retCode"], reply["result"]) == (code, {})
    reply = await p.post("/v5/position/switch-mode", mode=0, coin="USDT", category="linear")
    assert reply["retCode"] == 110025
    reply = await p.post("/v5/account/set-margin-mode", setMarginMode="REGULAR_MARGIN")
    assert (reply["retCode"], reply["result"]) == (0, {"reasons": []})
    assert (await p.get("/v5/account/info", "anna"))["result"]["marginMode"] == "REGULAR_MARGIN"
    await p.post("/v5/order/create", qty="1", **MARKET)
    stop = BITCOIN | {"tpslMode": "Full", "positionIdx": 0, "takeProfit": "55000"}
    assert (await p.post("/v5/position/trading-stop", **stop))["retCode"] == 0
    (held,) = await p.rows("/v5/position/list", "anna", **BITCOIN)
    assert D(held["takeProfit"]) == 55_000
    trail = BITCOIN | {"tpslMode": "Full", "positionIdx": 0, "trailingStop": "500"}
    for price, code in (("1", 10001), ("0", 0), ("0", 34040)):
        reply = await p.post("/v5/position/trading-stop", **trail, activePrice=price)
        assert reply["retCode"] == code
    (held,) = await p.rows("/v5/position/list", "anna", **BITCOIN)
    assert D(held["trailingStop"]) == 500
    rows = await p.rows("/v5/order/realtime", "anna", **BITCOIN)
    (order,) = (row for row in rows if row["stopOrderType"] == "TrailingStop")
    assert D(order["lastPriceOnCreated"]) - D(order["triggerPrice"]) == 500
    assert (order["createType"], order["side"]) == ("CreateByTrailingStop", "Sell")
    for symbol, code in (("BTCUSDT", 110024), ("ETHUSDT", 110029)):
        hedge = {"mode": 3, "category": "linear", "symbol": symbol}
        assert (await p.post("/v5/position/switch-mode", **hedge))["retCode"] == code


@on_exchange
async def test_a_key_shows_its_account_and_fees(p: Practice) -> None:
    reply = await p.get("/v5/user/query-api", "bert")
    assert reply["result"]["apiKey"] == "practice-bert"
    assert "secret-bert" not in json.dumps(reply)
    fees = await p.rows("/v5/account/fee-rate", "anna", category="linear")
    assert [row["takerFeeRate"] for row in fees] == ["0.00055", "0.00055"]


@on_exchange
async def test_a_key_may_no_more_than_its_terms_say(p: Practice) -> None:
    terms = p.server.venue.key_terms
    trades = {"Spot": ("SpotTrade",), "Wallet": ("Withdraw",)}
    for own, code in (
        (KeyTerms(read_only=True), 10005),
        (KeyTerms(permissions=trades), 10005),
        (KeyTerms(ips=("1.2.3.4",)), 10010),
        (KeyTerms(expires=datetime(2020, 1, 1, tzinfo=UTC)), 33004),
        (KeyTerms(ips=("127.0.0.1",)), 0),
    ):
        terms["anna"] = own
        assert (await p.post("/v5/order/create", **LIMIT))["retCode"] == code
        answer = await p.get("/v5/user/query-api", "anna")
        assert answer["retCode"] == (0 if code == 10005 else code)
        if not answer["retCode"]:
            shown = answer["result"]
            assert (shown["readOnly"], shown["ips"]) == (int(own.read_only), list(own.ips))
            assert shown["permissions"]["Wallet"] == list(own.permissions.get("Wallet", ()))
    assert (await p.post("/v5/order/create", "bert", **LIMIT))["retCode"] == 0


@on_exchange
async def test_the_eleventh_order_of_a_second_is_one_visit_too_many(p: Practice) -> None:
    codes = [(await p.post("/v5/order/create", **LIMIT))["retCode"] for _ in range(11)]
    assert codes == [0] * 10 + [10006]
    text = json.dumps(LIMIT)
    url = f"{p.server.http}/v5/order/create"
    async with p.http.post(url, data=text, headers=signed("anna", text)) as answer:
        assert answer.headers["X-Bapi-Limit"] == "10"
        assert answer.headers["X-Bapi-Limit-Status"] == "0"
        reset = int(answer.headers["X-Bapi-Limit-Reset-Timestamp"])
        assert 0 < reset - time.time_ns() // 1_000_000 <= 1_000
    assert len(await p.rows("/v5/order/realtime", "anna", **OPEN)) == 10


def test_an_address_that_sends_too_much_is_locked_out() -> None:
    limits, now_ms = RateLimits(), time.time_ns() // 1_000_000
    assert all(limits.take_address("127.0.0.1", now_ms) for _ in range(600))

    async def send() -> int:
        async with practice(limits) as p, p.http.get(f"{p.server.http}/v5/market/time") as answer:
            return answer.status

    assert asyncio.run(send()) == 403


@on_exchange
async def test_a_market_that_fails_ends_the_server_with_its_error(p: Practice) -> None:
    p.market.changed = {("linear", "NOUSDT")}
    with pytest.raises(KeyError, match="NOUSDT"):
        await p.server.failed()


WORDS = st.one_of(
    st.integers(-10, 10**20),
    st.sampled_from(["linear", "spot", "BTCUSDT", "NOUSDT", "Buy", "Limit", "Market", "1", "0.01"]),
    st.sampled_from(["USDT", "UNIFIED", "StopOrder", "49000", "NaN", "1e400", "-1", "PostOnly"]),
    st.lists(st.dictionaries(st.sampled_from(["symbol", "qty", "side"]), st.text(max_size=3))),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=50),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=4,
    ),
)
NAMES = st.sampled_from(
    ["accountType", "baseCoin", "buyLeverage", "category", "coin", "cursor", "end", "endTime",
     "execType", "interval", "isLeverage", "limit", "marketUnit", "mode", "openOnly",
     "orderFilter", "orderId", "orderLinkId", "orderType", "positionIdx", "price", "qty",
     "reduceOnly", "request", "sellLeverage", "setMarginMode", "settleCoin", "side",
     "slippageTolerance", "start", "startTime", "status", "stopLoss", "symbol", "takeProfit",
     "timeInForce", "tpLimitPrice", "tpslMode", "triggerBy", "triggerDirection", "triggerPrice",
     "type"]
)  # fmt: skip


@given(params=st.dictionaries(NAMES, WORDS))
def test_any_request_gets_a_code_a_short_message_and_json(params: Any) -> None:
    exchange = Exchange(SYMBOLS, [AccountSpec("anna")])
    venue = PracticeVenue(exchange, StillMarket(), Kept(), Scripted(), KEYS)
    venue.step()
    dispatcher = RequestDispatcher(venue, RateLimits(factor=1_000), HANDLERS)
    for path, base in product(HANDLERS, ({}, BITCOIN, LIMIT)):
        answer = dispatcher.answer(path, "anna", base | params)
        assert isinstance(answer.code, int)
        assert len(answer.message) < 300
        json.dumps(answer.result)
