"""The fusion: one score from eight, learned only from what has passed, on numbers made by hand."""

from math import exp, inf, isnan, nan

import msgspec
import numpy as np
import pytest

from config.errors import DeskError
from strategies.signals.fusion import Fusion, FusionState, round_trip_bps
from strategies.signals.scalper_parameters import (
    SIGNALS,
    FusionRules,
    Threshold,
    Thresholds,
    VolatilityRegime,
    Weights,
)

SECOND, START = 10**9, 1_700_000_000_000_000_007
A, B = SIGNALS.index("book_imbalance"), SIGNALS.index("sweep")
TWO = Weights(**{**dict.fromkeys(SIGNALS, 0.0), "book_imbalance": 0.6, "sweep": 0.2})
"""Three quarters and one quarter."""


def rules(**changes) -> FusionRules:
    plain = {"weights": TWO, "horizons_s": (1.0, 5.0), "horizon_s": 1.0, "sample_s": 1.0}
    return FusionRules(**plain | {"least_samples": 1, "prior": 1, "half_life_s": 1e6} | changes)


def scores(a: float, b: float, rest: float = nan) -> np.ndarray:
    found = np.full(len(SIGNALS), rest)
    found[A], found[B] = a, b
    return found


def shown(fusion: Fusion, *events: tuple[float, float, np.ndarray], cost: float = 0.0) -> list:
    """Show (seconds, mid, scores)."""
    return [fusion.update(START + round(at * SECOND), *rest, cost) for at, *rest in events]


def test_the_sum_is_weighted_and_confidence_is_the_part_that_agrees():
    fusion = Fusion(rules())
    assert fusion.weights.sum() == pytest.approx(1.0)
    found = shown(
        fusion,
        (0.0, 100.0, scores(0.4, -0.8)),
        (0.1, 100.0, scores(-0.4, -0.8)),
        (0.2, 100.0, scores(0.0, 0.0)),
        (0.3, 100.0, scores(nan, 0.5)),
    )
    # 0.75 * 0.4 - 0.25 * 0.8 = 0.1 of votes of 0.5; then all agree.
    assert found[0] == pytest.approx((0.1, 0.2))
    assert found[1] == pytest.approx((-0.5, 1.0))
    assert found[2] == (0.0, 0.0)
    assert isnan(found[3].value)


def test_a_move_is_booked_when_its_horizon_has_passed_and_not_before():
    fusion = Fusion(rules())
    shown(fusion, (0.0, 100.0, scores(-1.0, -1.0)), (0.999, 99.0, scores(nan, nan)))
    assert fusion.calibration[0, -1].tolist() == [0.0, 0.0]
    # The mid that stood when the horizon ended, 99, counts: a fall of 100 bps, as expected.
    shown(fusion, (1.5, 90.0, scores(nan, nan)))
    assert fusion.calibration[0, -1] == pytest.approx([100 / 2, 1.0])
    assert fusion.expected_bps(-0.95) == pytest.approx(100 / 2)
    assert isnan(fusion.expected_bps(-0.85))  # Of so small a score nothing is known.
    assert isnan(fusion.expected_bps(-0.95, 5.0))
    shown(fusion, (5.0, 101.0, scores(nan, nan)))
    # At the very end of the horizon the new mid counts: a rise of 100 bps against it.
    assert fusion.expected_bps(0.95, 5.0) == pytest.approx(-100 / 2)
    assert isnan(fusion.expected_bps(nan))


def test_a_score_of_zero_promises_no_direction():
    fusion = Fusion(rules())
    shown(fusion, (0.0, 100.0, scores(0.0, 0.0)), (1.0, 101.0, scores(0.0, 0.0)))
    assert not fusion.calibration.any()


def test_horizons_that_end_in_a_silence_are_not_booked():
    fusion = Fusion(rules())
    shown(fusion, (0.0, 100.0, scores(1.0, 1.0)), (20.0, 110.0, scores(nan, nan)))
    assert not fusion.calibration.any()
    assert not fusion.edges.any()


def learned(fusion: Fusion, steps: int, cost: float) -> None:
    """Each second the mid moves by +-10 bps; A knows it, B bets twice as sure against it."""
    mid = 100.0
    for step in range(steps):
        move = 1 if step % 3 else -1
        own = scores(0.4 * move, -0.8 * move, 0.0)
        shown(fusion, (float(step), mid, own), cost=cost)
        mid *= 1 + move / 1000


def test_weights_follow_the_signed_edge_after_costs():
    fusion = Fusion(rules(horizons_s=(1.0,), edge_scale_bps=10.0, prior=1))
    learned(fusion, 400, cost=4.0)
    # A gains 10 less 4 for a unit of its score, B loses 10 and 4; each a unit, however sure.
    many = 399 / 400
    assert fusion.edges[[A, B], 0] == pytest.approx([6.0 * many, -14.0 * many], abs=0.1)
    a, b = 0.6 * exp(0.6 * many), 0.2 * exp(-1.4 * many)
    assert b / 0.2 < 0.25
    assert fusion.weights[[A, B]] == pytest.approx([a / (a + 0.05), 0.05 / (a + 0.05)], abs=0.002)
    frozen = Fusion(rules(horizons_s=(1.0,), frozen=True))
    learned(frozen, 50, cost=4.0)
    assert frozen.weights[[A, B]] == pytest.approx([0.75, 0.25])
    assert frozen.edges[B, 0] < -13.0


