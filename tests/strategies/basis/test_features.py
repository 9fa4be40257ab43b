"""What a policy sees of two books and their past."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from strategies.basis.edge import Book, Costs, Funding
from strategies.basis.features import (
    FEATURES,
    DecayedMean,
    Look,
    Past,
    Volatility,
    add_price,
    add_value,
    look,
)
from tests.strategies.basis.test_decide import rules

SECOND, HOUR = 10**9, 3600 * 10**9
SPOT = Book([(99.95, 3.0), (99.0, 9.0)], [(100.05, 1.0)])
PERP = Book([(100.4, 2.0)], [(100.6, 2.0)])


def run(values: list[float], every: int, half_life: int) -> DecayedMean:
    state = DecayedMean()
    for index, value in enumerate(values):
        state = add_value(state, index * every, value, half_life)
    return state


def test_a_value_is_judged_by_how_long_those_before_it_stood() -> None:
    """10 stood one half-life, then 20 one: weights 1 and 2 of 3; 26 is new."""
    state = run([10.0, 20.0, 26.0], SECOND, SECOND)
    assert state.mean == pytest.approx((10 + 2 * 20) / 3)
    deviation = math.sqrt((100 + 2 * 400) / 3 - state.mean**2)
    assert state.z == pytest.approx((26 - state.mean) / deviation)


def test_how_often_one_looks_changes_no_statistic() -> None:
    often = run([10.0] * 100 + [20.0] * 101, SECOND, 60 * SECOND)
    seldom = run([10.0, 20.0, 20.0], 100 * SECOND, 60 * SECOND)
    assert (often.mean, often.square) == pytest.approx((seldom.mean, seldom.square))


def test_nothing_is_known_before_a_half_life_nor_of_what_never_moved() -> None:
    assert math.isnan(run([1.0, 2.0], SECOND, 2 * SECOND).z)
    assert math.isnan(run([5.0] * 100, SECOND, SECOND).z)
    assert run([1.0, math.nan, 1.0], SECOND, SECOND).weight == pytest.approx(0.75)


def test_volatility_is_that_of_a_minute_whatever_the_looks_are_apart() -> None:
    for every in (1, 10):
        state = Volatility()
        for index in range(2001):
            price = 100.0 * math.exp(1e-4 * math.sqrt(every) * (index % 2))
            state = add_price(state, index * every * SECOND, price, 600 * SECOND)
        assert state.a_minute_bps == pytest.approx(math.sqrt(60), rel=0.01)


def seen(books: tuple[Book, Book], past: Past = Past(), now: int = 0, **more: Any) -> Look:
    """Look at books for one coin, to be closed at a basis of 10."""
    found = {"funding": Funding(0.0001, 0.0002, 4 * HOUR, 8 * HOUR)} | more
    return look(
        rules(half_life="1h"),
        Costs(0.001, 0.00055),
        books,
        1.0,
        past,
        now=now,
        exit_bps=10.0,
        **found,
    )


def test_the_features_of_a_flat_look() -> None:
    past = Past(run([10.0, 20.0, 26.0], HOUR, HOUR))
    found = seen((SPOT, PERP), past, 2 * HOUR)
    named = dict(zip(FEATURES, found.features.tolist(), strict=True))
    assert named["basis_bps"] == pytest.approx((100.4 - 100.05) / 100.05 * 1e4)
    assert named["exit_bps"] == pytest.approx((100.6 - 99.95) / 99.95 * 1e4)
    judged = (named["basis_bps"] - past.basis.mean) / past.basis.deviation
    assert named["basis_z"] == pytest.approx(judged)
    assert named["spot_spread_bps"] == pytest.approx(10.0)
    assert named["perp_spread_bps"] == pytest.approx(0.2 / 100.5 * 1e4)
    assert named["spot_depth"] == pytest.approx(math.log(100.05 / 100.0))
    assert named["perp_depth"] == pytest.approx(math.log(2 * 100.4 / 100.0))
    bids, asks = 3 * 99.95, 100.05
    assert named["spot_imbalance"] == pytest.approx((bids - asks) / (bids + asks))
    assert named["perp_imbalance"] == pytest.approx(-0.4 / 402.0)
    assert [named[name] for name in FEATURES[9:12]] == pytest.approx([1.0, 2.0, 2.0])
    assert math.isnan(named["volatility_bps"])
    assert [named[name] for name in FEATURES[13:]] == [0.0, 0.0, 0.0]
    assert found.edge.locked_bps == pytest.approx(named["basis_bps"] - 10.0 - 31.0)


def test_the_features_of_what_is_held() -> None:
    found = seen((SPOT, PERP), now=5 * HOUR, since=2 * HOUR, entry=(100.0, 101.0))
    # Closing sells spot at 99.95 and buys the perpetual back at 100.6.
    assert found.features[13:] == pytest.approx([1.0, 3.0, (-0.05 + 0.4) / 100.0 * 1e4])
    unknown = seen((SPOT, PERP), now=5 * HOUR, since=2 * HOUR)
    assert unknown.features[13:].tolist() == [1.0, 3.0, 0.0]


def test_depth_is_unknown_where_nothing_is_displayed_near_the_mid() -> None:
    found = seen((Book([(90.0, 1.0)], [(110.0, 1.0)]), PERP)).features
    assert np.isnan(found[FEATURES.index("spot_depth")])
    assert found[FEATURES.index("spot_imbalance")] == 0.0
