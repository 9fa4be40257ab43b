"""One market, asked as a backtest and as a node ask: strategies are warmed up with the same."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from backtests.engine.build import strategies_of
from backtests.run import prepare, run
from catalog.providers.bybit_http import BybitHistory
from config.documents import Backtest
from config.documents.exchange import ReplayMarket
from config.errors import InputError
from live_nodes.node.warm_up import WarmUp, listings
from live_nodes.practice.exchange.exchange import Exchange
from live_nodes.practice.market.feed import DAY_MS
from live_nodes.practice.market.path_market import PathMarket
from live_nodes.practice.market.replay_market import ReplaySource, choose_anchor, open_catalog
from live_nodes.practice.wire.server import serve
from strategies.base import DeskStrategy
from tests.live_nodes.carry_reader import CarryReader
from tests.live_nodes.practice.still_market import KEYS, Kept, Scripted

START = "2023-03-01"
DAY_NS = 86_400_000_000_000


def document(catalog: Path, **changes: Any) -> Backtest:
    """Return a setup of two strategies that want different lengths of funding."""
    reader = "tests.live_nodes.carry_reader:CarryReader"
    return Backtest.model_validate(
        {
            "name": "worlds",
            "catalog": str(catalog),
            "allow": ["tests"],
            "window": {"start": START, "end": "2023-03-03"},
            "universe": {"instruments": ["BTC*", "ETH*"]},
            "strategies": {
                "short": {"use": reader, "params": {"funding_days": 2}},
                "long": {"use": reader, "params": {"candles": 50}, "instruments": ["BTC*"]},
            },
        }
        | changes
    )


async def warmed_live(setup: Backtest, catalog: Path) -> tuple[dict[str, DeskStrategy], int]:
    """Warm strategies up at an exchange that replays the catalog; return how far it is moved."""
    now = time.time_ns() // 1_000_000
    read = ReplayMarket.model_validate({"catalog": str(catalog), "start": START})
    opened = open_catalog(read)
    anchor = choose_anchor(read, opened, now)
    market = PathMarket(ReplaySource(opened, anchor), read.seed, 20, 1_000, now)
    exchange = Exchange(market.symbols(now), [])
    server = await serve(exchange, market, KEYS, Scripted(), Kept())
    try:
        histories = {name: BybitHistory(name, server.http) for name in ("LINEAR", "SPOT")}
        infos = await listings(histories)
        strategies = strategies_of(setup, sorted(infos))
        start = now // DAY_MS * DAY_MS * 1_000_000
        await WarmUp(histories, infos, strategies).run(start, 60.0)
        return strategies, (anchor.wall_ms - anchor.catalog_ms) * 1_000_000
    finally:
        await server.stop()


def plain(kind: str, given: Any, ids: tuple[str, ...], shift: int) -> list[tuple[Any, ...]]:
    """Return what a strategy of some instruments sees of what it is given, by catalog time."""
    if kind == "funding":
        assert given.column_names == ["ts", "instrument", "rate"]
        rows = given.to_pylist()
        return [(row["ts"] - shift, row["instrument"], row["rate"]) for row in rows]
    columns = [given.ids.index(name) for name in ids]
    known = ~np.isnan(given.close)
    return [
        (int(given.ts[t]) - shift, given.ids[c], given.close[t, c], given.volume[t, c])
        for t in range(len(given.ts))
        for c in columns
        if known[t, c]
    ]


def test_candles_and_funding_are_the_same_in_both_worlds(demo_catalog: Path) -> None:
    setup = document(demo_catalog)
    CarryReader.heard.clear()
    run(prepare(setup))
    tested = list(CarryReader.heard)
    CarryReader.heard.clear()
    strategies, shift = asyncio.run(warmed_live(setup, demo_catalog))
    lived = list(CarryReader.heard)
    assert shift % DAY_NS == 0
    assert shift > 0
    for key, strategy in strategies.items():
        wanted = strategy.history_needed()["1h"]
        for kind, rows in (("1h", wanted * len(strategy.ids)), ("funding", None)):
            (there,) = [given for k, what, given in tested if (k, what) == (key, kind)]
            (here,) = [given for k, what, given in lived if (k, what) == (key, kind)]
            before = plain(kind, there, strategy.ids, 0)[-(rows or 0) :]
            assert plain(kind, here, strategy.ids, shift)[-(rows or 0) :] == before
            assert len(before) > 5
    # Each got its own: two days of both instruments, four days of one; settled up to the start.
    funding = {key: given for key, kind, given in tested if kind == "funding"}
    begin = pc.min(funding["short"]["ts"]).as_py()
    for key, strategy in strategies.items():
        perpetuals = {name for name in strategy.ids if "-LINEAR." in name}
        assert set(funding[key]["instrument"].to_pylist()) == perpetuals
    assert len(strategies["short"].ids) > len(strategies["long"].ids)
    assert begin == prepare(setup).start - 2 * DAY_NS + 8 * 3600 * 10**9
    assert pc.max(funding["long"]["ts"]).as_py() == prepare(setup).start


def test_a_catalog_without_the_funding_asked_for_is_refused(demo_catalog: Path) -> None:
    reader = {"use": "tests.live_nodes.carry_reader:CarryReader"}
    setup = document(
        demo_catalog, universe={"instruments": ["*-SPOT.BYBIT"]}, strategies={"short": reader}
    )
    with pytest.raises(InputError, match=r"no funding of any instrument of strategies\.short"):
        prepare(setup)


def test_funding_is_asked_for_again_only_when_an_hour_has_passed() -> None:
    """Between the warm-up and the start a settlement may fall; at other times there is none."""
    hour = 3600 * 10**9

    class Venue:
        asked: list[tuple[int, int]]

        def __init__(self) -> None:
            self.asked = []

        async def funding(self, info: Any, start: int, end: int) -> pa.Table:
            self.asked.append((start, end))
            return pa.table({"ts": pa.array([end // hour * hour]), "rate": pa.array([0.0001])})

    class Info:
        product = "LINEAR"

    class Reader:
        ids = ("BTCUSDT-LINEAR.BYBIT",)

        def __init__(self) -> None:
            self.given: list[pa.Table] = []

        def history_needed(self) -> dict[str, int]:
            return {}

        def funding_needed(self) -> int:
            return DAY_NS

        def warm_up_funding(self, settlements: pa.Table) -> None:
            self.given.append(settlements)

    venue, reader = Venue(), Reader()
    infos: Any = {reader.ids[0]: Info()}
    warm_up = WarmUp({"LINEAR": venue}, infos, {"r": reader})  # type: ignore[dict-item]
    now = 20_000 * DAY_NS + hour - 10**9

    async def body() -> None:
        await warm_up.run(now, 1.0)
        await warm_up.top_up(now + 10**8)
        assert venue.asked == [(now - DAY_NS, now)]
        await warm_up.top_up(now + 2 * 10**9)

    asyncio.run(body())
    assert len(venue.asked) == 2
    assert [table["ts"].to_pylist() for table in reader.given] == [
        [20_000 * DAY_NS],
        [20_000 * DAY_NS + hour],
    ]
