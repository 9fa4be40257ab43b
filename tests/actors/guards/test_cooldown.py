from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guards.cooldown import Cooldown, CooldownParams
from tests.actors.guards.playing import closed
from tests.actors.guards.trading import (
    BTC,
    ETH,
    MS,
    NOON,
    SECOND,
    Gate,
    asked,
    held,
    look,
    traded,
)

SCOPE = f"instrument:{BTC}"


def gate(**params: object) -> Gate:
    player = Gate(Cooldown, CooldownParams(**params))
    player.observe(look())
    return player


def close(player: Gate, net: int, ts: int = NOON, name: str = BTC, strategy: str = "a") -> None:
    player.observe(closed(net, ts, strategy, name))


@pytest.mark.parametrize(
    ("net", "later", "admitted"),
    [
        (5, 0, False),
        (5, 500 * MS - 1, False),
        (5, 500 * MS, True),  # At its very end the pause is over.
        (0, 500 * MS, True),  # Neither won nor lost is no loss.
        (-1, 500 * MS, False),
        (-1, 5 * SECOND - 1, False),
        (-1, 5 * SECOND, True),
    ],
)
def test_a_pause_is_exact_to_the_nanosecond(net: int, later: int, admitted: bool) -> None:
    player = gate()
    close(player, net)
    assert (player.ask(asked(ts=NOON + later)) is None) == admitted
    player.observe(look(NOON + later))
    assert (player.action(SCOPE) == "none") == admitted


def test_the_verdict_says_when_it_ends_and_that_it_passes() -> None:
    player = gate()
    close(player, -3, NOON)
    verdict = player.verdict(SCOPE)
    assert (verdict.until, verdict.transient) == (NOON + 5 * SECOND, True)
    assert verdict.reason == "5 s between a losing trade and the next, 5 s of them left"
    assert (verdict.measured, verdict.limit) == (0, 5)


def test_a_fill_at_the_very_end_of_a_pause_shows_it_over() -> None:
    player = gate()
    close(player, 1, NOON)
    player.observe(traded(1, NOON + 500 * MS, ETH))
    assert player.over() == []
    # The pause of a new trade that ends at the same moment changes nothing.
    close(player, 1, NOON)
    assert player.state.running[SCOPE].since == NOON


def test_the_close_of_a_fill_counts_from_the_fill_on() -> None:
    player = Gate(Cooldown, CooldownParams())
    player.observe(look(NOON, held(1)))
    # The desk tells the fill first, then the round trip that it ended.
    player.observe(traded(-1, NOON + 7), closed(-2, NOON + 7, name=BTC))
    assert player.action(SCOPE) == "halt_entries"
    assert player.ask(asked(ts=NOON + 8)) is not None


def test_a_short_pause_never_cuts_a_long_one() -> None:
    player = gate()
    close(player, -1, NOON)
    close(player, 1, NOON + SECOND)
    assert player.ask(asked(ts=NOON + 5 * SECOND - 1)) is not None
    assert player.ask(asked(ts=NOON + 5 * SECOND)) is None


def test_after_a_loss_the_longer_of_both_pauses_counts() -> None:
    player = gate(after_trade="10s", after_loss="5s")
    close(player, -1)
    assert player.ask(asked(ts=NOON + 10 * SECOND - 1)) is not None
    assert player.ask(asked(ts=NOON + 10 * SECOND)) is None


def test_without_a_pause_after_trades_only_losses_cool_down() -> None:
    player = gate(after_trade="0s")
    close(player, 1)
    assert player.ask(asked()) is None
    close(player, -1)
    assert player.ask(asked()) is not None


def test_two_pauses_of_nothing_are_refused() -> None:
    assert CooldownParams(after_trade="0s", after_loss="0ms").check() == [
        ("after_trade", "is 0s, and after_loss too; one must be longer")
    ]


def test_adding_to_an_open_position_is_no_new_trade() -> None:
    player = gate()
    # Turned from long to short: the long one is closed, the short one is open.
    player.observe(traded(-1, opened=True), closed(-2, name=BTC))
    assert player.action(SCOPE) == "none"
    assert player.ask(asked(-1, has=-1)) is None
    assert player.ask(asked(2, has=-1)) is not None
    player.observe(traded(1))
    assert player.action(SCOPE) == "halt_entries"


@pytest.mark.parametrize(
    ("of", "other_instrument", "other_strategy"),
    [("instrument", True, True), ("strategies", False, True), ("desk", False, False)],
)
def test_a_pause_covers_what_it_is_of(
    of: str, other_instrument: bool, other_strategy: bool
) -> None:
    player = gate(of=of)
    close(player, -1, name=BTC, strategy="a")
    assert player.ask(asked(name=BTC, strategy="a")) is not None
    assert (player.ask(asked(name=ETH, strategy="a")) is None) == other_instrument
    assert (player.ask(asked(name=ETH, strategy="b")) is None) == other_strategy


def test_a_pause_of_the_desk_lets_other_open_positions_be_added_to() -> None:
    player = gate(of="desk")
    player.observe(look(NOON, held(1, ETH)))
    close(player, -1, name=BTC)
    assert player.action("desk") == "none"
    assert player.ask(asked(1, name=ETH, has=1)) is None
    assert player.ask(asked(1, name=BTC)) is not None


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3 * SECOND),
            st.sampled_from(["win", "loss", "ask", "snapshot", "restart"]),
        ),
        max_size=40,
    )
)
def test_entries_pass_as_by_brute_force_over_all_closes(tape: list[tuple[int, str]]) -> None:
    player, now, ends = gate(), NOON, [0]
    for step, what in tape:
        now += step
        end = player.verdict(SCOPE).until
        if end is not None and end <= now:
            # The desk looks by itself where a halt may end.
            player.observe(look(end))
        if what in ("win", "loss"):
            close(player, 1 if what == "win" else -1, now)
            ends.append(now + (500 * MS if what == "win" else 5 * SECOND))
        elif what == "snapshot":
            player.observe(look(now))
        elif what == "restart":
            player.restart()
        else:
            assert (player.ask(asked(ts=now)) is None) == (now >= max(ends))
        assert (player.verdict(SCOPE).action > 0) == (now < max(ends))
