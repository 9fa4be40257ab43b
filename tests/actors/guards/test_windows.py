from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guards.core.windows import added, below_from, counted


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (109, 2),  # The first is 9 old: just inside.
        (110, 1),  # Exactly as old as the window: out.
        (111, 1),
        (119, 1),
        (120, 0),
    ],
)
def test_what_is_as_old_as_the_window_is_out_of_it(now: int, expected: int) -> None:
    assert counted((100, 110), now, 10) == expected


def test_a_clock_that_goes_back_forgets_nothing() -> None:
    stamps = added(added((), 1000, 10, 5), 400, 10, 5)
    assert stamps == (400, 1000)
    assert counted(stamps, 400, 10) == 2


def test_only_the_newest_are_kept() -> None:
    assert added((1, 2, 3), 4, 100, 3) == (2, 3, 4)
    assert added((2, 3, 4), 1, 100, 3) == (2, 3, 4)


@given(st.lists(st.integers(0, 60), max_size=40), st.integers(1, 20), st.integers(1, 6))
def test_counts_up_to_the_limit_as_brute_force_does(
    steps: list[int], window: int, most: int
) -> None:
    now, every, stamps = 0, [], ()
    for step in steps:
        now += step % 8
        if step % 2:
            every.append(now)
            stamps = added(stamps, now, window, most)
        inside = [ts for ts in every if now - ts < window]
        assert counted(stamps, now, window) == min(len(inside), most)
        if len(inside) >= most:
            end = below_from(stamps, most, window)
            assert len([ts for ts in every if end - ts < window]) < most
            assert len([ts for ts in every if end - 1 - ts < window]) >= most
