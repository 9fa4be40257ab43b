"""The WebSocket links, over real connections."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from live_nodes.practice.exchange.model import Level
from live_nodes.practice.wire.public_streams import changes
from tests.live_nodes.practice.payload_examples import adapter, differences, documented
from tests.live_nodes.practice.still_market import (
    BITCOIN,
    BTC,
    LIMIT,
    MARKET,
    SPOT,
    D,
    Practice,
    link,
    login,
    on_exchange,
    operation,
)
from tests.waiting import DEADLINE

BOOK = "orderbook.50.BTCUSDT"
POST_ONLY = LIMIT | {"timeInForce": "PostOnly"}
TAKES = MARKET | {"qty": "2"}


def _book_of(messages: list[Any]) -> tuple[list[Level], list[Level]]:
    """Rebuild a book as Bybit's documentation says."""
    sides: dict[str, dict[Any, Any]] = {"b": {}, "a": {}}
    for message in messages:
        for side, levels in sides.items():
            if message["type"] == "snapshot":
                levels.clear()
            for price, qty in message["data"][side]:
                if D(qty) == 0:
                    del levels[D(price)]
                else:
                    levels[D(price)] = D(qty)
    return (sorted(sides["b"].items(), reverse=True), sorted(sides["a"].items()))


@on_exchange
async def test_a_book_comes_whole_and_then_by_its_changes_without_a_gap(p: Practice) -> None:
    async with link(p, "public/linear") as client:
        ack = await client.subscribe(BOOK)
        assert ack | {"conn_id": ""} == {
            "success": True, "ret_msg": "", "conn_id": "", "req_id": BOOK, "op": "subscribe",
        }  # fmt: skip
        messages = [await client.next()]
        for number in range(20):
            p.market.set_bid(BTC, number % 7, f"{number + 2}.000")
            messages.append(await client.next())
        p.market.move(BTC, D("50003.7"), 0)
        messages.append(await client.next())
    assert [message["type"] for message in messages] == ["snapshot"] + ["delta"] * 21
    assert [message["data"]["u"] for message in messages] == list(range(1, 23))
    seqs = [message["data"]["seq"] for message in messages]
    assert seqs == sorted(set(seqs))
    assert messages[1]["data"]["b"] == [["49999.9", "2.000"]]
    assert messages[1]["data"]["a"] == []
    bids, asks = p.market.books[BTC]
    assert _book_of(messages) == (bids[:50], asks[:50])
    assert differences(messages[0], adapter("ws_orderbook_snapshot")) == []
    example = documented("v5/websocket/public/orderbook")
    assert differences(messages[1], example) == []


@on_exchange
async def test_a_late_subscriber_begins_where_the_others_are_and_sees_own_orders(
    p: Practice,
) -> None:
    async with link(p, "public/linear") as early, link(p, "public/linear") as late:
        await early.subscribe(BOOK)
        await early.next()
        p.market.set_bid(BTC, 0, "9.000")
        assert (await early.next())["data"]["u"] == 2
        await late.subscribe(BOOK)
        whole = await late.next()
        assert (whole["type"], whole["data"]["u"]) == ("snapshot", 2)
        assert whole["data"]["b"][0] == ["49999.9", "9.000"]
        await p.post("/v5/order/create", **POST_ONLY | {"price": "49999.9"})
        changed = await early.next()
        assert changed == await late.next()
        assert changed["data"]["b"] == [["49999.9", "9.010"]]


@on_exchange
async def test_depth_1_is_always_whole_and_repeated_when_nothing_happens(p: Practice) -> None:
    async with link(p, "public/linear") as client:
        await client.subscribe("orderbook.1.BTCUSDT")
        first = await client.next()
        assert first["data"]["b"] == [["49999.9", "1.500"]]
        p.market.set_bid(BTC, 0, "3.000")
        second = await client.next()
        assert (second["type"], second["data"]["a"]) == ("snapshot", [["50000.1", "1.500"]])
        p.market.set_bid(BTC, 3, "3.000")
        third = await client.next()
        assert third["data"]["u"] == second["data"]["u"]
        assert third["ts"] - second["ts"] >= 2_990


