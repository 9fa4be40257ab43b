"""Strategies are warmed up as in a backtest; candles that the feed missed are asked for."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from backtests.engine.build import strategies_of
from backtests.run import prepare, run
from catalog.providers.bybit_http import BybitHistory
from catalog.storage.manifest import SeriesKey
from config.documents import Backtest
from config.documents.exchange import ReplayMarket
from config.durations import DAY_NS
from config.errors import InputError
from live_nodes.node.warm_up import WarmUp, listings
from live_nodes.practice.exchange.exchange import Exchange
from live_nodes.practice.exchange.model import DAY_MS
from live_nodes.practice.market.path_market import PathMarket
from live_nodes.practice.market.replay_market import ReplaySource, choose_anchor, open_catalog
from live_nodes.practice.wire.server import serve
from strategies.base import DeskStrategy
from strategies.hooks import Hooks
from strategies.rebalance.history import CandleHistory
from tests.live_nodes.desk_strategies import CarryReader
from tests.live_nodes.practice.still_market import KEYS, Kept, Scripted

SECOND = 10**9
MINUTE = 60 * SECOND
A, B, C = (f"{coin}USDT-LINEAR.BYBIT" for coin in "ABC")


class Info:
    product = "LINEAR"

    def __init__(self, name: str) -> None:
        self.id = name


class Venue:
    """Gives candles of a price that is the close time in minutes; notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.has = {A, B}

    async def rows(self, info: Info, key: SeriesKey, start: int, end: int) -> pa.Table:
        self.asked.append(info.id)
        stamps = range(start + MINUTE, end + MINUTE, MINUTE) if info.id in self.has else []
        closes = pa.array([stamp / MINUTE for stamp in stamps], pa.float64())
        return pa.table({"ts": pa.array(stamps, pa.int64()), "close": closes, "volume": closes})


class Reader(Hooks):
    """A strategy that looks back on two candles."""

    ids = (A, B, C)

    def __init__(self) -> None:
        self.history = CandleHistory(3, 2, MINUTE)

    def history_needed(self) -> dict[str, int]:
        return {"1m": 2}

    def history_lacking(self, interval: str, close_ns: int) -> list[str]:
        return [self.ids[i] for i in self.history.lacks(close_ns)]

    def warm_up(self, panel: Any, interval: str) -> None:
        self.history.warm_up(panel, self.ids)


def complete(warm_up: WarmUp, now: int) -> list[str]:
    return asyncio.run(warm_up.complete(now))


def warm_up_of(venue: Venue, reader: Reader) -> WarmUp:
    infos: Any = {name: Info(name) for name in (A, B, C)}
    histories: Any = {"LINEAR": venue}
    strategies: Any = {"reader": reader}
    return WarmUp(histories, infos, strategies)


@pytest.fixture
def reader() -> Reader:
    made = Reader()
    for index in range(3):
        made.history.add(index, 10 * MINUTE, 10.0, 1.0)
    return made


def test_a_candle_that_did_not_come_is_asked_for_until_it_is_there(reader: Reader) -> None:
    venue = Venue()
    warm_up = warm_up_of(venue, reader)
    close = 11 * MINUTE
    reader.history.add(0, close, 11.0, 1.0)  # A's came over the feed
    assert complete(warm_up, close + 4 * SECOND) == []
    assert venue.asked == []
    assert complete(warm_up, close + 5 * SECOND) == [B]
    assert venue.asked == [B, C]
    assert reader.history.last_close(1) == 11.0
    # C is asked for again at its times, not at every look.
    assert complete(warm_up, close + 6 * SECOND) == []
    venue.has.add(C)
    assert complete(warm_up, close + 11 * SECOND) == [C]
    assert venue.asked == [B, C, C]
    # In the next interval nothing but what is missing there is asked for.
    for index in range(3):
        reader.history.add(index, close + MINUTE, 12.0, 1.0)
    assert complete(warm_up, close + MINUTE + 5 * SECOND) == []
    assert venue.asked == [B, C, C]


def test_what_was_missed_in_a_sleep_of_the_machine_comes_whole(reader: Reader) -> None:
    venue = Venue()
    warm_up = warm_up_of(venue, reader)
    assert complete(warm_up, 14 * MINUTE + 30 * SECOND) == [A, B]
    assert reader.history.window(14 * MINUTE).close[:, 0].tolist() == [13.0, 14.0]
    # One question for the times that had passed.
    assert complete(warm_up, 14 * MINUTE + 31 * SECOND) == []
    assert venue.asked == [A, B, C]


