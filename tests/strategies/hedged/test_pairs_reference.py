"""The published BTC/ETH recipe, trade by trade, against a plain recomputation with pandas.

Its README reports nine trades and says neither which nor by what test exactly; by the p-values of
Engle and Granger, which 5 % of its hours pass as in its own table, there are fifteen.
"""

import numpy as np
import pandas as pd
import pytest
from msgspec.structs import replace
from statsmodels.tsa.stattools import coint

from config.load import load
from config.params import build_params
from strategies.hedged import views
from strategies.hedged.rules import Enter, Leave, judge
from strategies.pairs import Pairs, PairsConfig
from strategies.signals.cointegration import are_cointegrated
from tests.catalog.market import shared
from tests.config.shipped import ROOT

FILE = shared(
    "references", "pairs_btc_eth_bauch0430",
    "binance_linear_BTC+ETH_close_funding_1h_20210101_20251231.parquet",
)  # fmt: skip
pytestmark = pytest.mark.skipif(not FILE.exists(), reason="no shared market data")
HOUR = 3_600_000_000_000
ROWS = 1441
LEGS = np.array([[0, 1]])


def recipe():
    document = load(ROOT / "backtests/runs/pairs_btc_eth_reference.yaml")
    params = build_params(Pairs, document.data["strategies"]["pairs"]["params"])
    return PairsConfig(key="p", instruments=("BTC", "ETH"), **params)


def closes():
    return pd.read_parquet(FILE)[["btc_close", "eth_close"]]


def z_scores(table):
    x, y = np.log(table.btc_close), np.log(table.eth_close)
    beta = (x.rolling(720).cov(y) / y.rolling(720).var()).shift(1)
    spread = x - beta * y
    mean, std = spread.rolling(720).mean().shift(1), spread.rolling(720).std().shift(1)
    return ((spread - mean) / std).to_numpy()


def by_rules(close):
    """Trades by the strategy's own functions: (side, entry, exit, cause), rows of the table."""
    rules, trade, track, trades = recipe(), None, None, []
    for row in range(ROWS - 1, len(close)):
        window = close[row - ROWS + 1 : row + 1]
        track = views.follow(track, row * HOUR, window[:-1], LEGS, rules)
        track, found = views.read(track, (row + 1) * HOUR, window, np.array([np.nan]), rules)
        held = 0 if trade is None else row - trade.candle
        wanted = judge(rules, "pair", found.of(0), trade, held)
        if isinstance(wanted, Leave):
            trades.append((trade.side, trade.candle, row, wanted.cause))
            trade = None
        elif isinstance(wanted, Enter):
            past = np.log(window[:-1])
            if are_cointegrated(past, LEGS, rules.cointegration, rules.hedge.most_missing)[0]:
                trade = replace(wanted.trade, candle=row)
    return trades


def by_hand(table):
    """The recipe as published, but for its p-values."""
    z = z_scores(table)
    logs, trades, side, entry = np.log(table.to_numpy()), [], 0, 0
    for row in range(ROWS - 1, len(z)):
        if side:
            late = row - entry >= 1404
            why = "time" if late else "stop" if abs(z[row]) > 4 else "mean"
            if why != "mean" or abs(z[row]) < 0.5:
                trades.append((side, entry, row, why))
                side = 0
        elif abs(z[row]) > 2:
            past = logs[row - 720 : row]
            if coint(past[:, 0], past[:, 1], maxlag=4, autolag=None)[1] < 0.05:
                side, entry = -int(np.sign(z[row])), row
    return trades


def test_the_first_trades_are_those_of_the_recipe():
    table = closes().iloc[6500:9500]
    trades = by_rules(table.to_numpy())
    assert trades == by_hand(table)
    exits = [str((table.index[row] + pd.Timedelta("1h")).date()) for _, _, row, _ in trades]
    assert exits == ["2022-01-19"]


@pytest.mark.slow
def test_all_trades_are_those_of_the_recipe():
    table = closes()
    trades = by_rules(table.to_numpy())
    assert trades == by_hand(table)
    assert len(trades) == 15
    assert {cause for *_, cause in trades} == {"mean"}
