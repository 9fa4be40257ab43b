"""The admin's controls on the market: the books that clients see, and that orders fill at."""

from __future__ import annotations

import asyncio
from decimal import Decimal as D
from pathlib import Path
from typing import Any

from live_nodes.practice.exchange.model import PracticeSymbol
from live_nodes.practice.market.market_controls import BookControl, MarketControls
from tests.live_nodes.practice.still_market import SYMBOLS
from tests.live_nodes.practice.test_admin import MANUAL, Practice, at_exchange, on_process

BTC: PracticeSymbol = SYMBOLS[0]
BIDS = [(D("49999.9"), D("1.5")), (D("49999.8"), D("1.5"))]
ASKS = [(D("50000.1"), D("1.5")), (D("50000.2"), D("1.5"))]


def controls_of(kind: Any, bps: str) -> MarketControls:
    controls = MarketControls()
    controls.set(BTC.key, BookControl(kind, D(bps), until_ms=2_000))
    return controls


def test_a_wide_book_has_the_wanted_spread_and_keeps_its_steps() -> None:
    # The middle is 50,000: 20 bps are 100, half of it on each side.
    bids, asks = controls_of("spread", "20").shown(BTC, BIDS, ASKS, 1_999)
    assert bids == [(D("49950.0"), D("1.5")), (D("49949.9"), D("1.5"))]
    assert asks == [(D("50050.0"), D("1.5")), (D("50050.1"), D("1.5"))]


def test_a_thin_book_keeps_the_least_quantity_at_its_touch() -> None:
    # 10 bps of 50,000.1 are 50.0001, on the tick 50.1.
    bids, asks = controls_of("gap", "10").shown(BTC, BIDS, ASKS, 0)
    assert bids == [(D("49999.9"), D("0.001")), (D("49949.8"), D("1.5"))]
    assert asks == [(D("50000.1"), D("0.001")), (D("50050.2"), D("1.5"))]


def test_a_crossed_book_is_shown_and_not_matched() -> None:
    controls = controls_of("crossed", "2")
    assert controls.shown(BTC, BIDS, ASKS, 0) == (BIDS, ASKS)
    bids, asks = controls.client_book(BTC, BIDS, ASKS, 0)
    assert (bids[0][0], asks[0][0], len(bids)) == (D("50010.2"), D("50000.1"), 2)


def test_a_book_control_ends_at_its_time() -> None:
    controls = controls_of("spread", "20")
    assert controls.shown(BTC, BIDS, ASKS, 2_000) == (BIDS, ASKS)
    assert controls.shown(BTC, BIDS, ASKS, 0) == (BIDS, ASKS)


async def touch(practice: Practice) -> tuple[D, D]:
    found = await practice.get("/v5/market/orderbook?category=linear&symbol=BTCUSDT&limit=1")
    book = found["result"]
    return D(book["b"][0][0]), D(book["a"][0][0])


@on_process
async def test_books_are_pulled_wide_thin_and_crossed_by_request(practice: Practice) -> None:
    wide = {"symbol": "BTCUSDT", "spread": 40, "seconds": 0.4}
    reply = await practice.admin("POST", "/book", wide)
    assert 40 <= (D(reply["ask"]) / D(reply["bid"]) - 1) * 10_000 < 41
    bid, ask = await touch(practice)
    assert 40 <= (ask / bid - 1) * 10_000 < 41
    while ask / bid - 1 >= D("0.0001"):
        await asyncio.sleep(0.02)
        bid, ask = await touch(practice)

    await practice.admin("POST", "/book", {"symbol": "BTCUSDT", "crossed": 5, "seconds": 0.3})
    bid, ask = await touch(practice)
    assert bid > ask

    await practice.admin("POST", "/book", {"symbol": "BTCUSDT", "gap": 30, "seconds": 5})
    bid, ask = await touch(practice)
    await practice.admin("POST", "/external_order", MANUAL)
    prices = {D(fill["price"]) for fill in (await practice.account())["executions"]}
    assert len(prices) == 2
    assert 29 < (max(prices) / min(prices) - 1) * 10_000 < 31

    assert await practice.admin("DELETE", "/book") == {}
    await asyncio.sleep(0.3)
    await practice.admin("POST", "/external_order", MANUAL)
    last = (await practice.account())["executions"][0]
    assert D(last["qty"]) == D("0.01")

    for wrong in ({}, {"spread": 1, "gap": 1}):
        reply = await practice.admin("POST", "/book", {"symbol": "BTCUSDT", "seconds": 1, **wrong})
        assert reply == {"error": "give one of spread, gap and crossed"}


@on_process
async def test_prices_move_together_or_not_at_all(practice: Practice) -> None:
    before, _ = await touch(practice)
    move = {"symbol": "BTCUSDT", "price": "20000"}
    reply = await practice.admin("POST", "/moves", {"moves": [move, {**move, "symbol": "NO"}]})
    assert "error" in reply
    bid, _ = await touch(practice)
    assert abs(bid / before - 1) < D("0.01")
    reply = await practice.admin("POST", "/moves", {"moves": [move]})
    assert reply == {"last": ["20000.0"]}


def test_funding_that_is_called_for_comes_next_and_is_remembered(tmp_path: Path) -> None:
    made: dict[str, Any] = {}
    wanted = {"symbol": "BTCUSDT", "seconds": 0, "rate": "0.002"}

    async def call(practice: Practice) -> None:
        made.update(await practice.admin("POST", "/funding", wanted))
        now_ms = (await practice.admin("GET", "/state"))["now_ms"]
        assert made["time_ms"] % 60_000 == 0
        assert 0 < made["time_ms"] - now_ms <= 60_000

    async def look(practice: Practice) -> None:
        found = await practice.get("/v5/market/tickers?category=linear&symbol=BTCUSDT")
        ticker = found["result"]["list"][0]
        assert int(ticker["nextFundingTime"]) == made["time_ms"]
        assert D(ticker["fundingRate"]) == D("0.002")
        await practice.admin("DELETE", "/funding")
        found = await practice.get("/v5/market/tickers?category=linear&symbol=BTCUSDT")
        later = int(found["result"]["list"][0]["nextFundingTime"])
        assert later % (480 * 60_000) == 0

    at_exchange(tmp_path, call)
    at_exchange(tmp_path, look)


@on_process
async def test_maintenance_is_announced_as_bybit_announces_it(practice: Practice) -> None:
    path = "/v5/system/status"
    assert (await practice.get(path))["result"] == {"list": []}
    later = {"title": "upgrade", "begins_in": 3_600, "seconds": 600}
    await practice.admin("POST", "/announce", later)
    await practice.admin("POST", "/announce", {"title": "now", "seconds": 600})
    rows = (await practice.get(path))["result"]["list"]
    assert [(row["title"], row["state"]) for row in rows] == [
        ("now", "ongoing"),
        ("upgrade", "scheduled"),
    ]
    assert int(rows[0]["end"]) - int(rows[0]["begin"]) == 600_000
    fixed = {"href": "", "serviceTypes": [1], "product": [1, 2], "uidSuffix": []}
    assert rows[0] == rows[0] | fixed
    chosen = (await practice.get(f"{path}?state=scheduled"))["result"]["list"]
    assert [row["title"] for row in chosen] == ["upgrade"]
    await practice.admin("DELETE", "/announce")
    rows = (await practice.get(path))["result"]["list"]
    assert [row["state"] for row in rows] == ["completed", "canceled"]
