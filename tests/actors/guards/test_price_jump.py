from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guards.price_jump import PriceJump, PriceJumpParams
from tests.actors.guards.trading import BTC, ETH, HOUR, MINUTE, NOON, SECOND, Gate, markets

SCOPE = f"instrument:{BTC}"


def gate(**params: object) -> Gate:
    return Gate(PriceJump, PriceJumpParams(**params))


@pytest.mark.parametrize(
    ("price", "action"),
    [
        ("104.99", "none"),
        ("105", "halt_entries"),  # Exactly five percent.
        ("105.01", "halt_entries"),
        ("95.01", "none"),
        ("95", "halt_entries"),
        ("94.99", "halt_entries"),
    ],
)
def test_a_move_of_the_limit_up_or_down_pauses_the_instrument(price: str, action: str) -> None:
    player = gate().observe(markets(NOON, price=100), markets(NOON + SECOND, price=price))
    assert player.action(SCOPE) == action


@pytest.mark.parametrize("tenths", range(1, 100))
def test_the_limit_itself_is_reached_whatever_a_float_makes_of_it(tenths: int) -> None:
    player = gate(limit_pct=tenths / 1000)
    player.observe(markets(NOON, price=1000), markets(NOON + SECOND, price=1000 - tenths))
    assert player.action(SCOPE) == "halt_entries"


def test_the_pause_lasts_five_minutes_and_passes() -> None:
    player = gate().observe(markets(NOON, price=100), markets(NOON + SECOND, price=110))
    verdict = player.verdict(SCOPE)
    assert verdict.reason == "moved 10 % within 10s, limit 5 %"
    assert (verdict.until, verdict.transient) == (NOON + SECOND + 5 * MINUTE, True)
    player.observe(markets(NOON + 2 * SECOND, price=110))
    player.observe(markets(NOON + SECOND + 5 * MINUTE - 1, price=110))
    assert player.action(SCOPE) == "halt_entries"
    player.observe(markets(NOON + SECOND + 5 * MINUTE, price=110))
    assert player.action(SCOPE) == "none"


def test_moves_add_up_within_the_window_only() -> None:
    # One percent of the first price a second: five of them are too many.
    fast = gate().observe(*(markets(NOON + n * SECOND, price=100 + n) for n in range(6)))
    assert fast.action(SCOPE) == "halt_entries"
    # The same every three seconds: within ten seconds, and from the price that stood before, four.
    slow = gate().observe(*(markets(NOON + n * 3 * SECOND, price=100 + n) for n in range(6)))
    assert slow.readings[0].measured == pytest.approx(105 / 101 - 1, abs=1e-9)
    assert slow.action(SCOPE) == "none"


@pytest.mark.parametrize(
    ("later", "action"),
    [
        (10 * SECOND - 1, "halt_entries"),
        (10 * SECOND, "none"),  # The first price stood until exactly the window's begin.
    ],
)
def test_a_price_counts_until_it_was_replaced_before_the_window(later: int, action: str) -> None:
    player = gate().observe(
        markets(NOON - SECOND, price=100),
        markets(NOON, price=103),
        markets(NOON + later, price=105),
    )
    assert player.action(SCOPE) == action


def test_a_spike_that_goes_back_counts_from_its_top() -> None:
    player = gate().observe(
        markets(NOON, price=100),
        markets(NOON + SECOND, price="104.9"),
        markets(NOON + 2 * SECOND, price="99.6"),
    )
    # From 104.9 to 99.6: 5.05 percent.
    assert player.action(SCOPE) == "halt_entries"


def test_between_two_pulses_of_a_backtest_the_whole_move_counts() -> None:
    player = gate().observe(markets(NOON, price=100), markets(NOON + MINUTE, price=106))
    assert player.action(SCOPE) == "halt_entries"


@pytest.mark.parametrize(
    ("gap", "action"),
    [(5 * MINUTE, "halt_entries"), (5 * MINUTE + 1, "none"), (24 * HOUR, "none")],
)
def test_looks_too_far_apart_say_nothing_of_a_jump(gap: int, action: str) -> None:
    player = gate().observe(markets(NOON, price=100), markets(NOON + gap, price=120))
    assert player.action(SCOPE) == action


def test_looks_that_may_be_apart_for_less_than_the_window_are_refused() -> None:
    assert PriceJumpParams(window="1m", apart="10s").check() == [
        ("apart", "must be at least the window 1m, was 10s")
    ]
    assert PriceJumpParams(window="1m", apart="1m").check() == []


def test_after_a_look_without_a_price_it_is_compared_with_no_earlier_one() -> None:
    player = gate().observe(markets(NOON, price=100), markets(NOON + SECOND))
    assert player.readings == ()
    player.observe(markets(NOON + 2 * SECOND, price=120))
    assert player.readings[0].measured == 0
    player.observe(markets(NOON + 3 * SECOND, price=126))
    assert player.readings[0].measured == 0.05


def test_a_price_of_zero_is_none() -> None:
    player = gate().observe(markets(NOON, price=0), markets(NOON + SECOND, price=100))
    assert player.over() == []


def test_each_instrument_is_compared_with_itself() -> None:
    player = gate().observe(markets(NOON, price=100), markets(NOON + SECOND, name=ETH, price=200))
    assert player.over() == []


def test_a_clock_that_goes_back_a_little_forgets_nothing() -> None:
    player = gate().observe(markets(NOON, price=100), markets(NOON - SECOND, price=106))
    assert player.action(SCOPE) == "halt_entries"


def test_after_a_clock_went_back_far_the_prices_of_the_other_time_count_no_more() -> None:
    player = gate().observe(markets(NOON + HOUR, price=100), markets(NOON, price=106))
    assert player.action(SCOPE) == "none"


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.integers(80, 120), st.booleans()), min_size=1, max_size=60
    ),
    st.sampled_from([1, 5, 10]),
)
def test_measures_as_brute_force_over_all_prices(tape: list, window: int) -> None:
    player, now, seen = gate(window=f"{window}s"), NOON, []
    for step, price, restart in tape:
        now += step * SECOND
        seen.append((now, price))
        player.observe(markets(now, price=price))
        if restart:
            player.restart()
        # Each price stood until the next look; the newest still does.
        begin = now - window * SECOND
        stood = [p for (_, p), (until, _) in pairwise(seen) if until > begin]
        expected = max(
            [0.0]
            + [1 - price / p for p in stood if p > price]
            + [price / p - 1 for p in stood if p < price]
        )
        assert player.readings[0].measured == pytest.approx(expected, abs=1e-9)
