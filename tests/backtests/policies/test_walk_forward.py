"""Out of sample: what is trained on never touches its test, and who wins."""

import numpy as np
import pytest

from backtests.policies.looks import Looks
from backtests.policies.walk_forward import (
    LEARNER,
    THRESHOLD,
    Judged,
    Score,
    judge,
    period_of,
    scores_of,
    stretches,
)
from backtests.studies.bootstrap import Interval
from config.durations import DAY_NS, HOUR_NS, MINUTE_NS
from config.errors import InputError
from strategies.basis.policy import Trees
from tests.backtests.policies.process import ornstein_uhlenbeck_looks

SECOND = 10**9


def leaf(value: float) -> Trees:
    """A tree of one leaf: it wants in at any price, or out."""
    none = np.zeros(1, np.int32)
    return Trees(none - 1, np.zeros(1), none, none, np.array([value]), none[None], 1.0)


def test_a_training_ends_a_purge_before_its_test_and_tests_follow_each_other():
    ts = np.arange(100) * SECOND
    found = list(stretches(ts, 3, 5 * SECOND))
    assert found == [(20, 25, 50), (45, 50, 75), (70, 75, 100)]


def test_a_window_whose_folds_are_no_longer_than_the_purge_says_so():
    """Three hours in five parts: 36 minutes each, an hour of purge."""
    words = (
        r"0.125 days makes a training and 4 tests of 0.0249 days, the purge is 0.0417: .* longer"
    )
    with pytest.raises(InputError, match=words):
        list(stretches(np.arange(0, 10_800, 30) * SECOND, 4, HOUR_NS))


def test_each_fold_learns_from_the_past_alone_and_all_policies_are_scored():
    looks, seen = ornstein_uhlenbeck_looks(8_000, seed=21), []

    def learn(name: str, train: Looks) -> Trees:
        seen.append((name, int(train.ts[-1])))
        return leaf(1000.0)

    judged = judge(looks, learn, 3, 60 * SECOND)
    begins = [int(looks.ts[first]) for _, first, _ in stretches(looks.ts, 3, 60 * SECOND)]
    assert [name for name, _ in seen] == ["fold-1", "fold-2", "fold-3"]
    assert all(end < test - 60 * SECOND for (_, end), test in zip(seen, begins, strict=True))
    by = {one.name: one for one in judged.scores}
    assert list(by) == ["never", "above cost", THRESHOLD, LEARNER, "foresight"]
    # Always in: one entry a fold, closed where the fold ends.
    assert by[LEARNER].trades <= 3
    assert by["never"].bps_a_day == (0.0, 0.0, 0.0)
    assert by["foresight"].bps_a_day.mean > by[THRESHOLD].bps_a_day.mean
    assert scores_of(judged)["policies"][0]["bps_a_day"]["mean"] == 0.0


def test_the_learner_wins_only_beyond_chance_and_with_enough_trades():
    def judged(low: float, trades: int) -> Judged:
        score = Score(LEARNER, Interval(1.0, 0.0, 2.0), trades, 1.0, 0.5)
        return Judged((score,), Interval(1.0, low, 2.0), 10.0)

    assert judged(0.1, 30).learner_wins
    assert not judged(0.0, 30).learner_wins
    assert not judged(0.1, 29).learner_wins


@pytest.mark.parametrize(
    ("span", "period"),
    [(40 * DAY_NS, DAY_NS), (3 * DAY_NS, HOUR_NS), (HOUR_NS, MINUTE_NS), (MINUTE_NS, SECOND)],
)
def test_intervals_resample_the_longest_periods_of_which_there_are_enough(span: int, period: int):
    assert period_of(span) == period
