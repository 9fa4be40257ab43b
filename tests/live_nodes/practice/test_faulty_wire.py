"""Faults that are data, as a client meets them on the wire."""

from __future__ import annotations

import time

import aiohttp
import pytest

from tests.live_nodes.practice.still_market import (
    BITCOIN,
    BTC,
    LIMIT,
    MARKET,
    OPEN,
    Practice,
    link,
    operation,
    with_faults,
)
from tests.waiting import DEADLINE

FILLS = MARKET | {"qty": "0.010"}
BOOK = "orderbook.50.BTCUSDT"


async def _links(p: Practice) -> list[str]:
    return [row["orderLinkId"] for row in await p.rows("/v5/order/realtime", "anna", **OPEN)]


@with_faults(a={"model": "lost_ack", "op": "order.create", "times": 1})
async def test_a_lost_ack_leaves_the_order(p: Practice) -> None:
    async with link(p, "trade", "anna") as client:
        await client.socket.send_json(operation("order.create", "1", orderLinkId="ghost", **LIMIT))
        assert await client.quiet() == []
        await client.socket.send_json(operation("order.create", "2", orderLinkId="second", **LIMIT))
        assert (await client.next())["reqId"] == "2"
    assert await _links(p) == ["second", "ghost"]


@with_faults(
    a={"model": "lost_request", "op": "order.create", "times": 1},
    b={"model": "late_ack", "op": "order.create", "by": 0.2, "times": 1},
)
async def test_a_lost_request_leaves_nothing_and_a_late_ack_comes_late(p: Practice) -> None:
    async with link(p, "trade", "anna") as client:
        await client.socket.send_json(operation("order.create", "1", orderLinkId="never", **LIMIT))
        assert await client.quiet() == []
        begun = time.monotonic()
        await client.socket.send_json(operation("order.create", "2", orderLinkId="late", **LIMIT))
        assert (await client.next())["retCode"] == 0
        assert time.monotonic() - begun >= 0.2
    assert await _links(p) == ["late"]


@with_faults(a={"model": "ret_code", "op": "order.create", "ret_code": 10016, "times": 1})
async def test_a_refused_operation_is_not_carried_out(p: Practice) -> None:
    async with link(p, "trade", "anna") as client:
        await client.socket.send_json(operation("order.create", "1", **LIMIT))
        assert (await client.next())["retCode"] == 10016
    assert await _links(p) == []


@with_faults(a={"model": "lost_fill", "times": 1})
async def test_a_lost_fill_shows_in_position_and_money_only(p: Practice) -> None:
    async with link(p, "private", "anna") as client:
        topics = ["order", "execution", "position", "wallet"]
        await client.subscribe(*topics)
        assert (await p.post("/v5/order/create", **FILLS))["retCode"] == 0
        reply = await client.quiet(0.2)
        orders = [row for m in reply if m["topic"] == "order" for row in m["data"]]
        assert {m["topic"] for m in reply} - {"order"} == {"position", "wallet"}
        assert {row["cumExecQty"] for row in orders} <= {"0", "0.000"}
        await p.post("/v5/order/create", **FILLS)
        assert {m["topic"] for m in await client.quiet(0.2)} == set(topics)


@with_faults(
    a={"model": "duplicate", "topic": "order", "times": 1},
    b={"model": "delay", "topic": "execution", "by": 0.2, "times": 1},
)
async def test_pushes_come_twice_or_late(p: Practice) -> None:
    async with link(p, "private", "anna") as client:
        await client.subscribe("order", "execution")
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
        await client.subscribe(BOOK)
        reply = [(await client.next())["data"]["u"]]
        for number in range(3):
            p.market.set_bid(BTC, number, "9.000")
            reply += [m["data"]["u"] for m in await client.quiet(0.05)]
    assert reply == [1, 2, 4]


@with_faults(
    a={"model": "http", "path": "/v5/market/time", "status": 500, "times": 2},
    b={"model": "http", "path": "/v5/market/kline", "wait": 0.2, "times": 1},
    c={"model": "http", "path": "/v5/order/create", "ret_code": 10016, "message": "lost"},
    d={"model": "http", "path": "/v5/order/create", "ret_code": 10006, "carried_out": True},
    e={"model": "http", "path": "/v5/order/cancel", "answer": False},
)
async def test_rest_fails_as_often_as_it_should(p: Practice) -> None:
    statuses = []
    for _ in range(3):
        async with p.http.get(f"{p.server.http}/v5/market/time") as answer:
            statuses.append(answer.status)
    assert statuses == [500, 500, 200]
    begun = time.monotonic()
    assert len(await p.rows("/v5/market/kline", interval=1, **BITCOIN)) == 200
    assert time.monotonic() - begun >= 0.2
    for name, code, words in (("never", 10016, "lost"), ("there", 10006, "injected fault")):
        reply = await p.post("/v5/order/create", orderLinkId=name, **LIMIT)
        assert (reply["retCode"], reply["retMsg"]) == (code, words)
    with pytest.raises(aiohttp.ClientConnectionError):
        await p.post("/v5/order/cancel", orderLinkId="there", **BITCOIN)
    assert await _links(p) == ["there"]


@with_faults(a={"model": "maintenance", "at": 0.2, "seconds": 600})
async def test_maintenance_cuts_every_link_and_refuses_every_request(p: Practice) -> None:
    async with link(p, "public/linear") as client, link(p, "trade", "anna") as other:
        for socket in (client.socket, other.socket):
            assert (await socket.receive(timeout=DEADLINE)).type is not aiohttp.WSMsgType.TEXT
    assert (await p.get("/v5/market/time"))["retCode"] == 10016
    p.faults.clear()
    assert (await p.get("/v5/market/time"))["retCode"] == 0
