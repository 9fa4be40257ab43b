"""What guards are told of a market in a node."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from nautilus_trader.cache.cache import Cache

from catalog.instruments import InstrumentInfo
from live_nodes.node.feed import MarketReader

BTC = "BTCUSDT-LINEAR.BYBIT"
HOUR = 3600 * 10**9
EIGHT = 8 * HOUR
MIDNIGHT = 1_767_225_600 * 10**9  # 2026-01-01


def markets(told: int | None, minutes: int = 480) -> MarketReader:
    info = InstrumentInfo(
        id=BTC,
        symbol="BTCUSDT",
        product="LINEAR",
        base="BTC",
        quote="USDT",
        settle="USDT",
        tick="0.1",
        lot="0.001",
        min_qty="0.001",
        min_notional="5",
        funding_minutes=minutes,
    )
    made = MarketReader(Cache(), {BTC: info}, [BTC])
    feed: Any = SimpleNamespace(
        updated_ns={}, delays_ns={}, next_funding_ns={} if told is None else {BTC: told}
    )
    made.feed = feed
    return made


@pytest.mark.parametrize(
    ("told", "now", "expected"),
    [
        (MIDNIGHT + EIGHT, MIDNIGHT + HOUR, MIDNIGHT + EIGHT),
        # At the settlement, and after it, the next one is an interval later: the venue says nothing
        # of it while the rate stays as it is.
        (MIDNIGHT + EIGHT, MIDNIGHT + EIGHT, MIDNIGHT + 2 * EIGHT),
        (MIDNIGHT + EIGHT, MIDNIGHT + 17 * HOUR, MIDNIGHT + 3 * EIGHT),
        # Never told: once an interval from midnight on.
        (None, MIDNIGHT + HOUR, MIDNIGHT + EIGHT),
        (None, MIDNIGHT + EIGHT - 1, MIDNIGHT + EIGHT),
    ],
)
def test_the_next_settlement_is_known_without_a_word_of_the_venue(
    told: int | None, now: int, expected: int
) -> None:
    assert markets(told)(now)[BTC].next_funding_ns == expected


def test_what_pays_no_funding_has_no_next_settlement() -> None:
    assert markets(None, minutes=0)(MIDNIGHT)[BTC].next_funding_ns is None
