"""The demo's five days as shipped, against the law of its basis."""

from pathlib import Path

import pytest

from backtests.policies.baselines import best_threshold, by_threshold, play
from backtests.policies.fitted_q import Settings, by_trees, fit, joined
from backtests.policies.looks import looks_of, pair_of, tape_of
from catalog.demo.basis import (
    DEVIATION_BPS,
    FUNDING_RATE,
    HALF_LIFE_S,
    PERP_SPREAD_BPS,
    SPOT_SPREAD_BPS,
    BasisParams,
    generate,
)
from catalog.storage.writer import CatalogWriter
from config.documents import Backtest
from config.validate import checked
from strategies.basis.threshold import Threshold
from tests.backtests.policies.process import ornstein_uhlenbeck

SHIPPED = Path("backtests/runs/basis_demo.yaml")
SPREADS = SPOT_SPREAD_BPS + PERP_SPREAD_BPS
STEP_S = 1.0
"""Between two looks. The grid's steps of a third of a basis point add 2 bps a day to the truth."""


@pytest.mark.slow
def test_levels_and_trees_of_the_past_earn_near_the_truth_on_the_demo(tmp_path: Path):
    with CatalogWriter(tmp_path) as writer:
        writer.add(generate(BasisParams()))
    document = checked(SHIPPED, [f"catalog={tmp_path}"]).document
    assert isinstance(document, Backtest)
    pair = pair_of(document)
    looks = looks_of(tape_of(pair), pair)
    income = FUNDING_RATE * 1e4 * STEP_S / 28_800
    # Quotes are rounded to ticks, outwards: 0.1 of 16,500 is 0.06 bps.
    truth = ornstein_uhlenbeck(
        DEVIATION_BPS, HALF_LIFE_S, float(looks.cost.mean()), STEP_S, income_bps=income
    )
    levels = Threshold(
        open_bps=truth.open_bps - SPREADS / 2, close_bps=truth.close_bps + SPREADS / 2
    )
    assert (levels.open_bps, levels.close_bps) == pytest.approx((29.6, -29.6), abs=0.4)
    cut = len(looks.ts) * 3 // 5
    train, test = looks.part(0, cut), looks.part(cut, len(looks.ts))
    earned = play(test, by_threshold(test, levels)).gains.sum()
    # Two days have thirty round trips: chance is a third of what they earn.
    assert earned / 2 == pytest.approx(truth.bps_a_step * 86_400 / STEP_S, rel=0.35)
    fitted = best_threshold(train)
    assert play(test, by_threshold(test, fitted)).gains.sum() > 0.8 * earned
    settings = Settings()
    trees = joined([fit(train, seed, settings) for seed in settings.seeds])
    assert play(test, by_trees(test, trees, fitted.close_bps)).gains.sum() > 0.8 * earned
