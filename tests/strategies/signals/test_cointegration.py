"""Tests of cointegration and the selection of pairs: held to statsmodels, planted pairs, decoys."""

import numpy as np
import pytest
from scipy.linalg import eigh
from statsmodels.tsa.adfvalues import mackinnonp
from statsmodels.tsa.stattools import coint

from strategies.signals.cointegration import (
    are_cointegrated,
    corrected_p,
    correlations,
    engle_granger,
    half_life,
    johansen_trace,
    mackinnon_p,
    select_pairs,
    without_gaps,
)
from strategies.signals.pair_parameters import Cointegration, HalfLife, Selection

NAN = np.nan


def walks(rows, count, seed=0):
    return 5.0 + np.random.default_rng(seed).normal(0, 0.01, (rows, count)).cumsum(axis=0)


def coming_back(rows, seed, phi=0.9, size=0.01):
    """Return an AR(1) that begins at 0."""
    series, noise = np.zeros(rows), np.random.default_rng(seed).normal(0, size, rows)
    for t in range(1, rows):
        series[t] = phi * series[t - 1] + noise[t]
    return series


def every_pair(count):
    return np.stack(np.triu_indices(count, 1), axis=1)


@pytest.mark.parametrize("lags", [0, 1, 6])
def test_all_pairs_at_once_have_the_statistics_of_statsmodels(lags):
    prices = walks(400, 6)
    prices[:, 1] = 0.7 * prices[:, 0] + coming_back(400, 1)
    prices[:, 2] = prices[:, 0] + coming_back(400, 2, size=0.0005)
    statistic, beta = engle_granger(prices, every_pair(6), lags)
    theirs = [
        coint(prices[:, a], prices[:, b], maxlag=lags, autolag=None)[:2] for a, b in every_pair(6)
    ]
    found = np.stack([statistic, mackinnon_p(statistic)], axis=1)
    np.testing.assert_allclose(found, theirs, rtol=1e-8, atol=1e-8)
    slopes = [np.polyfit(prices[:, b], prices[:, a], 1)[0] for a, b in every_pair(6)]
    np.testing.assert_allclose(beta, slopes, rtol=1e-9)


def test_p_values_are_those_of_mackinnon_for_two_variables():
    grid = np.array([-30, -18.87, -18.86, -10, -4, -2.62, -2.61, -1, 0.9, 0.93, 5, -np.inf])
    np.testing.assert_allclose(mackinnon_p(grid), [mackinnonp(t, "c", 2) for t in grid], rtol=1e-12)
    # The plain table of Dickey and Fuller finds a pair where there is none.
    assert mackinnon_p(np.array([-3.0]))[0] > 0.1 > 0.05 > mackinnonp(-3.0, "c", 1)


def test_series_that_cannot_be_tested_are_unknown_and_spoil_no_other_pair():
    prices = walks(200, 6)
    alone, _ = engle_granger(prices[:, :2], every_pair(2), 1)
    prices[50, 2] = NAN
    prices[:, 3] = 1.7
    prices[0, 4], prices[1:, 4] = 1.0, 2.0
    prices[:, 5] = 2.0 * prices[:, 0] + 1.0
    pairs = np.array([[0, 1], [0, 2], [3, 0], [0, 3], [3, 4], [0, 5], [4, 3]])
    statistic, _ = engle_granger(prices, pairs, 1)
    np.testing.assert_allclose(statistic, [alone[0], NAN, NAN, NAN, NAN, -np.inf, NAN])
    assert mackinnon_p(statistic)[5] == 0.0


def test_johansen_by_the_eigenvalues_of_the_two_residuals():
    prices = walks(300, 2)
    prices[:, 1] = prices[:, 0] + coming_back(300, 1)
    # Differences and levels before, each without its mean and the difference before.
    moves = np.diff(prices, axis=0)
    earlier = np.column_stack([np.ones(298), moves[:-1]])
    both = np.hstack([moves[1:], prices[1:-1]])
    both -= earlier @ np.linalg.lstsq(earlier, both)[0]
    moves, level = both[:, :2], both[:, 2:]
    crossed = level.T @ moves
    explained = crossed @ np.linalg.solve(moves.T @ moves, crossed.T)
    trace = -298 * np.log(1 - eigh(explained, level.T @ level, eigvals_only=True)).sum()
    statistic, critical = johansen_trace(prices, 1, 0.05)
    np.testing.assert_allclose(statistic, trace, rtol=0.01)
    # Osterwald-Lenum's table has 15.41, MacKinnon, Haug and Michelis 15.4943.
    assert critical == 15.4943
    assert np.isnan(johansen_trace(np.full((99, 2), 1.5), 1, 0.05)[0])


@pytest.mark.parametrize("test", ["engle_granger", "johansen"])
def test_a_condition_passes_what_comes_back(test):
    prices = walks(900, 3)
    prices[:, 1] = 0.5 * prices[:, 0] + coming_back(900, 1)
    rules = Cointegration(test=test, lookback=600)
    prices[700, 1] = NAN
    pairs = np.array([[0, 1], [0, 2]])
    assert are_cointegrated(prices, pairs, rules, 0.01).tolist() == [True, False]
    assert are_cointegrated(prices, pairs, rules, 0.0).tolist() == [False, False]


def test_half_life_by_hand():
    # Halved at each step, exactly; walks that leave have none, alternating ones no time.
    spreads = np.array([8.0, 4, 2, 1, 0.5]), np.arange(5.0), np.array([1.0, -1, 1, -1, 1])
    np.testing.assert_allclose(half_life(np.stack(spreads)), [1, np.inf, 0])
    gap = np.array([16.0, 8, NAN, 4, 2, 1])
    np.testing.assert_allclose(half_life(np.stack([gap, np.full(6, 3.0)])), [1, NAN])
    long = half_life(coming_back(50_000, 5, phi=0.5 ** (1 / 20))[None])
    np.testing.assert_allclose(long, 20, rtol=0.1)