def test_an_instrument_that_has_gone_is_not_missed_for_ever(reader: Reader) -> None:
    assert reader.history.lacks(11 * MINUTE) == [0, 1, 2]
    reader.history.add(0, 17 * MINUTE, 1.0, 1.0)
    assert reader.history.lacks(17 * MINUTE) == [1, 2]
    reader.history.add(0, 18 * MINUTE, 1.0, 1.0)
    assert reader.history.lacks(18 * MINUTE) == []


START = "2023-03-01"


def document(catalog: Path, **changes: Any) -> Backtest:
    """Return a setup of two strategies that want different lengths of funding."""
    reader = "tests.live_nodes.desk_strategies:CarryReader"
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
    reader = {"use": "tests.live_nodes.desk_strategies:CarryReader"}
    setup = document(
        demo_catalog, universe={"instruments": ["*-SPOT.BYBIT"]}, strategies={"short": reader}
    )
    with pytest.raises(InputError, match=r"no funding of any .* strategies\.short.*funding: true"):
        prepare(setup)


def test_a_settlement_that_is_late_is_asked_for_until_it_is_there() -> None:
    """Others may be settled each hour, so all are requested after one; then what lacks any."""
    hour = 3600 * SECOND
    asked: list[int] = []
    stamps = [hour * n for n in (8, 16)]

    async def rows(info: Any, key: SeriesKey, start: int, end: int) -> pa.Table:
        asked.append(end)
        known = [ts + 3_000_000 for ts in stamps]  # As the venue stamps them
        return pa.table({"ts": pa.array(known), "rate": pa.array([0.0001] * len(known))})

    class Funded(Hooks):
        ids = (A,)

        def __init__(self) -> None:
            self.history = CandleHistory(1, 2, hour, funding=True)

        def funding_needed(self) -> int:
            return 40 * hour

        def warm_up_funding(self, settlements: pa.Table) -> None:
            for ts, rate in zip(settlements["ts"], settlements["rate"], strict=True):
                self.history.add_funding(0, ts.as_py(), rate.as_py())

        def funding_lacking(self, ts_ns: int) -> list[str]:
            return [A] if self.history.lacks_funding(ts_ns) else []

    venue, funded, infos = SimpleNamespace(rows=rows), Funded(), {A: Info(A)}
    warm_up = WarmUp({"LINEAR": venue}, infos, {"r": funded})  # type: ignore[arg-type,dict-item]
    asyncio.run(warm_up.run(23 * hour, 1.0))
    complete(warm_up, 23 * hour + 9 * SECOND)  # None is due, and this hour's are known.
    assert len(asked) == 1
    complete(warm_up, 24 * hour + 5 * SECOND)
    assert funded.funding_lacking(24 * hour) == [A]
    complete(warm_up, 24 * hour + 6 * SECOND)
    assert len(asked) == 2
    stamps.append(24 * hour)
    complete(warm_up, 24 * hour + 10 * SECOND)
    assert funded.funding_lacking(24 * hour) == []
    complete(warm_up, 24 * hour + 40 * SECOND)
    assert len(asked) == 3
    assert funded.history.window(24 * hour).funding[-1, 0] == 0.0001


def test_funding_is_asked_for_again_only_when_an_hour_has_passed() -> None:
    """Between the warm-up and the start a settlement may fall; at other times there is none."""
    hour = 3600 * SECOND
    asked: list[tuple[int, int]] = []
    given: list[pa.Table] = []

    async def rows(info: Any, key: SeriesKey, start: int, end: int) -> pa.Table:
        asked.append((start, end))
        return pa.table({"ts": pa.array([end // hour * hour]), "rate": pa.array([0.0001])})

    venue: Any = SimpleNamespace(rows=rows)
    reader: Any = SimpleNamespace(
        ids=(A,), history_needed=dict, funding_needed=lambda: DAY_NS, warm_up_funding=given.append
    )
    infos: Any = {A: Info(A)}
    warm_up = WarmUp({"LINEAR": venue}, infos, {"r": reader})
    now = 20_000 * DAY_NS + hour - SECOND

    async def body() -> None:
        await warm_up.run(now, 1.0)
        await warm_up.top_up(now + 10**8)
        assert asked == [(now - DAY_NS, now)]
        await warm_up.top_up(now + 2 * SECOND)

    asyncio.run(body())
    assert len(asked) == 2
    assert [table["ts"].to_pylist() for table in given] == [
        [20_000 * DAY_NS],
        [20_000 * DAY_NS + hour],
    ]
