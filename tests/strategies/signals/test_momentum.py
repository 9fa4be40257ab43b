import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.rebalance.history import Window
from strategies.signals.momentum import cross_sectional_z, momentum_forecast
from strategies.xs_momentum import XSMomentum, XSMomentumConfig

NAN = np.nan


@pytest.mark.parametrize(
    ("value", "winsorize", "expected"),
    [
        # Mean 2, mean square distance (1 + 1 + 4 + 4 + 0) / 5 = 2.
        ([1.0, 3.0, 0.0, 4.0, 2.0, NAN], 0.0, [-1, 1, -2, 2, 0, NAN] / np.sqrt(2)),
        # The quarters of 0 … 3, 100 are 1 and 3: 1, 1, 2, 3, 3 have mean 2 and variance 4 / 5.
        ([0.0, 1.0, 2.0, 3.0, 100.0], 0.25, [-1, -1, 0, 1, 1] / np.sqrt(0.8)),
        ([0.1, 0.1, NAN, 0.1], 0.0, [0, 0, NAN, 0]),
        ([NAN, NAN], 0.1, [NAN, NAN]),
    ],
)
def test_z_by_hand(value, winsorize, expected):
    np.testing.assert_allclose(cross_sectional_z(np.array(value), winsorize), expected, atol=1e-15)


@given(st.integers(1, 30), st.integers(0, 99), st.floats(0.001, 0.499))
def test_values_beyond_the_quantiles_of_numpy_count_as_these(count, start, winsorize):
    rows = np.random.default_rng(start).normal(size=(3, count))
    ends = np.quantile(rows, (winsorize, 1 - winsorize), axis=1)[..., None]
    got = cross_sectional_z(rows, winsorize)
    np.testing.assert_allclose(got, cross_sectional_z(np.clip(rows, *ends)), atol=1e-9)


# z of the first row: -2, 0, 2 over sqrt(8/3); of the second: 2, -4, 2 over sqrt(8).
ROWS = np.array([[0.01, 0.03, 0.05], [0.04, -0.02, 0.04]])
UP = 2 / np.sqrt(8 / 3)


@pytest.mark.parametrize(
    ("rows", "weights", "rules", "expected"),
    [
        # -2, 0, 2 are 4/3 on average.
        (ROWS[:1], [1.0], {}, [-1.5, 0, 1.5]),
        (ROWS[:1], [7.0], {"cap": 1.25}, [-1.25, 0, 1.25]),
        (ROWS, [1.0, 0.0], {}, [-1.5, 0, 1.5]),
        (ROWS, [0.0, 1.0], {}, [0.75, -1.5, 0.75]),
        # Squares of 1, -2, 1 are 1, 4, 1, of mean 2; signs stay.
        (ROWS, [0.0, 1.0], {"power": 2.0}, [0.5, -2, 0.5]),
        # Who lacks one lookback has no forecast, and does not shift the others'.
        ([[0.01, 0.03, 0.05, NAN], [0.01, 0.03, 0.05, 9.0]], [1, 1], {}, [-1.5, 0, 1.5, NAN]),
        # Nothing to tell them apart, nobody, or a lone one.
        ([[0.02, 0.02]], [1.0], {}, [NAN, NAN]),
        ([[NAN, 0.02]], [1.0], {}, [NAN, NAN]),
        ([[NAN, NAN]], [1.0], {}, [NAN, NAN]),
    ],
)
def test_forecasts_by_hand(rows, weights, rules, expected):
    got = momentum_forecast(np.array(rows), weights, **rules)
    np.testing.assert_allclose(got, expected, atol=1e-15)


def test_lookbacks_count_by_their_weights():
    z = [cross_sectional_z(row) for row in ROWS]
    mixed = 3 * z[0] + z[1]
    expected = mixed / np.abs(mixed).mean()
    np.testing.assert_allclose(momentum_forecast(ROWS, [3, 1]), expected, rtol=1e-14)


def scores(close, **params):
    config = XSMomentumConfig(key="m", instruments=(), **params)
    rows = XSMomentum.rows_for_scores(config)
    return XSMomentum.scores(config, Window(0, close[-rows:], close[-rows:]))


# Returns over two candles +10 %, +20 %, +30 %; over one +10 %, 0, 0; a fourth has no candle now.
CLOSE = np.array([[10.0, 5.0, 1.0, 3.0], [10.0, 6.0, 1.3, 3.0], [11.0, 6.0, 1.3, NAN]])


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"lookbacks": (2,)}, [-1.5, 0, 1.5, NAN]),
        ({"lookbacks": (1,)}, [1.5, -0.75, -0.75, NAN]),
        ({"lookbacks": (2, 1), "lookback_weights": (1.0, 0.0)}, [-1.5, 0, 1.5, NAN]),
        # The return that ended a candle ago: 0, 20 %, 30 %. Mean 1/6; distances -5, 1, 4 (10 / 3).
        ({"lookbacks": (1,), "skip": 1}, [-1.5, 0.3, 1.2, NAN]),
        # 10 % over the deviation of 0 and 10 %, 20 % over that of 20 % and 0, …: always sqrt(2).
        (
            {"lookbacks": (2,), "volatility_adjusted": True, "volatility_lookback": 2},
            [NAN, NAN, NAN, NAN],
        ),
    ],
)
def test_scores_by_hand(params, expected):
    got = scores(CLOSE, winsorize=0.0, forecast_cap=None, **params)
    np.testing.assert_allclose(got, expected, atol=1e-13)


def test_a_mean_of_returns_counts_a_large_move_once():
    # Totals -1 % and +1 %; means of returns: (+100 % - 50.5 %) / 2 and about half a percent.
    close = np.array([[1.0, 1.0], [2.0, 1.0], [0.99, 1.01]])
    assert np.sign(scores(close, lookbacks=(2,))).tolist() == [-1, 1]
    assert np.sign(scores(close, lookbacks=(2,), past_returns="mean")).tolist() == [1, -1]


@given(seed=st.integers(0, 999), adjusted=st.booleans(), power=st.floats(0.5, 2.0))
def test_forecasts_do_not_depend_on_units_of_price_or_order(seed, adjusted, power):
    random = np.random.default_rng(seed)
    close = np.exp(random.normal(0, 0.02, (120, 9)).cumsum(axis=0))
    close[-random.integers(1, 97), 0] = NAN
    rules = {"volatility_adjusted": adjusted, "power": power, "lookbacks": (12, 24, 96)}
    plain = scores(close, **rules)
    np.testing.assert_allclose(scores(close * 10.0 ** np.arange(9), **rules), plain, rtol=1e-9)
    order = random.permutation(9)
    np.testing.assert_allclose(scores(close[:, order], **rules), plain[order], rtol=1e-9)
    assert np.nanmax(np.abs(plain)) <= 2.0


@given(seed=st.integers(0, 999), power=st.floats(0.5, 2.0))
def test_mirrored_returns_have_the_mirrored_forecast(seed, power):
    returns = np.random.default_rng(seed).normal(0, 0.02, (3, 8))
    plain = momentum_forecast(returns, [1, 2, 3], winsorize=0.1, power=power, cap=1.5)
    mirrored = momentum_forecast(-returns, [1, 2, 3], winsorize=0.1, power=power, cap=1.5)
    np.testing.assert_allclose(mirrored, -plain, rtol=1e-12, atol=1e-12)
