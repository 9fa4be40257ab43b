"""A halt that ends with recovery ends only well inside its limit: the same for every such rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from actors.guards import (
    error_rate,
    latency,
    order_rate,
    price_jump,
    rejections,
    slippage_breaches,
    spread,
    stale_feed,
    unhedged,
)
from actors.guards.core.guard import Guard
from actors.guards.core.params import GuardParams
from tests.actors.guards.trading import (
    BTC,
    MS,
    NOON,
    SECOND,
    Gate,
    answered,
    asked,
    erred,
    held,
    look,
    markets,
    traded,
)


def errors(player: Gate, tenths: int) -> None:
    player.observe(*(erred(NOON + n) for n in range(tenths)))


def slips(player: Gate, tenths: int) -> None:
    player.observe(*(traded(1, NOON + n, slippage=0.01) for n in range(tenths)))


def rejected(player: Gate, tenths: int) -> None:
    player.observe(*(answered(False, "no") for _ in range(tenths)))


def knocks(player: Gate, tenths: int) -> None:
    for _ in range(tenths + 1):
        player.ask(asked())


def silent(player: Gate, tenths: int) -> None:
    player.observe(markets(silent_ns=tenths * SECOND))


def late(player: Gate, tenths: int) -> None:
    player.observe(markets(delay_ns=tenths * 10 * MS))


def wide(player: Gate, tenths: int) -> None:
    player.observe(markets(bid=100, ask=100 + tenths, tick=1))


def jumped(player: Gate, tenths: int) -> None:
    player.observe(markets(NOON, price=1000), markets(NOON + SECOND, price=1000 + tenths * 10))


def naked(player: Gate, tenths: int) -> None:
    player.observe(look(NOON, held(100)), look(NOON + tenths * SECOND, held(100)))


CASES: list[
    tuple[type[Guard[Any, Any]], Callable[[float], GuardParams], Callable[[Gate, int], None], int]
] = [
    # The limit is ten of each; a spread of ten still passes, eleven don't.
    (
        error_rate.ErrorRate,
        lambda h: error_rate.ErrorRateParams(limit=10, hysteresis=h),
        errors,
        10,
    ),
    (
        slippage_breaches.SlippageBreaches,
        lambda h: slippage_breaches.SlippageBreachesParams(count=10, hysteresis=h),
        slips,
        10,
    ),
    (
        rejections.Rejections,
        lambda h: rejections.RejectionsParams(limit=10, hysteresis=h),
        rejected,
        10,
    ),
    (
        order_rate.OrderRate,
        lambda h: order_rate.OrderRateParams(count=1, spam_after=10, hysteresis=h),
        knocks,
        10,
    ),
    (
        stale_feed.StaleFeed,
        lambda h: stale_feed.StaleFeedParams(limit="10s", hysteresis=h),
        silent,
        10,
    ),
    (
        latency.LatencyGate,
        lambda h: latency.LatencyGateParams(limit="100ms", hysteresis=h),
        late,
        10,
    ),
    (
        spread.SpreadGate,
        lambda h: spread.SpreadGateParams(max_ticks=10, hysteresis=h),
        wide,
        11,
    ),
    (
        price_jump.PriceJump,
        lambda h: price_jump.PriceJumpParams(limit_pct=0.1, hysteresis=h),
        jumped,
        10,
    ),
    (
        unhedged.Unhedged,
        lambda h: unhedged.UnhedgedParams(
            legs=(unhedged.Pair(BTC, "OTHER"),), limit=100_000.0, hysteresis=h
        ),
        naked,
        10,
    ),
]


@pytest.mark.parametrize(("rule", "params", "feed", "first_over"), CASES)
@pytest.mark.parametrize("hysteresis", [0.0, 0.3])
def test_what_is_reached_is_never_clear_and_what_is_near_is_neither(
    rule: type[Guard[Any, Any]],
    params: Callable[[float], GuardParams],
    feed: Callable[[Gate, int], None],
    first_over: int,
    hysteresis: float,
) -> None:
    # Clear is up to 7 of 10 with a hysteresis of 30 %, and all that is not over without.
    clear_up_to = 7 if hysteresis else first_over - 1
    for tenths in range(1, 13):
        player = Gate(rule, params(hysteresis)).observe(look())
        feed(player, tenths)
        reading = player.readings[0]
        assert reading.over == (tenths >= first_over), tenths
        assert reading.clear == (tenths <= clear_up_to), tenths
