"""Performance figures: returns, Sharpe, drawdown, turnover and others, in pure numpy.

Results, reports, studies, the screen and guards all use these definitions. Returns are simple (0.01
is 1 %), one a period; ``periods`` is the number of periods in a year (365 for daily returns of a
market that never closes). An undefined figure is NaN, never zero. NaN returns are periods without a
return: they count in the length of time, not in averages.

Definitions follow quantopian/empyrical (Apache-2.0), whose published values
tests/actors/test_measures.py uses; one sign differs: drawdowns' depths are positive fractions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

DAY = 86_400_000_000_000
"""Nanoseconds of a day."""

YEAR_DAYS = 365
"""Days of trading in a year of crypto."""

SHORTEST_DAYS = 30
"""Shortest time of which figures a year are given."""


# -- curves ----------------------------------------------------------------------------------------


def daily_closes(
    ts: Integers, equity: Floats, start_ns: int, end_ns: int, opening: float
) -> tuple[Integers, Floats]:
    """Return the times and the equity at the start and at the end of each UTC day.

    Times are UNIX nanoseconds (UTC); ``ts`` rises. A sample at midnight closes the day before; a
    day without samples keeps the last value; a partial last day closes at ``end_ns``. ``opening``
    is the equity at ``start_ns``. Both arrays have shape (days + 1,).
    """
    midnights = np.arange((start_ns // DAY + 1) * DAY, end_ns, DAY, dtype=np.int64)
    ends = np.concatenate(([start_ns], midnights, [end_ns])).astype(np.int64)
    known = np.searchsorted(ts, ends, side="right")
    values = np.concatenate(([opening], np.asarray(equity, dtype=np.float64)))[known]
    values[0] = opening
    return ends, values


def periods_a_year(ends: Integers) -> float:
    """Return the returns per 365 days of a curve sampled at `ends`; NaN under `SHORTEST_DAYS`.

    By their real length: a partial day at either end is no whole one.
    """
    days = float(ends[-1] - ends[0]) / DAY if len(ends) else 0.0
    return (len(ends) - 1) * YEAR_DAYS / days if days >= SHORTEST_DAYS else float("nan")


def returns(values: ArrayLike) -> Floats:
    """Return the n - 1 simple returns of n values of a curve; 0 after a ruin (value <= 0)."""
    curve = np.asarray(values, dtype=np.float64)
    before, after = curve[:-1], curve[1:]
    alive = np.minimum.accumulate(before) > 0
    return np.where(alive, after / np.where(alive, before, 1.0) - 1.0, 0.0)


def without_flows(values: ArrayLike, flows: ArrayLike) -> Floats:
    """Return the curve of n values as if nothing had been paid in or out, from the same start.

    Time-weighted: ``flows`` (shape (n - 1,)) come between two values; what is paid in (positive)
    earns from the first of them on, what is paid out until the second.
    """
    curve, moved = np.asarray(values, dtype=np.float64), np.asarray(flows, dtype=np.float64)
    before, after = curve[:-1] + np.maximum(moved, 0.0), curve[1:] - np.minimum(moved, 0.0)
    steps = np.where(before > 0, after / np.where(before > 0, before, 1.0), 1.0)
    return np.concatenate(([1.0], np.cumprod(steps))) * float(curve[0])


def growth(period_returns: ArrayLike) -> Floats:
    """Return the curve of compounded returns, starting at 1.0; NaN returns change nothing."""
    factors = 1.0 + np.nan_to_num(np.asarray(period_returns, dtype=np.float64), nan=0.0)
    return np.concatenate(([1.0], np.cumprod(factors)))


def drawdown(values: ArrayLike) -> Floats:
    """Return value over the highest value so far, minus one: 0 at a high, negative below it."""
    curve = np.asarray(values, dtype=np.float64)
    if not len(curve):
        return curve
    return curve / np.maximum.accumulate(curve) - 1.0


# -- figures of returns ----------------------------------------------------------------------------


def total_return(period_returns: ArrayLike) -> float:
    """Return the compounded return."""
    return float(growth(period_returns)[-1] - 1.0)


def cagr(period_returns: ArrayLike, periods: float = YEAR_DAYS) -> float:
    """Return the compound annual growth rate: ``growth ** (periods / n) - 1``; ruin gives -1."""
    length = np.size(period_returns)
    if not length or np.isnan(periods):
        return float("nan")
    final = float(growth(period_returns)[-1])
    if final <= 0:
        return -1.0
    # A few good days can annualise beyond the range of a float: then the figure is undefined.
    exponent = np.log(final) * periods / length
    return float(np.expm1(exponent)) if exponent < 700 else float("nan")


def volatility(period_returns: ArrayLike, periods: float = YEAR_DAYS) -> float:
    """Return the annualised standard deviation (n - 1) of the returns."""
    known = _known(period_returns)
    if len(known) < 2:
        return float("nan")
    return float(known.std(ddof=1) * np.sqrt(periods))


def sharpe(period_returns: ArrayLike, periods: float = YEAR_DAYS) -> float:
    """Return mean over standard deviation (n - 1), annualised by the root of ``periods``.

    It subtracts no risk-free rate: pass excess returns to have one.
    """
    known = _known(period_returns)
    if len(known) < 2 or np.ptp(known) == 0:
        return float("nan")
    return float(known.mean() / known.std(ddof=1) * np.sqrt(periods))


def downside_deviation(
    period_returns: ArrayLike, periods: float = YEAR_DAYS, required: float = 0.0
) -> float:
    """Return the annualised root mean square of the shortfalls below the required return a period.

    It averages over all periods, not only the losing ones (Sortino & Price 1994).
    """
    known = _known(period_returns)
    if not len(known):
        return float("nan")
    short = np.minimum(known - required, 0.0)
    return float(np.sqrt(np.mean(short**2)) * np.sqrt(periods))


def sortino(period_returns: ArrayLike, periods: float = YEAR_DAYS, required: float = 0.0) -> float:
    """Return the annualised mean excess over the required return, over the downside deviation."""
    known = _known(period_returns)
    risk = downside_deviation(known, periods, required)
    if len(known) < 2 or not risk > 0:
        return float("nan")
    return float((known.mean() - required) * periods / risk)


def max_drawdown(values: ArrayLike) -> float:
    """Return the maximum drawdown of a curve, as a positive fraction."""
    depths = drawdown(values)
    return float(abs(depths.min())) if len(depths) else float("nan")


def calmar(annual_growth: float, deepest: float) -> float:
    """Return the compound annual growth rate over the deepest drawdown (Young 1991)."""
    return annual_growth / deepest if deepest > 0 else float("nan")


def rolling_sharpe(period_returns: ArrayLike, window: int, periods: float = YEAR_DAYS) -> Floats:
    """Return the Sharpe of the last ``window`` returns at each return; NaN before there are enough.

    Raises
    ------
    ValueError
        When the window is shorter than two.
    """
    if window < 2:
        raise ValueError(f"window: expected at least 2 returns, was {window}")
    known = np.asarray(period_returns, dtype=np.float64)
    result = np.full(len(known), np.nan)
    if len(known) >= window:
        views = np.lib.stride_tricks.sliding_window_view(known, window)
        varied = np.ptp(views, axis=1) > 0
        spread = np.where(varied, views.std(axis=1, ddof=1), np.nan)
        result[window - 1 :] = views.mean(axis=1) / spread * np.sqrt(periods)
    return result


def rolling_volatility(
    period_returns: ArrayLike, window: int, periods: float = YEAR_DAYS
) -> Floats:
    """Return the annualised volatility of the last ``window`` returns, as `rolling_sharpe`."""
    views = _sliding(period_returns, window)
    return _later(views.std(axis=1, ddof=1) * np.sqrt(periods), np.size(period_returns))


def rolling_beta(period_returns: ArrayLike, benchmark: ArrayLike, window: int) -> Floats:
    """Return the covariance with the benchmark over its variance, in the last ``window`` returns.

    It is NaN before there are enough, and where the benchmark did not move.
    """
    ours, theirs = _sliding(period_returns, window), _sliding(benchmark, window)
    theirs = theirs - theirs.mean(axis=1, keepdims=True)
    variance = (theirs**2).sum(axis=1)
    moved = variance > 0
    shared = (ours * theirs).sum(axis=1)
    beta = np.where(moved, shared / np.where(moved, variance, 1.0), np.nan)
    return _later(beta, np.size(period_returns))


def value_at_risk(period_returns: ArrayLike, level: float) -> float:
    """Return the loss that the share ``1 - level`` of the returns reaches or exceeds.

    Historical: minus the ``1 - level`` quantile, between two returns linear. A positive fraction is
    a loss. NaN with fewer than ``1 / (1 - level)`` returns, of which none is in the tail.
    """
    known = _known(period_returns)
    if len(known) * (1 - level) < 1 - 1e-9:
        return float("nan")
    return float(-np.quantile(known, 1 - level))


def expected_shortfall(period_returns: ArrayLike, level: float) -> float:
    """Return the mean loss (CVaR) of the returns at or beyond the `value_at_risk`."""
    known, limit = _known(period_returns), value_at_risk(period_returns, level)
    return float("nan") if np.isnan(limit) else float(-known[known <= -limit].mean())


def monthly_returns(ends: Integers, values: Floats) -> dict[tuple[int, int], float]:
    """Return the compounded return by calendar month (year, month; UTC), in the order of time.

    ``ends`` and ``values`` are as `daily_closes` returns them. The first and last month may be
    partial.
    """
    steps = 1.0 + returns(values)
    # A day's end is midnight of the next day, which may be in another month.
    months = (ends[1:] - 1).astype("datetime64[ns]").astype("datetime64[M]").astype(int)
    return {
        (1970 + int(month) // 12, 1 + int(month) % 12): float(np.prod(steps[months == month]) - 1.0)
        for month in np.unique(months)
    }


def correlation(one: ArrayLike, other: ArrayLike) -> float:
    """Return Pearson's correlation of two series of returns of the same periods."""
    first, second = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