def test_correlations_are_of_returns():
    prices = walks(100, 4)
    prices[:, 2] = 3.0
    prices[:, 3] = 9.0 - prices[:, 0]
    found = correlations(prices)
    np.testing.assert_allclose(found[:2, :2], np.corrcoef(np.diff(prices[:, :2], axis=0).T))
    assert np.isnan(found[2]).all()
    np.testing.assert_allclose(found[0, 3], -1)


def test_gaps_take_the_price_before_up_to_a_part():
    prices = np.array([[1.0, 1, NAN], [NAN, NAN, 1], [2, NAN, 1], [3, 4, 1]])
    np.testing.assert_array_equal(
        without_gaps(prices, 0.25), [[1, NAN, NAN], [1, NAN, NAN], [2, NAN, NAN], [3, NAN, NAN]]
    )


def test_corrections_by_hand():
    p_value = np.array([0.01, 0.04, 0.03])
    np.testing.assert_allclose(corrected_p(p_value, "none"), p_value)
    np.testing.assert_allclose(corrected_p(p_value, "bonferroni"), [0.03, 0.12, 0.09])
    # Sorted: 0.01 · 3 / 1, 0.03 · 3 / 2 and 0.04 · 3 / 3, each at most the next.
    np.testing.assert_allclose(corrected_p(p_value, "benjamini_hochberg"), [0.03, 0.04, 0.04])


def test_parameters_that_do_not_go_together():
    johansen = Cointegration(test="johansen", level=0.02, lags=0)
    assert [field for field, _ in johansen.check()] == ["level", "lags"]
    assert [field for field, _ in Cointegration(lookback=100, lags=20).check()] == ["lookback"]
    assert [field for field, _ in Selection(formation=100, lags=20).check()] == ["formation"]
    assert [field for field, _ in HalfLife(least=9.0, most=3.0).check()] == ["least"]
    assert not [*Cointegration().check(), *Selection().check(), *HalfLife().check()]


def market(rows=1000, seed=0):
    """Return eight walks; 0 goes with 1, and 2 with 3, which is quicker; 5 is a decoy of 4.

    The decoy has nearly the returns of 4, but what parts them is a walk.
    """
    prices = walks(rows, 8, seed)
    prices[:, 1] = 1.0 + 0.8 * prices[:, 0] + coming_back(rows, 100 + seed, size=0.003)
    prices[:, 3] = prices[:, 2] + coming_back(rows, 200 + seed, phi=0.5, size=0.003)
    apart = np.random.default_rng(300 + seed).normal(0, 0.003, rows).cumsum()
    prices[:, 5] = prices[:, 4] + apart
    return prices


ALL = {"formation": 1000, "most_pairs": 28, "most_per_instrument": 7}


@pytest.mark.parametrize("correction", ["bonferroni", "benjamini_hochberg"])
def test_planted_pairs_are_found_and_decoys_are_not(correction):
    shares, decoys = [], 0
    for seed in range(60):
        found = select_pairs(market(seed=seed), Selection(**ALL, correction=correction))
        chosen = {tuple(pair) for pair in found.chosen.tolist()}
        assert {(0, 1), (2, 3)} <= chosen
        assert (found.tested, found.possible, found.significant) == (28, 28, len(chosen))
        shares.append(1 - 2 / len(chosen))
        decoys += (4, 5) in chosen
    # Of those chosen at most a twentieth is false on average, with room for chance.
    assert np.mean(shares) < 0.1
    assert decoys <= 2


@pytest.mark.parametrize("seeds", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_walks_without_relation_pass_at_the_level(seeds):
    by_itself, in_all = 0, 0
    for seed in range(seeds):
        prices = walks(500, 8, seed)
        for_each = select_pairs(prices, Selection(formation=500, correction="none"))
        by_itself += for_each.significant / 28
        for_all = select_pairs(prices, Selection(formation=500, correction="bonferroni"))
        in_all += for_all.significant > 0
    # A twentieth of all pairs; corrected, a twentieth of all markets has a pair.
    assert 0.03 < by_itself / seeds < 0.075
    assert in_all / seeds < 0.1


def test_every_rule_of_a_selection():
    prices = market()
    prices[:, 6] = prices[:, 2] + coming_back(1000, 7, size=0.003)

    def chosen(**rules):
        found = select_pairs(prices, Selection(**({"formation": 1000} | rules)))
        return found, found.chosen.tolist()

    found, pairs = chosen()
    # The quickest first; 2, 3 and 6 all go together.
    assert pairs[0] == [2, 3]
    assert sorted(pairs) == [[0, 1], [2, 3], [2, 6], [3, 6]]
    # The pair that is just among them passes at this level without a correction.
    exact = chosen(correction="none", level=found.threshold)[0]
    assert (exact.significant, exact.threshold) == (found.significant, found.threshold)
    assert chosen(most_pairs=1)[1] == [[2, 3]]
    assert sum(2 in pair for pair in chosen(most_per_instrument=1)[1]) == 1
    assert [2, 3] not in chosen(half_life=HalfLife(least=2.0, most=100.0))[1]
    assert chosen(level=1e-30)[1] == []
    # Returns of the planted pairs and of the decoy correlate so; nothing else is tested.
    few, pairs = chosen(min_correlation=0.85)
    assert (few.tested, few.possible, [4, 5] in pairs) == (5, 28, False)
    prices[-3:, 0] = NAN
    assert [0, 1] in chosen()[1]
    few, pairs = chosen(most_missing=0.002)
    assert (few.tested, few.possible, [0, 1] in pairs) == (21, 28, False)
