import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.signals.dispersion import dispersion, mean_correlation

NAN = np.nan


def test_dispersion_by_hand():
    # Returns 10 %, 30 % and 20 %; the fourth has no price then. Deviations -10, 10, 0.
    close = np.array([[10.0, 10.0, 5.0, NAN], [11.0, 13.0, 6.0, 1.0]])
    assert dispersion(close, 1) == pytest.approx(np.sqrt(0.02 / 3))
    assert np.isnan(dispersion(close[:, 2:], 1))


def test_correlation_by_hand():
    # Returns +,- ; +,- twice as large ; -,+ ; none. The pairs have 1, -1, -1.
    close = np.cumprod([[1.0] * 5, [1.1, 1.2, 0.9, 1.0, NAN], [0.9, 0.8, 1.1, 1.0, 1.0]], axis=0)
    assert mean_correlation(close, 2) == pytest.approx(-1 / 3)
    assert np.isnan(mean_correlation(close[:, 2:], 2))


def walk(seed):
    random = np.random.default_rng(seed)
    common = random.normal(0, 0.01, (60, 1))
    return 100 * np.exp((common + random.normal(0, 0.01, (60, 6))).cumsum(axis=0))


@given(seed=st.integers(0, 999), lookback=st.integers(3, 50))
def test_both_agree_with_pandas_and_do_not_depend_on_units_or_order(seed, lookback):
    close = walk(seed)
    returns = pd.DataFrame(close).pct_change().tail(lookback)
    pairs = returns.corr().to_numpy()[~np.eye(6, dtype=bool)]
    total = close[-1] / close[-1 - lookback] - 1
    for same in (close, close * 10.0 ** np.arange(6), close[:, ::-1]):
        assert mean_correlation(same, lookback) == pytest.approx(pairs.mean(), abs=1e-9)
        assert dispersion(same, lookback) == pytest.approx(total.std(), rel=1e-9)
