"""How robust the best candidate is: what else could have come of it, plateau or spike, stability.

Monte Carlo resamples its returns over the study's window, those that it was chosen by: live
trading is to expect less. Nothing here chooses: it is for the report and for deployment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from actors.measures import Floats
from backtests.studies.monte_carlo import BAD_EQUITY, Outcomes, monte_carlo
from backtests.studies.search_space import Candidate, Space, place_of, step_of
from config.documents.search_space import Dimension

PLATEAU = 0.5
"""Neighbours of a plateau keep at least so much of the objective, in the median."""
TIERS = (0.05, 0.1, 0.15, 0.2)
"""Drawdowns whose probability is told where no guard of the backtest shrinks at any."""
DRAWS = 200
BAND_DAYS = 90
"""Days of live trading that the band of a deployment covers."""
BAND_SHARE = 0.9


def monte_carlo_block(
    returns: Floats, trades: Floats, tiers: Sequence[float], seed: int
) -> dict[str, Any]:
    """Return ``monte_carlo`` of best.json: 1,000 paths of resampled days, as long as the window.

    ``trades`` has the same of resampled trades, one after another.

    ``worst_5`` is what 5 % of the paths reach or worse, ``best_5`` what 5 % reach or better.
    ``ruin`` is the probability of a drawdown of at least each tier, a fraction. ``band`` has, for
    each of the first `BAND_DAYS` days of live trading, the compounded return in percent since its
    start between which nine of ten paths stay on all of these days.
    """
    found = monte_carlo(returns, seed=seed)
    first = monte_carlo(returns, periods=BAND_DAYS, seed=seed).band(BAND_SHARE)
    lower, upper = 100.0 * (first[:, 1:] - 1.0)
    return {
        "days": len(returns),
        **tails(found),
        "ruin": {f"{tier:g}": known(share) for tier, share in found.ruin(tiers).items()},
        "trades": {"count": len(trades), **tails(monte_carlo(trades, seed=seed))},
        "band": {
            "lower_pct": [known(value) for value in lower],
            "upper_pct": [known(value) for value in upper],
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
    """Return at which drawdowns a complete backtest's guards shrink; `TIERS` where none does."""
    guards = [guard for guard in document["actors"].values() if guard["enabled"]]
    own = {tier["at"] for guard in guards for tier in guard["params"].get("tiers", ())}
    return sorted(own or TIERS)


def sensitivity(
    space: Space, best: Candidate, reached: float, near: Sequence[tuple[Candidate, float]]
) -> dict[str, Any]:
    """Return how much of the best candidate's objective its neighbours keep: plateau or spike.

    `near` are the neighbours with their objectives; one that never traded keeps nothing.
    ``plateau`` is the median of theirs over the best's, undefined where that is not positive.
    """
    values = np.array([value if np.isfinite(value) else 0.0 for _, value in near])
    kept = values / reached if reached > 0 else np.full(len(values), np.nan)
    middle, worst = (float(np.median(kept)), float(kept.min())) if len(kept) else (np.nan, np.nan)
    shape = "plateau" if middle >= PLATEAU else "spike"
    return {
        "plateau": known(middle),
        "shape": shape if np.isfinite(middle) else None,
        "worst": known(worst),
        "neighbours": [
            {
                "parameters": {k: v for k, v in one.items() if v != best[k]},
                "objective": known(value),
            }
            for one, value in near
        ],
        "at_an_end": [
            path
            for path, dimension in space.items()
            if dimension.choice is None and not 1e-9 < place_of(dimension, best[path]) < 1 - 1e-9
        ],
    }


def stability(
    space: Space,
    best: Candidate,
    windows: Sequence[Candidate],
    race: Sequence[Candidate],
    objectives: Floats,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Return by parameter how often other windows and other draws choose as the best candidate.

    `windows` are the candidates that trainings chose. A draw is half of the `race`, with their
    `objectives`, as another seed might have had them. As the best is what is at most a neighbour's
    step away, or the same choice.
    """
    rng = np.random.default_rng(seed)
    halves = [rng.permutation(len(race))[: (len(race) + 1) // 2] for _ in range(DRAWS)]
    drawn = [race[half[int(np.argmax(objectives[half]))]] for half in halves]

    def share(path: str, chosen: Sequence[Candidate]) -> float | None:
        alike = [_alike(space[path], one[path], best[path]) for one in chosen]
        return float(np.mean(alike)) if alike else None

    return {
        path: {"best": best[path], "windows": share(path, windows), "draws": share(path, drawn)}
        for path in space
    }


def _alike(dimension: Dimension, one: Any, other: Any) -> bool:
    if dimension.choice is not None:
        return bool(one == other)
    apart = abs(place_of(dimension, one) - place_of(dimension, other))
    return apart <= step_of(dimension) + 1e-9