@on_exchange
async def test_topics_that_do_not_exist_are_refused_by_name(p: Practice) -> None:
    async with link(p, "public/linear") as client:
        for topic in (
            "orderbook.7.BTCUSDT",
            "nothing.BTCUSDT",
            "kline.7.BTCUSDT",
            "tickers",
            "publicTrade.x.BTCUSDT",
            "orderbook.50.NOUSDT",
        ):
            reply = await client.subscribe(topic)
            assert (reply["success"], topic in reply["ret_msg"]) == (False, True)
        await client.subscribe("tickers.BTCUSDT")
        await client.next()
        assert "already subscribed" in (await client.subscribe("tickers.BTCUSDT"))["ret_msg"]
        assert (await client.ask({"op": "dance"}))["success"] is False
        assert (await client.ask({"op": "subscribe", "args": "tickers"}))["success"] is False
        await client.socket.send_str("{")
        assert (await client.next())["success"] is False
    async with link(p, "public/spot") as client:
        reply = await client.subscribe(*[f"tickers.A{n}USDT" for n in range(11)])
        assert reply["ret_msg"] == "args size >10"


@on_exchange
async def test_unsubscribing_ends_a_topic(p: Practice) -> None:
    async with link(p, "public/linear") as client:
        await client.subscribe(BOOK)
        await client.next()
        reply = await client.ask({"op": "unsubscribe", "args": [BOOK]})
        assert (reply["success"], reply["op"]) == (True, "unsubscribe")
        p.market.set_bid(BTC, 0, "2.000")
        assert await client.quiet() == []


@on_exchange
async def test_tickers_of_perpetuals_push_changes_those_of_spot_everything(p: Practice) -> None:
    async with link(p, "public/linear") as linear, link(p, "public/spot") as spot:
        await linear.subscribe("tickers.BTCUSDT")
        await spot.subscribe("tickers.BTCUSDT")
        whole, other = await linear.next(), await spot.next()
        assert differences(whole, adapter("ws_ticker_linear")) == []
        assert differences(other, documented("v5/websocket/public/ticker", 1)) == []
        p.market.set_bid(BTC, 0, "4.000")
        changed = await linear.next()
        assert changed["type"] == "delta"
        assert changed["data"] == {"symbol": "BTCUSDT", "bid1Size": "4.000"}
        p.market.move(SPOT, D("50100.0"), 0)
        again = await spot.next()
        assert again["type"] == "snapshot"
        assert set(again["data"]) == set(other["data"])
        assert again["data"]["lastPrice"] == "50100.0"


@on_exchange
async def test_prints_and_candles_are_pushed(p: Practice) -> None:
    async with link(p, "public/linear") as client:
        await client.subscribe("publicTrade.BTCUSDT")
        p.market.prints.append((BTC, "Buy", D("50000.1"), D("0.020")))
        reply = await client.next()
        assert differences(reply, documented("v5/websocket/public/trade")) == []
        assert [(t["p"], t["v"], t["S"]) for t in reply["data"]] == [("50000.1", "0.020", "Buy")]
        recent = await p.rows("/v5/market/recent-trade", **BITCOIN)
        assert recent[0]["execId"] == reply["data"][0]["i"]
        await client.subscribe("kline.1.BTCUSDT")
        candle = await client.next()
        assert differences(candle, documented("v5/websocket/public/kline")) == []
        assert candle["data"][0]["confirm"] is False
        p.market.last[BTC] = D("50010.0")
        moved = await client.next()
        assert moved["data"][0]["close"] == "50010.0"


def _trade_example(op: str) -> Any:
    """Return the documented answer of an operation on the trade link."""
    examples = [documented("v5/websocket/trade/guideline", n) for n in range(7)]
    answers = [e for e in examples if "retCode" in e or e["op"] == "pong"]
    return next(answer for answer in answers if answer["op"] == op)


@on_exchange
async def test_liquidations_are_published(p: Practice) -> None:
    async with link(p, "public/linear") as client:
        await client.subscribe("allLiquidation.BTCUSDT")
        await p.post("/v5/order/create", qty="0.5", **MARKET)
        exchange, venue = p.server.venue.exchange, p.server.venue
        assert exchange.force_close("anna", None, D(1), "BustTrade", venue.clock_ms())
        venue.settle()
        message = await client.next()
        [row] = message["data"]
        assert (message["topic"], message["type"]) == ("allLiquidation.BTCUSDT", "snapshot")
        assert (row["s"], row["S"], row["v"], D(row["p"])) == ("BTCUSDT", "Buy", "0.500", 50_000)


