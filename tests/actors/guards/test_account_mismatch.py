"""Account mismatch: which differences count, how many, and for how long."""

from __future__ import annotations

from typing import get_args

import pytest

from actors.guards.account_mismatch import AccountMismatch, AccountMismatchParams, Differences, Kind
from actors.guards.core.snapshot import ErrorEvent, Mismatch
from live_nodes.reconcile import sweep as sweep_rules
from strategies.messages import Action
from tests.actors.guards.positions import BTC, NOW, only, snapshot

SECOND = 10**9


def differed(at: float, kind: str = "position_differs") -> Mismatch:
    return Mismatch(ts=NOW + int(at * SECOND), kind=kind, instrument=BTC, detail="1 is not 2")


def counted(params: AccountMismatchParams, *at: float) -> Differences:
    state = Differences()
    for moment in at:
        state, _ = AccountMismatch(params).observe(state, differed(moment))
    return state


TWO = AccountMismatchParams(count=2, window="10s")


def test_every_kind_of_the_sweep_can_be_named() -> None:
    assert set(get_args(Kind)) == {kind.value for kind in sweep_rules.FindingKind}


def test_the_first_difference_halts_until_released_unless_told_otherwise() -> None:
    _, readings = AccountMismatch(AccountMismatchParams()).observe(Differences(), differed(0))
    reading = only(readings)
    assert (reading.over, reading.action, reading.scope) == (True, Action.HALT_ENTRIES, "desk")
    assert AccountMismatchParams().release == "manual"
    assert reading.reason == (
        f"1 differences to the venue within 10m, the newest position_differs: {BTC}: 1 is not 2"
    )


@pytest.mark.parametrize(("second", "over"), [(9.999, True), (10, False), (10.001, False)])
def test_a_window_away_the_first_counts_no_more(second: float, over: bool) -> None:
    state = counted(TWO, 0)
    _, readings = AccountMismatch(TWO).observe(state, differed(second))
    assert only(readings).over == over


@pytest.mark.parametrize(("now", "number"), [(11.999, 1), (12, 0), (9.999, 2), (10, 1)])
def test_time_alone_takes_differences_back(now: float, number: int) -> None:
    state = counted(TWO, 0, 2)
    after, readings = AccountMismatch(TWO).observe(state, snapshot(now=NOW + int(now * SECOND)))
    reading = only(readings)
    assert (reading.measured, reading.over, reading.clear) == (number, number == 2, number < 2)
    assert (after is state) == (number == 2)


def test_other_kinds_and_other_facts_say_nothing() -> None:
    state = counted(TWO, 0)
    assert AccountMismatch(TWO).observe(state, differed(1, "ghost_order")) == (state, None)
    assert AccountMismatch(TWO).observe(state, ErrorEvent(ts=NOW, source="sweep", text="late")) == (
        state,
        None,
    )


def test_only_as_many_are_kept_as_the_limit_needs() -> None:
    state = counted(TWO, *(n / 1000 for n in range(500)))
    assert [one.ts for one in state.found] == [NOW + 498 * 10**6, NOW + 499 * 10**6]


def test_a_clock_that_goes_back_forgets_nothing() -> None:
    state = counted(TWO, 100, 101)
    after, readings = AccountMismatch(TWO).observe(state, snapshot(now=NOW))
    assert after is state
    assert only(readings).over