# -- drawdowns one by one --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DrawdownSpan:
    """One drawdown, from the high to the recovery.

    Times are UNIX nanoseconds (UTC). ``recovered`` is the first time at or above the high again,
    None while it lasts; ``depth`` is a positive fraction of the high.
    """

    peak: int
    trough: int
    recovered: int | None
    depth: float


def top_drawdowns(ts: Integers, values: Floats, count: int = 5) -> list[DrawdownSpan]:
    """Return the deepest drawdowns of a curve, the deepest first; of equals the earlier first."""
    depths = drawdown(values)
    below = np.concatenate(([False], depths < 0, [False]))
    first = np.flatnonzero(below[1:] & ~below[:-1])
    after = np.flatnonzero(below[:-1] & ~below[1:])
    falls = []
    for begin, end in zip(first, after, strict=True):
        trough = int(begin + np.argmin(depths[begin:end]))
        falls.append(
            DrawdownSpan(
                peak=int(ts[begin - 1]),
                trough=int(ts[trough]),
                recovered=int(ts[end]) if end < len(ts) else None,
                depth=float(-depths[trough]),
            )
        )
    return sorted(falls, key=lambda fall: (-fall.depth, fall.peak))[:count]


# -- figures of trades and positions ---------------------------------------------------------------


def win_rate(profits: ArrayLike) -> float:
    """Return the share of trades with a profit after costs; a zero is no win."""
    known = _known(profits)
    return float(np.mean(known > 0)) if len(known) else float("nan")


