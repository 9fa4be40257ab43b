"""Stationary bootstrap: random stretches, every place equally likely, honest intervals."""

import math

import numpy as np
import pytest

from backtests.studies.bootstrap import interval, mean_length, resample


def test_a_resampled_series_goes_on_within_a_stretch_and_is_joined_end_to_start():
    places = resample(np.random.default_rng(1), 1_000, 20.0)
    goes_on = np.diff(places) % 1_000 == 1
    assert goes_on.mean() == pytest.approx(0.95, abs=0.02)
    assert (places[1:][goes_on] == 0).any()  # what follows the last place is the first


def test_stretches_have_the_mean_length_and_every_place_the_same_chance():
    rng = np.random.default_rng(2)
    drawn = np.concatenate([resample(rng, 50, 5.0) for _ in range(2_000)])
    assert np.bincount(drawn, minlength=50) / len(drawn) == pytest.approx(1 / 50, abs=0.002)


def test_a_mean_length_of_one_draws_each_value_by_itself():
    places = resample(np.random.default_rng(3), 10_000, 1.0)
    assert (np.diff(places) == 1).mean() < 0.001


@pytest.mark.parametrize(("count", "length"), [(1, 1), (8, 2), (64, 4), (100, 5), (1_000, 10)])
def test_the_mean_length_is_the_cube_root_rounded_up(count, length):
    assert mean_length(count) == length


def test_an_interval_of_the_mean_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(4)
    found = [interval(rng.normal(1.0, 2.0, 200), draws=300, seed=i) for i in range(200)]
    held = np.mean([one.low <= 1.0 <= one.high for one in found])
    assert 0.88 <= held <= 0.99


def test_an_interval_of_a_dependent_series_is_wider_than_of_its_shuffled_values():
    rng = np.random.default_rng(5)
    series = np.convolve(rng.normal(size=1_010), np.ones(10), "valid")[:1_000]
    in_order, shuffled = interval(series), interval(rng.permutation(series))
    assert in_order.high - in_order.low > 1.5 * (shuffled.high - shuffled.low)


def test_too_few_values_have_a_mean_and_no_interval_and_the_seed_repeats_the_draw():
    assert interval(np.array([3.0]))[0] == 3.0
    assert math.isnan(interval(np.array([3.0])).low)
    assert math.isnan(interval(np.array([])).mean)
    assert interval(np.arange(9.0), seed=7) == interval(np.arange(9.0), seed=7)
