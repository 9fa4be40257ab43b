from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guards.core.examples import desk
from actors.guards.unhedged import Pair, Unhedged, UnhedgedParams
from tests.actors.guards.moments import HOUR, NOON, SECOND
from tests.actors.guards.playing import Player, filled, held

SPOT, PERP = "BTCUSDT-SPOT.BYBIT", "BTCUSDT-LINEAR.BYBIT"
PAIR = Pair(SPOT, PERP)


def unhedged(legs: tuple[Pair, ...] = (PAIR,), **params: object) -> Player:
    return Player(Unhedged, legs=legs, **params)


def legs(now: int, spot: str | int = 0, perp: str | int = 0):
    """A look at both legs; one coin is worth 100."""
    holdings = [held(q, name) for q, name in ((perp, PERP), (spot, SPOT)) if Decimal(q)]
    return desk(now, *holdings)


def test_the_verdict_says_what_stood_for_how_long() -> None:
    player = unhedged().observe(legs(NOON, perp=-100), legs(NOON + 20 * SECOND, perp=-100))
    verdict = player.verdict(f"instrument:{PERP}")
    assert verdict.reason == (
        f"{SPOT}+{PERP} stands -10,000.00 unhedged: 200,000 value-seconds, limit 100,000"
    )
    assert (verdict.measured, verdict.limit) == (200_000, 100_000)
    assert player.action(f"instrument:{SPOT}") == "flatten"


@pytest.mark.parametrize(
    ("perp", "is_hedged"),
    [
        ("-98", True),  # 2 of 100 coins left: exactly the tolerance of two percent.
        ("-97.99", False),
        ("-100", True),
        ("-102.04", True),  # 2.04 of 102.04.
        ("-102.05", False),
    ],
)
def test_a_pair_within_the_tolerance_is_hedged(perp: str, is_hedged: bool) -> None:
    for first, second in (("100", perp), ("-100", perp.removeprefix("-"))):
        for both in ((first, second), (second, first)):
            player = unhedged().observe(legs(NOON, *both), legs(NOON + HOUR, *both))
            assert (player.readings[0].measured == 0) == is_hedged


@pytest.mark.parametrize(("spot", "is_hedged"), [("0.05", True), ("0.051", False)])
def test_dust_is_hedged(spot: str, is_hedged: bool) -> None:
    player = unhedged().observe(legs(NOON, spot), legs(NOON + HOUR, spot))
    assert (player.readings[0].measured == 0) == is_hedged


def test_what_is_filled_between_two_snapshots_counts_from_its_fill_on() -> None:
    player = unhedged().observe(
        legs(NOON),
        filled(100, NOON + SECOND, SPOT),
        filled(-100, NOON + 4 * SECOND, PERP),
        legs(NOON + 60 * SECOND, 100, -100),
    )
    # Hedged again, so the sum is gone; but it was 30 000 when the second leg came.
    assert player.readings[0].measured == 0
    player = unhedged(limit=30_000.0).observe(
        legs(NOON), filled(100, NOON + SECOND, SPOT), filled(-100, NOON + 4 * SECOND, PERP)
    )
    assert player.action(f"instrument:{SPOT}") == "flatten"


def test_the_second_leg_of_a_pair_takes_away_what_the_first_left() -> None:
    player = unhedged().observe(
        legs(NOON),
        filled(100, NOON, SPOT),  # 10 000 for one second,
        filled(-40, NOON + SECOND, PERP),  # 6 000 for ten,
        filled(-70, NOON + 11 * SECOND, PERP),  # and 1 000 the other way for two.
        filled(-1, NOON + 13 * SECOND, PERP),
    )
    assert player.readings[0].measured == 10_000 + 60_000 + 2_000


def test_fills_of_other_instruments_change_nothing() -> None:
    player = unhedged().observe(legs(NOON), filled(100, NOON, "ETHUSDT-LINEAR.BYBIT"))
    assert player.state.naked == {}


def test_a_ratio_says_how_much_of_the_first_hedges_one_of_the_second() -> None:
    player = unhedged((Pair(SPOT, PERP, 0.5),)).observe(
        legs(NOON, 50, -100), legs(NOON + HOUR, 50, -100)
    )
    assert player.readings[0].measured == 0
    player.observe(filled(-10, NOON + HOUR, PERP), legs(NOON + HOUR + SECOND, 50, -110))
    # 10 coins more on the second leg are 500 of the first.
    assert player.readings[0].measured == 500


def test_accepting_one_pair_leaves_the_others_sum() -> None:
    other = Pair("ETHUSDT-SPOT.BYBIT", "ETHUSDT-LINEAR.BYBIT")
    player = unhedged((PAIR, other)).observe(
        *(desk(now, held(100, other.second), held(100, PERP)) for now in (NOON, NOON + HOUR))
    )
    player.accept(f"instrument:{PERP}")
    assert list(player.state.naked) == [other.name]


def test_the_legs_are_named_for_validate() -> None:
    assert UnhedgedParams(legs=(PAIR,)).instruments_named() == [
        (("legs", 0, 0), SPOT),
        (("legs", 0, 1), PERP),
    ]


@given(
    st.lists(st.tuples(st.integers(-3, 9), st.integers(-30, 30), st.integers(-30, 30)), max_size=40)
)
def test_sums_up_as_brute_force_second_by_second(tape: list) -> None:
    """Steps of whole seconds, some of them backwards; one coin is worth 100."""
    player, now, total, net = unhedged(limit=1e12), NOON, 0, 0
    player.observe(legs(now))
    for step, spot, perp in tape:
        now += step * SECOND
        for _ in range(step):
            total += abs(net)
        net = 100 * (spot + perp)
        if abs(net) <= max(5, 0.02 * 100 * max(abs(spot), abs(perp))):
            net = total = 0
        player.observe(legs(now, spot, perp))
        assert player.readings[0].measured == total
