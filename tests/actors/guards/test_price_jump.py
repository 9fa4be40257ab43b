from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guards.core.examples import one_market
from actors.guards.price_jump import PriceJump
from tests.actors.guards.moments import BTC, ETH, MINUTE, NOON, SECOND
from tests.actors.guards.playing import Player

SCOPE = f"instrument:{BTC}"


def jump(*prices: tuple[int, object], **params: object) -> Player:
    """Play an instrument's prices at seconds after noon."""
    tape = (one_market(NOON + second * SECOND, price=price) for second, price in prices)
    return Player(PriceJump, **params).observe(*tape)


@pytest.mark.parametrize(
    ("price", "action"),
    [
        ("104.99", "none"),
        ("105", "halt_entries"),  # Exactly five percent.
        ("95.01", "none"),
        ("95", "halt_entries"),
    ],
)
def test_a_move_of_the_limit_up_or_down_pauses_the_instrument(price: str, action: str) -> None:
    assert jump((0, 100), (1, price)).action(SCOPE) == action


def test_the_limit_itself_is_reached_in_floats_too() -> None:
    for tenths in range(1, 100):
        player = jump((0, 1000), (1, 1000 - tenths), limit_pct=tenths / 1000)
        assert player.action(SCOPE) == "halt_entries"


def test_the_pause_lasts_five_minutes() -> None:
    player = jump((0, 100), (1, 110))
    verdict = player.verdict(SCOPE)
    assert verdict.reason == "moved 10 % within 10s, limit 5 %"
    end = NOON + SECOND + 5 * MINUTE
    assert (verdict.until, verdict.transient) == (end, True)
    player.observe(one_market(NOON + 2 * SECOND, price=110), one_market(end - 1, price=110))
    assert player.action(SCOPE) == "halt_entries"
    assert player.observe(one_market(end, price=110)).action(SCOPE) == "none"


@pytest.mark.parametrize(
    ("prices", "within"),
    [
        (((0, 100), (300, 106)), "5m"),
        (((0, 100), (61, 106)), "61s"),
        (((0, 100), (60, 106)), "1m"),
        (((0, 100), (90, 103), (149, 106)), "149s"),  # From 100, which stood until 90.
        (((0, 100), (90, 103), (91, 106)), "91s"),
        (((0, 100), (90, 100), (151, 100), (152, 100), (153, 106)), "63s"),
        (((0, 100), (90, 100), (120, 100), (150, 100), (151, 106)), "1m"),
    ],
)
def test_the_time_of_a_move_is_named_where_looks_are_further_apart_than_the_window(
    prices: tuple, within: str
) -> None:
    player = jump(*prices, window="1m")
    assert player.verdict(SCOPE).reason == f"moved 6 % within {within}, limit 5 %"


@pytest.mark.parametrize(
    ("later", "action"),
    [
        (10 * SECOND - 1, "halt_entries"),
        (10 * SECOND, "none"),  # The first price stood until exactly the window's begin.
    ],
)
def test_a_price_counts_until_it_was_replaced_before_the_window(later: int, action: str) -> None:
    player = jump((-1, 100), (0, 103)).observe(one_market(NOON + later, price=105))
    assert player.action(SCOPE) == action


@pytest.mark.parametrize(
    ("prices", "action"),
    [
        # From its top, 104.9, to 99.6: 5.05 percent.
        (((0, 100), (1, "104.9"), (2, "99.6")), "halt_entries"),
        # Between two snapshots of a backtest the whole move counts.
        (((0, 100), (60, 106)), "halt_entries"),
        (((0, 100), (300, 120)), "halt_entries"),
        # Snapshots too far apart show no jump.
        (((0, 100), (301, 120)), "none"),
        # A price of zero is none.
        (((0, 0), (1, 100)), "none"),
        # A clock that goes back a little forgets nothing; prices of another time count no more.
        (((0, 100), (-1, 106)), "halt_entries"),
        (((3600, 100), (0, 106)), "none"),
    ],
)
def test_prices_that_are_compared(prices: tuple, action: str) -> None:
    assert jump(*prices).action(SCOPE) == action


def test_after_a_snapshot_without_a_price_earlier_ones_count_no_more() -> None:
    player = jump((0, 100)).observe(one_market(NOON + SECOND))
    assert player.readings == ()
    player.observe(one_market(NOON + 2 * SECOND, price=120))
    assert player.readings[0].measured == 0
    player.observe(one_market(NOON + 3 * SECOND, price=126))
    assert player.readings[0].measured == 0.05


def test_each_instrument_is_compared_with_itself() -> None:
    player = jump((0, 100)).observe(one_market(NOON + SECOND, name=ETH, price=200))
    assert player.over() == []


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(80, 120)), min_size=1, max_size=60),
    st.sampled_from([1, 5, 10]),
)
def test_moves_agree_with_brute_force_over_all_prices(tape: list, window: int) -> None:
    player, now, seen = jump(window=f"{window}s"), NOON, []
    for step, price in tape:
        now += step * SECOND
        seen.append((now, price))
        player.observe(one_market(now, price=price))
        # Each price stood until the next look; the newest still does.
        begin = now - window * SECOND
        stood = [p for (_, p), (until, _) in pairwise(seen) if until > begin]
        expected = max(
            [0.0]
            + [1 - price / p for p in stood if p > price]
            + [price / p - 1 for p in stood if p < price]
        )
        assert player.readings[0].measured == pytest.approx(expected, abs=1e-9)
