from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guards.spread import SpreadGate, SpreadGateParams
from tests.actors.guards.trading import BTC, ETH, Gate, asked, look, markets

SCOPE = f"instrument:{BTC}"


def gate(**params: object) -> Gate:
    return Gate(SpreadGate, SpreadGateParams(**params))


@pytest.mark.parametrize(
    ("ask", "admitted"),
    [
        ("100.02", True),
        ("100.03", True),  # Three ticks are at most three.
        ("100.04", False),
    ],
)
def test_entries_wait_while_the_spread_has_too_many_ticks(ask: str, admitted: bool) -> None:
    player = gate(max_ticks=3).observe(markets(bid="100.00", ask=ask, tick="0.01"))
    assert (player.action(SCOPE) == "none") == admitted
    assert (player.ask(asked()) is None) == admitted


@pytest.mark.parametrize(
    ("bid", "ask", "admitted"),
    # A mid of 10 000, so that a spread of 1 is one basis point.
    [("9995.5", "10004.5", True), ("9995", "10005", True), ("9994.9", "10005.1", False)],
)
def test_entries_wait_while_the_spread_has_too_many_basis_points(
    bid: str, ask: str, admitted: bool
) -> None:
    player = gate(max_bps=10).observe(markets(bid=bid, ask=ask))
    assert (player.action(SCOPE) == "none") == admitted
    assert (player.ask(asked()) is None) == admitted


def test_the_verdict_says_how_wide_and_that_it_passes() -> None:
    player = gate(max_ticks=3).observe(markets(bid=100, ask="100.05", tick="0.01"))
    verdict = player.verdict(SCOPE)
    assert verdict.reason == "the spread is 5 ticks, at most 3"
    assert (verdict.measured, verdict.limit) == (5, 3)
    assert (verdict.transient, verdict.until) == (True, None)


@pytest.mark.parametrize("touch", [{}, {"bid": 100}, {"ask": 100}])
def test_without_both_best_prices_it_is_not_applied(touch: dict) -> None:
    player = gate(max_ticks=1, max_bps=1).observe(markets(tick="0.01", **touch))
    assert player.readings == ()
    assert player.ask(asked()) is None


def test_without_a_tick_or_a_price_above_zero_it_is_not_applied() -> None:
    assert gate(max_ticks=1).observe(markets(bid=1, ask=9)).readings == ()
    assert gate(max_bps=1).observe(markets(bid=0, ask=0)).readings == ()


def test_both_limits_hold_together() -> None:
    player = gate(max_ticks=1000, max_bps=1).observe(markets(bid=100, ask="100.02", tick="0.01"))
    assert player.over() == [f"{SCOPE} bps"]
    assert player.ask(asked()) == "the spread is 2 bps, at most 1"


def test_one_limit_is_needed() -> None:
    assert SpreadGateParams().check() == [("max_ticks", "is missing; set it or max_bps")]


def test_what_the_pulse_does_not_know_passes() -> None:
    player = gate(max_ticks=1).observe(look())
    assert player.ask(asked(name=ETH)) is None


def test_shrinking_lets_entries_pass() -> None:
    player = gate(max_ticks=1, action="shrink").observe(markets(bid=100, ask=101, tick="0.01"))
    assert player.action(SCOPE) == "shrink"
    assert player.ask(asked()) is None


@given(
    st.dictionaries(st.sampled_from("ABCDE"), st.integers(1, 40), min_size=1), st.integers(1, 40)
)
def test_all_that_are_wide_are_told_and_always_the_widest(
    widths: dict[str, int], limit: int
) -> None:
    found = {
        name: markets(bid=100, ask=100 + Decimal(width) / 100, tick="0.01").markets[BTC]
        for name, width in widths.items()
    }
    player = gate(max_ticks=limit).observe(look(markets=found))
    assert player.over() == [
        f"instrument:{name} ticks" for name, width in widths.items() if width > limit
    ]
    assert max(reading.measured for reading in player.readings) == max(widths.values())
