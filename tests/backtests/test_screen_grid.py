import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.measures import growth, max_drawdown, sharpe
from backtests.screening.grid import Candidate, screen_grid
from backtests.screening.path import close_returns, earn
from strategies.signals.past_return import past_return
from strategies.sizing.weights import weigh

COST = 0.00055


def market(rows, count, seed, gaps=0.0):
    """Random walks on a coarse tick, so that returns tie, with some candles missing."""
    random = np.random.default_rng(seed)
    close = np.round(20 * np.exp(random.normal(0, 0.05, (rows, count)).cumsum(axis=0)), 1) + 0.1
    close[random.random(close.shape) < gaps] = np.nan
    return close


def slowly(close, candidate, gross):
    first = candidate.lookback + candidate.skip
    weights = []
    for t in range(first, len(close) - 1):
        if (t - first) % candidate.hold == 0:
            score = -past_return(close[: t + 1], candidate.lookback, candidate.skip)
            score[np.isnan(close[t])] = np.nan
            rules = {"side": "long_short", "weighting": "equal", "max_weight": 10.0}
            row = weigh(score, fraction=candidate.fraction, gross=gross, **rules)
        weights.append(row)
    earned = earn(
        np.array(weights), np.ones(len(weights), bool), close_returns(close)[first:], COST
    )
    curve = growth(earned.net)
    return sharpe(earned.net), curve[-1] - 1, max_drawdown(curve), earned.turnover.mean()


@given(
    seed=st.integers(0, 1000),
    gaps=st.sampled_from([0.0, 0.1, 0.6]),
    candidates=st.lists(
        st.builds(
            Candidate,
            lookback=st.integers(1, 5),
            skip=st.integers(0, 2),
            fraction=st.sampled_from([0.05, 0.1, 0.3, 0.5]),
            hold=st.integers(1, 4),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_the_grid_agrees_with_the_strategies_own_functions(seed, gaps, candidates):
    close = market(40, 9, seed, gaps)
    got = screen_grid(close, candidates, gross=0.8, cost=COST)
    for i, candidate in enumerate(candidates):
        figures = [got.sharpe[i], got.total_return[i], got.max_drawdown[i], got.turnover[i]]
        expected = slowly(close, candidate, gross=0.8)
        np.testing.assert_allclose(figures, expected, rtol=1e-9, atol=1e-12)


def test_a_history_too_short_for_a_candidate_gives_no_figures():
    got = screen_grid(market(5, 4, seed=1), [Candidate(4, 0, 0.2, 1), Candidate(1, 0, 0.2, 1)])
    assert np.isnan(got.sharpe[0])
    assert np.isfinite(got.sharpe[1])


def test_a_planted_reversal_is_found_and_costs_eat_into_it():
    random = np.random.default_rng(5)
    noise = random.normal(0, 0.03, (500, 30))
    noise[1:] -= 0.3 * noise[:-1]
    close = 100 * np.exp(noise.cumsum(axis=0))
    free = screen_grid(close, [Candidate(1, 0, 0.2, 1)], cost=0.0)
    paid = screen_grid(close, [Candidate(1, 0, 0.2, 1)], cost=0.001)
    assert free.sharpe[0] > 5
    assert 0 < paid.sharpe[0] < free.sharpe[0]
    assert paid.turnover[0] == pytest.approx(1.6, abs=0.2)