def profit_factor(profits: ArrayLike) -> float:
    """Return total profit of winners over total loss of losers; NaN without losses."""
    known = _known(profits)
    lost = -float(known[known < 0].sum())
    return float(known[known > 0].sum()) / lost if lost > 0 else float("nan")


def adverse_move(side: Floats, mid: Floats, later: Floats, notional: Floats) -> tuple[float, int]:
    """Return how far mids moved against fills, and of how many fills a mid is unknown (NaN).

    ``side`` is 1 for buys and -1 for sales. The mean is weighted by notional, a fraction of the mid
    at the fill; negative is in favour of the fills. All arrays have shape (n,).
    """
    known = ~(np.isnan(mid) | np.isnan(later))
    weight = notional[known]
    if not weight.sum():
        return float("nan"), int((~known).sum())
    moved = side[known] * (1 - later[known] / mid[known])
    return float(np.average(moved, weights=weight)), int((~known).sum())


def time_weighted(ts: Integers, values: Floats, end_ns: int) -> float:
    """Return the time-weighted average of a step curve, whose last value stands until ``end_ns``.

    ``ts`` rises, UNIX nanoseconds (UTC).
    """
    if not len(ts):
        return float("nan")
    length = np.diff(ts, append=max(end_ns, int(ts[-1]))).astype(np.float64)
    if not length.sum():
        return float(values[-1])
    return float(np.average(values, weights=length))


def exposure(ts: Integers, gross: Floats, equity: Floats, end_ns: int) -> float:
    """Return the time-weighted average of position notional over equity; 1.0 is one times equity.

    Samples with equity <= 0 count as no exposure.
    """
    alive = equity > 0
    ratio = np.where(alive, gross / np.where(alive, equity, 1.0), 0.0)
    return time_weighted(ts, ratio, end_ns)


def turnover(traded: float, average_equity: float, days: float) -> float:
    """Return the notional traded in 365 days over the average equity; 365 is all of it, daily.

    NaN under `SHORTEST_DAYS`. ``traded`` is the notional of all fills, both ways;
    ``average_equity`` is from `time_weighted`.
    """
    if not (average_equity > 0 and days >= SHORTEST_DAYS):
        return float("nan")
    return traded / average_equity * YEAR_DAYS / days


def _sliding(values: ArrayLike, window: int) -> Floats:
    """Return each stretch of ``window`` values, shape (n - window + 1, window)."""
    known = np.asarray(values, dtype=np.float64)
    if len(known) < window:
        return np.empty((0, window))
    return np.lib.stride_tricks.sliding_window_view(known, window)


def _later(values: Floats, length: int) -> Floats:
    return np.concatenate((np.full(length - len(values), np.nan), values))


def _known(values: ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    return array[~np.isnan(array)]
