from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guards.core.snapshot import Refused
from actors.guards.order_rate import OrderRate, OrderRateParams
from tests.actors.guards.trading import BTC, MINUTE, NOON, SECOND, Gate, asked, look


def gate(count: int = 3, per_minute: int | None = None, **params: object) -> Gate:
    player = Gate(OrderRate, OrderRateParams(count=count, per_minute=per_minute, **params))
    player.observe(look())
    return player


@pytest.mark.parametrize(
    ("later", "admitted"), [(SECOND - 1, False), (SECOND, True), (SECOND + 1, True)]
)
def test_one_too_many_within_the_window_is_refused(later: int, admitted: bool) -> None:
    player = gate()
    assert [player.ask(asked(ts=NOON)) for _ in range(3)] == [None, None, None]
    refused = player.ask(asked(ts=NOON + later))
    assert (refused is None) == admitted
    assert refused in (None, "3 orders of a within 1s")


def test_what_was_refused_does_not_count_against_the_rate() -> None:
    player = gate(count=1)
    player.ask(asked(ts=NOON))
    assert player.ask(asked(ts=NOON + SECOND // 2)) is not None
    assert player.ask(asked(ts=NOON + SECOND)) is None


def test_exits_always_pass_and_count() -> None:
    player = gate(count=2)
    assert [player.ask(asked(-1, is_exit=True)) for _ in range(5)] == [None] * 5
    assert player.ask(asked()) is not None


def test_each_strategy_has_its_own_rate() -> None:
    player = gate(count=1)
    assert player.ask(asked(strategy="a")) is None
    assert player.ask(asked(strategy="a")) is not None
    assert player.ask(asked(strategy="b")) is None


@pytest.mark.parametrize(
    ("later", "admitted"), [(MINUTE - 1, False), (MINUTE, True), (MINUTE + 1, True)]
)
def test_a_minute_has_a_rate_of_its_own(later: int, admitted: bool) -> None:
    player = gate(count=3, per_minute=4)
    for n in range(4):
        assert player.ask(asked(ts=NOON + n * 2 * SECOND)) is None
    refused = player.ask(asked(ts=NOON + later))
    assert (refused is None) == admitted
    assert refused in (None, "4 orders of a within a minute")


@pytest.mark.parametrize(("knocks", "action"), [(9, "none"), (10, "halt_entries")])
def test_who_keeps_knocking_is_halted_until_the_trader_says_otherwise(
    knocks: int, action: str
) -> None:
    player = gate(count=1, spam_after=10)
    player.ask(asked())
    for n in range(knocks):
        assert player.ask(asked(ts=NOON + n)) is not None
    assert player.action("strategy:a") == action
    assert player.action("desk") == "none"
    # Hours of silence change nothing about it.
    assert player.observe(look(NOON + 100 * MINUTE)).action("strategy:a") == action


def test_a_halt_for_knocking_does_not_pass_by_itself() -> None:
    player = gate(count=1, spam_after=2)
    for _ in range(3):
        player.ask(asked())
    verdict = player.verdict("strategy:a")
    assert (verdict.transient, verdict.until) == (False, None)
    assert verdict.reason == "2 orders of a within a minute were too many for its rate"
    player.accept("strategy:a")
    assert player.observe(look(NOON + SECOND)).action("strategy:a") == "none"


def test_what_others_refused_is_no_knocking() -> None:
    player = gate(count=1, spam_after=2)
    for n in range(5):
        player.observe(Refused(ts=NOON + n, strategy="a", instrument=BTC, reason="drawdown"))
    assert player.action("strategy:a") == "none"


@given(
    st.lists(
        st.tuples(st.integers(0, 2 * SECOND), st.sampled_from("ab"), st.booleans()), max_size=60
    ),
    st.integers(1, 3),
    st.sampled_from([None, 3, 6]),
)
def test_admits_as_brute_force_over_all_that_left(
    tape: list, count: int, per_minute: int | None
) -> None:
    player, now, left, knocked = gate(count, per_minute, spam_after=5), NOON, [], []
    halted = set()
    for step, strategy, restart in tape:
        now += step
        own = [ts for ts, whose in left if whose == strategy]
        too_fast = sum(now - ts < SECOND for ts in own) >= count or (
            per_minute is not None and sum(now - ts < MINUTE for ts in own) >= per_minute
        )
        assert (player.ask(asked(ts=now, strategy=strategy)) is not None) == too_fast
        (knocked if too_fast else left).append((now, strategy))
        recent = [ts for ts, whose in knocked if whose == strategy and now - ts < MINUTE]
        if len(recent) >= 5:
            halted.add(strategy)
        if restart:
            player.restart().observe(look(now))
        for name in "ab":
            assert (player.action(f"strategy:{name}") == "halt_entries") == (name in halted)