def test_a_signal_that_never_spoke_keeps_its_share():
    weights = Weights(**msgspec.structs.asdict(TWO) | {"iceberg": 0.2})
    fusion = Fusion(rules(weights=weights, horizons_s=(1.0,), edge_scale_bps=1.0))
    learned(fusion, 400, cost=30.0)
    assert fusion.weights[SIGNALS.index("iceberg")] == pytest.approx(0.2)


def test_costs_that_eat_the_edge_leave_no_signal_more_weight():
    fusion = Fusion(rules(horizons_s=(1.0,), edge_scale_bps=1.0))
    learned(fusion, 400, cost=30.0)
    # Both lose, so both are at their least: the declared weights.
    assert fusion.weights[[A, B]] == pytest.approx([0.75, 0.25])


def test_the_past_is_forgotten_by_half_in_each_half_life():
    fusion = Fusion(rules(half_life_s=100.0, horizons_s=(1.0,)))
    learned(fusion, 2, cost=0.0)
    before = fusion.calibration[0, :, 1].sum()
    assert before > 0.9
    shown(fusion, (101.0, 100.0, scores(0.0, 0.0)))
    assert fusion.calibration[0, :, 1].sum() == pytest.approx(before / 2, rel=0.01)


def test_calibration_finds_the_move_that_a_score_is_worth():
    """Planted: a score s moves the mid by 8 s bps a second, with noise of 3 bps."""
    rng, fusion, mid = np.random.default_rng(5), Fusion(rules(prior=30, least_samples=50)), 100.0
    for step in range(4000):
        score = float(rng.uniform(-1, 1))
        shown(fusion, (float(step), mid, scores(score, score)))
        mid *= 1 + (8 * score + 3 * rng.standard_normal()) / 1e4
    for score in (0.25, 0.55, 0.85):
        assert fusion.expected_bps(score) == pytest.approx(8 * score, abs=0.8)
        assert fusion.expected_bps(-score) == fusion.expected_bps(score)
    few = Fusion(rules(least_samples=2))
    shown(few, *[(float(k), 100.0 + k, scores(s, s)) for k, s in enumerate((0.5, 0.5, 0.9, 0.0))])
    # Three of at most 0.9: two of 0.5 and the one itself; each rose by about 100 bps.
    assert few.expected_bps(0.9) == pytest.approx(3 * 99 / 4, rel=0.01)
    assert isnan(few.expected_bps(0.4))


def test_a_restart_goes_on_to_the_bit():
    whole, first = Fusion(rules()), Fusion(rules())
    learned(whole, 60, cost=2.0)
    events = [(60.0 + k / 3, 100.0 + k, scores(0.1 * (k % 5), -0.3)) for k in range(40)]
    learned(first, 60, cost=2.0)
    saved = msgspec.json.encode(first.state())
    again = Fusion(rules(), state=msgspec.json.decode(saved, type=FusionState))
    assert shown(whole, *events) == shown(again, *events)
    np.testing.assert_array_equal(whole.weights, again.weights)
    assert msgspec.json.encode(whole.state()) == msgspec.json.encode(again.state())
    with pytest.raises(DeskError, match="set them back, or start without the saved state"):
        Fusion(rules(bins=5), state=first.state())


def test_thresholds_are_by_regime_and_symbol():
    own = Thresholds(normal=Threshold(entry=0.7, exit=0.2))
    other = Fusion(rules(by_symbol={"ETHUSDT": own}), "BTCUSDT")
    eth = Fusion(rules(by_symbol={"ETHUSDT": own}), "ETHUSDT")
    assert eth.thresholds(1) == (0.7, 0.2)
    assert other.thresholds(1) == (0.2, -0.1)
    assert [other.thresholds(k)[0] for k in (0, 2)] == [0.25, 0.25]
    assert other.thresholds(3) == (inf, inf)
    assert other.thresholds(-1) == (inf, -inf)


@pytest.mark.parametrize("rules", [VolatilityRegime, FusionRules])
def test_no_sample_is_so_short_that_its_number_never_ends(rules):
    with pytest.raises(msgspec.ValidationError, match="sample_s"):
        msgspec.convert({"sample_s": 1e-9}, rules)


def test_a_round_trip_costs_fees_and_the_spread_that_is_crossed():
    assert round_trip_bps(5.5, 5.5, 1.0, 0.5) == 12.5
    assert round_trip_bps(2.0, 5.5, 1.0, 0.5, spreads_crossed=0.5) == 8.5
    assert round_trip_bps(-0.5, -0.5, 1.0, spreads_crossed=0.0) == -1.0
