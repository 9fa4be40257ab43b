"""Hedge ratios and z-scores of pairs: by hand, and held to pandas, statsmodels and a reference."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from strategies.signals.pair_parameters import Hedge
from strategies.signals.spread import first_spread_state, frozen_spreads, spread_step
from tests.builders import SHARED_DATA

NAN = np.nan
FOLDER = SHARED_DATA / "references" / "pairs_btc_eth_bauch0430"
ONE = np.array([[0, 1]])
MODELS = ("ratio", "ols", "kalman")
NAMES = ("alpha", "beta", "spread", "mean", "std", "z")


def walks(rows, count, seed=0):
    moves = np.random.default_rng(seed).normal(0, 0.01, (rows, count))
    return 5.0 + moves.cumsum(axis=0)


def fed(prices, pairs, rules):
    """Return the last state, and what each candle said: arrays (T, P) by name."""
    state, said = first_spread_state(prices.shape[1], pairs, rules), []
    for row in prices:
        state, reading = spread_step(state, row, pairs, rules)
        said.append(reading)
    return state, SimpleNamespace(**{n: np.array([getattr(r, n) for r in said]) for n in NAMES})


def history(prices, pairs, rules):
    return fed(prices, pairs, rules)[1]


def test_ratio_by_hand():
    # Spreads 1, 3, 2, then 8: of the three before, mean 2 and deviation 1.
    prices = np.array([[2.0, 1], [5, 2], [5, 3], [12, 4]])
    said = history(prices, ONE, Hedge(model="ratio", z_lookback=3))
    assert said.spread[:, 0].tolist() == [1, 3, 2, 8]
    assert (said.mean[3, 0], said.std[3, 0], said.z[3, 0]) == (2, 1, 6)
    assert np.isnan(said.z[:3]).all()


def test_regression_by_hand():
    # a is 2 b + 1 for three candles, so the fourth is judged by beta 2; then by (4, 8, 9) on
    # (2, 3, 4): products 1·3 + 1·2 = 5 over squares 2. The spread keeps the intercept.
    prices = np.array([[3.0, 1], [5, 2], [7, 3], [9, 4], [10, 5]])
    prices[1:3, 0] = 5, 7
    said = history(prices, ONE, Hedge(model="ols", lookback=3, z_lookback=2))
    np.testing.assert_array_equal(said.alpha[:, 0], [NAN, NAN, NAN, 1, 1])
    np.testing.assert_array_equal(said.beta[:, 0], [NAN, NAN, NAN, 2, 2])
    assert said.spread[3:, 0].tolist() == [1, 0]


@pytest.mark.parametrize("model", MODELS)
def test_the_current_candle_never_judges_itself(model):
    rules = Hedge(model=model, lookback=20, z_lookback=10)
    prices = walks(40, 2)
    other = prices.copy()
    other[-1] += [0.5, -0.3]
    one, two = history(prices, ONE, rules), history(other, ONE, rules)
    for name in ("alpha", "beta", "mean", "std"):
        assert getattr(one, name)[-1] == getattr(two, name)[-1]
    assert one.z[-1] != two.z[-1]


@pytest.mark.parametrize("model", ["ratio", "ols"])
def test_a_state_built_from_the_last_candles_continues_to_the_bit(model):
    rules = Hedge(model=model, lookback=50, z_lookback=30, most_missing=0.1)
    prices = walks(500, 2)
    prices[[440, 480], 0] = NAN
    long, _ = fed(prices[:-1], ONE, rules)
    short, _ = fed(prices[-rules.rows_needed : -1], ONE, rules)
    (_, one), (_, two) = (spread_step(state, prices[-1], ONE, rules) for state in (long, short))
    assert one == two
    assert np.isfinite(one.z[0])


def test_missing_candles_are_left_out_until_too_many_are_missing():
    rules = Hedge(model="ols", lookback=20, z_lookback=10, most_missing=0.1)
    prices = walks(80, 3)
    prices[60, 1] = NAN
    pairs = np.array([[0, 1], [0, 2]])
    whole, holed = history(walks(80, 3), pairs, rules), history(prices, pairs, rules)
    # The other pair has the same bits, this one a regression without the row.
    np.testing.assert_array_equal(whole.z[:, 1], holed.z[:, 1])
    rows = np.delete(np.arange(50, 70), 10)
    slope, level = np.polyfit(prices[rows, 1], prices[rows, 0], 1)
    np.testing.assert_allclose([holed.beta[70, 0], holed.alpha[70, 0]], [slope, level], rtol=1e-9)
    before = np.delete(holed.spread[56:66, 0], 4)
    expected = (holed.spread[66, 0] - before.mean()) / before.std(ddof=1)
    np.testing.assert_allclose(holed.z[66, 0], expected, rtol=1e-9)
    assert np.flatnonzero(np.isnan(holed.z[30:, 0])).tolist() == [30]
    # Strict, the pair is unknown until its windows are whole again: 20 candles, then 10 more.
    strict = history(prices, pairs, Hedge(lookback=20, z_lookback=10, most_missing=0.0))
    assert np.isnan(strict.z[60:91, 0]).all()


@pytest.mark.parametrize("model", ["ratio", "ols"])
def test_prices_that_stand_still_are_unknown(model):
    rules = Hedge(model=model, lookback=10, z_lookback=5)
    still = np.full((40, 2), np.log(0.3))
    assert np.isnan(history(still, ONE, rules).z).all()
    assert np.isnan(history(np.full((40, 2), -np.inf), ONE, rules).z).all()


def test_a_frozen_ratio_judges_by_the_same_candles():
    rules = Hedge(model="ols", lookback=40, z_lookback=20, most_missing=0.1)
    prices = walks(100, 3)
    prices[90, 2] = NAN
    pairs = np.array([[0, 1], [1, 2], [0, 2]])
    state, _ = fed(prices, pairs, rules)
    _, frozen = frozen_spreads(state, np.array([0.7, NAN, 1.2]), pairs, rules)
    for pair, beta in ((0, 0.7), (2, 1.2)):
        spread = prices[:, pairs[pair, 0]] - beta * prices[:, pairs[pair, 1]]
        before = spread[-21:-1]
        z = (spread[-1] - np.nanmean(before)) / np.nanstd(before, ddof=1)
        np.testing.assert_allclose([frozen.spread[pair], frozen.z[pair]], [spread[-1], z])
    assert np.isnan(frozen.z[1])


def test_regressions_are_those_of_statsmodels():
    from statsmodels.regression.rolling import RollingOLS
    from statsmodels.tools import add_constant

    prices = walks(400, 2)
    said = history(prices, ONE, Hedge(model="ols", lookback=60, z_lookback=30))
    fit = RollingOLS(prices[:, 0], add_constant(prices[:, 1]), window=60).fit().params
    found = np.stack([said.alpha[60:, 0], said.beta[60:, 0]], axis=1)
    np.testing.assert_allclose(found, fit[59:-1], rtol=1e-9, atol=1e-9)


def test_kalman_is_that_of_statsmodels():
    # filterpy is not among the pinned packages.
    from statsmodels.tsa.statespace.kalman_filter import KalmanFilter

    prices = walks(300, 2)
    prices[200, 0] = NAN
    rules = Hedge(model="kalman", lookback=30, z_lookback=20, drift=1e-4, most_missing=0.1)
    said = history(prices, ONE, rules)
    model = KalmanFilter(k_endog=1, k_states=2, k_posdef=2)
    model.bind(prices[:, 0].copy())
    model["design"] = np.stack([np.ones(300), prices[:, 1]])[None]
    model["transition"], model["selection"] = np.eye(2), np.eye(2)
    model["state_cov"], model["obs_cov"] = 1e-4 * np.eye(2), np.eye(1)
    # Known is the state of the first candle: what was known before it, and one drift.
    model.initialize_known(np.array([0.0, 1.0]), (1e6 + 1e-4) * np.eye(2))
    theirs = model.filter()
    rows = slice(30, 300)
    found = np.stack([said.alpha[rows, 0], said.beta[rows, 0]])
    np.testing.assert_allclose(found, theirs.predicted_state[:, rows], rtol=1e-7, atol=1e-7)
    errors = theirs.forecasts_error[0, rows]
    seen = ~np.isnan(errors)
    np.testing.assert_allclose(said.spread[rows, 0][seen], errors[seen], atol=1e-8)


@pytest.mark.skipif(not FOLDER.exists(), reason="no ../shared/data beside the checkout")
def test_bitcoin_and_ether_by_the_reference_recipe():
    """The author's own columns are not among the files: his recipe in pandas stands for them."""
    table = pd.read_parquet(next(FOLDER.glob("*.parquet")))
    x, y = table["btc_log_price"], table["eth_log_price"]
    beta = (x.rolling(720).cov(y) / y.rolling(720).var()).shift(1)
    spread = x - beta * y
    before = spread.shift(1).rolling(720)
    z = (spread - before.mean()) / before.std()
    found = history(np.log(table[["btc_close", "eth_close"]].to_numpy()), ONE, Hedge())
    for ours, theirs in ((found.beta, beta), (found.spread, spread), (found.z, z)):
        np.testing.assert_allclose(ours[:, 0], theirs, rtol=1e-9, atol=1e-9)
    # His ratios as published_results.json has them, to its three digits.
    known = found.beta[720:, 0]
    figures = [known.mean(), known.std(ddof=1), known.min(), known.max()]
    np.testing.assert_allclose(figures, [0.652, 0.325, -0.161, 1.599], atol=5e-4)
