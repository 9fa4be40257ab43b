import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import AgglomerativeClustering
from sklearn.covariance import OAS, LedoitWolf

from strategies.sizing.covariance import betas, clusters, shrunk_covariance
from strategies.sizing.kelly import kelly_multiple
from strategies.sizing.risk_parity import risk_parity

NOISE = np.random.default_rng(4).normal(0.0, 0.01, (60, 3))


@pytest.mark.parametrize(("name", "estimator"), [("ledoit_wolf", LedoitWolf), ("oas", OAS)])
def test_covariances_are_those_of_scikit_learn(name, estimator):
    got = shrunk_covariance(NOISE, name)
    np.testing.assert_allclose(got, estimator().fit(NOISE).covariance_, rtol=1e-12)
    # Shrinking toward the mean variance keeps the sum of variances and shortens all else.
    sample = np.cov(NOISE, rowvar=False, ddof=0)
    assert np.trace(got) == pytest.approx(np.trace(sample))
    assert (np.abs(got - np.diag(np.diag(got))) <= np.abs(sample)).all()
    np.testing.assert_allclose(shrunk_covariance(NOISE * 3.0, name), got * 9.0, rtol=1e-12)


def test_covariances_of_one_and_of_none():
    assert shrunk_covariance(NOISE[:, :1], "oas")[0, 0] == pytest.approx(NOISE[:, 0].var())
    assert shrunk_covariance(NOISE[:, :0], "oas").shape == (0, 0)


def test_a_cluster_holds_only_what_moves_together_two_by_two():
    one, two, three = NOISE.T
    # The sum correlates with each of two that don't correlate: it can join but one of them.
    rows = np.column_stack([one, one + 0.01 * three, -one, two, one + 1.1 * two])
    labels = clusters(rows, 0.6)
    assert labels[0] == labels[1]
    assert labels[3] == labels[4]
    assert len(set(labels.tolist())) == 3
    assert len(set(clusters(rows, 0.99999).tolist())) == 5
    assert clusters(rows[:, :1], 0.6).tolist() == [0]


@given(st.integers(2, 12), st.integers(0, 999), st.sampled_from([0.1, 0.4, 0.7]))
def test_clusters_are_those_of_scikit_learn(count, start, correlation):
    random = np.random.default_rng(start)
    rows = random.normal(size=(30, 3)) @ random.normal(size=(3, count))
    rows += random.normal(size=rows.shape)
    tree = AgglomerativeClustering(
        None, metric="precomputed", linkage="complete", distance_threshold=1.0 - correlation
    )
    expected = tree.fit_predict(1.0 - np.corrcoef(rows, rowvar=False))
    pairs = set(zip(clusters(rows, correlation).tolist(), expected.tolist(), strict=True))
    assert len(pairs) == len(set(expected)) == len({mine for mine, _ in pairs})


def test_betas_by_hand():
    market = np.array([0.01, -0.03, 0.02])
    rows = np.column_stack([market, 2.0 * market + 0.5, -market, [0.1, 0.1, 0.1]])
    np.testing.assert_allclose(betas(rows, market), [1.0, 2.0, -1.0, 0.0], atol=1e-15)
    assert betas(rows, np.zeros(3)).tolist() == [1.0] * 4


@pytest.mark.parametrize(
    ("covariance", "expected"),
    [
        # Two: in inverse proportion to volatility (1 and 3), however they correlate.
        ([[1.0, 0.0], [0.0, 9.0]], [0.75, 0.25]),
        ([[1.0, -2.4], [-2.4, 9.0]], [0.75, 0.25]),
        # Two that correlate by 0.5625, each x: x * x * 1.5625 is the risk of each, so the
        # third, which moves alone, has 1.25 x.
        ([[1.0, 0.5625, 0.0], [0.5625, 1.0, 0.0], [0.0, 0.0, 1.0]], [4 / 13, 4 / 13, 5 / 13]),
        ([[4.0]], [1.0]),
    ],
)
def test_risk_parity_by_hand(covariance, expected):
    np.testing.assert_allclose(risk_parity(np.array(covariance)), expected, rtol=1e-12)


@given(st.integers(1, 40), st.integers(0, 999), st.floats(1e-9, 1e3))
def test_risk_parity_gives_everyone_the_same_risk(count, start, scale):
    random = np.random.default_rng(start)
    loadings = random.normal(size=(count, 3)) * random.lognormal(0.0, 2.0, (count, 1))
    covariance = loadings @ loadings.T + np.diag(random.lognormal(-4.0, 2.0, count))
    shares = risk_parity(covariance)
    risk = shares * (covariance @ shares)
    np.testing.assert_allclose(risk, risk.mean(), rtol=1e-6)
    assert (shares > 0.0).all()
    assert shares.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(risk_parity(covariance * scale), shares, rtol=1e-6)
    turn = random.permutation(count)
    np.testing.assert_allclose(risk_parity(covariance[np.ix_(turn, turn)]), shares[turn], rtol=1e-6)


def test_risk_parity_refuses_what_has_no_solution():
    with pytest.raises((ValueError, np.linalg.LinAlgError)):
        risk_parity(np.array([[1.0, -1.0], [-1.0, 1.0]]))


SCORE = np.array([1.0, -1.0, np.nan])
BOOK = np.array([0.5, -0.5, 0.0])


@pytest.mark.parametrize(
    ("score", "weight", "horizon", "expected"),
    [
        # Z-scores 1 and -1, volatilities 0.1: expected 0.05 * (0.05 + 0.05); variance 0.005.
        (SCORE, BOOK, 1.0, 1.0),
        # Twice the book needs half the multiple; four candles at once halve it too.
        (SCORE, 2 * BOOK, 1.0, 0.5),
        (SCORE, BOOK, 4.0, 0.5),
        # Z-scores know no unit. Shorts count as longs do, and a book against its scores not.
        (7 * SCORE + 3, BOOK, 1.0, 1.0),
        (-SCORE, -BOOK, 1.0, 1.0),
        (SCORE, -BOOK, 1.0, 0.0),
        ([2.0, 2.0, np.nan], BOOK, 1.0, 0.0),
        (SCORE, 0 * BOOK, 1.0, np.inf),
    ],
)
def test_kelly_by_hand(score, weight, horizon, expected):
    covariance = np.diag([0.01, 0.01, 0.0])
    got = kelly_multiple(
        weight, np.array(score), covariance, information_coefficient=0.05, horizon=horizon
    )
    assert got == pytest.approx(expected)


def test_kelly_of_scores_whose_sign_says_the_side():
    # Both 1 from zero: an edge of 0.05 · 0.1, a variance of 0.005, two candles' root of 4.
    weight, score = np.array([0.5, 0.5]), np.array([3.0, 3.0])
    terms = {"information_coefficient": 0.05, "horizon": 4.0}
    got = kelly_multiple(weight, score, np.diag([0.01, 0.01]), signed=True, **terms)
    assert got == pytest.approx(0.5)
