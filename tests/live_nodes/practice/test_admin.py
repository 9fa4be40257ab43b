"""The admin port: drills and faults by request, wrong requests answered in words."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout

from config.documents.exchange import ExchangeDocument
from config.errors import InputError
from live_nodes.local.practice_process import Endpoint
from live_nodes.practice.process import run_exchange

BITCOIN = {"price": 50_000, "tick": "0.1", "lot": "0.001"}
DOCUMENT = ExchangeDocument.model_validate(
    {
        "name": "small",
        "market": {"model": "random", "symbols": {"BTCUSDT": BITCOIN}},
        "accounts": {"main": {"balance": 10_000}, "other": {}},
        "update_ms": 100,
    }
)
MANUAL = {"account": "main", "symbol": "BTCUSDT", "side": "Buy", "qty": "0.01"}


class Practice:
    def __init__(self, endpoint: Endpoint, session: ClientSession) -> None:
        self.endpoint, self.session = endpoint, session

    async def get(self, path: str) -> Any:
        async with self.session.get(self.endpoint.http + path) as answer:
            return await answer.json()

    async def admin(self, method: str, path: str, body: Any = None) -> Any:
        async with self.session.request(method, self.endpoint.admin + path, json=body) as answer:
            return await answer.json()

    async def account(self, name: str = "main") -> Any:
        return (await self.admin("GET", "/state"))["accounts"][name]


def at_exchange(
    folder: Path, scene: Callable[[Practice], Awaitable[None]], document: Any = DOCUMENT
) -> None:
    async def play() -> None:
        ready: asyncio.Future[Endpoint] = asyncio.get_running_loop().create_future()
        running = asyncio.create_task(
            run_exchange(document, folder / "exchange.db", ready.set_result)
        )
        await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        try:
            async with ClientSession(timeout=ClientTimeout(5)) as session:
                await scene(Practice(ready.result(), session))
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            ended = await running
            assert ended.reason == "SIGTERM came"

    asyncio.run(play())


def on_process(scene: Callable[[Practice], Awaitable[None]]) -> Callable[[Path], None]:
    """Run a test against a fresh exchange as `perpdesk exchange` runs it."""

    def run(tmp_path: Path) -> None:
        at_exchange(tmp_path, scene)

    run.__name__ = scene.__name__
    return run


def test_a_price_moves_liquidates_and_stays_moved_over_a_restart(tmp_path: Path) -> None:
    async def check_price(practice: Practice) -> None:
        found = await practice.get("/v5/market/tickers?category=linear&symbol=BTCUSDT")
        assert abs(D(found["result"]["list"][0]["lastPrice"]) - 25_000) < 250

    async def move(practice: Practice) -> None:
        order = MANUAL | {"qty": "1"}
        assert (await practice.admin("POST", "/external_order", order))["status"] == "Filled"
        await practice.admin("POST", "/move", {"symbol": "BTCUSDT", "by": "-0.3"})
        account = await practice.account()
        assert account["positions"] == []
        assert "BustTrade" in {fill["exec_type"] for fill in account["executions"]}
        reply = await practice.admin("POST", "/move", {"symbol": "BTCUSDT", "price": "25000"})
        assert reply == {"last": "25000.0"}
        await check_price(practice)

    at_exchange(tmp_path, move)
    at_exchange(tmp_path, check_price)


@on_process
async def test_part_of_a_resting_order_is_filled_on_request(practice: Practice) -> None:
    order = MANUAL | {"qty": "0.05", "price": "30000"}
    resting = await practice.admin("POST", "/external_order", order)
    fill = {"account": "main", "order_id": resting["order_id"], "qty": "0.02"}
    reply = await practice.admin("POST", "/fill", fill)
    assert (reply["status"], D(reply["filled"])) == ("PartiallyFilled", D("0.02"))
    reply = await practice.admin("POST", "/fill", {**fill, "qty": "9"})
    assert (reply["status"], D(reply["filled"])) == ("Filled", D("0.05"))
    account = await practice.account()
    assert [(D(p["size"]), D(p["entry"])) for p in account["positions"]] == [(D("0.05"), D(30_000))]
    reply = await practice.admin("POST", "/fill", fill)
    assert reply == {"error": "there is no such resting order"}


@on_process
async def test_faults_come_act_and_go_by_request(practice: Practice) -> None:
    broken = {"model": "http", "path": "/v5/market/time", "ret_code": 10006, "times": 1}
    await practice.admin("POST", "/faults", {"busy": broken})
    assert (await practice.get("/v5/market/time"))["retCode"] == 10006
    assert (await practice.get("/v5/market/time"))["retCode"] == 0
    state = await practice.admin("GET", "/state")
    assert state["faults"]["busy"]["hits"] == 1
    assert state["requests"] == {"GET /v5/market/time": 2}
    assert [effect["name"] for effect in state["effects"]] == ["busy"]
    clock = {"model": "clock_skew", "by": 5, "seconds": 60}
    await practice.admin("POST", "/faults", {"clock": clock})
    ahead = (await practice.get("/v5/market/time"))["time"]
    true = (await practice.admin("GET", "/state"))["now_ms"]
    assert 4_000 < ahead - true <= 5_000
    assert set(await practice.admin("DELETE", "/faults/busy")) == {"clock"}
    assert set(await practice.admin("GET", "/faults")) == {"clock"}
    assert await practice.admin("DELETE", "/faults") == {}


@on_process
async def test_positions_are_deleveraged_and_liquidated_on_request(practice: Practice) -> None:
    adl = {"model": "adl", "account": "main", "symbol": "BTCUSDT", "part": "0.5"}
    assert (await practice.admin("POST", "/faults", {"adl": adl}))["adl"]["hits"] == 0
    assert (await practice.admin("POST", "/external_order", MANUAL))["status"] == "Filled"
    resting = await practice.admin("POST", "/external_order", MANUAL | {"price": "30000"})
    while (await practice.admin("GET", "/faults"))["adl"]["hits"] == 0:
        await asyncio.sleep(0.02)
    account = await practice.account()
    [order] = [o for o in account["past_orders"] if o["order_id"] == resting["order_id"]]
    assert (order["status"], order["cancel_type"]) == ("Cancelled", "CancelAllBeforeAdl")
    fill = account["executions"][0]
    assert (fill["exec_type"], fill["side"], fill["qty"], D(fill["fee"])) == (
        "AdlTrade", "Sell", "0.005", 0,
    )  # fmt: skip
    assert fill["price"] == fill["mark_price"]
    await practice.admin("POST", "/faults", {"bust": {"model": "liquidation"}})
    account = await practice.account()
    assert (account["positions"], account["executions"][0]["exec_type"]) == ([], "BustTrade")


def test_a_changed_tick_and_a_delisting_hold_over_a_restart(tmp_path: Path) -> None:
    async def listing(practice: Practice, status: str) -> tuple[str, int] | None:
        path = f"/v5/market/instruments-info?category=linear&status={status}"
        rows = (await practice.get(path))["result"]["list"]
        return rows and (rows[0]["priceFilter"]["tickSize"], int(rows[0]["deliveryTime"]))

    async def coarse(practice: Practice) -> None:
        await practice.admin("POST", "/move", {"symbol": "BTCUSDT", "price": "50000"})
        tick = {"model": "tick", "symbol": "BTCUSDT", "tick": "5"}
        delisting = {"model": "delisting", "symbol": "BTCUSDT", "notice": 1}
        unknown = {"model": "delisting", "symbol": "NOPEUSDT"}
        await practice.admin("POST", "/faults", {"tick": tick, "unknown": unknown})
        assert await listing(practice, "Trading") == ("5", 0)
        error = await practice.admin("POST", "/external_order", MANUAL | {"price": "49996.1"})
        assert error == {"error": "params error: price invalid"}
        book = (await practice.get("/v5/market/orderbook?category=linear&symbol=BTCUSDT"))["result"]
        assert all(D(price) % 5 == 0 for price, _ in [*book["b"], *book["a"]])
        assert abs(D(book["b"][0][0]) - 50_000) < 200
        assert (await practice.admin("POST", "/external_order", MANUAL))["status"] == "Filled"
        await practice.admin("POST", "/faults", {"end": delisting})
        announced = await listing(practice, "Trading")
        assert announced is not None
        assert announced[1] > (await practice.admin("GET", "/state"))["now_ms"]
        while (await practice.account())["positions"]:
            await asyncio.sleep(0.02)
        assert (await practice.account())["executions"][0]["exec_type"] == "Delivery"
        assert (await practice.admin("GET", "/faults"))["unknown"]["hits"] == 0

    async def closed(practice: Practice) -> None:
        assert not await listing(practice, "Trading")
        found = await listing(practice, "Closed")
        assert found is not None
        assert found[0] == "5"

    at_exchange(tmp_path, coarse)
    at_exchange(tmp_path, closed)


@on_process
async def test_a_halt_refuses_orders_and_ends(practice: Practice) -> None:
    await practice.admin("POST", "/halt", {"symbol": "BTCUSDT", "seconds": 0.5})
    assert "error" in await practice.admin("POST", "/external_order", MANUAL)
    while "error" in (reply := await practice.admin("POST", "/external_order", MANUAL)):
        await asyncio.sleep(0.02)
    assert reply["status"] == "Filled"


@on_process
async def test_wrong_requests_get_an_error_text(practice: Practice) -> None:
    for path, body, words in (
        ("/faults", {"a": {"model": "dorp"}}, "does not match any of the expected tags"),
        ("/faults", {"a": {"model": "drop", "tims": 3}}, "a.drop.tims: Extra inputs"),
        ("/move", {"symbol": "BTCUSDT"}, "give one of price and by"),
        ("/move", {"symbol": "NOPE", "by": 0.1}, "ymbol"),
        ("/fill", {"account": "nobody"}, "there is no account nobody; there are main, other"),
        ("/halt", {"symbol": "BTCUSDT"}, "seconds: Field required"),
    ):
        reply = await practice.admin("POST", path, body)
        assert words in reply["error"], reply
    assert "there is no fault x" in (await practice.admin("DELETE", "/faults/x"))["error"]


def test_an_exchange_without_clients_stops_by_itself(tmp_path: Path) -> None:
    lonely = DOCUMENT.model_copy(update={"idle_exit": D("0.0002")})
    running = run_exchange(lonely, tmp_path / "exchange.db", lambda endpoint: None)
    ended = asyncio.run(asyncio.wait_for(running, 10))
    assert ended == ("no client for 0.0002 h", [])
    assert not list(tmp_path.glob("*.endpoint.json"))


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        wanted = DOCUMENT.model_copy(update={"admin_port": port})
        with pytest.raises(InputError, match=f"admin_port: {port} is taken on 127.0.0.1"):
            asyncio.run(run_exchange(wanted, tmp_path / "exchange.db", lambda endpoint: None))


def test_a_keys_terms_are_changed_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    async def scene(practice: Practice) -> None:
        reply = await practice.admin("POST", "/key", {"account": "main", "ips": ["1.2.3.4"]})
        assert reply == {}
        for wrong in ({"account": "nobody"}, {"account": "main", "expires": "soon"}):
            assert "error" in await practice.admin("POST", "/key", wrong)

    at_exchange(tmp_path, scene)


def test_a_state_file_of_another_market_or_account_is_refused(tmp_path: Path) -> None:
    async def trade(practice: Practice) -> None:
        await practice.admin("POST", "/external_order", MANUAL)

    at_exchange(tmp_path, trade)
    market = DOCUMENT.market.model_copy(update={"seed": 9})
    other = DOCUMENT.model_copy(update={"market": market})
    without = DOCUMENT.model_copy(update={"accounts": {"other": DOCUMENT.accounts["other"]}})
    for wrong, words in ((other, r"market.seed: .* was made with 0"), (without, "account main")):
        with pytest.raises(InputError, match=words):
            asyncio.run(run_exchange(wrong, tmp_path / "exchange.db", lambda endpoint: None))


def test_a_scenario_named_by_the_document_is_under_way_from_the_start(tmp_path: Path) -> None:
    scenario = str(Path(__file__).parents[2] / "scenarios" / "server_errors.yaml")

    async def scene(practice: Practice) -> None:
        statuses = []
        for _ in range(4):
            async with practice.session.get(f"{practice.endpoint.http}/v5/market/time") as answer:
                statuses.append(answer.status)
        assert statuses == [200, 500, 500, 429]

    at_exchange(tmp_path, scene, DOCUMENT.model_copy(update={"faults": scenario}))
