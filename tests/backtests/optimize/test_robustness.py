"""What else could have come of the best candidate, by hand."""

import numpy as np
import pytest

from backtests.optimize import robustness


def test_equal_days_have_one_outcome_and_a_band_without_width():
    block = robustness.monte_carlo_block(np.full(10, -0.01), [0.05, 0.1], seed=1)
    assert block["days"] == 10
    assert block["total_return_pct"] == pytest.approx(
        dict.fromkeys(("worst_5", "median", "best_5"), 100 * (0.99**10 - 1))
    )
    assert block["max_drawdown"]["median"] == pytest.approx(1 - 0.99**10)
    assert block["ruin"] == {"0.05": 1.0, "0.1": 0.0}  # 9.6 % below its peak at the end
    falls = [100 * (0.99**day - 1) for day in range(1, 91)]
    assert block["band"] == {key: pytest.approx(falls) for key in ("lower_pct", "upper_pct")}


def test_the_worst_is_the_low_return_and_the_deep_drawdown_and_the_band_holds_nine_in_ten():
    days = 0.01 * np.random.default_rng(4).normal(0.1, 1.0, 2_000)
    block = robustness.monte_carlo_block(days, [0.2], seed=2)
    money, depth = block["total_return_pct"], block["max_drawdown"]
    assert money["worst_5"] < money["median"] < money["best_5"]
    assert depth["worst_5"] > depth["median"] > depth["best_5"]
    # Of a normal walk 90 % lie within 1.645 deviations of the mean.
    low, high = (np.log1p(block["band"][key][-1] / 100) for key in ("lower_pct", "upper_pct"))
    assert high - low == pytest.approx(2 * 1.645 * np.sqrt(90) * np.log1p(days).std(), rel=0.1)


def test_one_day_has_no_outcome():
    block = robustness.monte_carlo_block(np.array([0.1]), [0.2], seed=0)
    assert block["total_return_pct"]["worst_5"] is None
    assert (block["ruin"], block["band"]["lower_pct"]) == ({"0.2": None}, [None] * 90)


def test_tiers_are_those_of_the_enabled_guards_or_their_defaults():
    tiers = {"enabled": True, "params": {"tiers": [{"at": 0.3}, {"at": 0.1}]}}
    assert robustness.drawdown_tiers({"actors": {"a": tiers}}) == [0.1, 0.3]
    off = {"actors": {"a": tiers | {"enabled": False}}}
    assert robustness.drawdown_tiers(off) == [0.05, 0.1, 0.15, 0.2]
