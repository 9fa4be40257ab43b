"""Cut time into training and test: walk-forward, combinatorial purged cross-validation, hold-out.

Lopez de Prado (2018), "Advances in Financial Machine Learning", chapters 7 and 12. What a training
would still know of a test is left out: `purge_ns` is how long a decision's outcome takes to be
known (the longest holding time), `embargo_ns` how long a market remembers after a test.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations, pairwise
from typing import NamedTuple

from config.durations import DAY_NS
from config.errors import InputError

MIN_TEST_NS = 60 * DAY_NS
"""A Sharpe of a shorter test says little."""


class Span(NamedTuple):
    """A stretch of time, UNIX nanoseconds (UTC); the end is not part of it."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """Nanoseconds."""
        return self.end - self.start


class Split(NamedTuple):
    """What is trained on and what is then tested on; no two spans overlap, each in time order."""

    train: tuple[Span, ...]
    test: tuple[Span, ...]


def walk_forward(
    window: Span,
    train_ns: int,
    test_ns: int,
    *,
    anchored: bool,
    purge_ns: int = 0,
    min_test_ns: int = MIN_TEST_NS,
) -> list[Split]:
    """Return tests that follow each other up to the window's end, each with the training before it.

    `anchored` trainings begin with the window and grow, the first is `train_ns` or longer; rolling
    ones are the newest `train_ns`. Raises InputError where the window holds no test.
    """
    _long_enough(test_ns, min_test_ns)
    count = (window.length - train_ns - purge_ns) // test_ns
    if count < 1 or train_ns < 1:
        raise InputError(
            f"folds: a window of {_days(window.length)} holds no {_days(test_ns)} of test after "
            f"{_days(train_ns)} of training and {_days(purge_ns)} of purge: lengthen the window or "
            "shorten them"
        )
    splits = []
    for start in range(window.end - count * test_ns, window.end, test_ns):
        known = start - purge_ns
        train = Span(window.start if anchored else known - train_ns, known)
        splits.append(Split((train,), (Span(start, start + test_ns),)))
    return splits


def combinatorial(
    window: Span,
    groups: int = 6,
    tested: int = 2,
    *,
    purge_ns: int = 0,
    embargo_ns: int = 0,
    min_test_ns: int = MIN_TEST_NS,
) -> list[Split]:
    """Return every choice of `tested` of so many equal groups as tests (CPCV).

    Groups begin at whole days from the window's start. Before a test the purge is left
    out, after it purge and embargo: a test's last outcomes reach as far. Raises InputError where
    tests are too short, or nothing is left to train on.
    """
    if not 0 < tested < groups:
        raise InputError(f"folds: {tested} tested of {groups} groups: needs fewer, at least one")
    days = window.length // DAY_NS
    edges = [window.start + days * i // groups * DAY_NS for i in range(groups)] + [window.end]
    parts = [Span(start, end) for start, end in pairwise(edges)]
    splits = []
    for chosen in combinations(parts, tested):
        _long_enough(sum(part.length for part in chosen), min_test_ns)
        gaps = [Span(t.start - purge_ns, t.end + purge_ns + embargo_ns) for t in chosen]
        train = _without(window, gaps)
        if not train or min(part.length for part in parts) < 1:
            raise InputError(
                f"folds: {groups} groups of {_days(parts[0].length)} leave nothing to train on "
                f"beside {_days(purge_ns)} of purge and {_days(embargo_ns)} of embargo: lengthen "
                "the window or take fewer groups"
            )
        splits.append(Split(train, chosen))
    return splits


def paths(groups: int, tested: int) -> list[tuple[int, ...]]:
    """Return the backtest paths of `combinatorial`: by group, the split whose test it is.

    Each path covers the whole window out of sample; each test of each split is in one path.
    """
    splits = [set(chosen) for chosen in combinations(range(groups), tested)]
    tests = [[i for i, chosen in enumerate(splits) if group in chosen] for group in range(groups)]
    return list(zip(*tests, strict=True))


def hold_out(
    window: Span, share: float, *, purge_ns: int = 0, min_test_ns: int = MIN_TEST_NS
) -> tuple[Span, Span]:
    """Return what may be searched, and the newest share of the window, for one final test.

    The test is `min_test_ns` at least and begins a whole number of days after the window's
    start. Raises InputError where nothing is left to search.
    """
    held = max(round(window.length * share), min_test_ns)
    start = window.start + (window.length - held) // DAY_NS * DAY_NS
    if start - purge_ns <= window.start or start >= window.end:
        raise InputError(
            f"hold-out: {_days(held)} of a window of {_days(window.length)} leave nothing to "
            "search: lengthen the window, hold out less, or lower folds.min_test_days"
        )
    return Span(window.start, start - purge_ns), Span(start, window.end)


def _without(window: Span, gaps: Iterable[Span]) -> tuple[Span, ...]:
    """Return what gaps, in the order of time, leave of the window."""
    left, start = [], window.start
    for gap in gaps:
        if gap.start > start:
            left.append(Span(start, gap.start))
        start = max(start, gap.end)
    if start < window.end:
        left.append(Span(start, window.end))
    return tuple(left)


def _long_enough(test_ns: int, min_test_ns: int) -> None:
    if test_ns < max(min_test_ns, 1):
        raise InputError(
            f"folds: {_days(test_ns)} of test, at least {_days(min_test_ns)} are needed: "
            "lengthen the tests, or lower the minimum of test days"
        )


def _days(length_ns: int) -> str:
    return f"{length_ns / DAY_NS:g} days"
