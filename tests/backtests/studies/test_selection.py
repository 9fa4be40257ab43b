"""Selection bias: the papers' own examples, noise that must not pass, and edges that must."""

import math

import numpy as np
import pytest

from backtests.studies.selection import (
    Moments,
    deflated_by_trials,
    deflated_sharpe,
    expected_max_sharpe,
    min_track_record,
    moments,
    probabilistic_sharpe,
)

# Bailey & Lopez de Prado 2014: annual Sharpe 2.5 of 1,250 days, 250 a year; the annual Sharpe
# ratios of the trials have variance 1/2.
PAPER = Moments(sharpe=2.5 / math.sqrt(250), length=1_250, skew=-3, kurtosis=10)
VARIANCE = 0.5 / 250


def test_the_deflated_sharpe_of_the_paper():
    assert expected_max_sharpe(100, VARIANCE) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(PAPER, 100, VARIANCE) == pytest.approx(0.9004, abs=5e-5)
    assert deflated_sharpe(PAPER, 46, VARIANCE) == pytest.approx(0.9505, abs=5e-5)
    normal = Moments(PAPER.sharpe, PAPER.length)
    assert deflated_sharpe(normal, 88, VARIANCE) == pytest.approx(0.9505, abs=5e-5)


def test_the_probabilistic_sharpe_of_the_paper():
    # Bailey & Lopez de Prado 2012: 24 months, Sharpe 0.458 a month.
    assert probabilistic_sharpe(Moments(0.458, 24)) == pytest.approx(0.982, abs=5e-4)
    skewed = Moments(0.458, 24, skew=-2.448, kurtosis=10.164)
    assert probabilistic_sharpe(skewed) == pytest.approx(0.913, abs=5e-4)


@pytest.mark.parametrize(
    ("periods", "skew", "kurtosis", "years"),
    [(250, 0, 3, 2.73), (52, 0, 3, 2.83), (12, 0, 3, 3.24), (12, -0.72, 5.78, 4.99)],
)
def test_the_track_record_that_shows_a_sharpe_of_two_above_one(periods, skew, kurtosis, years):
    root = math.sqrt(periods)
    found = min_track_record(Moments(2 / root, 0, skew, kurtosis), benchmark=1 / root)
    assert found / periods == pytest.approx(years, abs=6e-3)


def test_a_track_record_of_the_minimum_length_has_just_the_confidence():
    needed = min_track_record(PAPER, 0.1, 0.9)
    assert probabilistic_sharpe(PAPER._replace(length=needed), 0.1) == pytest.approx(0.9)
    assert min_track_record(PAPER, benchmark=0.2) == math.inf


def test_moments_by_hand():
    # -1, 0, 1, 4: mean 1, deviations -2, -1, 0, 3; their second to fourth moments 3.5, 4.5, 24.5.
    found = moments([-1.0, math.nan, 0.0, 1.0, 4.0])
    assert found == pytest.approx((1 / math.sqrt(14 / 3), 4, 4.5 / 3.5**1.5, 2.0))


def test_what_is_not_defined_is_nan_and_one_trial_is_not_deflated():
    assert math.isnan(probabilistic_sharpe(moments([0.01, 0.01, 0.01])))
    assert math.isnan(deflated_by_trials([], 3, [], 365))
    assert math.isnan(min_track_record(moments([])))
    assert expected_max_sharpe(1, 2.0) == 0.0
    with pytest.raises(ValueError, match="at least 1"):
        expected_max_sharpe(0, 1.0)


def studies(shared, edge, count, trials=50, days=730, losing=0.0):
    """Yield the returns of so many studies' trials; the first trial has an annual Sharpe `edge`.

    Every other one loses: its annual Sharpe is minus `losing`.
    """
    rng = np.random.default_rng(11)
    for _ in range(count):
        luck = math.sqrt(shared) * rng.normal(size=(days, 1))
        found = luck + math.sqrt(1 - shared) * rng.normal(size=(days, trials))
        found[:, 0] += edge / math.sqrt(365)
        found[:, 1::2] -= losing / math.sqrt(365)
        yield 0.01 * found


def passing(every):
    passed = []
    for found in every:
        sharpes = found.mean(axis=0) / found.std(axis=0, ddof=1) * math.sqrt(365)
        best = found[:, sharpes.argmax()]
        passed.append(deflated_by_trials(best, len(sharpes), sharpes, 365) >= 0.95)
    return float(np.mean(passed))


@pytest.mark.parametrize("shared", [0.0, 0.5, 0.8])
def test_of_the_best_of_trials_without_skill_at_most_a_twentieth_passes(shared):
    assert passing(studies(shared, edge=0.0, count=200)) <= 0.05


def test_a_planted_edge_passes():
    assert passing(studies(0.0, edge=5.0, count=50)) >= 0.95


def test_trials_that_lose_neither_refuse_a_planted_edge_nor_let_luck_pass():
    assert passing(studies(0.0, edge=5.0, count=50, losing=5.0)) >= 0.95
    assert passing(studies(0.0, edge=0.0, count=200, losing=5.0)) <= 0.05


def test_many_trials_that_refine_a_lucky_one_do_not_let_it_pass():
    rng, passed = np.random.default_rng(5), 0
    for _ in range(20):
        wide = rng.normal(size=(50, 400))
        best = wide[(wide.mean(axis=1) / wide.std(axis=1)).argmax()]
        near = 0.9 * best + 0.44 * rng.normal(size=(3000, 400))
        found = np.concatenate([wide, near])
        sharpes = found.mean(axis=1) / found.std(axis=1, ddof=1) * math.sqrt(365)
        passed += deflated_by_trials(found[sharpes.argmax()], 3050, sharpes, 365) >= 0.95
    assert passed <= 1


def test_a_trial_without_the_crash_that_others_had_is_not_skilled():
    rng, passed = np.random.default_rng(6), []
    for _ in range(20):
        # 0.15 deviations a day are paid for by a crash in one of 200 days.
        found = rng.normal(size=(100, 400)) + 0.15 - 30 * (rng.random((100, 400)) < 1 / 200)
        sharpes = found.mean(axis=1) / found.std(axis=1, ddof=1) * math.sqrt(365)
        best = found[sharpes.argmax()]
        passed.append(deflated_by_trials(best, 100, sharpes, 365, found) >= 0.95)
    assert sum(passed) <= 1
    # What never traded has no moments, and says nothing.
    idle = np.vstack([found, np.zeros(400)])
    both = [deflated_by_trials(best, 100, sharpes, 365, each) for each in (found, idle)]
    assert both[0] == both[1]


def test_trials_that_were_pruned_deflate_too_and_with_one_known_the_variance_is_of_luck():
    returns = 0.02 * np.random.default_rng(3).normal(0.1, 1, 400)
    known = [1.5, 2.0, 1.0]
    few, many = (deflated_by_trials(returns, n, known, 365) for n in (3, 300))
    assert many < few
    alone = deflated_by_trials(returns, 3, [2.0], 365)
    assert alone == deflated_sharpe(moments(returns), 3, 1 / 399)
