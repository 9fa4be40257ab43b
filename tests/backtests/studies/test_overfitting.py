"""Probability of overfitting: by hand, against a plain loop, for noise and for planted edges."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import rankdata

from actors import measures
from backtests.studies.overfitting import overfitting


def noise(seed, periods=320, candidates=20):
    return 0.01 * np.random.default_rng(seed).normal(size=(periods, candidates))


def test_two_candidates_that_are_each_good_in_one_half_only_are_always_overfitted():
    # Each half chooses the one that loses in the other half: rank 1 of 2, logit ln(1/2).
    first, second = [3.0, 1.0, -3.0, -1.0], [-3.0, -1.0, 3.0, 1.0]
    found = overfitting(np.array([first, second]).T, blocks=2)
    assert found.probability == found.loss == 1.0
    assert found.logits == pytest.approx(np.log([0.5, 0.5]))


def test_it_equals_a_plain_loop_over_all_ways_with_blocks_of_unequal_length():
    returns = noise(1, periods=45, candidates=7)
    blocks = np.array_split(returns, 6)
    logits = []
    for chosen in combinations(range(6), 3):
        inside = np.concatenate([blocks[i] for i in chosen])
        outside = np.concatenate([blocks[i] for i in range(6) if i not in chosen])
        best = np.argmax([measures.sharpe(column, 1.0) for column in inside.T])
        judged = rankdata([measures.sharpe(column, 1.0) for column in outside.T])[best] / 8
        logits.append(np.log(judged / (1 - judged)))
    found = overfitting(returns, blocks=6)
    assert found.logits == pytest.approx(np.array(logits))
    assert found.probability == np.mean(np.array(logits) <= 0)


def test_the_choice_among_noise_is_a_coin_toss_and_a_planted_edge_is_found_again():
    tosses = [overfitting(noise(seed), 10).probability for seed in range(40)]
    assert np.mean(tosses) == pytest.approx(0.5, abs=0.1)
    planted = np.where(np.arange(20) == 3, 0.003, 0.0)
    found = [overfitting(noise(seed) + planted, 10).probability for seed in range(40)]
    assert np.mean(found) < 0.05


def test_candidates_of_equal_sum_are_the_worse_the_better_they_were():
    # The paper's compensation: what is above zero in one half is below it in the other.
    returns = noise(5)
    found = overfitting(returns - returns.mean(axis=0), 10)
    assert found.probability > 0.95
    assert found.slope < -0.9


def test_candidates_that_do_the_same_or_never_trade_share_their_rank():
    same = np.repeat(noise(6, candidates=1), 4, axis=1)
    assert overfitting(same, 4).logits == pytest.approx(np.zeros(6))
    idle = overfitting(np.zeros((40, 3)), 4)
    assert idle.probability == 1.0
    assert np.isnan(idle.slope)
    # Nor is one ahead whose gain never varies.
    assert overfitting(np.full((40, 3), 0.01), 4).logits == pytest.approx(np.zeros(6))


def test_many_candidates_are_judged_in_parts_with_the_same_figures(monkeypatch):
    whole = overfitting(noise(7), 8)
    monkeypatch.setattr("backtests.studies.overfitting._CELLS", 100)
    assert overfitting(noise(7), 8).logits == pytest.approx(whole.logits)


def test_too_little_to_judge_is_not_defined_and_wrong_input_is_refused():
    assert np.isnan(overfitting(noise(1, candidates=1)).probability)
    assert np.isnan(overfitting(noise(1, periods=31)).probability)
    with pytest.raises(ValueError, match="even number, was 5"):
        overfitting(noise(1), 5)
    with pytest.raises(ValueError, match="every candidate in every period"):
        overfitting(np.full((40, 3), np.nan), 4)
