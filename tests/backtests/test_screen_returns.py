import numpy as np
import pytest

from backtests.screening.path import close_returns, earn

NAN = np.nan
ALWAYS = np.array([True, True])


def test_weights_earn_their_returns_less_the_cost_of_trading():
    weights = np.array([[0.5, -0.5], [0.5, -0.5]])
    returns = np.array([[0.10, -0.10], [0.0, 0.0]])
    got = earn(weights, ALWAYS, returns, 0.01)
    # In: 1.0 traded, 5 % + 5 % earned, 1 % paid: 9 %. Then 0.55/1.09 long and 0.45/1.09 short.
    np.testing.assert_allclose(got.gross, [0.10, 0.0])
    np.testing.assert_allclose(got.turnover, [1.0, abs(0.5 - 0.55 / 1.09) + abs(0.5 - 0.45 / 1.09)])
    np.testing.assert_allclose(got.net, [0.09, -0.01 * got.turnover[1]])


def test_without_drift_only_the_change_of_what_is_wanted_is_traded():
    weights = np.array([[0.5, -0.5], [0.5, -0.5]])
    got = earn(weights, ALWAYS, np.array([[0.1, -0.1], [0.0, 0.0]]), 0.01, drift=False)
    np.testing.assert_allclose(got.turnover, [1.0, 0.0])


def test_what_is_not_traded_is_kept():
    weights = np.array([[1.0, 0.0], [0.0, 0.0]])
    got = earn(weights, np.array([True, False]), np.array([[0.5, 0.0], [0.5, 0.0]]), 0.0)
    np.testing.assert_allclose(got.gross, [0.5, 0.5])
    np.testing.assert_allclose(got.turnover, [1.0, 0.0])


def test_each_instrument_has_its_own_cost():
    got = earn(np.array([[0.5, 0.5]]), ALWAYS[:1], np.zeros((1, 2)), np.array([0.001, 0.01]))
    assert got.net[0] == pytest.approx(-0.0055)


def test_a_gap_moves_when_it_ends():
    close = np.array([[NAN, 1.0], [10.0, 2.0], [NAN, 2.0], [12.0, 1.0]])
    expected = [[NAN, 1.0], [0.0, 0.0], [0.2, -0.5]]
    np.testing.assert_allclose(close_returns(close), expected)
