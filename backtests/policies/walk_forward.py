"""Judge policies out of sample: purged walk-forward, with bootstrapped intervals. Pure.

The window is cut into equal stretches of time. Each but the first is tested once, by what was
fitted on all before it, less a purge in which a training look would still know how a test begins
(Lopez de Prado 2018, "Advances in Financial Machine Learning", 7.4). Every policy is flat where a
test begins, and closed where it ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from actors.measures import Integers
from backtests.policies.baselines import (
    Signals,
    above_cost,
    best_threshold,
    by_threshold,
    foresight,
    never,
    play,
)
from backtests.policies.fitted_q import by_trees
from backtests.policies.looks import Looks
from backtests.studies.bootstrap import Interval, interval
from backtests.studies.splits import Span, walk_forward
from config.durations import DAY_NS, HOUR_NS, MINUTE_NS
from config.errors import InputError
from strategies.basis.policy import Trees
from strategies.basis.threshold import Threshold

THRESHOLD, LEARNER = "threshold", "learner"
LEAST_TRADES = 30
"""Entries from which on a learner may win."""
LEAST_PERIODS = 30
"""An interval is of at least so many periods, if any length of them gives as many."""
Learn = Callable[[str, Looks], Trees]
"""Learns from looks with all seeds; the name is of what is learned."""


class Score(NamedTuple):
    """A policy out of sample: bps of a position's value a day, and entries a day."""

    name: str
    bps_a_day: Interval
    trades: int
    trades_a_day: float
    held: float
    """Share of looks."""


class Judged(NamedTuple):
    """All policies on the same tests, and by how much the learner is better than the threshold."""

    scores: tuple[Score, ...]
    learner_beats_by: Interval
    days: float

    @property
    def learner_wins(self) -> bool:
        """Whether the learner is better than the threshold beyond chance.

        The interval of the difference is above zero, and of at least `LEAST_TRADES` entries: of a
        few, one lucky exit makes an interval.
        """
        trades = sum(one.trades for one in self.scores if one.name == LEARNER)
        return self.learner_beats_by.low > 0.0 and trades >= LEAST_TRADES


def stretches(ts: Integers, folds: int, purge_ns: int) -> Iterator[tuple[int, int, int]]:
    """Yield, as places among looks, the end of each training and both ends of its test.

    Raises InputError where the purge leaves nothing of the first training.
    """
    window = Span(int(ts[0]), int(ts[-1]) + 1)
    part = window.length // (folds + 1)
    if part <= purge_ns:
        days, least, left_out = (length / DAY_NS for length in (window.length, part, purge_ns))
        raise InputError(
            f"a window of {days:.3g} days makes a training and {folds} tests of {least:.3g} days, "
            f"the purge is {left_out:.3g}: give a longer window, fewer folds or a shorter purge"
        )
    for (train,), (test,) in walk_forward(
        window, part - purge_ns, part, anchored=True, purge_ns=purge_ns, min_test_ns=1
    ):
        until, first, after = np.searchsorted(ts, [train.end, *test]).tolist()
        yield until, first, after


def scored(tests: Sequence[tuple[Looks, Mapping[str, Signals]]]) -> Judged:
    """Play policies over tests that follow each other, each from flat, and score them.

    Raises InputError where there is too little to test.
    """
    stamps = np.concatenate([looks.ts for looks, _ in tests])
    if len(stamps) < 2:
        raise InputError("no two looks to test on: give a longer window")
    span = int(stamps[-1] - stamps[0])
    period, days = period_of(span), span / DAY_NS
    number = (stamps - stamps[0]) // period
    a_day, scores = {}, []
    for name in tests[0][1]:
        parts = [play(looks, signals[name]) for looks, signals in tests]
        gains = np.concatenate([part.gains for part in parts])
        # A period without looks has gained nothing, and counts.
        sums = np.bincount(number, gains, minlength=int(number[-1]) + 1)
        a_day[name] = sums * (DAY_NS / period)
        trades = sum(part.trades for part in parts)
        held = sum(part.held * len(part.gains) for part in parts) / len(stamps)
        scores.append(Score(name, interval(a_day[name]), trades, trades / days, held))
    better = a_day.get(LEARNER, a_day[THRESHOLD]) - a_day[THRESHOLD]
    return Judged(tuple(scores), interval(better), days)


def signals_of(looks: Looks, threshold: Threshold, trees: Trees | None) -> dict[str, Signals]:
    """Return what every policy signals; the learner is left out without trees."""
    found = {"never": never(looks), "above cost": above_cost(looks)}
    found[THRESHOLD] = by_threshold(looks, threshold)
    if trees is not None:
        found[LEARNER] = by_trees(looks, trees, threshold.close_bps)
    return found | {"foresight": foresight(looks)}


def judge(looks: Looks, learn: Learn, folds: int, purge_ns: int) -> Judged:
    """Fit and test all policies fold by fold.

    Raises InputError where a fold has nothing to learn from.
    """
    tests = []
    for number, (until, first, after) in enumerate(stretches(looks.ts, folds, purge_ns), 1):
        train, test = looks.part(0, until), looks.part(first, after)
        trees = learn(f"fold-{number}", train)
        tests.append((test, signals_of(test, best_threshold(train), trees)))
    return scored(tests)


def period_of(span_ns: int) -> int:
    """Return days, hours or minutes: the longest of which there are enough for an interval."""
    fits = [p for p in (DAY_NS, HOUR_NS, MINUTE_NS) if span_ns // p >= LEAST_PERIODS]
    return fits[0] if fits else MINUTE_NS // 60


def scores_of(judged: Judged) -> dict[str, Any]:
    """Return the figures for a manifest or ``--json``; None for what is not known."""

    def plain(found: Interval) -> dict[str, float | None]:
        return {k: None if math.isnan(v) else v for k, v in found._asdict().items()}

    return {
        "days": judged.days,
        "learner_beats_threshold_by": plain(judged.learner_beats_by),
        "policies": [one._asdict() | {"bps_a_day": plain(one.bps_a_day)} for one in judged.scores],
    }
