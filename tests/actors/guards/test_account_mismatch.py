"""Account mismatch: which differences count, how many, and for how long."""

from typing import get_args

import pytest

from actors.guards.account_mismatch import AccountMismatch, Kind
from actors.guards.core.examples import desk
from actors.guards.core.snapshot import ErrorEvent, Mismatch
from live_nodes.reconcile.sweep import FindingKind
from strategies.messages import Action
from tests.actors.guards.moments import BTC, NOON, SECOND
from tests.actors.guards.playing import Player


def differs(second: float, kind: str = "position_differs") -> Mismatch:
    ts = NOON + int(second * SECOND)
    return Mismatch(ts=ts, kind=kind, instrument=BTC, detail="1 is not 2")


def two_within_ten_seconds(*seconds: float) -> Player:
    player = Player(AccountMismatch, count=2, window="10s").observe(desk(NOON - SECOND))
    return player.observe(*map(differs, seconds))


def test_every_kind_of_the_sweep_can_be_named() -> None:
    assert set(get_args(Kind)) == {kind.value for kind in FindingKind}


def test_the_first_difference_halts_until_released_by_default() -> None:
    player = Player(AccountMismatch).observe(desk(), differs(0))
    verdict = player.verdict()
    assert (verdict.action, verdict.until) == (Action.HALT_ENTRIES, None)
    assert verdict.reason == (
        f"1 differences to the venue within 10m, the newest position_differs: {BTC}: 1 is not 2"
    )


@pytest.mark.parametrize(("second", "over"), [(9.999, True), (10, False)])
def test_a_difference_counts_for_less_than_the_window(second: float, over: bool) -> None:
    assert bool(two_within_ten_seconds(0, second).over()) == over


@pytest.mark.parametrize(("now", "number"), [(9.999, 2), (10, 1), (11.999, 1), (12, 0)])
def test_differences_end_with_the_time_alone(now: float, number: int) -> None:
    player = two_within_ten_seconds(0, 2)
    before = player.state
    [reading] = player.observe(desk(NOON + int(now * SECOND))).readings
    assert (reading.measured, reading.over, reading.clear) == (number, number == 2, number < 2)
    assert (player.state is before) == (number == 2)


def test_other_kinds_and_other_events_do_not_count() -> None:
    player = two_within_ten_seconds(0)
    before = player.state
    player.observe(differs(1, "ghost_order"), ErrorEvent(ts=NOON, source="sweep", text="late"))
    assert player.state is before


def test_only_as_many_are_kept_as_the_limit_needs() -> None:
    player = two_within_ten_seconds(*(n / 1000 for n in range(500)))
    assert [one.ts for one in player.state.found] == [NOON + 498 * 10**6, NOON + 499 * 10**6]


def test_a_clock_that_goes_back_forgets_nothing() -> None:
    player = two_within_ten_seconds(100, 101)
    assert player.observe(desk(NOON)).over() == ["desk"]