@on_exchange
async def test_each_link_answers_pings_in_its_own_format(p: Practice) -> None:
    page = "v5/websocket/wss-authentication"
    for path, account, example, expected in (
        ("public/linear", None, documented(page, 2), {"op": "ping", "ret_msg": "pong"}),
        ("private", "anna", documented(page, 4), {"op": "pong", "req_id": "x"}),
        ("trade", "anna", _trade_example("pong"), {"op": "pong"}),
    ):
        async with link(p, path, account) as client:
            pong = await client.ask({"op": "ping", "req_id": "x"})
            assert differences(pong, example) == []
            assert expected.items() <= pong.items()


@on_exchange
async def test_a_wrong_login_is_refused_and_gets_nothing(p: Practice) -> None:
    bad = login("anna")
    bad["args"][2] = "0" * 64
    async with link(p, "private") as client:
        reply = await client.ask(bad)
        assert (reply["success"], reply["op"]) == (False, "auth")
        assert "secret" not in reply["ret_msg"]
        refused = await client.subscribe("order")
        assert refused["success"] is False
    async with link(p, "trade") as client:
        assert (await client.ask(bad))["retCode"] == 10004
        assert (await client.operate("order.create", "1", **POST_ONLY))["retCode"] == 10007
        nobody = login("anna")
        nobody["args"][0] = "nobody"
        assert (await client.ask(nobody))["retCode"] == 10003
        assert (await client.ask(login("anna")))["retCode"] == 0
        assert (await client.ask(login("anna")))["retCode"] == 20001
    assert "orders" not in {table for table, _ in p.kept.rows}


@on_exchange
async def test_an_account_gets_pushes_of_its_own_orders_fills_position_and_money_only(
    p: Practice,
) -> None:
    topics = ("order", "execution", "execution.fast", "position", "wallet")
    async with link(p, "private", "anna") as anna, link(p, "private", "bert") as bert:
        for topic in topics:
            assert (await anna.subscribe(topic))["success"]
            assert (await bert.subscribe(topic))["success"]
        await p.post("/v5/order/create", orderLinkId="mine", **TAKES)
        pushes = await anna.quiet(0.3)
        assert await bert.quiet() == []
    assert {message["topic"] for message in pushes} == set(topics)
    for message in pushes:
        page = {"execution.fast": "fast-execution"}.get(message["topic"], message["topic"])
        example = documented(f"v5/websocket/private/{page}", heading="Stream")
        row = example["data"][0]
        row = row | {k: v for k, v in {"cumFeeDetail": {}, "extraFees": []}.items() if k in row}
        assert differences(message, example | {"data": [row]}) == [], message["topic"]
    last = [row for message in pushes if message["topic"] == "order" for row in message["data"]][-1]
    assert (last["orderStatus"], last["orderLinkId"]) == ("Filled", "mine")
    fills = [r for m in pushes if m["topic"] == "execution" for r in m["data"]]
    assert sum(D(fill["execQty"]) for fill in fills) == 2


@on_exchange
async def test_a_product_s_own_topic_pushes_that_product_only(p: Practice) -> None:
    async with link(p, "private", "anna") as client:
        await client.subscribe("order.spot")
        assert (await client.subscribe("nothing"))["success"] is False
        await p.post("/v5/order/create", **POST_ONLY)
        assert await client.quiet() == []
        spot = POST_ONLY | {"category": "spot", "qty": "0.01"}
        assert (await p.post("/v5/order/create", **spot))["retCode"] == 0
        reply = await client.next()
        assert reply["topic"] == "order.spot"
        assert reply["data"][0]["category"] == "spot"


@on_exchange
async def test_orders_go_over_the_trade_link(p: Practice) -> None:
    async with link(p, "trade", "anna") as client:
        ack = await client.operate("order.create", "r1", orderLinkId="t1", **POST_ONLY)
        assert differences(ack, _trade_example("order.create")) == []
        assert (ack["retCode"], ack["reqId"], ack["data"]["orderLinkId"]) == (0, "r1", "t1")
        assert ack["header"]["X-Bapi-Limit-Status"] == "9"
        ids = {"category": "linear", "symbol": "BTCUSDT", "orderLinkId": "t1"}
        assert (await client.operate("order.amend", "r2", price="48000", **ids))["retCode"] == 0
        assert (await client.operate("order.cancel", "r3", **ids))["retCode"] == 0
        assert (await client.operate("order.cancel", "r4", **ids))["retCode"] == 110001
        batch = [POST_ONLY | {"orderLinkId": "b1"}, POST_ONLY | {"orderLinkId": "b1"}]
        reply = await client.operate("order.create-batch", "r5", category="linear", request=batch)
        assert [row["code"] for row in reply["retExtInfo"]["list"]] == [0, 110072]
        assert [row["orderLinkId"] for row in reply["data"]["list"]] == ["b1", "b1"]


