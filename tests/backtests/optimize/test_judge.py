"""Candidates are chosen in training alone, and gates that can't be measured are not passed."""

import math

import numpy as np
import pytest

from actors.measures import DAY
from backtests.optimize import judge
from backtests.optimize.commands import gate_table
from backtests.studies.splits import Span, combinatorial, walk_forward
from config.documents.study import Folds, StudyGates

WINDOW = Span(0, 8 * DAY)
FORWARD = walk_forward(WINDOW, 4 * DAY, 2 * DAY, anchored=True, min_test_ns=DAY)
# The first is best in days 0 to 3, the second from day 4 on.
ONE = np.array([0.02, 0.01, 0.02, 0.01, -0.03, -0.02, -0.03, -0.02])
OTHER = np.array([0.01, -0.01, 0.01, -0.01, 0.04, 0.04, 0.04, 0.05])


def test_each_test_is_earned_by_the_best_of_the_training_before_it():
    found = judge.out_of_sample(
        "return_pct", {0: ONE, 1: OTHER}, [[0, 1], [0, 1], [0, 1]], WINDOW, FORWARD, Folds()
    )
    assert found.chosen == [0, 1]
    assert found.returns[0].tolist() == [-0.03, -0.02, 0.04, 0.05]
    assert found.days.tolist() == [False] * 4 + [True] * 4
    assert found.max_drawdown() == pytest.approx(1 - 0.97 * 0.98)


def test_what_a_test_earns_changes_neither_its_nominees_nor_its_choice():
    both = np.array([ONE, OTHER])
    later = both.copy()
    later[:, 4:] = later[::-1, 4:]
    first = [judge.nominate("sharpe", r, WINDOW, FORWARD, 3)[0] for r in (both, later)]
    assert first[0] == first[1] == [0, 1]
    some = [judge.nominate("sharpe", r, WINDOW, FORWARD, 1)[0] for r in (both, later)]
    assert some == [[0], [0]]


def test_combinatorial_paths_cover_the_window_each_group_by_a_choice_that_did_not_see_it():
    folds = Folds(method="combinatorial", groups=4, tested=2)
    splits = combinatorial(WINDOW, 4, 2, min_test_ns=DAY)
    numbered = {0: np.arange(8.0), 1: np.arange(8.0) + 100.0}
    found = judge.out_of_sample("return_pct", numbered, [[1]] * 7, WINDOW, splits, folds)
    assert [path.tolist() for path in found.returns] == [(np.arange(8.0) + 100.0).tolist()] * 3


def test_ranks_are_compared_and_equal_ones_say_nothing():
    assert judge.rank_correlation(np.array([1.0, 2, 3, 9]), np.array([5.0, 6, 8, 7])) == (
        pytest.approx(0.8)
    )
    assert math.isnan(judge.rank_correlation(np.array([1.0, 1, 1]), np.array([1.0, 2, 3])))
    # What never traded has no Sharpe: it ranks last, on both sides.
    assert judge.rank_correlation(np.array([-math.inf, 1, 2]), np.array([-math.inf, 3, 4])) == 1


def test_gates_show_what_they_measured_and_refuse_what_is_not_defined():
    found = judge.OutOfSample([ONE], np.ones(8, bool), [0])
    figures = {"max_drawdown": 0.2, "trades": 31}
    race = np.array([ONE, OTHER])
    lucky = judge.overfitting_of(race)
    got = judge.gates(StudyGates(), found, ONE, figures, race, lucky, 2, np.empty(0))
    assert [(gate.name.split(" of ")[0], gate.passed) for gate in got] == [
        ("Sharpe out", False),
        ("deflated Sharpe", False),
        ("probability", False),  # too few days for sixteen blocks
        ("drawdown", True),
        ("closed trades", True),
    ]
    assert math.isnan(got[2].measured)
    lost = judge.gates(
        StudyGates(), found, ONE, figures | {"max_drawdown": None}, race, lucky, 2, np.empty(0)
    )
    assert not lost[3].passed
    assert not judge.at_most("x", math.nan, 1).passed
    assert not judge.at_least("x", math.nan, 0).passed


def test_the_terminal_shows_what_a_gate_measured_without_an_exponent():
    measured = (0.95207, 12_345.0, math.nan)
    table = gate_table([judge.at_least("trades", one, 30) for one in measured])
    assert list(table.columns[1].cells) == ["0.9521", "12,345", "–"]
