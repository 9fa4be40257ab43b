"""Monte Carlo: what else could have come of the same days or trades.

Returns are those of equity after costs, one a day or one a trade; they are resampled by the
stationary bootstrap, so that stretches of losses stay together, and compound. Of trades that
overlap, days say more. The tail that is reported is always the bad one: low equity, deep drawdown.
Higher costs and late entries are runs of their own (``backtests/variants.py``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from actors import measures
from actors.measures import Floats, Integers
from backtests.studies.bootstrap import mean_length as usual_length
from backtests.studies.bootstrap import resample

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
    draws: int = 1_000,
    mean_length: float | None = None,
    periods: int | None = None,
    seed: int = 0,
) -> Outcomes:
    """Return what comes of resampled returns.

    `mean_length` of stretches is by default the cube root of the count, and `periods`, the length
    of a path, the count. Fewer than two returns have no outcomes. Raises ValueError for a return
    that is not finite.
    """
    values = np.asarray(period_returns, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("returns: expected finite numbers")
    count = len(values)
    periods = count if periods is None else periods
    places = np.unique(np.linspace(0, periods, _PLACES + 1).astype(np.int64))
    if count < 2:
        return Outcomes(np.empty(0), np.empty(0), np.empty((0, len(places))), places)
    rng, length = np.random.default_rng(seed), mean_length or usual_length(count)
    final, deepest, seen = np.empty(draws), np.empty(draws), np.empty((draws, len(places)))
    for draw in range(draws):
        # Nobody loses more than everything, and nothing grows again from zero.
        curve = measures.growth(np.maximum(values[resample(rng, count, length, periods)], -1.0))
        final[draw], deepest[draw] = curve[-1], measures.max_drawdown(curve)
        seen[draw] = curve[places]
    return Outcomes(final, deepest, seen, places)


def _of_paths(curves: Floats, shares: tuple[float, ...]) -> Floats:
    if not len(curves):
        return np.full((len(shares), curves.shape[1]), np.nan)
    return np.quantile(curves, shares, axis=0)


def _quantile(values: Floats, share: float, method: str) -> float:
    # A path that was drawn, and the worse of two: no figure between them.
    return float(np.quantile(values, share, method=method)) if len(values) else np.nan  # type: ignore[call-overload]
