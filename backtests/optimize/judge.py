"""Judge candidates out of sample: nominate in training, choose, deflate, and the gates.

All works on daily returns, shape (days,) or (candidates, days). Nothing that a test decides has
seen the test: each split's nominees are the best of its own training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from actors import measures
from actors.measures import DAY, Floats
from backtests.studies.overfitting import Overfitting, overfitting
from backtests.studies.selection import deflated_by_trials
from backtests.studies.splits import Span, Split, paths
from config.documents.study import MINIMISED, Folds, StudyGates

Flags = NDArray[np.bool_]
YEAR = float(measures.YEAR_DAYS)
PBO_BLOCKS = 16
FIGURES = ("sharpe", "return_pct", "max_drawdown", "trades")
"""Those that are shown of each run."""
FEWEST, FEWEST_DAYS = 4, 30
"""Candidates and days from which on a running candidate is compared with others."""


class Gate(NamedTuple):
    """One condition with its measured value; undefined is not passed. `key` is its setting."""

    name: str
    measured: float
    wanted: str
    passed: bool
    key: str = ""


class OutOfSample(NamedTuple):
    """Test days one after another, chosen in training: a path each, of as many days."""

    returns: list[Floats]
    days: Flags
    chosen: list[int]
    """By split, the candidate that its training chose."""

    def sharpe(self) -> float:
        """Return the annual Sharpe ratio, the median of several paths."""
        return float(np.median([measures.sharpe(path, YEAR) for path in self.returns]))

    def max_drawdown(self) -> float:
        """Return the deepest drawdown of a path."""
        return float(np.max([measures.max_drawdown(measures.growth(p)) for p in self.returns]))


def objective(name: str, returns: Floats) -> float:
    """Return a study's objective of daily returns; minus infinity where it is not defined."""
    if name == "return_pct":
        value = 100.0 * measures.total_return(returns)
    elif name == "max_drawdown":
        value = measures.max_drawdown(measures.growth(returns))
    elif name == "calmar":
        deepest = measures.max_drawdown(measures.growth(returns))
        value = measures.calmar(measures.cagr(returns, YEAR), deepest)
    else:
        value = {"sharpe": measures.sharpe, "sortino": measures.sortino}[name](returns, YEAR)
    return value if math.isfinite(value) else -math.inf


def worth(name: str, returns: Floats) -> float:
    """Return an objective so that more is better; minus infinity where it is not defined."""
    value = objective(name, returns)
    return -abs(value) if name in MINIMISED else value


class Bar(NamedTuple):
    """What a candidate must reach by a day of the window, in one figure at least."""

    day: int
    days: Flags
    """Which days up to then count."""
    least: dict[str, float]
    """By figure, the worst quarter of the candidates before; as they are maximised."""


def stopped_at(returns: Floats, bars: Sequence[Bar]) -> int | None:
    """Return the day by which a candidate is in the worst quarter in every figure, or None.

    Bars beyond the end of the returns are left out.
    """
    for bar in bars:
        if bar.day <= len(returns):
            days = returns[: bar.day][bar.days]
            if all(worth(name, days) < least for name, least in bar.least.items()):
                return bar.day
    return None


def bars_of(
    names: Sequence[str], known: Sequence[Floats], days: Flags, checks: Sequence[int]
) -> list[Bar]:
    """Return the bars at some days of the window, by candidates that were run until then."""
    found = []
    for day in checks:
        counted, there = days[:day], [one[:day] for one in known if len(one) >= day]
        if len(there) >= FEWEST and counted.sum() >= FEWEST_DAYS:
            least = {
                name: float(np.quantile([worth(name, one[counted]) for one in there], 0.25))
                for name in names
            }
            found.append(Bar(day, counted, least))
    return found


