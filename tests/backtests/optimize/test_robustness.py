"""What else could have come of the best candidate, by hand."""

import numpy as np
import pyarrow as pa
import pytest

from backtests.optimize import robustness
from backtests.optimize.trials import trade_returns
from config.documents.search_space import Dimension

NONE = np.zeros(0)
SPACE = {"days": Dimension(int=(1, 20)), "part": Dimension(float=(0.0, 1.0))}
BEST = {"days": 1, "part": 0.5}


def test_equal_days_have_one_outcome_and_a_band_without_width():
    block = robustness.monte_carlo_block(np.full(10, -0.01), np.full(2, 0.1), [0.05, 0.1], seed=1)
    assert block["days"] == 10
    assert block["total_return_pct"] == pytest.approx(
        dict.fromkeys(("worst_5", "median", "best_5"), 100 * (0.99**10 - 1))
    )
    assert block["max_drawdown"]["median"] == pytest.approx(1 - 0.99**10)
    assert (block["trades"]["count"], block["trades"]["max_drawdown"]["worst_5"]) == (2, 0.0)
    assert block["trades"]["total_return_pct"]["best_5"] == pytest.approx(21.0)
    assert block["ruin"] == {"0.05": 1.0, "0.1": 0.0}  # 9.6 % below its peak at the end
    falls = [100 * (0.99**day - 1) for day in range(1, 91)]
    assert block["band"] == {key: pytest.approx(falls) for key in ("lower_pct", "upper_pct")}


def test_the_worst_is_the_low_return_and_the_deep_drawdown_and_the_band_is_wider_than_its_days():
    days = 0.01 * np.random.default_rng(4).normal(0.1, 1.0, 2_000)
    block = robustness.monte_carlo_block(days, NONE, [0.2], seed=2)
    money, depth = block["total_return_pct"], block["max_drawdown"]
    assert money["worst_5"] < money["median"] < money["best_5"]
    assert depth["worst_5"] > depth["median"] > depth["best_5"]
    # Of a normal walk 90 % are within 1.645 deviations on one day, fewer on all of ninety.
    low, high = (np.log1p(block["band"][key][-1] / 100) for key in ("lower_pct", "upper_pct"))
    width = (high - low) / (np.sqrt(90) * np.log1p(days).std())
    assert 2 * 1.8 < width < 2 * 3.3


def test_one_day_has_no_outcome():
    block = robustness.monte_carlo_block(np.array([0.1]), NONE, [0.2], seed=0)
    assert block["total_return_pct"]["worst_5"] is None
    assert (block["ruin"], block["band"]["lower_pct"]) == ({"0.2": None}, [None] * 90)


def test_tiers_are_those_of_the_enabled_guards_or_their_defaults():
    tiers = {"enabled": True, "params": {"tiers": [{"at": 0.3}, {"at": 0.1}]}}
    assert robustness.drawdown_tiers({"actors": {"a": tiers}}) == [0.1, 0.3]
    off = {"actors": {"a": tiers | {"enabled": False}}}
    assert robustness.drawdown_tiers(off) == [0.05, 0.1, 0.15, 0.2]


def test_a_plateau_keeps_half_of_the_objective_in_the_median_and_a_spike_less():
    near = [(BEST | {"days": 2}, 1.0), (BEST | {"part": 0.55}, 0.5), (BEST | {"part": 0.45}, 1.9)]
    found = robustness.sensitivity(SPACE, BEST, 2.0, near)
    assert (found["plateau"], found["worst"], found["shape"]) == (0.5, 0.25, "plateau")
    assert found["neighbours"][0] == {"parameters": {"days": 2}, "objective": 1.0}
    assert found["at_an_end"] == ["days"]
    idle = [(one, -np.inf) for one, _ in near]  # has no Sharpe: it never traded
    found = robustness.sensitivity(SPACE, BEST, 2.0, idle)
    assert (found["plateau"], found["shape"]) == (0.0, "spike")
    for reached, around in ((-1.0, near), (2.0, [])):
        found = robustness.sensitivity(SPACE, BEST, reached, around)
        assert (found["plateau"], found["shape"]) == (None, None)


def test_stability_is_how_often_other_windows_and_draws_choose_as_the_best():
    windows = [BEST, {"days": 2, "part": 0.7}, {"days": 9, "part": 0.45}]
    # Of three, two are drawn: the best of all, at part 0.5, is among them two times in three.
    race = [BEST, {"days": 1, "part": 0.9}, {"days": 1, "part": 0.1}]
    found = robustness.stability(SPACE, BEST, windows, race, np.array([3.0, 2.0, 1.0]), 1)
    assert found["days"] == {"best": 1, "windows": pytest.approx(2 / 3), "draws": 1.0}
    assert found["part"]["windows"] == pytest.approx(2 / 3)
    assert found["part"]["draws"] == pytest.approx(2 / 3, abs=0.1)


def test_a_trades_return_is_its_net_profit_over_the_equity_that_it_was_opened_with():
    curve = pa.table({"ts": [10, 20, 30], "equity": [200.0, 400.0, 500.0]})
    opened, net, is_open = [5, 20, 21, 30], ["10", "20", "-40", "7"], [False, False, False, True]
    trips = pa.table({"ts_opened": opened, "net": net, "open": is_open})
    # Opened at a sample, its equity has the fee of the entry already: the one before counts.
    assert trade_returns(trips, curve, 100.0).tolist() == [0.1, 0.1, -0.1]
