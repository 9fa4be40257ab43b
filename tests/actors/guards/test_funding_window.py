import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guards.core.examples import desk, one_market
from actors.guards.core.snapshot import Market
from actors.guards.funding_window import FundingWindow
from tests.actors.guards.moments import BTC, ETH, HOUR, MINUTE, NOON, SECOND, at
from tests.actors.guards.playing import Player, requested

SCOPE = f"instrument:{BTC}"
EIGHT = at(0, "08:00")
SIXTEEN = at(0, "16:00")


def window(now: int = EIGHT - HOUR, coming: int | None = EIGHT, **params: object) -> Player:
    return Player(FundingWindow, **params).observe(one_market(now, next_funding_ns=coming))


@pytest.mark.parametrize(
    ("away", "inside"),
    [
        (-3 * MINUTE - 1, False),
        (-3 * MINUTE, True),  # The window begins at three minutes to exactly.
        (0, True),
        (3 * MINUTE - 1, True),
        (3 * MINUTE, False),  # And is over at three minutes past exactly.
    ],
)
def test_the_window_is_exact_for_snapshots_and_for_orders(away: int, inside: bool) -> None:
    player = window()
    now = EIGHT + away
    # No snapshot for an hour: the order's own time counts.
    assert (player.refusal(requested(ts=now)) is not None) == inside
    # From the settlement on the venue gives the next one.
    player.observe(one_market(now, next_funding_ns=EIGHT if away < 0 else SIXTEEN))
    assert (player.action(SCOPE) == "halt_entries") == inside
    assert (player.refusal(requested(ts=now)) is not None) == inside
    if inside:
        verdict = player.verdict(SCOPE)
        assert (verdict.until, verdict.transient) == (EIGHT + 3 * MINUTE, True)


def test_the_reason_gives_the_time_to_the_settlement() -> None:
    player = window().observe(one_market(EIGHT - 90 * SECOND, next_funding_ns=EIGHT))
    verdict = player.verdict(SCOPE)
    assert verdict.reason == "funding is settled in 90 s"
    assert (verdict.measured, verdict.limit) == (90, 180)
    assert player.refusal(requested(ts=EIGHT + 60 * SECOND)) == "funding settled 60 s ago"


def test_a_settlement_between_two_distant_snapshots_counts_where_it_is_known() -> None:
    """Candles of a day, settlements every eight hours: only the last of three is now."""
    player = window(at(0), EIGHT)
    player.observe(one_market(at(1), next_funding_ns=EIGHT + 24 * HOUR))
    assert player.action(SCOPE) == "none"
    player.observe(one_market(at(2), next_funding_ns=EIGHT + 48 * HOUR, last_funding_ns=at(2)))
    assert player.verdict(SCOPE).until == at(2) + 3 * MINUTE
    assert player.refusal(requested(ts=at(2) + 3 * MINUTE - 1)) is not None
    assert player.refusal(requested(ts=at(2) + 3 * MINUTE)) is None


def test_a_settlement_that_was_put_off_has_not_happened() -> None:
    player = window().observe(one_market(EIGHT - MINUTE, next_funding_ns=EIGHT))
    player.observe(one_market(EIGHT - SECOND, next_funding_ns=SIXTEEN))
    player.observe(one_market(EIGHT + SECOND, next_funding_ns=SIXTEEN))
    assert player.action(SCOPE) == "none"
    assert player.refusal(requested(ts=EIGHT + SECOND)) is None


def test_at_the_settlement_itself_it_has_passed() -> None:
    player = window().observe(one_market(EIGHT, next_funding_ns=SIXTEEN))
    assert player.verdict(SCOPE).reason == "funding settled 0 s ago"
    player.observe(one_market(EIGHT + MINUTE, next_funding_ns=SIXTEEN))
    assert (player.readings[0].measured, player.readings[0].limit) == (60, 180)


def test_outside_all_windows_the_next_settlement_is_shown() -> None:
    coming = {BTC: EIGHT, ETH: EIGHT + HOUR, "OTHER": EIGHT + 2 * HOUR}
    for order in (list(coming), list(coming)[::-1]):
        known = {name: Market(next_funding_ns=coming[name]) for name in order}
        player = Player(FundingWindow).observe(desk(EIGHT - HOUR, markets=known))
        [reading] = player.readings
        assert (reading.scope, reading.measured, reading.over) == (SCOPE, 3600, False)


def test_what_has_no_funding_is_never_held_back() -> None:
    player = window(coming=None)
    assert player.readings == ()
    assert player.refusal(requested(ts=EIGHT)) is None


def test_each_instrument_has_its_own_settlement() -> None:
    player = window()
    near = one_market(EIGHT - MINUTE, next_funding_ns=EIGHT).markets
    far = one_market(EIGHT - MINUTE, name=ETH, next_funding_ns=SIXTEEN).markets
    player.observe(desk(EIGHT - MINUTE, markets=near | far))
    assert player.refusal(requested(ts=EIGHT - MINUTE, name=BTC)) is not None
    assert player.refusal(requested(ts=EIGHT - MINUTE, name=ETH)) is None


def test_a_clock_that_goes_back_over_the_settlement_stays_in_the_window() -> None:
    player = window().observe(one_market(EIGHT + SECOND, next_funding_ns=SIXTEEN))
    player.observe(one_market(EIGHT - MINUTE, next_funding_ns=SIXTEEN))
    assert player.action(SCOPE) == "halt_entries"


@given(
    st.lists(st.tuples(st.integers(0, 2 * HOUR // SECOND), st.integers(0, 3)), max_size=30),
    st.sampled_from(["0s", "3m", "1h"]),
    st.sampled_from(["1m", "3m", "1h"]),
)
def test_windows_agree_with_brute_force_over_all_settlements(tape, before, after):
    nanoseconds = {"0s": 0, "1m": MINUTE, "3m": 3 * MINUTE, "1h": HOUR}
    player, now = window(NOON, SIXTEEN, before=before, after=after), NOON
    settlements = [SIXTEEN + n * 8 * HOUR for n in range(12)]
    for step, late in tape:
        now += step * SECOND
        # Some venues give the next one a little late.
        known = now - late * SECOND
        coming = next(when for when in settlements if when > known)
        player.observe(one_market(now, next_funding_ns=coming))
        inside = any(
            when - nanoseconds[before] <= now < when + nanoseconds[after] for when in settlements
        )
        assert (player.refusal(requested(ts=now)) is not None) == inside
        assert (player.action(SCOPE) == "halt_entries") == inside
