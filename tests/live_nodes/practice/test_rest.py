"""REST over a real connection."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from aiohttp import ClientConnectionError, ServerDisconnectedError
from hypothesis import given
from hypothesis import strategies as st

from config.errors import InputError
from live_nodes.practice.exchange.exchange import Exchange
from live_nodes.practice.exchange.model import AccountSpec
from live_nodes.practice.faults import FaultEffect
from live_nodes.practice.wire.access import RateLimits
from live_nodes.practice.wire.server import HANDLERS, serve
from live_nodes.practice.wire.venue import PracticeVenue, RequestDispatcher
from tests.live_nodes.practice.still_market import (
    KEYS,
    LIMIT,
    MARKET,
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
from tests.waiting import DEADLINE

MINUTE = 60_000


@on_exchange
async def test_the_time_comes_in_bybit_s_envelope(p: Practice) -> None:
    reply = await p.get("/v5/market/time")
    assert set(reply) == {"retCode", "retMsg", "result", "retExtInfo", "time"}
    assert abs(int(reply["result"]["timeNano"]) - time.time_ns()) < 5 * 10**9
    assert reply["result"]["timeSecond"] == reply["result"]["timeNano"][:-9]


@on_exchange
async def test_instruments_come_in_pages(p: Practice) -> None:
    first = await p.get("/v5/market/instruments-info", category="linear", limit=1)
    assert [row["symbol"] for row in first["result"]["list"]] == ["BTCUSDT"]
    cursor = first["result"]["nextPageCursor"]
    second = await p.get("/v5/market/instruments-info", category="linear", limit=1, cursor=cursor)
    assert [row["symbol"] for row in second["result"]["list"]] == ["ETHUSDT"]
    assert second["result"]["nextPageCursor"] == ""
    spot = await p.get("/v5/market/instruments-info", category="spot")
    assert [row["symbol"] for row in spot["result"]["list"]] == ["BTCUSDT"]
    closed = await p.get("/v5/market/instruments-info", category="linear", status="Closed")
    assert closed["result"]["list"] == []


@on_exchange
async def test_candles_come_newest_first_and_respect_their_window(p: Practice) -> None:
    now = time.time_ns() // 1_000_000
    reply = await p.get(
        "/v5/market/kline", category="linear", symbol="BTCUSDT", interval=1, limit=3
    )
    starts = [int(row[0]) for row in reply["result"]["list"]]
    assert starts == sorted(starts, reverse=True)
    assert len(starts) == 3
    assert now - starts[0] < 2 * MINUTE
    window = {"start": now - 10 * MINUTE, "end": now - 5 * MINUTE}
    reply = await p.get(
        "/v5/market/kline", category="linear", symbol="BTCUSDT", interval=1, **window
    )
    starts = [int(row[0]) for row in reply["result"]["list"]]
    assert len(starts) in (5, 6)
    assert all(window["start"] <= start <= window["end"] for start in starts)
    mark = await p.get("/v5/market/mark-price-kline", symbol="BTCUSDT", interval="D", limit=2)
    assert [len(row) for row in mark["result"]["list"]] == [5, 5]


@pytest.mark.parametrize(
    ("path", "params", "words"),
    [
        ("/v5/market/kline", {"symbol": "BTCUSDT", "interval": "7"}, "Invalid period!"),
        ("/v5/market/kline", {"symbol": "BTCUSDT"}, "interval is missing"),
        ("/v5/market/orderbook", {"category": "linear"}, "symbol is missing"),
        ("/v5/market/orderbook", {"category": "option", "symbol": "X"}, "must be one of"),
        ("/v5/market/tickers", {}, "category is missing"),
        ("/v5/market/tickers", {"category": "linear", "symbol": "NOUSDT"}, "symbol"),
        (
            "/v5/market/recent-trade",
            {"category": "linear", "symbol": "BTCUSDT", "limit": "x"},
            "limit must be a whole number",
        ),
        (
            "/v5/market/funding/history",
            {"category": "linear", "symbol": "BTCUSDT", "startTime": "1"},
            "endTime must be given",
        ),
    ],
)
def test_a_wrong_question_is_refused_by_naming_the_parameter(
    path: str, params: dict[str, str], words: str
) -> None:
    @on_exchange
    async def ask(p: Practice) -> None:
        reply = await p.get(path, **params)
        assert reply["retCode"] == 10001
        assert words in reply["retMsg"]

    ask()


@on_exchange
async def test_books_trades_tickers_and_funding_are_served(p: Practice) -> None:
    book = await p.get("/v5/market/orderbook", category="linear", symbol="BTCUSDT", limit=2)
    assert book["result"]["b"] == [["49999.9", "1.500"], ["49999.8", "1.500"]]
    assert book["result"]["a"] == [["50000.1", "1.500"], ["50000.2", "1.500"]]
    trades = await p.get("/v5/market/recent-trade", category="linear", symbol="BTCUSDT", limit=3)
    assert len(trades["result"]["list"]) == 3
    tickers = await p.get("/v5/market/tickers", category="linear")
    reply = {row["symbol"]: row for row in tickers["result"]["list"]}
    assert reply["ETHUSDT"]["bid1Price"] == "2999.99"
    assert reply["BTCUSDT"]["fundingRate"] == "0.0001"
    rates = await p.get("/v5/market/funding/history", category="linear", symbol="BTCUSDT", limit=2)
    stamps = [int(row["fundingRateTimestamp"]) for row in rates["result"]["list"]]
    assert stamps[0] - stamps[1] == 8 * 3_600_000


@on_exchange
async def test_unknown_paths_and_methods_are_not_found(p: Practice) -> None:
    assert (await p.get("/v5/market/nothing"))["retCode"] == 10017
    assert (await p.get("/v5/order/create", "anna"))["retCode"] == 10017
    assert (await p.post("/v5/order/realtime"))["retCode"] == 10017


@on_exchange
async def test_private_paths_want_a_good_signature(p: Practice) -> None:
    path = "/v5/account/info"
    assert (await p.get(path))["retCode"] == 10001
    url = f"{p.server.http}{path}"
    query = "a=b%20c&d=%C3%A9"
    wrong = signed("anna", query) | {"X-BAPI-API-KEY": "nobody"}
    cases = [
        (signed("anna", query), 0),
        (signed("anna", "other"), 10004),
        (wrong, 10003),
        (signed("anna", query, skew_ms=-6_000), 10002),
        (signed("anna", query, skew_ms=2_000), 10002),
    ]
    for headers, code in cases:
        async with p.http.get(f"{url}?{query}", headers=headers) as answer:
            assert (await answer.json())["retCode"] == code
    p.faults.skew_ms = 60_000
    assert (await p.get(path, "anna"))["retCode"] == 10002


@on_exchange
async def test_a_body_that_is_no_json_object_is_refused(p: Practice) -> None:
    for body in ("{", "[]", "nonsense"):
        url = f"{p.server.http}/v5/order/create"
        async with p.http.post(url, data=body, headers=signed("anna", body)) as answer:
            reply = await answer.json()
        assert reply["retCode"] == 10001
        assert "body" in reply["retMsg"]


@on_exchange
async def test_an_order_rests_is_amended_and_is_cancelled(p: Practice) -> None:
    made = await p.post("/v5/order/create", orderLinkId="mine-1", **LIMIT)
    assert made["retCode"] == 0, made
    assert set(made["result"]) == {"orderId", "orderLinkId"}
    order_id = made["result"]["orderId"]
    ids = {"category": "linear", "symbol": "BTCUSDT", "orderLinkId": "mine-1"}
    found = await p.get("/v5/order/realtime", "anna", **ids)
    assert [row["orderStatus"] for row in found["result"]["list"]] == ["New"]
    amended = await p.post("/v5/order/amend", price="48000", qty="0.020", **ids)
    assert amended["result"] == {"orderId": order_id, "orderLinkId": "mine-1"}
    found = await p.get("/v5/order/realtime", "anna", category="linear", settleCoin="USDT")
    assert [(r["price"], r["qty"]) for r in found["result"]["list"]] == [("48000", "0.020")]
    assert (await p.get("/v5/order/realtime", "bert", **ids))["result"]["list"] == []
    cancelled = await p.post("/v5/order/cancel", **ids)
    assert cancelled["result"]["orderId"] == order_id
    again = await p.post("/v5/order/cancel", **ids)
    assert again["retCode"] == 110001
    assert (await p.get("/v5/order/realtime", "anna", category="linear", settleCoin="USDT"))[
        "result"
    ]["list"] == []
    history = await p.get("/v5/order/history", "anna", category="linear")
    row = history["result"]["list"][0]
    assert (row["orderStatus"], row["cancelType"]) == ("Cancelled", "CancelByUser")
    assert row["leavesQty"] == "0"


@on_exchange
async def test_a_market_order_fills_and_shows_everywhere(p: Practice) -> None:
    made = await p.post("/v5/order/create", qty="2", **MARKET)
    assert made["retCode"] == 0, made
    order_id = made["result"]["orderId"]
    fills = await p.get("/v5/execution/list", "anna", category="linear", orderId=order_id)
    rows = fills["result"]["list"]
    assert sorted((r["execPrice"], r["execQty"]) for r in rows) == [
        ("50000.1", "1.500"),
        ("50000.2", "0.500"),
    ]
    positions = await p.get("/v5/position/list", "anna", category="linear", settleCoin="USDT")
    position = positions["result"]["list"][0]
    assert (position["side"], D(position["size"])) == ("Buy", D(2))
    assert D(position["avgPrice"]) == D("50000.125")
    flat = await p.get("/v5/position/list", "anna", category="linear", symbol="ETHUSDT")
    assert D(flat["result"]["list"][0]["size"]) == 0
    wallet = await p.get("/v5/account/wallet-balance", "anna", accountType="UNIFIED", coin="USDT")
    usdt = wallet["result"]["list"][0]["coin"][0]
    # Taker fee 0.055 % of 100,000.25.
    assert D(usdt["walletBalance"]) == D(100_000) - D("55.0001375")
    log = await p.get("/v5/account/transaction-log", "anna", category="linear")
    assert sum(D(row["change"]) for row in log["result"]["list"]) == -D("55.0001375")
    await p.post("/v5/order/create", qty="2", reduceOnly=True, **MARKET | {"side": "Sell"})
    closed = await p.get("/v5/position/closed-pnl", "anna", category="linear")
    assert D(closed["result"]["list"][0]["closedSize"]) == 2
    assert ("orders", order_id) in p.kept.rows


@on_exchange
async def test_lists_come_in_pages_that_new_rows_do_not_shift(p: Practice) -> None:
    for number in range(5):
        await p.post("/v5/order/create", orderLinkId=f"n{number}", **LIMIT)
    ask = {"category": "linear", "symbol": "BTCUSDT", "limit": 2}
    first = (await p.get("/v5/order/realtime", "anna", **ask))["result"]
    await p.post("/v5/order/create", orderLinkId="late", **LIMIT)
    ask["cursor"] = first["nextPageCursor"]
    second = (await p.get("/v5/order/realtime", "anna", **ask))["result"]
    ask["cursor"] = second["nextPageCursor"]
    third = (await p.get("/v5/order/realtime", "anna", **ask))["result"]
    reply = [row["orderLinkId"] for one in (first, second, third) for row in one["list"]]
    assert reply == ["n4", "n3", "n2", "n1", "n0"]
    assert third["nextPageCursor"] == ""
    ask["cursor"] = "nonsense"
    assert (await p.get("/v5/order/realtime", "anna", **ask))["retCode"] == 10001


@on_exchange
async def test_a_batch_answers_for_each_order(p: Practice) -> None:
    orders = [
        LIMIT | {"orderLinkId": "a"},
        LIMIT | {"orderLinkId": "b", "qty": "0.0001"},
        LIMIT | {"orderLinkId": "c", "symbol": "ETHUSDT", "price": "2900", "qty": "1"},
    ]
    reply = await p.post("/v5/order/create-batch", category="linear", request=orders)
    codes = [row["code"] for row in reply["retExtInfo"]["list"]]
    assert (codes[0], codes[2]) == (0, 0)
    assert codes[1] != 0
    rows = reply["result"]["list"]
    assert [row["orderLinkId"] for row in rows] == ["a", "b", "c"]
    assert [bool(row["orderId"]) for row in rows] == [True, False, True]
    assert rows[1]["createAt"] == ""
    names = [{"symbol": "BTCUSDT", "orderLinkId": "a"}, {"symbol": "BTCUSDT", "orderLinkId": "b"}]
    reply = await p.post("/v5/order/cancel-batch", category="linear", request=names)
    assert [row["code"] for row in reply["retExtInfo"]["list"]] == [0, 110001]
    change = [{"symbol": "ETHUSDT", "orderLinkId": "c", "price": "2800"}]
    reply = await p.post("/v5/order/amend-batch", category="linear", request=change)
    assert reply["retExtInfo"]["list"] == [{"code": 0, "msg": "OK"}]
    wiped = await p.post("/v5/order/cancel-all", category="linear", settleCoin="USDT")
    assert [row["orderLinkId"] for row in wiped["result"]["list"]] == ["c"]
    assert wiped["result"]["success"] == "1"
    none = await p.post("/v5/order/create-batch", category="linear", request=[])
    assert none["retCode"] == 10001


@on_exchange
async def test_leverage_modes_and_stops_are_set_with_bybit_s_codes(p: Practice) -> None:
    leverage = {"category": "linear", "symbol": "BTCUSDT"}
    reply = await p.post("/v5/position/set-leverage", buyLeverage="5", sellLeverage="5", **leverage)
    assert (reply["retCode"], reply["result"]) == (0, {})
    reply = await p.post("/v5/position/set-leverage", buyLeverage="5", sellLeverage="5", **leverage)
    assert reply["retCode"] == 110043
    reply = await p.post("/v5/position/set-leverage", buyLeverage="5", sellLeverage="6", **leverage)
    assert reply["retCode"] == 10001
    reply = await p.post("/v5/position/switch-mode", mode=0, coin="USDT", category="linear")
    assert reply["retCode"] in (0, 110025)
    reply = await p.post("/v5/account/set-margin-mode", setMarginMode="REGULAR_MARGIN")
    assert reply["retCode"] == 0
    assert reply["result"] == {"reasons": []}
    info = await p.get("/v5/account/info", "anna")
    assert info["result"]["marginMode"] == "REGULAR_MARGIN"
    await p.post("/v5/order/create", qty="1", **MARKET)
    stop = leverage | {"tpslMode": "Full", "positionIdx": 0}
    reply = await p.post("/v5/position/trading-stop", takeProfit="55000", **stop)
    assert reply["retCode"] == 0, reply
    held = await p.get("/v5/position/list", "anna", **leverage)
    assert D(held["result"]["list"][0]["takeProfit"]) == 55_000


@on_exchange
async def test_a_key_shows_its_account_and_fees(p: Practice) -> None:
    reply = await p.get("/v5/user/query-api", "bert")
    assert reply["result"]["apiKey"] == "practice-bert"
    assert "secret-bert" not in json.dumps(reply)
    fees = await p.get("/v5/account/fee-rate", "anna", category="linear")
    assert [row["takerFeeRate"] for row in fees["result"]["list"]] == ["0.00055", "0.00055"]


@on_exchange
async def test_the_eleventh_order_of_a_second_is_one_visit_too_many(p: Practice) -> None:
    reply = [await p.post("/v5/order/create", **LIMIT) for _ in range(11)]
    assert [one["retCode"] for one in reply] == [0] * 10 + [10006]
    text = json.dumps(LIMIT)
    url = f"{p.server.http}/v5/order/create"
    async with p.http.post(url, data=text, headers=signed("anna", text)) as answer:
        assert answer.headers["X-Bapi-Limit"] == "10"
        assert answer.headers["X-Bapi-Limit-Status"] == "0"
        reset = int(answer.headers["X-Bapi-Limit-Reset-Timestamp"])
        assert 0 < reset - time.time_ns() // 1_000_000 <= 1_000
    found = await p.get("/v5/order/realtime", "anna", category="linear", settleCoin="USDT")
    assert len(found["result"]["list"]) == 10


def test_an_address_that_sends_too_much_is_locked_out() -> None:
    async def ask() -> None:
        async with practice(RateLimits(address_requests=3)) as p:
            for _ in range(3):
                await p.get("/v5/market/time")
            async with p.http.get(f"{p.server.http}/v5/market/time") as answer:
                assert answer.status == 403

    asyncio.run(ask())


@on_exchange
async def test_a_fault_answers_in_place_of_the_exchange(p: Practice) -> None:
    url = f"{p.server.http}/v5/market/time"
    p.faults.http = FaultEffect(status=500)
    async with p.http.get(url) as answer:
        assert answer.status == 500
    p.faults.http = FaultEffect(ret_code=10016, message="Internal System Error.")
    assert (await p.get("/v5/market/time"))["retCode"] == 10016
    p.faults.http = FaultEffect(silent=True)
    # A POST, because aiohttp's client repeats a GET that got no answer.
    with pytest.raises((ServerDisconnectedError, ClientConnectionError)):
        await p.post("/v5/order/create", **LIMIT)
    p.faults.http = FaultEffect(delay_s=0.1)
    begun = time.monotonic()
    assert (await p.get("/v5/market/time"))["retCode"] == 0
    assert time.monotonic() - begun >= 0.1


@on_exchange
async def test_a_request_may_be_carried_out_and_its_answer_lost(p: Practice) -> None:
    p.faults.http = FaultEffect(ret_code=10016, message="lost")
    assert (await p.post("/v5/order/create", orderLinkId="x", **LIMIT))["retCode"] == 10016
    p.faults.http = FaultEffect(execute=True, ret_code=10016, message="lost")
    assert (await p.post("/v5/order/create", orderLinkId="y", **LIMIT))["retCode"] == 10016
    found = await p.get("/v5/order/realtime", "anna", category="linear", settleCoin="USDT")
    assert [row["orderLinkId"] for row in found["result"]["list"]] == ["y"]
    assert ("POST", "/v5/order/create", "anna") in p.faults.requests


def test_only_this_machine_may_be_listened_on() -> None:
    async def ask() -> None:
        exchange = Exchange(SYMBOLS, [])
        with pytest.raises(InputError, match=r"127\.0\.0\.1 only"):
            await serve(exchange, StillMarket(), KEYS, Scripted(), Kept(), host="0.0.0.0")

    asyncio.run(ask())


def test_a_market_that_fails_ends_the_server_with_its_error() -> None:
    async def ask() -> None:
        async with practice() as p:
            p.market.changed = {("linear", "NOUSDT")}
            with pytest.raises(KeyError, match="NOUSDT"):
                async with asyncio.timeout(DEADLINE):
                    await p.server.failed()

    asyncio.run(ask())


@on_exchange
async def test_a_body_that_is_not_utf_8_and_numbers_that_are_none_are_refused(p: Practice) -> None:
    url = f"{p.server.http}/v5/order/create"
    async with p.http.post(url, data=b"\xff\xfe", headers=signed("anna", "x")) as answer:
        assert (await answer.json())["retCode"] == 10001
    for stamp in ("²", "9" * 5_000):
        headers = signed("anna", "") | {"X-BAPI-TIMESTAMP": stamp}
        async with p.http.get(f"{p.server.http}/v5/account/info", headers=headers) as answer:
            assert (await answer.json())["retCode"] == 10001
    kline = {"category": "linear", "symbol": "BTCUSDT", "interval": 1}
    for limit in ("²", "1" * 5_000):
        assert (await p.get("/v5/market/kline", limit=limit, **kline))["retCode"] == 10001


WORDS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-10, 10**20),
    st.sampled_from(["linear", "spot", "BTCUSDT", "NOUSDT", "Buy", "Limit", "Market", "1", "0.01"]),
    st.sampled_from(["USDT", "UNIFIED", "StopOrder", "49000", "NaN", "1e400", "-1", "PostOnly"]),
    st.text(max_size=5),
    st.lists(st.dictionaries(st.sampled_from(["symbol", "qty", "side"]), st.text(max_size=3))),
)
NAMES = st.sampled_from(
    sorted(
        {
            *("category", "symbol", "side", "orderType", "qty", "price", "timeInForce", "type"),
            *("orderLinkId", "orderId", "triggerPrice", "triggerDirection", "triggerBy", "mode"),
            *("takeProfit", "stopLoss", "tpslMode", "reduceOnly", "positionIdx", "limit", "end"),
            *("cursor", "startTime", "endTime", "start", "interval", "settleCoin", "baseCoin"),
            *("accountType", "coin", "request", "buyLeverage", "sellLeverage", "setMarginMode"),
            *("orderFilter", "openOnly", "execType", "status"),
        }
    )
)


@given(path=st.sampled_from(sorted(HANDLERS)), params=st.dictionaries(NAMES, WORDS))
def test_any_request_gets_a_code_and_json(path: str, params: Any) -> None:
    market, kept = StillMarket(), Kept()
    exchange = Exchange(SYMBOLS, [AccountSpec("anna")])
    venue = PracticeVenue(exchange, market, kept, Scripted(), KEYS)
    venue.step()
    desk = RequestDispatcher(venue, RateLimits(factor=1_000), HANDLERS)
    good = {"category": "linear", "symbol": "BTCUSDT"}
    for body in (params, good | params):
        answer = desk.answer(path, "anna", body)
        assert isinstance(answer.code, int)
        json.dumps(answer.result)
