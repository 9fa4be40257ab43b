"""Importances by hand: alone, as a pair, and none of what changes nothing."""

import numpy as np
import pytest

from backtests.studies.importance import binned, explained, importances

RNG = np.random.default_rng(1)
PLACES, ASKED = RNG.random((400, 3)), RNG.random((2_000, 3))


def test_groups_explain_all_none_or_half_of_a_variance():
    values = np.array([1.0, 1.0, 3.0, 3.0])
    assert explained(np.array([0, 0, 5, 5]), values) == 1.0
    assert explained(np.array([0, 1, 0, 1]), values) == 0.0
    # Between groups 4 of 5; one degree of freedom of the rest, 1 over 2, is chance.
    mixed = np.array([0.5, 1.5, 2.5, 3.5])
    assert explained(np.array([0, 0, 1, 1]), mixed) == pytest.approx((4 - 0.5) / 5)


def test_what_acts_alone_explains_all_and_what_acts_together_is_a_pair():
    alone = importances(PLACES, 2 * PLACES[:, 0], ASKED)
    assert alone.alone[0] > 0.9
    assert max(alone.alone[1], alone.alone[2], *alone.pairs.values()) < 0.05
    together = importances(PLACES, np.sign((PLACES[:, 0] - 0.5) * (PLACES[:, 1] - 0.5)), ASKED)
    assert together.pairs[0, 1] > 0.8
    assert max(together.alone.values()) < 0.1


def test_few_trials_or_equal_ones_say_nothing():
    assert importances(PLACES[:9], PLACES[:9, 0], ASKED) == ({}, {})
    assert importances(PLACES, np.ones(400), ASKED) == ({}, {})


def test_few_values_have_a_bin_each_and_many_ten():
    assert binned(np.array([0.0, 1.0, 0.5, 1.0])).tolist() == [0, 2, 1, 2]
    assert binned(np.linspace(0, 1, 21))[[0, 1, 2, 20]].tolist() == [0, 0, 1, 9]
