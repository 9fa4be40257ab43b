"""A market's next funding, as a node's guards see it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from nautilus_trader.cache.cache import Cache

from live_nodes.node.feed import MarketReader
from tests.builders_engine import info as instrument_info

BTC = "BTCUSDT-LINEAR.BYBIT"
HOUR = 3600 * 10**9
EIGHT = 8 * HOUR
MIDNIGHT = 1_767_225_600 * 10**9  # 2026-01-01


def markets(told: int | None, minutes: int = 480) -> MarketReader:
    info = instrument_info(BTC, funding_minutes=minutes)
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
def test_the_next_settlement_is_known_without_news_from_the_venue(
    told: int | None, now: int, expected: int
) -> None:
    assert markets(told)(now)[BTC].next_funding_ns == expected
    assert markets(None, minutes=0)(now)[BTC].next_funding_ns is None
