"""Sizes of a whole decision, from candles to weights."""

import subprocess
import sys

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.rebalance.config import PanelRebalancerConfig
from strategies.rebalance.history import Window
from strategies.rebalance.propose import Listings, in_words, propose, rows_needed
from strategies.rebalance.size import limits_of, stay_within
from strategies.signals.universe import Standing
from strategies.sizing.book import within

N = 10
RANDOM = np.random.default_rng(8)
SCORE = RANDOM.permutation(np.arange(N) / N)
YEAR = 365 * 24.0
TARGET = {"volatility_target": {"annual": 0.1}}
ALL = TARGET | {
    "weighting": "risk_parity",
    "max_weight": 0.15,
    "cluster_cap": {"correlation": 0.5, "max_weight": 0.25},
    "neutral": {"by": "beta"},
    "kelly": {"information_coefficient": 0.02},
}
"""Everything at once; hourly candles, rebalanced every eight hours."""


def rules(**params):
    given = {"key": "r", "instruments": [], "interval": "1h", "every": "8h", "fraction": 0.4}
    return msgspec.convert(given | params, PanelRebalancerConfig)


def candles(rows=110):
    """Return a window of coins that follow a market, of several volatilities."""
    market = RANDOM.normal(0.0, 0.01, (rows, 1))
    own = RANDOM.normal(0.0, 0.01, (rows, N)) * np.linspace(0.2, 1.5, N)
    open_ = 100.0 * np.exp((market * np.linspace(0.3, 1.8, N) + own).cumsum(axis=0))
    close = np.vstack([open_[1:], open_[-1:] * 1.01])
    wide = 1.0 + np.abs(RANDOM.normal(0.0, 0.005, (rows, N)))
    high, low = np.maximum(open_, close) * wide, np.minimum(open_, close) / wide
    return Window(0, close, np.ones((rows, N)), open_, high, low)


CANDLES = candles()


def changed(window, change):
    """Return a window with a function of its prices."""
    prices = (window.close, window.open, window.high, window.low)
    close, *ranges = (np.ascontiguousarray(change(each)) for each in prices)
    return Window(window.ts, close, np.ones(close.shape), *ranges)


def proposed(window=CANDLES, score=SCORE, **params):
    config = rules(**params)
    listings = Listings(tuple(map(str, range(N))), np.full(N, np.nan))
    return propose(config, listings, changed(window, lambda p: p[-rows_needed(config, 1) :]), score)


def weights(window=CANDLES, score=SCORE, **params):
    return proposed(window, score, **params).weight


