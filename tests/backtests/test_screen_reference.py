"""The screen on somebody else's published backtest: prams2104/crypto-momentum-backtest (MIT).

The recipe and the numbers stand in the reference's own published_results.json. Prices go through
our windows, ranks, weights and returns; only what is the recipe's own (clipped returns, weights set
to zero where the coin is not eligible on the day after) is done here.
"""

import json
from functools import cache

import numpy as np
import pandas as pd
import pytest

from actors.measures import sharpe
from backtests.screening.path import earn
from strategies.rebalance.history import Window
from strategies.sizing.weights import weigh
from strategies.xs_momentum import XSMomentum, XSMomentumConfig
from strategies.xs_reversal import XSReversal, XSReversalConfig
from tests.builders import SHARED_DATA

FOLDER = SHARED_DATA / "references" / "cs_momentum_reversal_prams2104"
PUBLISHED = FOLDER / "published_results.json"
pytestmark = pytest.mark.skipif(
    not PUBLISHED.exists(), reason="no ../shared/data beside the checkout"
)

COST = 0.0020
PERIODS = {
    # The stamps are 16:00, so the last day of a year is after its midnight: it is in no period.
    "train": ("2020-01-01", "2022-12-31"),
    "valid": ("2023-01-01", "2024-12-31"),
    "oos": ("2025-01-01", "2100-01-01"),
}
PLAIN = {"lookbacks": (20,), "past_returns": "mean", "winsorize": 0.0, "forecast_cap": None}
STRATEGIES = {
    "momentum20": (XSMomentum, XSMomentumConfig(key="m", instruments=(), **PLAIN)),
    "reversal1": (XSReversal, XSReversalConfig(key="r", instruments=())),
}


@cache
def table(name):
    return pd.read_csv(
        FOLDER / f"binance_spot_25coins_data_{name}.csv.gz", index_col=0, parse_dates=True
    )


@cache
def reference_weights(strategy, lag=1):
    """Return the weights held over each day that follows a close, and its clipped returns.

    Weights of a close are held over the day that follows it; a larger lag holds them later.
    """
    cls, config = STRATEGIES[strategy]
    rows = cls.rows_for_scores(config)
    close = table("px").to_numpy(float)
    eligible = table("elig").to_numpy(bool)
    padded = np.vstack([np.full((rows - 1, close.shape[1]), np.nan), close])
    windows = (padded[t : t + rows] for t in range(len(close)))
    scores = np.array([cls.scores(config, Window(0, close, close)) for close in windows])
    scores[~eligible] = np.nan
    rules = {"side": "long_short", "weighting": "rank", "fraction": 0.5}
    wanted = np.array([weigh(row, gross=1.0, max_weight=1.0, **rules) for row in scores])
    wanted = np.vstack([np.zeros((lag - 1, close.shape[1])), wanted])[: len(close) - 1]
    held = np.where(eligible[1:], wanted, 0.0)
    total = np.abs(held).sum(axis=1, keepdims=True)
    held = np.divide(held, total, out=np.zeros_like(held), where=total > 0)
    return held, np.clip(close[1:] / close[:-1] - 1, -0.30, 0.30)


@cache
def screened(strategy, lag=1):
    held, returns = reference_weights(strategy, lag)
    days = table("px").index[1:]
    return days, earn(held, np.ones(len(held), bool), returns, COST, drift=False), returns[:, 0]


def inside(days, period):
    first, last = PERIODS[period]
    return (days >= pd.Timestamp(first)) & (days <= pd.Timestamp(last))


def published(strategy, period):
    return json.loads(PUBLISHED.read_text())["published"][strategy][period]


CASES = [(strategy, period) for strategy in STRATEGIES for period in PERIODS]


@pytest.mark.parametrize(("strategy", "period"), CASES)
def test_the_published_sharpes_come_out_to_the_printed_digits(strategy, period):
    days, earned, _ = screened(strategy)
    chosen = inside(days, period)
    expected = published(strategy, period)
    assert round(sharpe(earned.net[chosen]), 2) == expected["net_sharpe"]
    if "gross_sharpe" in expected:
        assert round(sharpe(earned.gross[chosen]), 2) == expected["gross_sharpe"]


@pytest.mark.parametrize(("strategy", "period"), CASES)
def test_the_published_alphas_come_out_to_the_printed_digits(strategy, period):
    days, earned, bitcoin = screened(strategy)
    chosen = inside(days, period)
    alpha, t_value = ordinary_least_squares(earned.gross[chosen], bitcoin[chosen])
    expected = published(strategy, period)
    assert (round(alpha * 365, 3), round(t_value, 2)) == (expected["alpha"], expected["t"])


def test_the_published_returns_come_out_to_the_printed_digits():
    days, earned, _ = screened("reversal1")
    chosen = inside(days, "oos")
    expected = published("reversal1", "oos")
    assert round(earned.gross[chosen].mean() * 365, 3) == expected["gross_return"]
    assert round(earned.net[chosen].mean() * 365, 3) == expected["net_return"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_weights_held_a_day_late_would_be_seen(strategy):
    days, earned, _ = screened(strategy, lag=2)
    for period in PERIODS:
        late = round(sharpe(earned.net[inside(days, period)]), 2)
        assert late != published(strategy, period)["net_sharpe"]


def ordinary_least_squares(y, x):
    design = np.column_stack([np.ones_like(x), x])
    beta, residual, *_ = np.linalg.lstsq(design, y, rcond=None)
    variance = residual[0] / (len(y) - 2) * np.linalg.inv(design.T @ design)[0, 0]
    return beta[0], beta[0] / np.sqrt(variance)
