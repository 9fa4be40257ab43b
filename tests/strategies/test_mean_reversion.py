"""Mean reversion as a strategy: what is planted earns, walks pay their costs, stops count once."""

import numpy as np
import pytest

from backtests.screening.path import earn
from catalog.panel import Panel
from config.params import check_params
from strategies.carry import CarryConfig
from strategies.mean_reversion import BollingerReversion, VwapReversion
from strategies.rebalance.history import Window
from strategies.rebalance.memory import Memory, Remembered
from strategies.rebalance.propose import Listings, explain, propose
from strategies.signals.universe import Standing
from strategies.xs_reversal import XSReversalConfig
from tests.backtests.panel_readers import decided

HOUR = 3_600 * 10**9
IDS = tuple(f"{name}USDT-LINEAR.BYBIT" for name in "ABCDEFGHIJKL")
LISTINGS = Listings(IDS, np.full(len(IDS), np.nan))
WAYS = {
    BollingerReversion: {"lookback": 24, "stop_width": 2.0},
    VwapReversion: {"lookback": 48, "volume": 0.0, "deviation": 0.02},
}


def market(pull, hours=450):
    """Return hourly candles that return to 100 by a part of the way in each."""
    random = np.random.default_rng(5)
    away, noise = np.zeros((hours, len(IDS))), random.normal(0, 0.008, (hours, len(IDS)))
    for t in range(1, hours):
        away[t] = away[t - 1] * (1.0 - pull) + noise[t]
    close = 100.0 * np.exp(away)
    open_ = np.vstack([close[:1], close[:-1]])
    high, low = np.maximum(open_, close), np.minimum(open_, close)
    ts = HOUR * (24 * 365 * 50 + 1 + np.arange(hours))
    return Panel(ts, IDS, open_, high, low, close, random.lognormal(0, 0.5, close.shape))


def earned(cls, candles, cost):
    given = {"interval": "1h", "every": "1h", "at": "00:00", "max_weight": 0.3, "history": 48}
    rules = cls.Config(key="m", instruments=IDS, **given, **WAYS[cls])
    rows = cls.rows_for_scores(rules)
    start = int(candles.ts[rows])
    steps = decided(cls, rules, LISTINGS, candles, start, int(candles.ts[-1]))
    weights = np.array([step.proposal.weight for step in steps])
    assert (weights > 0).any()
    assert (weights < 0).any()
    close = candles.close[rows:]
    found = earn(weights, np.ones(len(weights), bool), close[1:] / close[:-1] - 1.0, cost)
    return found


@pytest.mark.parametrize("cls", WAYS)
def test_planted_reversion_is_found_and_earns_and_walks_lose_their_costs(cls):
    planted, walked = earned(cls, market(0.1), 0.0005).net, earned(cls, market(0.0), 0.001)
    assert planted.mean() / planted.std() * np.sqrt(24 * 365) > 3.0
    gross, net = walked.gross, walked.net
    assert abs(gross.mean()) < 2.5 * gross.std() / np.sqrt(len(gross))
    np.testing.assert_allclose((gross - net).sum(), 0.001 * walked.turnover.sum())
    assert net.sum() < 0.0


RULES = VwapReversion.Config(
    key="v", instruments=IDS[:1], interval="1h", lookback=3, volume_lookback=1, history=4
)


def proposed(closes, memory=Memory()):
    close = np.array(closes, float)[:, None]
    volume = 2.0 ** np.arange(len(close))[:, None]  # Each is twice the one before.
    window = Window(HOUR * 100, close, volume, close, close, close)
    score, entered = VwapReversion.scored(RULES, window)
    listings = Listings(IDS[:1], np.full(1, np.nan))
    return propose(RULES, listings, window, score, memory=memory, entered=entered)


def test_a_stopped_entry_is_not_entered_again_though_its_signal_stands():
    # 95 is below 0.985 times the VWAP, (99 + 2 * 99 + 4 * 95) / 7; the stop is 3 % away.
    falls = [99, 99, 99, 99, 99, 95, 95.4]
    assert proposed(falls).score == [1 / 0.03]
    np.testing.assert_allclose(proposed(falls).weight, [0.2])
    name, entry = IDS[0], HOUR * 99
    for cut, held in ((entry + 1, 0.0), (entry, 0.2), (entry - 1, 0.2)):
        memory = Memory(instruments={name: Remembered(left=cut, cut=cut)})
        found = proposed(falls, memory)
        np.testing.assert_allclose(found.weight, [held])
        assert (found.standing[0] == Standing.ENTRY_OVER) == (held == 0.0)
    found = proposed(falls, Memory(instruments={name: Remembered(cut=entry + 1)}))
    assert "waits for a new entry" in explain(found, 0, RULES)
    # A target's own exit does not end an entry.
    found = proposed(falls, Memory(instruments={name: Remembered(left=entry + 1)}))
    np.testing.assert_allclose(found.weight, [0.2])


@pytest.mark.parametrize(
    ("cls", "wrong", "path"),
    [
        (BollingerReversion, {"leave_rsi": 20}, "leave_rsi"),
        (BollingerReversion, {"interval": "1h", "history": 5, "hold": {"most": "6h"}}, "history"),
        (BollingerReversion, {"side": "long_only"}, "side"),
        (BollingerReversion, {"regime": {}}, "regime"),
        (BollingerReversion, {"bands": {}}, "bands"),
        (VwapReversion, {"market_trend": {"action": "flip"}}, "market_trend"),
        (VwapReversion, {"average": "session"}, "average"),
    ],
)
def test_parameters_that_do_not_go_together_are_named(cls, wrong, path):
    assert [problem.path for problem in check_params(cls.Config, wrong)] == [(path,)]


@pytest.mark.parametrize("config", [XSReversalConfig, CarryConfig])
def test_a_strategy_without_stops_refuses_to_be_sized_by_them(config):
    (problem,) = check_params(config, {"weighting": "risk"})
    assert problem.path == ("weighting",)
    assert "strategies.mean_reversion" in problem.message