EWMA = {"weighting": "inverse_volatility", "volatility_estimator": "ewma"}
CLUSTERS = {"cluster_cap": {"correlation": 0.7, "max_weight": 0.2}}
DIFFERENT = [
    ({"weighting": "inverse_volatility"}, {}),
    ({"weighting": "risk_parity"}, {}),
    (EWMA, {"weighting": "inverse_volatility"}),
    (EWMA | {"volatility_half_life": 5.0}, EWMA),
    (EWMA | {"volatility_estimator": "parkinson"}, EWMA),
    (EWMA | {"volatility_estimator": "garman_klass"}, EWMA | {"volatility_estimator": "parkinson"}),
    (TARGET, {}),
    (TARGET | {"volatility_target": {"annual": 0.05}}, TARGET),
    (TARGET | {"covariance": {"lookback": 30}}, TARGET),
    (TARGET | {"covariance": {"estimator": "oas"}}, TARGET),
    ({"kelly": {"information_coefficient": 0.001}}, {}),
    ({"kelly": {"information_coefficient": 0.001, "fraction": 0.1}}, {"kelly": {}}),
    ({"kelly": {"information_coefficient": 0.002}}, {"kelly": {"information_coefficient": 0.001}}),
    (CLUSTERS, {}),
    ({"cluster_cap": {"correlation": 0.7, "max_weight": 0.1}}, CLUSTERS),
    ({"cluster_cap": {"correlation": 0.9, "max_weight": 0.2}}, CLUSTERS),
    ({"neutral": {"by": "beta"}}, {}),
    ({"neutral": {"by": "beta", "max_net": 0.05}}, {"neutral": {"by": "beta"}}),
    (CLUSTERS | {"neutral": {"by": "currency"}}, CLUSTERS),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_each_parameter_changes_the_weights(one, other):
    assert np.abs(weights(**one) - weights(**other)).max() > 1e-4


def test_the_volatility_of_a_year_is_that_of_a_candle_by_the_root_of_their_number():
    weight = weights(**TARGET)
    held = weight != 0.0
    returns = np.diff(CANDLES.close, axis=0)[-72:] / CANDLES.close[-73:-1]
    from sklearn.covariance import LedoitWolf

    covariance = LedoitWolf().fit(returns[:, held]).covariance_
    by_hand = np.sqrt(weight[held] @ covariance @ weight[held] * YEAR)
    assert by_hand == pytest.approx(0.1)
    # What the book was before, but smaller.
    plain = weights()
    np.testing.assert_allclose(weight, plain * np.abs(weight).sum(), rtol=1e-9)
    assert np.abs(weight).sum() < 1.0
    words = f"volatility_target leaves at most {np.abs(weight).sum():.1%} of the book"
    assert in_words(proposed(**TARGET, kelly={"information_coefficient": 1.0})) == words


def test_a_target_far_away_leaves_the_weights_as_they_are():
    calm = {"volatility_target": {"annual": 10.0}, "weighting": "inverse_volatility"}
    plain = weights(weighting="inverse_volatility")
    np.testing.assert_allclose(weights(**calm), plain, rtol=1e-12)


def test_the_allocation_multiplies_what_the_limits_allow():
    np.testing.assert_allclose(weights(**ALL, allocation=0.3), 0.3 * weights(**ALL), rtol=1e-12)


@given(
    st.permutations(range(N)),
    st.lists(st.integers(0, N - 1), max_size=3, unique=True),
    st.integers(1, 73),
    st.sampled_from(["inverse_volatility", "risk_parity", "zscore", "equal"]),
    st.sampled_from(["beta", "currency"]),
)
def test_every_limit_holds_whatever_is_missing(order, gone, age, weighting, by):
    params = ALL | {"weighting": weighting, "neutral": {"by": by}}

    def punched(prices):
        prices = prices.copy()
        prices[-age, gone] = np.nan
        return prices

    holed = changed(CANDLES, punched)
    found = proposed(holed, **params)
    weight, held = found.weight, found.weight != 0.0
    # A candle missing anywhere in the time of the covariance: no risk is known, nothing held.
    reason = Standing.NO_CANDLE if age == 1 else Standing.NO_VOLATILITY
    assert (found.standing[gone] == reason).all()
    assert not weight[gone].any()
    assert held.sum() >= 4
    limits = limits_of(rules(**params), holed, eligible=~np.isnan(found.score), held=held)
    assert np.abs(weight).max() <= 0.15
    for side in (np.maximum(weight, 0.0), np.maximum(-weight, 0.0)):
        assert np.bincount(limits.clusters, side).max() <= 0.25 + 1e-12
    assert abs(weight @ limits.exposure) < 1e-12
    assert np.sqrt(weight @ limits.covariance @ weight * YEAR) <= 0.1 + 1e-12
    # Neither the order of the instruments nor the unit of their prices matters.
    order = list(order)
    turned = weights(changed(holed, lambda p: p[:, order]), SCORE[order], **params)
    np.testing.assert_allclose(turned, weight[order], rtol=1e-6, atol=1e-12)
    units = 10.0 ** np.arange(-5, 5)
    scaled = weights(changed(holed, lambda p: p * units), **params)
    np.testing.assert_allclose(scaled, weight, rtol=1e-6, atol=1e-12)


def test_what_later_steps_break_is_mended_within_the_allocation():
    config = rules(**ALL, allocation=0.5)
    broken = 0.5 * np.linspace(-0.3, 0.2, N)
    mended = stay_within(config, CANDLES, SCORE, broken)
    limits = limits_of(config, CANDLES, eligible=~np.isnan(SCORE), held=broken != 0.0)
    np.testing.assert_allclose(mended, 0.5 * within(2.0 * broken, limits), rtol=1e-12)
    assert np.abs(mended).max() <= 0.075
    assert abs(mended @ limits.exposure) < 1e-12
    assert stay_within(rules(), CANDLES, SCORE, broken) is broken


def test_what_is_held_without_its_candles_counts_by_the_rest():
    close = CANDLES.close.copy()
    close[-5, 2] = np.nan
    held = np.zeros(N, bool)
    held[[1, 2, 3]] = True
    eligible = np.arange(N) != 2
    params = ALL | {"cluster_cap": {"correlation": 0.0}}
    limits = limits_of(rules(**params), Window(0, close, close), eligible=eligible, held=held)
    assert limits.exposure[2] == 1.0
    assert limits.covariance[2, 2] == limits.covariance.diagonal().max() == limits.covariance[3, 3]
    assert not limits.covariance[2, [0, 1, 3]].any()
    assert limits.clusters[2] not in limits.clusters[eligible]


def test_neutrality_needs_two_sides():
    wrong = rules(side="long_only", neutral={}).check()
    assert wrong == [("neutral", "needs a side that sells short")]


@pytest.mark.parametrize(
    ("params", "wrong"),
    [({}, ["kelly"]), ({"fraction": 0.9}, []), ({"weighting": "zscore"}, []), ({"bands": {}}, [])],
)
def test_kelly_is_refused_where_the_mean_score_is_held(params, wrong):
    given = {"side": "long_only", "fraction": 1.0, "kelly": {}}
    assert [field for field, _ in rules(**given | params).check()] == wrong


def test_scikit_learn_is_loaded_only_when_it_is_needed():
    code = "import sys; from tests.strategies.rebalance.test_size import weights\n"
    for params in ({}, TARGET):
        code += f"weights(**{params}); print('sklearn' in sys.modules)\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_kelly_holds_a_book_of_one_side_where_scores_have_a_sign():
    kelly = {"kelly": {"information_coefficient": 0.05}}
    assert weights(score=np.full(N, 0.2), side="by_sign", **kelly).sum() > 0.1
