"""Monte Carlo: the bad tail and ruin, by hand and by law."""

import numpy as np
import pytest

from backtests.studies.monte_carlo import Outcomes, monte_carlo

DAYS = 0.01 * np.random.default_rng(1).normal(0.1, 1.0, 365)
NOTHING = np.empty((0, 0)), np.empty(0, dtype=np.int64)


def test_the_tail_is_the_bad_one_a_path_that_was_drawn_and_the_worse_of_two():
    # Of 10 paths the quantiles of 5 % and 95 % lie between the two worst.
    final = np.array([1.9, 0.5, 0.7, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8])
    drawdown = np.array([0.05, 0.6, 0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
    found = Outcomes(final, drawdown, *NOTHING)
    assert (found.bad_final, found.bad_drawdown) == (0.5, 0.6)
    assert found.ruin([0.1, 0.4, 0.5]) == {0.1: 0.9, 0.4: 0.2, 0.5: 0.1}


def test_the_bad_tail_is_worse_than_the_middle_and_than_what_happened_on_average():
    found = monte_carlo(DAYS, seed=3)
    assert found.bad_final < np.median(found.final) < np.quantile(found.final, 0.95)
    assert found.bad_drawdown > np.median(found.drawdown)
    assert np.all(np.diff(found.fan, axis=0) >= 0)
    assert found.fan[:, 0] == pytest.approx(np.ones(5))
    assert found.fan[2, -1] == pytest.approx(np.median(found.final))
    assert found.places[-1] == 365


def test_equal_returns_have_one_outcome():
    same = np.full(10, 0.01)
    assert monte_carlo(same, draws=5).final == pytest.approx([1.01**10] * 5)
    longer = monte_carlo(same, draws=5, periods=90)
    assert longer.fan[0] == pytest.approx(1.01**longer.places)
    assert longer.places.tolist() == list(range(91))


def test_losses_that_come_together_stay_together_and_fall_deeper():
    runs = np.repeat(0.005 * np.random.default_rng(2).choice([-1.0, 1.0], 40), 10)
    together = monte_carlo(runs, mean_length=20.0).bad_drawdown
    assert together > 1.5 * monte_carlo(runs, mean_length=1.0).bad_drawdown


def test_what_is_lost_whole_stays_lost():
    found = monte_carlo(np.array([0.5, -1.5]), draws=40)
    assert set(found.final) == {0.0, 2.25}
    assert set(found.drawdown) == {0.0, 1.0}


def test_the_same_seed_draws_the_same_paths_and_another_seed_others():
    first, again, other = (monte_carlo(DAYS, draws=20, seed=seed).final for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_too_few_returns_have_no_outcome_and_wrong_ones_are_refused():
    found = monte_carlo(np.array([0.1]))
    assert np.isnan([found.bad_final, found.bad_drawdown, found.ruin([0.2])[0.2]]).all()
    with pytest.raises(ValueError, match="finite"):
        monte_carlo(np.array([0.1, np.nan]))


def test_the_band_holds_nine_of_ten_paths_on_all_days_where_quantiles_of_each_day_hold_fewer():
    days = 0.01 * np.random.default_rng(4).normal(0.1, 1.0, 500)
    known, fresh = (monte_carlo(days, periods=90, seed=seed) for seed in (1, 2))

    def kept(lower, upper):
        return np.mean(((fresh.curves >= lower) & (fresh.curves <= upper)).all(axis=1))

    assert kept(*known.band(0.9)) == pytest.approx(0.9, abs=0.03)
    assert kept(known.fan[0], known.fan[-1]) < 0.75
    by_hand = Outcomes(np.zeros(4), np.zeros(4), np.array([[1, 1], [2, 4], [3, 2], [4, 3]]), days)
    assert by_hand.band(0.25).tolist() == [[2, 2], [3, 3]]
