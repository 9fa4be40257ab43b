import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from strategies.signals.selection import Sides
from strategies.sizing.weights import weigh

NAN = np.nan
SCORE = np.array([0.5, -0.3, NAN, 0.1, -0.1, 0.3])


def weights(score=SCORE, **changes):
    rules = {"side": "long_short", "weighting": "equal", "fraction": 0.2}
    rules |= {"gross": 1.0, "max_weight": 1.0}
    return weigh(np.asarray(score, float), **(rules | changes))


SIGN = {"side": "by_sign"}
LONG, RANK, ZSCORE = {"side": "long_only"}, {"weighting": "rank"}, {"weighting": "zscore"}
STOPS = np.array([1 / 0.02, -1 / 0.05, NAN, 1 / 0.04, NAN, NAN])
RISK = SIGN | {"weighting": "risk", "risk": 0.01, "fraction": 1.0, "score": STOPS}
CALM = {"weighting": "inverse_volatility", "fraction": 0.4}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # A fifth of five: one on each side.
        ({}, [0.5, -0.5, 0, 0, 0, 0]),
        ({"fraction": 0.4}, [0.25, -0.25, 0, 0, -0.25, 0.25]),
        # At least one is held, however small the fraction.
        ({"fraction": 0.01}, [0.5, -0.5, 0, 0, 0, 0]),
        # Half of five: two on each side, the middle one is not held.
        ({"fraction": 0.5, "gross": 2.0}, [0.5, -0.5, 0, 0, -0.5, 0.5]),
        (LONG | {"fraction": 0.4}, [0.5, 0, 0, 0, 0, 0.5]),
        (LONG | {"fraction": 1.0}, [0.2, 0.2, 0, 0.2, 0.2, 0.2]),
        # The cap: what does not fit stays in cash when nobody can take it.
        ({"max_weight": 0.3}, [0.3, -0.3, 0, 0, 0, 0]),
        # Longs at 10 % and 30 %: shares 3 to 1. Shorts the same.
        (
            CALM | {"volatility": np.array([0.1, 0.1, NAN, 0.2, 0.3, 0.3])},
            [0.375, -0.375, 0, 0, -0.125, 0.125],
        ),
        # Longs 4 to 1: 0.4 and 0.1. Capped at 0.3: the other takes the 0.1, 0.2 in all.
        (
            CALM | {"volatility": np.array([1.0, 1.0, NAN, 1.0, 4.0, 4.0]), "max_weight": 0.3},
            [0.3, -0.3, 0, 0, -0.2, 0.2],
        ),
        # Ranks from the bottom 5, 1, 3, 2, 4; minus 3: 2, -2, 0, -1, 1; over 6.
        (RANK | {"fraction": 0.5}, [2 / 6, -2 / 6, 0, 0, -1 / 6, 1 / 6]),
        (RANK, [0.5, -0.5, 0, 0, 0, 0]),
        # What is above the middle.
        (RANK | LONG | {"fraction": 1.0}, [2 / 3, 0, 0, 0, 0, 1 / 3]),
        (ZSCORE | {"fraction": 0.5}, [0.4 / 1.2, -0.4 / 1.2, 0, 0, -0.2 / 1.2, 0.2 / 1.2]),
        # By sign, each side by itself: the longs are 0.5, 0.1 and 0.3, the shorts -0.3 and -0.1.
        (SIGN | {"fraction": 1.0}, [1 / 6, -0.25, 0, 1 / 6, -0.25, 1 / 6]),
        (SIGN | {"fraction": 0.7}, [0.25, -0.5, 0, 0, 0, 0.25]),
        (SIGN | ZSCORE | {"fraction": 1.0}, [0.5 / 1.8, -0.375, 0, 0.1 / 1.8, -0.125, 0.3 / 1.8]),
        (SIGN | RANK | {"fraction": 1.0, "score": [3.0, -9.0, 1.0]}, [1 / 3, -0.5, 1 / 6]),
        # A side alone has its half and no more.
        (SIGN | {"fraction": 1.0, "score": [2.0, 0.0, NAN, 1.0]}, [0.25, 0, 0, 0.25]),
        (SIGN | {"score": [-2.0]}, [-0.5]),
        # 1 % lost at stops of 2, 5 and 4 %; at most 0.3 each, and 0.6 in all.
        (RISK, [0.5, -0.2, 0, 0.25, 0, 0]),
        (RISK | {"max_weight": 0.3}, [0.3, -0.2, 0, 0.25, 0, 0]),
        (RISK | {"max_weight": 0.3, "gross": 0.6}, [0.24, -0.16, 0, 0.2, 0, 0]),
        (RISK | {"fraction": 0.5}, [0.5, -0.2, 0, 0, 0, 0]),
        # Scores next to zero keep to the gross of their side.
        (ZSCORE | {"fraction": 0.5, "score": [2.3e-309, 0.0]}, [0.5, -0.5]),
        # Fewer than two, and equal scores, give no side to anyone.
        *[
            (way | {"score": few}, [0] * len(few))
            for way in ({}, RANK, ZSCORE)
            for few in ([NAN, NAN], [NAN, 0.1], [])
        ],
        *[(way | {"score": [0.2] * 3, "fraction": 0.5}, [0] * 3) for way in (RANK, ZSCORE)],
        # One alone can be held long only.
        *[(way | {"score": [NAN, 0.1], **LONG}, [0, 1.0]) for way in ({}, RANK, ZSCORE)],
    ],
)
def test_weights_by_hand(changes, expected):
    np.testing.assert_allclose(weights(**changes), expected, atol=1e-15)


