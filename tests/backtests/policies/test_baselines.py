"""Baselines by hand-made numbers, and against the law of the demo's process."""

import numpy as np
import pytest

from backtests.policies.baselines import (
    Signals,
    above_cost,
    best_threshold,
    by_threshold,
    foreseen,
    foresight,
    never,
    play,
)
from backtests.policies.looks import Looks
from strategies.basis.edge import NEVER
from strategies.basis.features import FEATURES
from strategies.basis.threshold import BASIS, EXIT, Threshold
from tests.backtests.policies.process import (
    COST,
    DEVIATION,
    HALF_LIFE,
    SPREAD,
    TRUTH,
    ornstein_uhlenbeck,
    ornstein_uhlenbeck_looks,
)


def looks(basis: list[float], cost: float, spread: float = 0.0) -> Looks:
    """Looks a second apart at a basis whose fall is the gain."""
    seen = np.zeros((len(basis), len(FEATURES)))
    seen[:, BASIS] = basis
    seen[:, EXIT] = seen[:, BASIS] + spread
    change = np.append(-np.diff(basis), 0.0)
    ts = np.arange(len(basis)) * 10**9
    ones = np.ones(len(basis))
    locked = seen[:, BASIS] - cost
    allowed, no_funding = ones.astype(bool), np.full(len(basis), NEVER)
    return Looks(ts, seen, ones * cost, change, locked, locked, allowed, no_funding)


def test_a_round_trip_earns_the_fall_of_the_basis_less_its_cost():
    tape = looks([50.0, 40.0, 10.0, 20.0], cost=31.0)
    played = play(tape, by_threshold(tape, Threshold(open_bps=45.0, close_bps=12.0)))
    # In at 50, out at 10: 40 less 31; the cost counts at once, then what each look brings.
    assert played.gains.tolist() == [-31.0 + 10.0, 30.0, 0.0, 0.0]
    assert (played.trades, played.held) == (1, 0.5)


def test_what_is_open_at_the_end_is_closed_and_nothing_is_opened_there():
    tape = looks([50.0, 45.0, 60.0], cost=31.0)
    always = Signals(np.ones(3, bool), *np.zeros((2, 3), bool))
    assert play(tape, always).gains.sum() == -31.0 - 10.0
    only_last = Signals(np.array([False, False, True]), *np.zeros((2, 3), bool))
    assert play(tape, only_last).trades == 0


def test_never_earns_nothing_and_a_loss_locked_in_is_not_opened():
    tape = looks([30.0, 20.0, 0.0], cost=31.0)
    assert play(tape, never(tape)).gains.tolist() == [0.0, 0.0, 0.0]
    # 30 to a close at 0 does not pay 31, whatever the threshold says.
    assert play(tape, by_threshold(tape, Threshold(open_bps=25.0, close_bps=0.0))).trades == 0
    dear = looks([32.0, 20.0, 0.0, 0.0], cost=31.0)
    assert play(dear, above_cost(dear)).gains.sum() == pytest.approx(1.0)


def test_an_entry_for_funding_is_not_closed_while_some_is_awaited():
    tape = looks([20.0, 0.0, 0.0, 0.0], cost=31.0)
    # Funding of 40 is settled before the third look, and within the horizon of what is open then.
    tape.change[1] += 40.0
    awaited = tape._replace(margin=tape.margin + 40.0, awaited_since=np.array([0, 0, NEVER, NEVER]))
    levels = Threshold(open_bps=15.0, close_bps=5.0)
    assert play(awaited, by_threshold(awaited, levels)).gains.tolist() == [-11.0, 40.0, 0.0, 0.0]
    cheap = awaited._replace(locked=awaited.locked + 31.0)
    # For the basis: at its level.
    assert play(cheap, by_threshold(cheap, levels)).gains.tolist() == [-11.0, 0.0, 0.0, 0.0]


def test_foresight_takes_each_fall_that_pays_and_stays_through_those_that_cost_more():
    basis = [0.0, 50.0, 10.0, 30.0, 0.0, 40.0, 0.0]
    tape = looks(basis, cost=31.0)
    # From 50 to 0 past the rise to 30, which leaving and coming back would cost 31; then 40 to 0.
    assert play(tape, foresight(tape)).gains.sum() == pytest.approx(50 - 31 + 40 - 31)
    # Each look by hand, backwards: change + min(max(next, 0), 31).
    assert foreseen(tape).tolist() == [-19.0, 50.0, 10.0, 30.0, -9.0, 40.0, 0.0]


def test_no_policy_of_two_levels_earns_more_than_foresight():
    tape = ornstein_uhlenbeck_looks(20_000, seed=3)
    best = play(tape, by_threshold(tape, best_threshold(tape))).gains.sum()
    assert 0 < best < play(tape, foresight(tape)).gains.sum()


def test_the_truth_is_symmetric_without_income_and_earns_in_the_long_run_what_it_says():
    assert TRUTH.open_bps == pytest.approx(-TRUTH.close_bps, abs=0.4)
    levels = Threshold(open_bps=TRUTH.open_bps - SPREAD / 2, close_bps=TRUTH.close_bps + SPREAD / 2)
    tape = ornstein_uhlenbeck_looks(1_000_000, seed=7)
    earned = play(tape, by_threshold(tape, levels)).gains
    # 33,000 half-lives: the mean is within 3 %.
    assert earned.mean() == pytest.approx(TRUTH.bps_a_step, rel=0.03)
    for moved in (-8.0, 8.0):
        other = Threshold(open_bps=levels.open_bps + moved, close_bps=levels.close_bps + moved)
        assert play(tape, by_threshold(tape, other)).gains.mean() < earned.mean()


def test_income_from_holding_opens_earlier_and_closes_later():
    paid = ornstein_uhlenbeck(DEVIATION, HALF_LIFE, COST, income_bps=0.02)
    assert paid.open_bps < TRUTH.open_bps
    assert paid.close_bps < TRUTH.close_bps


def test_the_fitted_threshold_earns_nearly_the_truth_on_a_path_it_has_not_seen():
    fitted = best_threshold(ornstein_uhlenbeck_looks(200_000, seed=1))
    fresh = ornstein_uhlenbeck_looks(500_000, seed=2)
    earned = play(fresh, by_threshold(fresh, fitted)).gains.mean()
    assert earned > 0.9 * TRUTH.bps_a_step


def test_where_no_threshold_earns_the_fitted_one_never_opens():
    tape = ornstein_uhlenbeck_looks(5_000, seed=4, deviation=1.0)
    fitted = best_threshold(tape)
    assert play(tape, by_threshold(tape, fitted)).trades == 0
    # Nor would it open at a loss elsewhere.
    assert fitted.open_bps - fitted.close_bps > COST
