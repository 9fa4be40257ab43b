"""Monte Carlo: what else could have come of the same days or trades, at higher costs, or late.

Returns are those of equity after costs, one a day or one a trade; they are resampled by the
stationary bootstrap, so that stretches of losses stay together, and compound. Of trades that
overlap, days say more. The tail that is reported is always the bad one: low equity, deep drawdown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from actors import measures
from backtests.studies.bootstrap import mean_length as usual_length
from backtests.studies.bootstrap import resample

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

BAD_EQUITY = 0.05
"""One path in twenty ends at or below this quantile of final equity."""
BAD_DRAWDOWN = 0.95
"""One path in twenty has a drawdown at or above this quantile."""
FAN = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles of equity over time, the bad ones first."""
_PLACES = 200


class Outcomes(NamedTuple):
    """What came of each path; equity is a multiple of the opening."""

    final: Floats
    """Equity at the end, shape (draws,)."""
    drawdown: Floats
    """Maximum drawdown, a positive fraction, shape (draws,)."""
    curves: Floats
    """Equity of each path at `places`, shape (draws, places)."""
    places: Integers
    """After how many returns."""

    @property
    def fan(self) -> Floats:
        """Equity at `places`, a row for each quantile of `FAN`."""
        return _of_paths(self.curves, FAN)

    def band(self, share: float) -> Floats:
        """Return the lower and upper equity between which a share of the paths stay at all places.

        Quantiles of each place alone would not do: a path that is looked at each day leaves them
        sooner or later. The same number of paths is cut off on both sides, at each place.
        """
        if not len(self.curves):
            return _of_paths(self.curves, (0.0, 1.0))
        ranks = self.curves.argsort(axis=0).argsort(axis=0)
        outermost = np.minimum(ranks, len(ranks) - 1 - ranks).min(axis=1)
        cut = int(np.sort(outermost)[-math.ceil(share * len(outermost))])
        return np.sort(self.curves, axis=0)[[cut, -1 - cut]]

    @property
    def bad_final(self) -> float:
        """Final equity of the bad tail: 5 % of paths end there or lower."""
        return _quantile(self.final, BAD_EQUITY, "lower")

    @property
    def bad_drawdown(self) -> float:
        """Drawdown of the bad tail: 5 % of paths fall so deep or deeper."""
        return _quantile(self.drawdown, BAD_DRAWDOWN, "higher")

    def ruin(self, tiers: Iterable[float]) -> dict[float, float]:
        """Return the probability of a drawdown of at least each tier, a positive fraction."""
        known = len(self.drawdown) > 0
        return {t: float(np.mean(self.drawdown >= t)) if known else np.nan for t in tiers}


def monte_carlo(
    period_returns: Floats,
    *,
    turnover: Floats | None = None,
    extra_cost: float = 0.0,
    slippage: float = 0.0,
    draws: int = 1_000,
    mean_length: float | None = None,
    periods: int | None = None,
    seed: int = 0,
) -> Outcomes:
    """Return what comes of resampled returns, also under stress of costs.

    `turnover` is what was traded for each return, a fraction of equity. Each unit of it costs
    `extra_cost` more, and slippage drawn from an exponential distribution of mean `slippage`, never
    in favour. `mean_length` of stretches is by default the cube root of the count, and `periods`,
    the length of a path, the count. Fewer than two returns have no outcomes. Raises ValueError for
    a return that is not finite, or stress without turnover.
    """
    values = np.asarray(period_returns, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("returns: expected finite numbers")
    if turnover is None and (extra_cost or slippage):
        raise ValueError("turnover: extra costs need what was traded for each return")
    count = len(values)
    periods = count if periods is None else periods
    places = np.unique(np.linspace(0, periods, _PLACES + 1).astype(np.int64))
    if count < 2:
        return Outcomes(np.empty(0), np.empty(0), np.empty((0, len(places))), places)
    traded = np.zeros(count) if turnover is None else np.asarray(turnover, dtype=np.float64)
    rng, length = np.random.default_rng(seed), mean_length or usual_length(count)
    final, deepest, seen = np.empty(draws), np.empty(draws), np.empty((draws, len(places)))
    for draw in range(draws):
        chosen = resample(rng, count, length, periods)
        paid = traded[chosen] * (extra_cost + rng.exponential(slippage, periods))
        # Nobody loses more than everything, and nothing grows again from zero.
        curve = measures.growth(np.maximum(values[chosen] - paid, -1.0))
        final[draw], deepest[draw] = curve[-1], measures.max_drawdown(curve)
        seen[draw] = curve[places]
    return Outcomes(final, deepest, seen, places)


def traded_late(
    weights: Floats, traded: NDArray[np.bool_], by: int | Integers
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return weights (T, N) as they are traded so many periods after their decision.

    `by` is one delay or one a period (T,), drawn for a jitter. A decision that a newer one has
    overtaken is dropped, and so is one after the end. Give the result to `screening.path.earn`.
    """
    delays = np.broadcast_to(by, traded.shape)
    if delays.min(initial=0) < 0:
        raise ValueError("by: a delay can't be negative, that would look ahead")
    newest = np.full(len(traded), -1)
    for row in np.flatnonzero(traded):
        if row + delays[row] < len(traded):
            newest[row + delays[row]] = row
    latest = np.maximum.accumulate(newest)
    before = np.concatenate(([-1], latest[:-1]))
    when = newest > before
    late = np.zeros_like(weights)
    late[when] = weights[newest[when]]
    return late, when


def entered_late(
    price: Floats, entry: Integers, leave: Integers, side: Floats, by: int | Integers
) -> Floats:
    """Return the trades' returns before costs, entered so many rows of `price` later.

    `entry` and `leave` are rows, `side` is 1 for long and -1 for short. A trade that would be
    entered at its exit or after it is missed and returns zero.
    """
    late = entry + by
    made = late < leave
    moved = price[leave] / price[np.minimum(late, leave)] - 1.0
    return np.where(made, side * moved, 0.0)


def _of_paths(curves: Floats, shares: tuple[float, ...]) -> Floats:
    if not len(curves):
        return np.full((len(shares), curves.shape[1]), np.nan)
    return np.quantile(curves, shares, axis=0)


def _quantile(values: Floats, share: float, method: str) -> float:
    # A path that was drawn, and the worse of two: no figure between them.
    return float(np.quantile(values, share, method=method)) if len(values) else np.nan  # type: ignore[call-overload]
