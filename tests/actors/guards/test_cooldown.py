import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guards.cooldown import Cooldown
from actors.guards.core.examples import desk
from tests.actors.guards.moments import BTC, ETH, MS, NOON, SECOND
from tests.actors.guards.playing import Player, closed, filled, held, requested

SCOPE = f"instrument:{BTC}"


def cooldown(**params: object) -> Player:
    return Player(Cooldown, **params).observe(desk())


@pytest.mark.parametrize(
    ("params", "net", "pause"),
    [
        ({}, 5, 500 * MS),
        ({}, 0, 500 * MS),  # Neither won nor lost is no loss.
        ({}, -1, 5 * SECOND),
        # After a loss the longer of both pauses counts.
        ({"after_trade": "10s", "after_loss": "5s"}, -1, 10 * SECOND),
        ({"after_trade": "0s"}, -1, 5 * SECOND),
        ({"after_trade": "0s"}, 1, 0),
    ],
)
def test_a_pause_is_exact_to_the_nanosecond(params: dict, net: int, pause: int) -> None:
    for now, admitted in ((NOON + pause - 1, False), (NOON + pause, True)):
        if now >= NOON:
            player = cooldown(**params).observe(closed(net))
            assert (player.refusal(requested(ts=now)) is None) == admitted
            assert (player.observe(desk(now)).action(SCOPE) == "none") == admitted


def test_the_verdict_gives_the_end_of_the_pause() -> None:
    verdict = cooldown().observe(closed(-3)).verdict(SCOPE)
    assert (verdict.until, verdict.transient) == (NOON + 5 * SECOND, True)
    assert verdict.reason == "5 s between a losing trade and the next, 5 s of them left"
    assert (verdict.measured, verdict.limit) == (0, 5)


def test_a_pause_of_days_is_given_without_an_exponent() -> None:
    player = cooldown(after_loss="30d").observe(closed(-3))
    said = "2592000 s between a losing trade and the next, 2592000 s of them left"
    assert player.verdict(SCOPE).reason == said


def test_a_fill_at_the_very_end_of_a_pause_shows_it_over() -> None:
    player = cooldown().observe(closed(1), filled(1, NOON + 500 * MS, ETH))
    assert player.over() == []
    # The pause of a new trade that ends at the same moment changes nothing.
    assert player.observe(closed(1)).state.running[SCOPE].since == NOON


def test_the_pause_counts_from_the_fill_that_closed_the_position() -> None:
    player = Player(Cooldown).observe(desk(NOON, held(1)))
    # The desk shows the fill first, then the round trip that it ended.
    player.observe(filled(-1, NOON + 7), closed(-2, NOON + 7))
    assert player.action(SCOPE) == "halt_entries"
    assert player.refusal(requested(ts=NOON + 8)) is not None


def test_adding_to_an_open_position_is_no_new_trade() -> None:
    # Turned from long to short: the long one is closed, the short one is open.
    player = cooldown().observe(filled(-1, opened=True), closed(-2))
    assert player.action(SCOPE) == "none"
    assert player.refusal(requested(-1, has=-1)) is None
    assert player.refusal(requested(2, has=-1)) is not None
    player.observe(filled(1))
    assert player.action(SCOPE) == "halt_entries"


@pytest.mark.parametrize(
    ("of", "other_instrument", "other_strategy"),
    [("instrument", True, True), ("strategies", False, True), ("desk", False, False)],
)
def test_a_pause_covers_what_it_is_of(of, other_instrument, other_strategy):
    player = cooldown(of=of).observe(closed(-1))
    assert player.refusal(requested()) is not None
    assert (player.refusal(requested(name=ETH)) is None) == other_instrument
    assert (player.refusal(requested(name=ETH, strategy="b")) is None) == other_strategy


def test_a_pause_of_the_desk_lets_other_open_positions_be_added_to() -> None:
    player = cooldown(of="desk").observe(desk(NOON, held(1, ETH)), closed(-1))
    assert player.action("desk") == "none"
    assert player.refusal(requested(1, name=ETH, has=1)) is None
    assert player.refusal(requested(1)) is not None


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3 * SECOND), st.sampled_from(["win", "loss", "order", "snapshot"])
        ),
        max_size=40,
    )
)
def test_pauses_agree_with_brute_force_over_all_closes(tape: list[tuple[int, str]]) -> None:
    player, now, ends = cooldown(), NOON, [0]
    for step, what in tape:
        now += step
        end = player.verdict(SCOPE).until
        if end is not None and end <= now:
            # The desk looks by itself where a halt may end.
            player.observe(desk(end))
        if what in ("win", "loss"):
            player.observe(closed(1 if what == "win" else -1, now))
            ends.append(now + (500 * MS if what == "win" else 5 * SECOND))
        elif what == "snapshot":
            player.observe(desk(now))
        else:
            assert (player.refusal(requested(ts=now)) is None) == (now >= max(ends))
        assert (player.verdict(SCOPE).action > 0) == (now < max(ends))
