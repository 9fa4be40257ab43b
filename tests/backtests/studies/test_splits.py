"""Splits: by hand, and the laws of purge and embargo."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtests.studies.splits import Span, combinatorial, hold_out, paths, walk_forward
from config.durations import DAY_NS
from config.errors import InputError


def days(start, end):
    return Span(start * DAY_NS, end * DAY_NS)


def walk(window, train, test, *, anchored, purge=0, least=1):
    return walk_forward(
        days(*window),
        train * DAY_NS,
        test * DAY_NS,
        anchored=anchored,
        purge_ns=purge * DAY_NS,
        min_test_ns=least * DAY_NS,
    )


def test_anchored_trainings_grow_from_the_start_and_rolling_ones_keep_their_length():
    anchored = walk((0, 100), 50, 20, anchored=True, purge=2)
    assert anchored == [
        ((days(0, 58),), (days(60, 80),)),
        ((days(0, 78),), (days(80, 100),)),
    ]
    rolling = walk((0, 100), 50, 20, anchored=False, purge=2)
    assert rolling == [
        ((days(8, 58),), (days(60, 80),)),
        ((days(28, 78),), (days(80, 100),)),
    ]


def test_a_window_without_room_and_a_test_too_short_are_refused_with_what_to_do():
    with pytest.raises(InputError, match="100 days holds no 60 days of test after 180 days"):
        walk((0, 100), 180, 60, anchored=True)
    with pytest.raises(InputError, match="30 days of test, at least 60 days are needed"):
        walk((0, 500), 180, 30, anchored=True, least=60)


def test_two_of_four_groups_are_left_out_with_purge_before_and_embargo_after():
    splits = combinatorial(days(0, 40), 4, 2, purge_ns=DAY_NS, embargo_ns=2 * DAY_NS, min_test_ns=0)
    assert len(splits) == 6
    assert splits[0] == ((days(23, 40),), (days(0, 10), days(10, 20)))
    assert splits[1] == ((days(13, 19), days(33, 40)), (days(0, 10), days(20, 30)))
    assert splits[5] == ((days(0, 19),), (days(20, 30), days(30, 40)))


def test_six_groups_of_which_two_are_tested_give_the_five_paths_of_the_book():
    found = paths(6, 2)
    assert len(found) == 5  # Lopez de Prado 2018, 12.4: 15 splits, 5 paths
    assert found[0] == (0, 0, 1, 2, 3, 4)
    assert sorted(split for path in found for split in path) == sorted(2 * list(range(15)))


@given(
    length=st.integers(30, 900),
    groups=st.integers(2, 8),
    tested=st.integers(1, 4),
    purge=st.integers(0, 3),
    embargo=st.integers(0, 3),
)
def test_no_training_is_nearer_to_a_test_than_purge_and_embargo_and_paths_cover_all(
    length, groups, tested, purge, embargo
):
    try:
        splits = combinatorial(
            days(0, length),
            groups,
            tested,
            purge_ns=purge * DAY_NS,
            embargo_ns=embargo * DAY_NS,
            min_test_ns=0,
        )
    except InputError:
        assert tested >= groups or length / groups < 2 * purge + embargo + 1
        return
    assert len(splits) == math.comb(groups, tested)
    for train, test in splits:
        for known in train:
            assert 0 <= known.start < known.end <= length * DAY_NS
            for asked in test:
                before = known.end <= asked.start - purge * DAY_NS
                after = known.start >= asked.end + (purge + embargo) * DAY_NS
                assert before or after
    for path in paths(groups, tested):
        spans = sorted({span for split in splits for span in split.test})
        assert all(spans[g] in splits[s].test for g, s in enumerate(path))
        assert sum(span.length for span in spans) == length * DAY_NS


def test_the_hold_out_is_the_newest_share_or_the_minimum_and_begins_at_a_whole_day():
    assert hold_out(days(0, 365), 0.3, purge_ns=DAY_NS) == (days(0, 254), days(255, 365))
    assert hold_out(days(0, 100), 0.3) == (days(0, 40), days(40, 100))
    with pytest.raises(InputError, match=r"60 days of a window of 50 days .* folds\.min_test_days"):
        hold_out(days(0, 50), 0.3)


@pytest.mark.parametrize(("groups", "tested"), [(3, 3), (3, 0)])
def test_all_or_no_groups_tested_is_refused(groups, tested):
    with pytest.raises(InputError, match="groups"):
        combinatorial(days(0, 365), groups, tested)
