"""How robust the best candidate is: what else could have come of its days, and how deep it falls.

Monte Carlo resamples its daily returns over the study's window, those that it was chosen by: live
trading is to expect less. Nothing here chooses: it is for the report and for deployment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actors.guards.drawdown_tiers import DrawdownTiersParams
from backtests.studies.monte_carlo import BAD_EQUITY, Outcomes, monte_carlo

Floats = NDArray[np.float64]

BAND_DAYS = 90
"""Days of live trading that the band of a deployment covers."""


def monte_carlo_block(returns: Floats, tiers: Sequence[float], seed: int) -> dict[str, Any]:
    """Return ``monte_carlo`` of best.json: 1,000 paths of resampled days, as long as the window.

    ``worst_5`` is what 5 % of the paths reach or worse, ``best_5`` what 5 % reach or better.
    ``ruin`` is the probability of a drawdown of at least each tier, a fraction. ``band`` has, for
    each of the first `BAND_DAYS` days of live trading, the compounded return in percent since its
    start that 5 % of paths are below, and that 5 % are above.
    """
    found = monte_carlo(returns, seed=seed)
    first = 100.0 * (monte_carlo(returns, periods=BAND_DAYS, seed=seed).fan - 1.0)
    return {
        "days": len(returns),
        **tails(found),
        "ruin": {f"{tier:g}": known(share) for tier, share in found.ruin(tiers).items()},
        "band": {
            "lower_pct": [known(value) for value in first[0, 1:]],
            "upper_pct": [known(value) for value in first[-1, 1:]],
        },
    }


def tails(found: Outcomes) -> dict[str, dict[str, float | None]]:
    """Return the bad tail, the median and the good tail of total return and maximum drawdown."""
    if not len(found.final):
        nothing = dict.fromkeys(("worst_5", "median", "best_5"))
        return {"total_return_pct": nothing, "max_drawdown": nothing}
    middle, best = np.quantile(found.final, [0.5, 1 - BAD_EQUITY])
    shallow, usual = np.quantile(found.drawdown, [BAD_EQUITY, 0.5])
    return {
        "total_return_pct": {
            "worst_5": 100.0 * (found.bad_final - 1.0),
            "median": 100.0 * float(middle - 1.0),
            "best_5": 100.0 * float(best - 1.0),
        },
        "max_drawdown": {
            "worst_5": found.bad_drawdown,
            "median": float(usual),
            "best_5": float(shallow),
        },
    }


def known(value: float) -> float | None:
    """Return the value, None where it is not defined: JSON has no NaN."""
    return float(value) if np.isfinite(value) else None


def drawdown_tiers(document: Mapping[str, Any]) -> list[float]:
    """Return at which drawdowns a complete backtest's guards shrink; else the guard's defaults."""
    guards = [guard for guard in document["actors"].values() if guard["enabled"]]
    own = {tier["at"] for guard in guards for tier in guard["params"].get("tiers", ())}
    return sorted(own or {tier.at for tier in DrawdownTiersParams().tiers})
