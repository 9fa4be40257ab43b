from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guards.error_rate import ErrorRate, ErrorRateParams
from tests.actors.guards.trading import MINUTE, NOON, SECOND, Gate, erred, look


def player(**params: object) -> Gate:
    return Gate(ErrorRate, ErrorRateParams(**params)).observe(look())


@pytest.mark.parametrize(
    ("gap", "action"),
    [
        (15 * SECOND - 1, "halt_entries"),  # The first of five is a nanosecond inside the minute.
        (15 * SECOND, "none"),  # Exactly a minute old: it is out.
        (15 * SECOND + 1, "none"),
    ],
)
def test_five_errors_within_a_minute_stop_the_desk(gap: int, action: str) -> None:
    guard = player().observe(*(erred(NOON + n * gap) for n in range(5)))
    assert guard.action() == action


def test_the_verdict_says_how_many_and_where_the_last_came_from() -> None:
    verdict = player().observe(*(erred(NOON + n, "journal") for n in range(5))).verdict()
    assert verdict.reason == "5 errors within 1m; the last: journal"
    assert (verdict.measured, verdict.limit, verdict.transient) == (5, 5, False)


def test_it_pauses_five_minutes_and_longer_while_errors_go_on() -> None:
    guard = player().observe(*(erred(NOON) for _ in range(5)))
    assert guard.verdict().until == NOON + 5 * MINUTE
    assert guard.observe(look(NOON + 5 * MINUTE - 1)).action() == "halt_entries"
    # Five more within the last minute of the pause.
    guard.observe(*(erred(NOON + 5 * MINUTE - SECOND) for _ in range(5)))
    assert guard.observe(look(NOON + 5 * MINUTE)).action() == "halt_entries"
    assert guard.verdict().until == NOON + 10 * MINUTE
    assert guard.observe(look(NOON + 10 * MINUTE)).action() == "none"


def test_recovered_waits_until_the_window_is_clear() -> None:
    guard = player(release="recovered").observe(*(erred(NOON + n * SECOND) for n in range(5)))
    # The first leaves the window a minute after it came: four are left, below 5 less 10 %.
    assert guard.verdict().until == NOON + MINUTE
    assert guard.observe(look(NOON + MINUTE - 1)).action() == "halt_entries"
    assert guard.observe(look(NOON + MINUTE)).action() == "none"


@given(
    st.lists(
        st.tuples(st.integers(0, 30 * SECOND), st.sampled_from(["error", "snapshot", "restart"])),
        max_size=60,
    ),
    st.integers(1, 6),
)
def test_counts_as_brute_force_over_all_errors(tape: list[tuple[int, str]], limit: int) -> None:
    guard, now, errors = player(limit=limit), NOON, []
    for step, what in tape:
        now += step
        if what == "error":
            errors.append(now)
            guard.observe(erred(now))
        elif what == "snapshot":
            guard.observe(look(now))
        else:
            guard.restart()
            continue
        inside = [ts for ts in errors if now - MINUTE < ts]
        [reading] = guard.readings
        assert reading.measured == min(len(inside), limit)
        assert reading.over == (len(inside) >= limit)
