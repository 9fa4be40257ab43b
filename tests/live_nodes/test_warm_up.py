"""Candles that the feed has missed are asked for, a few times and only those."""

from __future__ import annotations

import asyncio
from typing import Any

import pyarrow as pa
import pytest

from live_nodes.node.warm_up import WarmUp
from strategies.rebalance.history import CandleHistory

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

    async def klines(self, info: Info, interval: str, start: int, end: int) -> pa.Table:
        self.asked.append(info.id)
        stamps = range(start + MINUTE, end + MINUTE, MINUTE) if info.id in self.has else []
        closes = pa.array([stamp / MINUTE for stamp in stamps], pa.float64())
        return pa.table({"ts": pa.array(stamps, pa.int64()), "close": closes, "volume": closes})


class Reader:
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
