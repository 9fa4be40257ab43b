import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from strategies.signals.past_return import past_return
from strategies.signals.ranking import ordinal_rank, percentile_rank
from strategies.signals.turnover import mean_turnover
from strategies.signals.universe import Standing, standing
from strategies.signals.volatility import (
    ewma_volatility,
    garman_klass_volatility,
    parkinson_volatility,
    volatility,
)

NAN = np.nan
# Three coins over four candles; the last was listed late, the second misses a candle.
CLOSE = np.array([[100.0, 110.0, 121.0, 60.5], [10.0, 20.0, NAN, 30.0], [NAN, NAN, 5.0, 4.0]]).T


@pytest.mark.parametrize(
    ("lookback", "skip", "expected"),
    [
        (1, 0, [-0.5, NAN, -0.2]),
        (2, 0, [-0.45, 0.5, NAN]),
        (1, 1, [0.1, NAN, NAN]),
        (2, 1, [0.21, NAN, NAN]),
        (1, 2, [0.1, 1.0, NAN]),
    ],
)
def test_the_past_return_ends_skip_candles_ago(lookback, skip, expected):
    np.testing.assert_allclose(past_return(CLOSE, lookback, skip), expected)


def test_volatility_is_the_sample_deviation_of_simple_returns():
    # Returns of the first: +10 %, +10 %, -50 %: mean -10 %, deviations 20, 20, -40 %.
    expected = np.sqrt((0.04 + 0.04 + 0.16) / 2)
    np.testing.assert_allclose(volatility(CLOSE, 3), [expected, NAN, NAN])


def test_volatility_agrees_with_pandas_on_random_walks():
    close = 100 * np.exp(np.random.default_rng(3).normal(0, 0.02, (50, 7)).cumsum(axis=0))
    expected = pd.DataFrame(close).pct_change().rolling(20).std().to_numpy()[-1]
    np.testing.assert_allclose(volatility(close, 20), expected, rtol=1e-12)


def test_ewma_volatility_is_the_decaying_mean_of_squares():
    # Returns +10 %, +10 %, -50 %; at a half-life of one candle they count 1, 2 and 4.
    expected = np.sqrt((1 * 0.01 + 2 * 0.01 + 4 * 0.25) / 7)
    np.testing.assert_allclose(ewma_volatility(CLOSE, 3, 1.0), [expected, NAN, NAN])
    close = 100 * np.exp(np.random.default_rng(3).normal(0, 0.02, (51, 7)).cumsum(axis=0))
    squares = pd.DataFrame(close).pct_change().iloc[1:] ** 2
    expected = np.sqrt(squares.ewm(halflife=11.0).mean().to_numpy()[-1])
    np.testing.assert_allclose(ewma_volatility(close, 50, 11.0), expected, rtol=1e-12)


def test_range_volatility_by_hand():
    # Ranges of e^0.2 and e^0.4; opened at the low, closed at the high or where they opened.
    low, high = np.full((3, 2), 10.0), 10.0 * np.exp([[9.9, NAN], [0.2, 0.2], [0.4, NAN]])
    parkinson = np.sqrt((0.04 + 0.16) / 2 / (4 * np.log(2)))
    np.testing.assert_allclose(parkinson_volatility(high, low, 2), [parkinson, NAN])
    flat = np.sqrt((0.5 * 0.04 + 0.5 * 0.16) / 2)
    np.testing.assert_allclose(garman_klass_volatility(low, high, low, low, 2), [flat, NAN])
    full = np.sqrt((0.04 + 0.16) * (1.5 - 2 * np.log(2)) / 2)
    np.testing.assert_allclose(garman_klass_volatility(low, high, low, high, 2), [full, NAN])


def test_all_estimates_agree_on_a_random_walk():
    ticks = np.random.default_rng(5).normal(0.0, 0.02 / 20, (400 * 400, 1)).cumsum()
    path = 100 * np.exp(ticks.reshape(400, 400))
    open_, close = path[:, :1], path[:, -1:]
    high, low = path.max(axis=1)[:, None], path.min(axis=1)[:, None]
    for got in (
        volatility(close, 399),
        ewma_volatility(close, 399, 200.0),
        parkinson_volatility(high, low, 399),
        garman_klass_volatility(open_, high, low, close, 399),
    ):
        np.testing.assert_allclose(got, 0.02, rtol=0.1)


