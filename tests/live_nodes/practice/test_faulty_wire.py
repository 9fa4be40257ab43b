"""Faults that are data, as a client meets them on the wire."""

from __future__ import annotations

import json
import time
from typing import Any

import aiohttp

from tests.live_nodes.practice.still_market import BTC, LIMIT, MARKET, Practice, link, with_faults
from tests.waiting import DEADLINE

FILLS = MARKET | {"qty": "0.010"}
OPEN = {"category": "linear", "settleCoin": "USDT"}
BOOK = "orderbook.50.BTCUSDT"


def _operation(request_id: str, **body: Any) -> str:
    header = {"X-BAPI-TIMESTAMP": str(time.time_ns() // 1_000_000)}
    return json.dumps({"op": "order.create", "reqId": request_id, "header": header, "args": [body]})


async def _links(p: Practice) -> list[str]:
    found = await p.get("/v5/order/realtime", "anna", **OPEN)
    return [row["orderLinkId"] for row in found["result"]["list"]]


@with_faults(a={"model": "lost_ack", "op": "order.create", "times": 1})
async def test_a_lost_ack_leaves_the_order(p: Practice) -> None:
    async with link(p, "trade", "anna") as client:
        await client.socket.send_str(_operation("1", orderLinkId="ghost", **LIMIT))
        assert await client.quiet() == []
        await client.socket.send_str(_operation("2", orderLinkId="second", **LIMIT))
        assert (await client.next())["reqId"] == "2"
    assert await _links(p) == ["second", "ghost"]


@with_faults(
    a={"model": "lost_request", "op": "order.create", "times": 1},
    b={"model": "late_ack", "op": "order.create", "by": 0.2, "times": 1},
)
async def test_a_lost_request_leaves_nothing_and_a_late_ack_comes_late(p: Practice) -> None:
    async with link(p, "trade", "anna") as client:
        await client.socket.send_str(_operation("1", orderLinkId="never", **LIMIT))
        assert await client.quiet() == []
        begun = time.monotonic()
        await client.socket.send_str(_operation("2", orderLinkId="late", **LIMIT))
        assert (await client.next())["retCode"] == 0
        assert time.monotonic() - begun >= 0.2
    assert await _links(p) == ["late"]


@with_faults(a={"model": "ret_code", "op": "order.create", "ret_code": 10016, "times": 1})
async def test_a_refused_operation_is_not_carried_out(p: Practice) -> None:
    async with link(p, "trade", "anna") as client:
        await client.socket.send_str(_operation("1", **LIMIT))
        assert (await client.next())["retCode"] == 10016
    assert await _links(p) == []


@with_faults(a={"model": "lost_fill", "times": 1})
async def test_a_lost_fill_shows_in_position_and_money_only(p: Practice) -> None:
    async with link(p, "private", "anna") as client:
        topics = ["order", "execution", "position", "wallet"]
        await client.ask({"op": "subscribe", "args": topics})
        assert (await p.post("/v5/order/create", **FILLS))["retCode"] == 0
        reply = await client.quiet(0.2)
        assert {m["topic"] for m in reply if m["topic"] != "order"} == {"position", "wallet"}
        assert all(
            row["cumExecQty"] in ("0", "0.000")
            for m in reply
            if m["topic"] == "order"
            for row in m["data"]
        )
        await p.post("/v5/order/create", **FILLS)
        assert {m["topic"] for m in await client.quiet(0.2)} == set(topics)


@with_faults(
    a={"model": "duplicate", "topic": "order", "times": 1},
    b={"model": "delay", "topic": "execution", "by": 0.2, "times": 1},
)
async def test_pushes_come_twice_or_late(p: Practice) -> None:
    async with link(p, "private", "anna") as client:
        await client.ask({"op": "subscribe", "args": ["order", "execution"]})
        await p.post("/v5/order/create", **LIMIT)
        first = await client.next()
        assert first == await client.next()
        await p.post("/v5/order/create", **FILLS)
        reply = [(await client.next())["topic"]]
        while reply[-1] != "execution":
            reply.append((await client.next())["topic"])
        assert "execution" not in [m["topic"] for m in await client.quiet(0.2)]


@with_faults(a={"model": "sequence_gap", "times": 1, "after": 1})
async def test_a_gap_in_a_book_shows_in_u_alone(p: Practice) -> None:
    async with link(p, "public/linear") as client:
        await client.ask({"op": "subscribe", "args": [BOOK]})
        reply = [(await client.next())["data"]["u"]]
        for number in range(3):
            p.market.set_bid(BTC, number, "9.000")
            reply += [m["data"]["u"] for m in await client.quiet(0.05)]
    assert reply == [1, 2, 4]


@with_faults(a={"model": "reorder", "topic": BOOK, "times": 1})
async def test_two_changes_of_a_book_swap_places(p: Practice) -> None:
    async with link(p, "public/linear") as client:
        await client.ask({"op": "subscribe", "args": [BOOK]})
        await client.next()
        p.market.set_bid(BTC, 0, "9.000")
        assert await client.quiet(0.05) == []
        p.market.set_bid(BTC, 1, "9.000")
        assert [m["data"]["u"] for m in await client.quiet(0.05)] == [3, 2]


@with_faults(
    a={"model": "http", "path": "/v5/market/time", "status": 500, "times": 2},
    b={"model": "http", "path": "/v5/market/kline", "wait": 0.2, "times": 1},
    c={"model": "http", "path": "/v5/order/create", "ret_code": 10006, "carried_out": True},
)
async def test_rest_fails_as_often_as_it_should(p: Practice) -> None:
    statuses = []
    for _ in range(3):
        async with p.http.get(f"{p.server.http}/v5/market/time") as answer:
            statuses.append(answer.status)
    assert statuses == [500, 500, 200]
    begun = time.monotonic()
    kline = await p.get("/v5/market/kline", category="linear", symbol="BTCUSDT", interval=1)
    assert time.monotonic() - begun >= 0.2
    assert len(kline["result"]["list"]) == 200
    assert (await p.post("/v5/order/create", orderLinkId="there", **LIMIT))["retCode"] == 10006
    assert await _links(p) == ["there"]


@with_faults(a={"model": "maintenance", "at": 0.2, "seconds": 600})
async def test_maintenance_cuts_every_link_and_refuses_every_request(p: Practice) -> None:
    async with link(p, "public/linear") as client, link(p, "trade", "anna") as other:
        for socket in (client.socket, other.socket):
            assert (await socket.receive(timeout=DEADLINE)).type is not aiohttp.WSMsgType.TEXT
    assert (await p.get("/v5/market/time"))["retCode"] == 10016
    p.faults.clear()  # type: ignore[attr-defined]
    assert (await p.get("/v5/market/time"))["retCode"] == 0