def days_of(window: Span, spans: Sequence[Span]) -> Flags:
    """Return which UTC days of the window lie in the spans."""
    first = window.start // DAY
    inside = np.zeros((window.end - 1) // DAY - first + 1, dtype=np.bool_)
    for span in spans:
        inside[span.start // DAY - first : (span.end - 1) // DAY - first + 1] = True
    return inside


def nominate(
    name: str, returns: Floats, window: Span, splits: Sequence[Split], top: int
) -> list[list[int]]:
    """Return the best candidates of each split's training, and last those of the whole window.

    They are `top` at most together: each list has as many as fit.
    """
    parts = [days_of(window, split.train) for split in splits]
    parts.append(np.ones(returns.shape[1], dtype=np.bool_))
    scores = [np.array([objective(name, row[days]) for row in returns]) for days in parts]
    ranked = [np.argsort(-one, kind="stable").tolist() for one in scores]
    each = max(1, top // len(parts))
    while each < len(returns) and len({i for one in ranked for i in one[: each + 1]}) <= top:
        each += 1
    return [one[:each] for one in ranked]


def out_of_sample(
    name: str,
    returns: dict[int, Floats],
    nominated: Sequence[Sequence[int]],
    window: Span,
    splits: Sequence[Split],
    folds: Folds,
) -> OutOfSample:
    """Choose in each training among its nominees, and join what the choices earn in the tests."""
    chosen = []
    for split, names in zip(splits, nominated, strict=False):
        days = days_of(window, split.train)
        known = [i for i in names if i in returns]
        chosen.append(max(known, key=lambda i: objective(name, returns[i][days])) if known else -1)
    nothing = np.zeros(len(days_of(window, ())))
    earned = [returns.get(i, nothing) for i in chosen]
    if folds.method == "walk_forward":
        tests = [days_of(window, split.test) for split in splits]
        joined = np.concatenate([r[d] for r, d in zip(earned, tests, strict=True)])
        return OutOfSample([joined], np.logical_or.reduce(tests), chosen)
    # A split's tests are its groups, in the order of time.
    ways = list(combinations(range(folds.groups), folds.tested))
    found = []
    for path in paths(folds.groups, folds.tested):
        spans = [splits[n].test[ways[n].index(group)] for group, n in enumerate(path)]
        parts = [earned[n][days_of(window, (span,))] for n, span in zip(path, spans, strict=True)]
        found.append(np.concatenate(parts))
    return OutOfSample(found, np.ones(len(nothing), dtype=np.bool_), chosen)


def rank_correlation(one: Floats, other: Floats) -> float:
    """Return Spearman's rank correlation; NaN where one of the two does not vary."""
    if len(one) < 3 or np.ptp(np.nan_to_num(one)) == 0 or np.ptp(np.nan_to_num(other)) == 0:
        return math.nan
    return float(stats.spearmanr(one, other).statistic)


def overfitting_of(candidates: Floats) -> Overfitting:
    """Return the probability of overfitting of candidates, with what it comes from."""
    return overfitting(np.ascontiguousarray(candidates.T), PBO_BLOCKS)


def gates(
    wanted: StudyGates,
    found: OutOfSample,
    chosen: Floats,
    figures: dict[str, float | None],
    candidates: Floats,
    overfit: Overfitting,
    trials: int,
    sharpes: Floats,
) -> list[Gate]:
    """Return every gate but the hold-out's, with what was measured.

    `chosen` are the returns of the best candidate over the whole window, `candidates` those of all
    that it was chosen from, `overfit` is their `overfitting_of`, `trials` and `sharpes` (annual)
    those of all ever run on the data.
    """
    deflated = deflated_by_trials(chosen, trials, sharpes, YEAR, candidates)
    # An undefined one is the deepest.
    both = np.array([found.max_drawdown(), figures["max_drawdown"]], dtype=np.float64)
    return [
        at_least("Sharpe out of sample", found.sharpe(), wanted.sharpe, "sharpe"),
        at_least(
            f"deflated Sharpe of {trials:,} trials",
            deflated,
            wanted.deflated_sharpe,
            "deflated_sharpe",
        ),
        at_most(
            "probability of overfitting", overfit.probability, wanted.overfitting, "overfitting"
        ),
        at_most("drawdown", float(both.max()), wanted.max_drawdown, "max_drawdown"),
        at_least("closed trades", float(figures["trades"] or 0), wanted.trades, "trades"),
    ]


def until(wanted: str, gates: Sequence[Gate]) -> Gate:
    """Return the gate of a study's `until`, such as ``sharpe>=0.5``, by what was measured."""
    key, sign, limit = wanted.replace(">=", " >= ").replace("<=", " <= ").split()
    measured = next(gate.measured for gate in gates if gate.key == key)
    limited = at_least if sign == ">=" else at_most
    return limited(f"until {key}", measured, float(limit), "until")


def at_least(name: str, measured: float, least: float, key: str = "") -> Gate:
    """Return a gate that NaN does not pass."""
    return Gate(name, measured, f"at least {least:g}", measured >= least, key)


def at_most(name: str, measured: float, most: float, key: str = "") -> Gate:
    """Return a gate that NaN does not pass."""
    return Gate(name, measured, f"at most {most:g}", measured <= most, key)
