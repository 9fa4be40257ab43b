import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.params import check_params
from strategies.carry import Carry, CarryConfig
from strategies.rebalance.history import Window
from strategies.signals.carry import carry, settlements_of

NAN = np.nan


def column(rows, rates):
    """Return one instrument's window, by the rows in which it settles."""
    result = np.full((rows, 1), NAN)
    for row, rate in rates.items():
        result[row] = rate
    return result


@pytest.mark.parametrize(
    ("rates", "lookback", "means"),
    [
        # Each rate is for the two candles since the one before; the first is for unknown ones.
        ({1: 0.5, 3: 0.02, 5: 0.02, 7: 0.04}, 4, [NAN, 0.01, 0.01, 0.015]),
        # Every fourth candle, then every one: the same rate a candle throughout.
        ({0: 9.9, 4: 0.04, 5: 0.01, 6: 0.01, 7: 0.01}, 4, [NAN, 0.01, 0.01, 0.01, 0.01]),
        # 0.04 for four candles and 0.02 for one: 0.06 over five, though the lookback has three.
        ({0: 9.9, 4: 0.04, 5: 0.02}, 3, [NAN, 0.01, 0.012]),
        ({6: 0.01}, 4, [NAN]),
        ({}, 4, []),
    ],
)
def test_means_by_hand_hold_for_any_interval(rates, lookback, means):
    got = settlements_of(column(8, rates), lookback)
    np.testing.assert_allclose(got.mean, means, rtol=1e-12)


LEVELS = {"lookback": 1, "candles_a_year": 10, "enter": 3.0, "leave": 1.0}


@pytest.mark.parametrize(
    ("rates", "rules", "expected"),
    [
        # A settlement each candle; ten candles a year; the first only starts the clock.
        ([0.0, 0.3], {}, -3.0),
        ([0.0, -0.3], {}, 3.0),
        ([0.0, 0.29], {}, NAN),
        ([0.3], {}, NAN),
        ([NAN, NAN], {}, NAN),
        # Entered at 3, kept at 1, left below; not entered again before 3.
        ([0.0, 0.3, 0.1], {}, -1.0),
        ([0.0, 0.3, 0.09], {}, NAN),
        ([0.0, 0.3, 0.09, 0.29], {}, NAN),
        ([0.0, 0.3, -0.3], {}, 3.0),
        ([0.0, 0.3, -0.1], {}, NAN),
        # What has not settled for a lookback is not known.
        ([0.0, 0.3, NAN], {}, NAN),
        ([0.0, 0.0, 0.6, NAN], {"lookback": 2}, -3.0),
        # Two of three: +, -, + will do; -, -, + will not, and what is held needs no more of it.
        ([0.2, -0.1, 0.3], {"same_sign": 2, "same_sign_of": 3}, -3.0),
        ([-0.2, -0.1, 0.3], {"same_sign": 2, "same_sign_of": 3}, NAN),
        ([-0.2, -0.1, 0.0, -0.3], {"same_sign": 2, "same_sign_of": 3}, 3.0),
        # Own sizes 3, 3.5, 4, 5: half of them do not exceed 3.5, three quarters 4.
        ([0.0, -0.5, 0.0, 0.4, 0.3, 0.35], {"own_percentile": 0.5}, -3.5),
        ([0.0, 0.3, 0.35, -0.5, -0.4, 0.35], {"own_percentile": 0.7}, NAN),
        ([0.0, 0.3, 0.35, -0.5, -0.4], {"own_percentile": 0.9}, 4.0),
    ],
)
def test_scores_by_hand(rates, rules, expected):
    score = carry(np.array([rates]).T, **(LEVELS | rules))
    np.testing.assert_allclose(score, [expected], rtol=1e-12)


def walked(column, *, lookback, enter, leave, same_sign, same_sign_of, own_percentile):
    """Return one instrument's score, settlement by settlement."""
    rows = [row for row, rate in enumerate(column) if rate == rate]
    mean, side = {}, 0
    for row in rows[1:]:
        inside = [each for each in rows[1:] if row - lookback < each <= row]
        time = row - rows[rows.index(inside[0]) - 1]
        if row >= lookback:
            mean[row] = round(sum(column[each] for each in inside) / time, 12)
    sizes = sorted(abs(each) for each in mean.values())
    level = max(enter, sizes[int(np.ceil(own_percentile * len(sizes))) - 1]) if sizes else enter
    for row, each in mean.items():
        last = [np.sign(column[i]) for i in rows if i <= row][-same_sign_of:]
        side = 0 if side * each < leave else side
        for new in (1, -1):
            if new * each >= level and last.count(new) >= same_sign:
                side = new
    fresh = rows and rows[-1] >= len(column) - lookback
    return -mean[rows[-1]] if side and fresh else NAN


@given(
    seed=st.integers(0, 9999),
    lookback=st.integers(1, 12),
    same_sign=st.integers(0, 3),
    own_percentile=st.sampled_from([0.25, 0.5, 1.0]),
)
def test_scores_are_those_of_each_instrument_walked_through_alone(seed, **rules):
    random = np.random.default_rng(seed)
    steady = random.normal(0, 0.2, (1, 6)) + random.normal(0, 0.1, (40, 6))
    settles = random.random((40, 6)) < random.choice([0.1, 0.3, 1.0], 6)
    funding = np.where(settles, steady, NAN)
    rules |= {"enter": 0.08, "leave": 0.03, "same_sign_of": 3}
    expected = [walked(list(funding[:, i]), **rules) for i in range(6)]
    np.testing.assert_allclose(carry(funding, candles_a_year=1.0, **rules), expected, rtol=1e-9)


def test_a_constant_rate_of_eight_hours_is_three_a_day_and_ties_with_one_of_one_hour():
    rules = CarryConfig(key="c", instruments=(), interval="1h", enter=0.1095, leave=0.1095)
    rows = Carry.rows_for_scores(rules)
    hours = np.arange(rows)[:, None] % [8, 1] == 0
    funding = np.where(hours, [0.0001, 0.0001 / 8], NAN)
    empty = np.empty((0, 0))
    score = Carry.scores(rules, Window(0, empty, empty, funding=funding))
    assert list(score) == [-0.1095, -0.1095]


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"leave": 0.2}, "leave"),
        ({"same_sign": 7}, "same_sign"),
        ({"history": 71}, "history"),
        ({"side": "long_only"}, "side"),
    ],
)
def test_parameters_that_do_not_go_together_are_named(wrong, path):
    assert [problem.path for problem in check_params(CarryConfig, wrong)] == [(path,)]
