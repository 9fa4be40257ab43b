import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.signals.parameters import MarketTrend, Regime
from strategies.signals.regime import mirrored, next_mode, own_trend, trending

NAN = np.nan
RULES = Regime(
    high_correlation=0.6, high_slope_bps=2.0, low_dispersion_bps=35.0, hysteresis=0.1, least_names=6
)
SCORES, TRENDS = "cross_section", "own_trend"
CALM = {"correlation": 0.3, "dispersion": 0.0050, "slope": 5.0, "names": 20}


@pytest.mark.parametrize(
    ("before", "changes", "expected"),
    [
        ("", {}, SCORES),
        # All move together, and up, or down: both are trends.
        (SCORES, {"correlation": 0.6, "slope": 2.0}, TRENDS),
        (SCORES, {"correlation": 0.6, "slope": -2.0}, TRENDS),
        (SCORES, {"correlation": 0.59, "slope": 9.0}, SCORES),
        (SCORES, {"correlation": 0.9, "slope": 1.9}, SCORES),
        # Not before the correlation is below 0.54, or the slope below 1.8.
        (TRENDS, {"correlation": 0.55, "slope": 1.9}, TRENDS),
        (TRENDS, {"correlation": 0.53, "slope": 1.9}, SCORES),
        (TRENDS, {"correlation": 0.55, "slope": -1.7}, SCORES),
        # They hardly differ; not before the dispersion is 38.5 do they again.
        (SCORES, {"dispersion": 0.0034}, TRENDS),
        (SCORES, {"dispersion": 0.0036}, SCORES),
        (TRENDS, {"dispersion": 0.0038}, TRENDS),
        (TRENDS, {"dispersion": 0.0039}, SCORES),
        (SCORES, {"names": 5}, TRENDS),
        # What is unknown changes nothing.
        ("", {"dispersion": NAN}, SCORES),
        *[
            (mode, {name: NAN}, mode)
            for mode in (SCORES, TRENDS)
            for name in ("correlation", "slope")
        ],
    ],
)
def test_modes_by_hand(before, changes, expected):
    assert next_mode(RULES, before, **CALM | changes) == expected


@given(
    correlation=st.floats(-1, 1),
    dispersion=st.floats(0, 0.1),
    slope=st.floats(-9, 9),
    before=st.sampled_from([SCORES, TRENDS]),
)
def test_the_same_numbers_again_never_switch_back(correlation, dispersion, slope, before):
    numbers = {"correlation": correlation, "dispersion": dispersion, "slope": slope, "names": 9}
    mode = next_mode(RULES, before, **numbers)
    assert next_mode(RULES, mode, **numbers) == mode


def test_own_trends_by_hand():
    # Returns 10 %, 0: 10 % over sqrt(0.005 · 2). Returns 10 %, -10 %: -1 % over sqrt(0.02 · 2).
    close = np.array([[1.0, 1.0, 2.0, 5.0], [1.1, 1.1, NAN, 5.0], [1.1, 0.99, 2.0, 5.0]])
    np.testing.assert_allclose(own_trend(close, 2), [0.1 / 0.1, -0.01 / 0.2, NAN, NAN])


def test_mirrored_scores_change_sides_at_the_mean():
    score = np.array([3.0, 1.0, NAN, 2.0])
    flipped = np.array([True, False, True, True])
    np.testing.assert_array_equal(mirrored(score, flipped), [1, 1, NAN, 2])
    np.testing.assert_array_equal(mirrored(np.full(4, NAN), flipped), np.full(4, NAN))


@pytest.mark.parametrize(
    ("rules", "market", "affected", "unknown"),
    [
        ({}, 24.9, [False, True, False], [False, False, True]),
        ({}, 25.0, [True, True, True], [False] * 3),
        ({"above": None}, 99.0, [False, True, False], [False, False, True]),
        ({"name_above": None}, 24.9, [False] * 3, [False] * 3),
        ({"name_above": None}, NAN, [False] * 3, [True] * 3),
    ],
)
def test_trends_of_the_market_and_of_one(rules, market, affected, unknown):
    rules, name = MarketTrend(**rules), np.array([29.9, 30.0, NAN])
    found = trending(rules, market, name)
    assert (found[0].tolist(), found[1].tolist()) == (affected, unknown)
