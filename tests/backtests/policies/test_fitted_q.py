"""The learner against the truth of a known process, and against chance."""

import numpy as np
import pytest

from backtests.policies.baselines import play
from backtests.policies.fitted_q import Settings, by_trees, fit, joined, thinned
from config.errors import InputError
from strategies.basis.features import FEATURES
from strategies.basis.policy import Trees, _check
from strategies.basis.threshold import BASIS, EXIT
from tests.backtests.policies.process import DEVIATION, TRUTH, ornstein_uhlenbeck_looks
from tests.backtests.policies.test_walk_forward import leaf

SETTINGS = Settings(seeds=(1, 2, 3), every_ns=3 * 10**10)
ANY = -1000.0
"""A level of closing that no edge fails at."""


@pytest.fixture(scope="module")
def trees() -> Trees:
    tape = ornstein_uhlenbeck_looks(40_000, seed=11)
    return joined([fit(tape, seed, SETTINGS) for seed in SETTINGS.seeds])


def test_it_earns_most_of_the_truth_on_a_path_it_has_not_seen(trees: Trees):
    fresh = ornstein_uhlenbeck_looks(300_000, seed=12)
    earned = play(fresh, by_trees(fresh, trees, ANY)).gains.mean()
    assert 0.8 * TRUTH.bps_a_step < earned < 1.05 * TRUTH.bps_a_step


def test_its_estimate_is_near_the_true_worth_where_the_basis_usually_is(trees: Trees):
    seen = ornstein_uhlenbeck_looks(400, seed=13).features
    found, _ = trees.estimate(seen)
    true = np.interp(seen[:, BASIS], TRUTH.grid, TRUTH.worth)
    usual = np.abs(seen[:, BASIS]) < 1.5 * DEVIATION
    assert np.abs(found - true)[usual].mean() < 6.0
    assert np.corrcoef(found, true)[0, 1] > 0.97


def test_arrays_are_what_the_strategy_reads_and_the_same_each_time(trees: Trees):
    _check(trees)
    tape = ornstein_uhlenbeck_looks(3_000, seed=14)
    one, again = (fit(tape, 5, SETTINGS) for _ in "12")
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))


def test_a_basis_that_never_pays_its_cost_is_left_alone():
    tape = ornstein_uhlenbeck_looks(20_000, seed=15, deviation=2.0)
    learned = joined([fit(tape, seed, SETTINGS) for seed in SETTINGS.seeds])
    fresh = ornstein_uhlenbeck_looks(20_000, seed=16, deviation=2.0)
    assert play(fresh, by_trees(fresh, learned, ANY)).trades == 0


def test_thinned_looks_keep_all_that_changes_between_them():
    tape = ornstein_uhlenbeck_looks(100, seed=17)
    few = thinned(tape, 7 * 10**10)
    assert len(few.ts) == 15
    basis = few.features[:, BASIS]
    assert few.change[:-1] == pytest.approx(-np.diff(basis))


def test_what_is_not_known_is_closed_at_the_level_beside_the_trees_and_not_opened():
    tape = ornstein_uhlenbeck_looks(3, seed=19)
    tape.features[:, EXIT] = -30.0, -10.0, -30.0
    tape.features[:2, FEATURES.index("basis_z")] = np.nan
    found = by_trees(tape, leaf(1000.0), -20.0)
    assert found.closes.tolist() == [True, False, False]
    assert not found.opens[:2].any()


def test_too_few_looks_are_refused_with_the_remedy():
    with pytest.raises(InputError, match="longer window or a shorter --every"):
        fit(ornstein_uhlenbeck_looks(100, seed=18), 1, SETTINGS)