@on_exchange
async def test_a_bad_operation_is_refused_with_bybit_s_code(p: Practice) -> None:
    async with link(p, "trade", "anna") as client:
        good = operation("order.create", "r1", **POST_ONLY)
        assert (await client.ask(good))["retCode"] == 0
        assert (await client.ask(good))["retCode"] == 20006
        assert (await client.operate("order.dance", "r2"))["retCode"] == 10404
        late = operation("order.create", "r3", **POST_ONLY)
        late["header"]["X-BAPI-TIMESTAMP"] = "1"
        assert (await client.ask(late))["retCode"] == 10002
        del late["header"], late["reqId"]
        reply = await client.ask(late)
        assert reply["retCode"] == 10001
        assert "reqId" not in reply
        two = operation("order.create", "r4", **POST_ONLY)
        two["args"] *= 2
        assert (await client.ask(two))["retCode"] == 10001


@on_exchange
async def test_a_frozen_link_stands_still_and_goes_on_when_it_thaws(p: Practice) -> None:
    async with link(p, "public/linear") as client:
        await client.subscribe(BOOK)
        await client.next()
        p.faults.links["public"] = "frozen"
        p.market.set_bid(BTC, 0, "7.000")
        await client.socket.send_str('{"op": "ping"}')
        await client.socket.ping()
        assert await client.quiet(0.2) == []
        assert not client.socket.closed
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2), link(p, "public/linear"):
                pass
        p.faults.links["public"] = "open"
        reply = await client.quiet(0.2)
        assert [m.get("op") or m["data"]["u"] for m in reply] in (["ping", 2], [2, "ping"])


@on_exchange
async def test_a_killed_link_is_cut_and_refuses_until_it_is_open_again(p: Practice) -> None:
    async with link(p, "private", "anna") as client, link(p, "public/linear") as other:
        p.faults.kill("private")
        message = await client.socket.receive(timeout=DEADLINE)
        assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with link(p, "private"):
                pass
        assert refused.value.status == 503
        assert (await other.ask({"op": "ping"}))["ret_msg"] == "pong"
    p.faults.links["private"] = "open"
    async with link(p, "private", "anna"):
        assert p.server.sockets.connected()["private"] == 1


@on_exchange
async def test_a_clock_that_is_wrong_does_not_silence_a_topic(p: Practice) -> None:
    async with link(p, "public/linear") as client:
        await client.subscribe("tickers.BTCUSDT")
        before = await client.next()
        p.faults.skew_ms = -3_600_000
        p.market.set_bid(BTC, 0, "4.000")
        after = await client.next()
        assert after["data"]["bid1Size"] == "4.000"
        assert before["ts"] - after["ts"] > 3_500_000


@on_exchange
async def test_a_client_that_has_gone_is_forgotten(p: Practice) -> None:
    async with link(p, "public/linear") as client:
        await client.subscribe(BOOK)
        assert p.server.sockets.connected()["public"] == 1
    while p.server.sockets.connected()["public"]:
        await asyncio.sleep(0.005)
    async with link(p, "public/linear") as client:
        await client.subscribe(BOOK)
        assert (await client.next())["data"]["u"] == 1


@on_exchange
async def test_protocol_pings_are_answered(p: Practice) -> None:
    url = f"{p.server.sockets_url}/public/linear"
    async with p.http.ws_connect(url, autoping=False, heartbeat=None) as socket:
        await socket.ping(b"hello")
        message = await socket.receive(timeout=DEADLINE)
        assert (message.type, bytes(message.data)) == (aiohttp.WSMsgType.PONG, b"hello")


SIDES = st.dictionaries(st.integers(1, 12).map(D), st.integers(1, 3).map(D))


@given(old=SIDES, new=SIDES, bids=st.booleans())
def test_changes_lead_from_the_old_side_to_the_new_best_price_first(
    old: dict[Any, Any], new: dict[Any, Any], bids: bool
) -> None:
    before, after = (sorted(side.items(), reverse=bids) for side in (old, new))
    found = changes(before, after, bids)
    assert found == sorted(found, reverse=bids)
    for price, qty in found:
        assert old.get(price, D(0)) != qty
        old[price] = qty
    assert {price: qty for price, qty in old.items() if qty} == new