TREND = np.array([2.0, -1.0, NAN, 0.5, 0.0, 1.0])
SIDES = Sides(np.array([1, 0, 0, 0, 0, 1], bool), np.array([0, 1, 0, 0, 0, 0], bool))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # Both sides share the gross: three of them, two long.
        ({}, [1 / 3, -1 / 3, 0, 0, 0, 1 / 3]),
        ({"weighting": "zscore"}, [0.5, -0.25, 0, 0, 0, 0.25]),
        # Sizes 2, 1, 0.5, 0, 1 have ranks from the bottom 5, 3.5, 2, 1, 3.5.
        ({"weighting": "rank"}, [5 / 12, -3.5 / 12, 0, 0, 0, 3.5 / 12]),
        ({"weighting": "zscore", "max_weight": 0.3}, [0.3, -0.3, 0, 0, 0, 0.3]),
        # All may be long.
        ({"sides": Sides(SIDES.long, np.zeros(6, bool))}, [0.5, 0, 0, 0, 0, 0.5]),
    ],
)
def test_weights_of_own_trends_by_hand(changes, expected):
    got = weights(TREND, **{"sides": SIDES, "own_trend": True} | changes)
    np.testing.assert_allclose(got, expected, atol=1e-15)


def test_sides_that_are_given_are_held():
    np.testing.assert_allclose(weights(sides=SIDES), [0.25, -0.5, 0, 0, 0, 0.25])
    assert not weights(sides=Sides(SIDES.long, np.zeros(6, bool))).any()


def test_inverse_volatility_without_volatility_is_refused():
    with pytest.raises(ValueError, match="needs the volatility"):
        weights(weighting="inverse_volatility")


def test_rank_weights_of_everyone_are_the_demeaned_percentile_ranks():
    score = np.random.default_rng(1).choice([-2.0, -1.0, 0.0, 0.5, 3.0], 25)
    rank = pd.Series(score).rank(pct=True)
    expected = (rank - rank.mean()) / (rank - rank.mean()).abs().sum()
    np.testing.assert_allclose(weights(score, weighting="rank", fraction=0.5), expected, atol=1e-15)


scores = arrays(float, st.integers(2, 40), elements=st.floats(-1, 1) | st.just(NAN))


@given(
    score=scores,
    weighting=st.sampled_from(["equal", "rank", "zscore", "inverse_volatility"]),
    fraction=st.floats(0.01, 0.5),
    gross=st.floats(0.1, 3.0),
    cap=st.floats(0.01, 1.0),
)
def test_weights_respect_gross_cap_sides_and_eligibility(score, weighting, fraction, gross, cap):
    spread = np.abs(np.nan_to_num(score)) + 0.01
    rules = {"fraction": fraction, "gross": gross, "max_weight": cap, "volatility": spread}
    got = weights(score, weighting=weighting, **rules)
    assert np.all(np.isfinite(got))
    assert not got[np.isnan(score)].any()
    assert np.abs(got).max(initial=0.0) <= cap
    for side in (got[got > 0], -got[got < 0]):
        assert side.sum() <= gross / 2 * (1 + 1e-9)
        if side.size and side.max() < cap * (1 - 1e-9):
            assert side.sum() == pytest.approx(gross / 2)
    if weighting in ("equal", "inverse_volatility") and got.any():
        assert score[got > 0].min() >= score[got < 0].max()


@given(score=scores, fraction=st.floats(0.05, 0.5))
def test_longs_and_shorts_swap_when_the_scores_turn_round(score, fraction):
    known = score[~np.isnan(score)]
    assume(len(np.unique(known)) == len(known))
    straight = weights(score, fraction=fraction)
    np.testing.assert_array_equal(weights(-score, fraction=fraction), -straight)
