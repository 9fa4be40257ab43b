import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from strategies.sizing.book import Limits, by_parity, size_book, within

ONES = np.ones(3)
BETAS = np.array([2.0, 1.0, 1.0])
FIFTH = np.eye(3) * 0.2**2
"""Covariance of three coins of volatility 0.2 that don't move together."""

TOGETHER = {"clusters": np.zeros(3, int), "cluster_weight": 0.4}


def limits(**changes):
    return Limits(**({"max_weight": 1.0, "gross": 9.0} | changes))


@pytest.mark.parametrize(
    ("changes", "weight", "expected"),
    [
        ({}, [0.5, 0.2, -0.9], [0.5, 0.2, -0.9]),
        ({"max_weight": 0.3}, [0.5, 0.2, -0.9], [0.3, 0.2, -0.3]),
        # The first two are long 0.6 in all, of which 0.4 is allowed; the third is short of them.
        ({"clusters": np.zeros(3, int), "cluster_weight": 0.4}, [0.3, 0.3, -0.3], [0.2, 0.2, -0.3]),
        (
            {"clusters": np.array([0, 5, 0]), "cluster_weight": 0.4},
            [0.3, 0.3, 0.3],
            [0.2, 0.3, 0.2],
        ),
        ({"gross": 0.8}, [0.6, 0.6, -0.4], [0.3, 0.3, -0.2]),
        # Longs 0.6, shorts 0.3: the longs are halved; with 0.1 of net left they are 0.4.
        ({"exposure": ONES, "max_net": 0.0}, [0.4, 0.2, -0.3], [0.2, 0.1, -0.3]),
        ({"exposure": ONES, "max_net": 0.1}, [0.3, 0.3, -0.3], [0.2, 0.2, -0.3]),
        ({"exposure": ONES, "max_net": 0.0}, [0.2, -0.4, -0.4], [0.2, -0.1, -0.1]),
        # One of beta 2 against one of beta 1.
        ({"exposure": BETAS, "max_net": 0.0}, [0.3, 0.0, -0.3], [0.15, 0.0, -0.3]),
        # A short of negative beta is long the market too: nothing balances it.
        ({"exposure": np.array([1.0, 1.0, -1.0]), "max_net": 0.0}, [0.4, 0.2, -0.3], [0, 0, 0]),
        ({"exposure": np.array([1.0, 1.0, -1.0]), "max_net": 0.1}, [0.4, 0, -0.2], [0, 0, -0.1]),
        # Volatility 0.2 of 0.5 is 0.1: twice the target.
        ({"covariance": FIFTH, "max_volatility": 0.05}, [0.3, 0.0, -0.4], [0.15, 0.0, -0.2]),
        # Below its target a book is not enlarged.
        ({"covariance": FIFTH, "max_volatility": 0.2}, [0.3, 0.0, -0.4], [0.3, 0.0, -0.4]),
        # The cap makes it 0.4 long, neutrality 0.4 short, and its volatility 0.2 of 0.57.
        (
            {"max_weight": 0.4, "exposure": ONES, "max_net": 0.0}
            | {"covariance": FIFTH, "max_volatility": 0.02 * 0.32**0.5},
            [0.8, 0.0, -0.8],
            [0.04, 0.0, -0.04],
        ),
    ],
)
def test_weights_are_shrunk_to_each_limit(changes, weight, expected):
    np.testing.assert_allclose(within(np.array(weight), limits(**changes)), expected, atol=1e-15)


def test_the_size_comes_before_the_cap_so_that_the_shape_stays():
    shape = np.array([0.8, 0.2, -0.6, -0.4])
    # Half the book is below the cap: 4 to 1 as before. The whole is at the cap: all alike.
    halved = size_book(shape, limits(max_weight=0.5), 0.5)
    np.testing.assert_allclose(halved, [0.4, 0.1, -0.3, -0.2])
    np.testing.assert_allclose(size_book(shape, limits(max_weight=0.5), 7), [0.5, 0.5, -0.5, -0.5])
    calm = limits(max_weight=0.5, covariance=np.eye(4), max_volatility=0.3 * 1.2**0.5)
    np.testing.assert_allclose(size_book(shape, calm), 0.3 * shape)


def test_risk_parity_keeps_each_sides_total():
    # Longs of volatility 1 and 3: shares 3 to 1. The short is alone.
    weight = by_parity(np.array([0.2, 0.2, -0.4]), np.diag([1.0, 9.0, 4.0]))
    np.testing.assert_allclose(weight, [0.3, 0.1, -0.4])


small = st.floats(-1.0, 1.0).map(lambda value: round(value, 6))
N = 6


@st.composite
def books(draw):
    loadings = draw(arrays(float, (N, 2), elements=small))
    bounds = limits(
        max_weight=draw(st.floats(0.05, 0.5)),
        gross=draw(st.floats(0.1, 2.0)),
        clusters=draw(arrays(np.int64, N, elements=st.integers(0, 3))),
        cluster_weight=draw(st.floats(0.05, 1.0)),
        exposure=draw(st.just(np.ones(N)) | arrays(float, N, elements=small)),
        max_net=draw(st.sampled_from([0.0, 0.05])),
        covariance=loadings @ loadings.T + np.eye(N) * 0.01,
        max_volatility=draw(st.floats(0.01, 1.0)),
    )
    return draw(arrays(float, N, elements=small)), bounds


@given(books(), st.floats(0.0, 2.0), st.permutations(range(N)))
def test_every_limit_holds_in_the_end(book, multiple, order):
    shape, bounds = book
    got = size_book(shape, bounds, multiple)
    held = np.abs(got)
    assert held.max() <= bounds.max_weight
    assert held.sum() <= bounds.gross * (1 + 1e-12)
    for cluster in range(4):
        for side in (got > 0, got < 0):
            together = held[side & (bounds.clusters == cluster)]
            assert together.sum() <= bounds.cluster_weight * (1 + 1e-12)
    assert abs(got @ bounds.exposure) <= bounds.max_net + 1e-12
    assert np.sqrt(got @ bounds.covariance @ got) <= bounds.max_volatility * (1 + 1e-12)
    assert (got * shape >= 0.0).all()
    # Once within all limits nothing more is cut, and the order of the instruments is no matter.
    np.testing.assert_allclose(within(got, bounds), got, rtol=1e-9, atol=1e-12)
    order = list(order)
    turned = Limits(
        bounds.max_weight,
        bounds.gross,
        bounds.clusters[order],
        bounds.cluster_weight,
        bounds.exposure[order],
        bounds.max_net,
        bounds.covariance[np.ix_(order, order)],
        bounds.max_volatility,
    )
    again = size_book(shape[order], turned, multiple)
    np.testing.assert_allclose(again, got[order], rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(size_book(-shape, bounds, multiple), -got, rtol=1e-9, atol=1e-12)
