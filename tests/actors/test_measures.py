"""The measures against published values, by hand, and by law."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from actors import measures
from actors.measures import DrawdownSpan
from tests.truth import empyrical_daily as truth

DAY = measures.DAY
JANUARY = 1_704_067_200_000_000_000  # 2024-01-01


def series(name):
    return np.array(truth.RETURNS[name], dtype=np.float64) / 100


# -- published values --------------------------------------------------------------------------


MIXED = series("mixed_returns")
DEEPEST = measures.max_drawdown(measures.growth(MIXED))
PUBLISHED = {
    "annual return": (measures.cagr(MIXED, truth.PERIODS), truth.ANNUAL_RETURN["mixed_returns"]),
    "volatility": (
        measures.volatility(MIXED, truth.PERIODS),
        truth.ANNUAL_VOLATILITY["mixed_returns"],
    ),
    "sharpe over a benchmark": (
        measures.sharpe(MIXED - series("simple_benchmark"), truth.PERIODS),
        truth.SHARPE_OVER_BENCHMARK["mixed_returns"],
    ),
    "max drawdown": (DEEPEST, -truth.MAX_DRAWDOWN["mixed_returns"]),
    "calmar": (
        measures.calmar(measures.cagr(MIXED, truth.PERIODS), DEEPEST),
        truth.CALMAR["mixed_returns"],
    ),
}
PUBLISHED |= {
    f"sharpe of {name}": (measures.sharpe(series(name), truth.PERIODS), value)
    for name, value in truth.SHARPE.items()
}
PUBLISHED |= {
    f"sortino of {name}": (measures.sortino(series(name), truth.PERIODS), value)
    for name, value in truth.SORTINO.items()
}
PUBLISHED |= {
    f"downside at {required}": (measures.downside_deviation(MIXED, truth.PERIODS, required), value)
    for required, value in truth.DOWNSIDE_RISK.items()
}


@pytest.mark.parametrize(("measured", "published"), PUBLISHED.values(), ids=PUBLISHED)
def test_a_figure_is_as_published(measured, published):
    assert measured == pytest.approx(published, rel=1e-12)


# -- by hand -------------------------------------------------------------------------------------


def test_a_sample_at_midnight_closes_the_day_before():
    ts = JANUARY + np.array([0, DAY // 2, DAY, DAY + 1])
    ends, values = measures.daily_closes(
        ts, np.array([100.0, 105.0, 110.0, 90.0]), JANUARY, JANUARY + 2 * DAY, 100.0
    )
    assert ends.tolist() == [JANUARY, JANUARY + DAY, JANUARY + 2 * DAY]
    assert values.tolist() == [100.0, 110.0, 90.0]


def test_a_day_without_samples_keeps_the_last_value():
    ts = JANUARY + np.array([DAY, 3 * DAY])
    _, values = measures.daily_closes(
        ts, np.array([110.0, 121.0]), JANUARY, JANUARY + 3 * DAY, 100.0
    )
    assert values.tolist() == [100.0, 110.0, 110.0, 121.0]


def test_a_window_that_starts_and_ends_within_a_day_has_part_days():
    start, end = JANUARY + DAY // 4, JANUARY + DAY + DAY // 2
    ends, values = measures.daily_closes(np.array([start]), np.array([100.0]), start, end, 100.0)
    assert ends.tolist() == [start, JANUARY + DAY, end]
    assert values.tolist() == [100.0, 100.0, 100.0]


def test_returns_after_ruin_are_zero():
    assert measures.returns([100, 50, 0, 0, 20]).tolist() == [-0.5, -1.0, 0.0, 0.0]


def test_returns_of_one_value_or_none_are_empty():
    assert measures.returns([100.0]).size == 0
    assert measures.returns([]).size == 0


def test_cagr_over_a_whole_year_is_the_total_return():
    returns = np.zeros(365)
    returns[100] = 0.25
    assert measures.cagr(returns) == pytest.approx(0.25)


@pytest.mark.parametrize("start", [0.0, 0.25, 0.999])
def test_figures_a_year_count_partial_days_by_their_length(start):
    """A curve that grows evenly has one growth a year, wherever its window begins in a day."""
    first, last = JANUARY + int(start * DAY), JANUARY + 50 * DAY + DAY // 3
    ts = np.arange(first, last + 1, DAY // 1000)
    equity = 1.5 ** ((ts - first) / DAY / 365)
    ends, closes = measures.daily_closes(ts, equity, first, last, 1.0)
    periods = measures.periods_a_year(ends)
    assert measures.cagr(measures.returns(closes), periods) == pytest.approx(0.5, rel=1e-3)


def test_a_time_under_thirty_days_has_no_figures_a_year():
    whole = JANUARY + DAY * np.arange(31)
    assert measures.periods_a_year(whole) == 365
    short = np.append(whole[:-1], whole[-1] - 1)
    periods = measures.periods_a_year(short)
    loss = np.append(np.full(29, 0.01), -0.5)
    figures = measures.cagr, measures.sharpe, measures.volatility, measures.sortino
    assert np.isnan([figure(loss, periods) for figure in figures]).all()
    assert np.isnan(measures.turnover(1.0, 1.0, 29.9))


def test_cagr_of_ruin_is_minus_one():
    assert measures.cagr([0.1, -1.0, 0.0]) == -1.0


@pytest.mark.parametrize(
    "figure",
    [
        measures.sharpe([]),
        measures.sharpe([0.01]),
        measures.sharpe([0.01, 0.01]),
        measures.sharpe([0.0, 0.0, 0.0]),
        measures.sortino([0.01, 0.02]),
        measures.cagr([]),
        measures.volatility([0.01]),
        measures.calmar(0.1, 0.0),
        measures.win_rate([]),
        measures.profit_factor([1.0, 2.0]),
        measures.max_drawdown([]),
        measures.turnover(1.0, 0.0, 10),
        measures.cagr([1.0, 1.0, 1.0], periods=1e6),
    ],
)
def test_an_undefined_figure_is_nan(figure):
    assert math.isnan(figure)


def test_drawdown_counts_from_the_highest_value_so_far():
    assert measures.drawdown([100, 120, 90, 120, 130]).tolist() == [0, 0, -0.25, 0, 0]
    assert measures.max_drawdown([100, 120, 90, 120, 130]) == 0.25


def test_top_drawdowns_know_their_peak_trough_and_recovery():
    ts = np.arange(8) * DAY
    falls = measures.top_drawdowns(ts, np.array([100, 90, 100, 110, 55, 60, 110, 88.0]))
    assert falls == [
        DrawdownSpan(peak=3 * DAY, trough=4 * DAY, recovered=6 * DAY, depth=0.5),
        DrawdownSpan(peak=6 * DAY, trough=7 * DAY, recovered=None, depth=pytest.approx(0.2)),
        DrawdownSpan(peak=0, trough=DAY, recovered=2 * DAY, depth=pytest.approx(0.1)),
    ]
    assert measures.top_drawdowns(ts[:1], np.array([100.0])) == []


def test_monthly_returns_compound_within_the_calendar_month():
    # 31 January ends at midnight of 1 February, and still belongs to January.
    ends = JANUARY + np.array([29, 30, 31, 32]) * DAY
    values = np.array([100.0, 110.0, 121.0, 60.5])
    assert measures.monthly_returns(ends, values) == {
        (2024, 1): pytest.approx(0.21),
        (2024, 2): pytest.approx(-0.5),
    }


def test_rolling_sharpe_is_the_sharpe_of_each_window():
    rng = np.random.default_rng(1)
    returns = rng.normal(0.001, 0.02, 60)
    rolled = measures.rolling_sharpe(returns, 30)
    assert np.isnan(rolled[:29]).all()
    assert rolled[40] == pytest.approx(measures.sharpe(returns[11:41]))


def test_rolling_sharpe_of_a_flat_stretch_is_nan():
    assert np.isnan(measures.rolling_sharpe([0.0] * 5, 3)).all()


def test_rolling_sharpe_refuses_a_window_of_one():
    with pytest.raises(ValueError, match="window: expected at least 2"):
        measures.rolling_sharpe([0.1, 0.2], 1)


def test_a_zero_is_no_win():
    assert measures.win_rate([1.0, 0.0, -1.0, 2.0]) == 0.5
    assert measures.profit_factor([1.0, 0.0, -1.5, 2.0]) == 2.0


def test_exposure_weighs_by_how_long_a_position_stood():
    # Half the equity for one hour, twice the equity for three.
    hour = DAY // 24
    ts = np.array([0, hour])
    gross, equity = np.array([50.0, 200.0]), np.array([100.0, 100.0])
    assert measures.exposure(ts, gross, equity, 4 * hour) == pytest.approx(0.5 / 4 + 2 * 3 / 4)


def test_turnover_of_trading_all_once_a_day_is_365():
    assert measures.turnover(traded=3650.0, average_equity=100.0, days=36.5) == pytest.approx(365)


# -- laws ----------------------------------------------------------------------------------------

some_returns = arrays(np.float64, st.integers(2, 60), elements=st.floats(-0.5, 0.5, width=32))


@given(some_returns)
def test_growth_and_returns_undo_each_other(period_returns):
    assert measures.returns(measures.growth(period_returns)) == pytest.approx(
        period_returns, abs=1e-9
    )


@given(some_returns)
def test_the_deepest_of_the_top_drawdowns_is_the_max_drawdown(period_returns):
    curve = measures.growth(period_returns)
    falls = measures.top_drawdowns(np.arange(len(curve)), curve)
    deepest = falls[0].depth if falls else 0.0
    # Halved more than 53 times, the fall is 1 to a float.
    assert deepest == measures.max_drawdown(curve) <= 1
    for fall in falls:
        assert fall.peak < fall.trough
        assert fall.recovered is None or fall.recovered > fall.trough


@given(some_returns)
def test_months_compound_to_the_whole(period_returns):
    values = measures.growth(period_returns)
    ends = JANUARY + np.arange(len(values), dtype=np.int64) * DAY
    months = measures.monthly_returns(ends, values)
    assert np.prod([1 + r for r in months.values()]) == pytest.approx(values[-1])


def test_rolling_volatility_and_beta_are_those_of_each_window():
    market, ours = np.array([0.01, -0.01, 0.03, 0.01]), np.array([0.02, -0.02, 0.06, 0.00])
    beta = measures.rolling_beta(ours, market, 3)
    assert np.isnan(beta[:2]).all()
    # The first three returns are twice the market's.
    assert beta[2] == pytest.approx(2.0)
    assert beta[3] == pytest.approx(np.cov(ours[1:], market[1:])[0, 1] / market[1:].var(ddof=1))
    rolled = measures.rolling_volatility(ours, 3)
    assert rolled[3] == pytest.approx(measures.volatility(ours[1:]))
    assert np.isnan(measures.rolling_volatility(ours, 5)).all()
    assert np.isnan(measures.rolling_beta(ours, [0.0] * 4, 2)).all()


def test_value_at_risk_is_a_quantile_of_the_losses_and_cvar_their_mean():
    # 21 returns, -10 % to +10 %: the 5 % quantile is the second, the tail the two worst.
    returns = np.arange(-10, 11) / 100
    assert measures.value_at_risk(returns, 0.95) == pytest.approx(0.09)
    assert measures.expected_shortfall(returns, 0.95) == pytest.approx(0.095)
    assert math.isnan(measures.value_at_risk(returns, 0.99))
    assert math.isnan(measures.expected_shortfall(returns[:19], 0.95))


def test_adverse_move_is_the_move_of_the_mid_against_fills_by_notional():
    side, mid = np.array([1.0, -1.0, 1.0]), np.array([100.0, 200.0, 100.0])
    # The buy lost 1 %, the sale gained 2 % on a third of its notional; the third has no mid then.
    later = np.array([99.0, 196.0, np.nan])
    move, unknown = measures.adverse_move(side, mid, later, np.array([300.0, 100.0, 500.0]))
    assert (round(move, 12), unknown) == (round((0.01 * 300 - 0.02 * 100) / 400, 12), 1)
    assert math.isnan(measures.adverse_move(side[2:], mid[2:], later[2:], side[2:])[0])