def test_turnover_averages_the_candles_that_are_there():
    volume = np.array([[1.0, 1.0, NAN], [2.0, 1.0, NAN], [1.0, NAN, 10.0], [2.0, 3.0, 20.0]])
    # 121 and 121 -> 121; only 90 -> 90; 50 and 80 -> 65.
    np.testing.assert_allclose(mean_turnover(CLOSE, volume, 2), [121.0, 90.0, 65.0])
    assert np.isnan(mean_turnover(CLOSE[:2], volume[:2], 2)[2])


def test_the_highest_score_ranks_first_and_ties_keep_their_order():
    ranks = ordinal_rank(np.array([0.1, NAN, 0.3, 0.1, -2.0]))
    assert ranks.tolist() == [2, 0, 1, 3, 4]


@given(arrays(float, st.integers(1, 30), elements=st.sampled_from([NAN, -1.0, 0.0, 0.5, 2.0, 3.0])))
def test_the_percentile_rank_is_that_of_pandas(score):
    expected = pd.Series(score).rank(pct=True).to_numpy()
    np.testing.assert_array_equal(percentile_rank(score), expected)


IN = Standing.IN
ROWS = {
    "close": [10.0, 20.0, 30.0],
    "excluded": [False] * 3,
    "age_days": [5.0, 50.0, 500.0],
    "turnover": [100.0, 300.0, 200.0],
    "score": [0.1, 0.2, 0.3],
    "volatility": None,
}
"""Three instruments that nothing leaves out."""


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [IN] * 3),
        ({"close": [NAN, 20.0, 0.0]}, [Standing.NO_CANDLE, IN, Standing.NO_CANDLE]),
        ({"excluded": [False, True, False]}, [IN, Standing.EXCLUDED, IN]),
        ({"min_age_days": 50.0}, [Standing.TOO_YOUNG, IN, IN]),
        ({"min_price": 20.0}, [Standing.TOO_CHEAP, IN, IN]),
        ({"min_turnover": 200.0}, [Standing.TOO_THIN, IN, IN]),
        ({"score": [NAN, 0.2, 0.3]}, [Standing.NO_SCORE, IN, IN]),
        ({"volatility": [0.1, 0.0, NAN]}, [IN, Standing.NO_VOLATILITY, Standing.NO_VOLATILITY]),
        ({"top_n": 2}, [Standing.BELOW_TOP, IN, IN]),
        # Equal turnover keeps the first in order.
        ({"turnover": [7.0] * 3, "top_n": 2}, [IN, IN, Standing.BELOW_TOP]),
        # The first reason met counts, and who is out already does not take a place of the top.
        ({"top_n": 2, "excluded": [False, True, False]}, [IN, Standing.EXCLUDED, IN]),
        # Unknown age or turnover fails a limit, and passes without one.
        ({"min_age_days": 1.0, "age_days": [NAN, 2.0, 2.0]}, [Standing.TOO_YOUNG, IN, IN]),
        ({"age_days": [NAN] * 3, "turnover": [NAN] * 3}, [IN] * 3),
        (
            {"spread_bps": [10.0, 10.1, NAN], "max_spread_bps": 10.0},
            [IN, Standing.TOO_WIDE, Standing.TOO_WIDE],
        ),
        (
            {"depth": [500.0, 499.0, 0.0], "min_depth": 500.0},
            [IN, Standing.TOO_SHALLOW, Standing.TOO_SHALLOW],
        ),
        # Candles show neither: then there is nothing to hold the limits against.
        ({"max_spread_bps": 10.0, "min_depth": 500.0}, [IN] * 3),
        ({"spread_bps": [99.0] * 3, "depth": [0.0] * 3}, [IN] * 3),
    ],
)
def test_the_standing_names_the_first_reason_to_leave_out(changes, expected):
    rows = {
        name: np.array(value) if isinstance(value, list) else value
        for name, value in (ROWS | changes).items()
    }
    assert standing(**rows).tolist() == expected
