"""Plan a study: check it and its backtest, cut the window into folds and a hold-out.

`Found` is all that a study knows, from the plan to its gates.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actors.measures import Floats
from backtests.optimize import judge
from backtests.studies.overfitting import Overfitting
from backtests.studies.search_space import Candidate
from backtests.studies.splits import Span, Split, combinatorial, hold_out, walk_forward
from catalog.instruments import TESTNET
from catalog.storage.index import CatalogIndex
from config.documents import Backtest
from config.documents.study import Study
from config.durations import DAY_NS, minute_text
from config.errors import InputError
from config.resolved import Resolved
from config.validate import checked

ENVIRONMENT: dict[str, tuple[str, Callable[[str], str]]] = {
    "BYBIT_OPT_WINDOW_DAYS": ("window_days", str),
    "BYBIT_OPT_TRAIN_FRAC": ("hold_out", lambda text: f"{1 - float(text):.6g}"),
    "BYBIT_OPT_MIN_TEST_DAYS": ("folds.min_test_days", str),
    "BYBIT_OPT_MIN_SHARPE": ("gates.sharpe", str),
    "OPT_METHOD": ("method", str),
    "OPT_CANDIDATES": ("stages.candidates", str),
    "OPT_STAGE2_TOPK": ("stages.top", str),
    "BYBIT_OPT_TESTNET": ("testnet", str.lower),
    "START_SEED": ("seed", str),
    "MAX_SEEDS": ("max_seeds", str),
}
"""Environment variables that replace a field of the study, and how its value is made."""
LEVELS = {
    "quick": ("stages.candidates=200", "stages.top=12", "stages.sample=6", "folds.groups=4"),
    "standard": ("stages.candidates=1000", "stages.top=40", "stages.sample=10", "folds.groups=6"),
    "deep": ("stages.candidates=10000", "stages.top=400", "stages.sample=30", "folds.groups=8"),
}
"""How thorough a study is, in a word: what it sets."""


@dataclass
class Found:
    """What a study found."""

    study: Study
    base: Resolved
    window: Span
    held: Span | None
    splits: list[Split]
    candidates: list[Candidate] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    """Candidates that the document or the data refuse, or that broke, and why."""
    stopped: dict[int, Floats] = field(default_factory=dict)
    """Candidates that were in the worst quarter as a fold began, and their returns until then."""
    drawn: set[int] = field(default_factory=set)
    """Of a search that learns: candidates that it drew before."""
    screened: dict[int, Floats] = field(default_factory=dict)
    full: dict[int, Floats] = field(default_factory=dict)
    figures: dict[int, dict[str, Any]] = field(default_factory=dict)
    seeds: list[tuple[int, float]] = field(default_factory=list)
    """Those that were tried before, and what each measured for `until`."""
    known_before: int = 0
    replaced: int = 0
    """Workers that had taken more than their memory."""
    fidelity: float = math.nan
    sample: list[int] = field(default_factory=list)
    """Candidates by which the fidelity of the screen was measured."""
    overfit: Overfitting | None = None
    dead: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    """Knobs that the screen does not see, and those without any effect (`dead`)."""
    out_of_sample: judge.OutOfSample | None = None
    best: int = -1
    gates: list[judge.Gate] = field(default_factory=list)
    trials: int = 0
    monte_carlo: dict[str, Any] = field(default_factory=dict)
    stress: list[dict[str, Any]] = field(default_factory=list)
    stress_refused: str = ""
    sensitivity: dict[str, Any] = field(default_factory=dict)
    stability: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of the best candidate: see ``robustness.py``, and `Trials.stressed`."""
    held_seen: int = 0
    """Other candidates that were run on days of the hold-out before it was opened."""
    held_looked_at: bool = False
    """Whether the gates before passed, so that the hold-out was to be opened."""
    held_refused: str = ""

    @property
    def accepted(self) -> bool:
        """Whether every gate passed."""
        return bool(self.gates) and all(gate.passed for gate in self.gates)

    @property
    def race(self) -> dict[int, Floats]:
        """Returns of the candidates that the best was chosen from, by number."""
        found = self.screened or self.full
        return {number: found[number] for number in sorted(found)}

    @property
    def refusal(self) -> str:
        """Why the first of the refused candidates was refused, whichever ended first."""
        return self.refused[min(self.refused)] if self.refused else "the search is empty"

    def objective(self, returns: Floats) -> float:
        """Return the study's objective of daily returns."""
        return judge.objective(self.study.objective, returns)


def environment(given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return, by variable that is set, the ``path=value`` of the study that it stands for."""
    found = {}
    for name, (path, value) in ENVIRONMENT.items():
        if text := given.get(name):
            try:
                found[name] = f"{path}={value(text)}"
            except ValueError:
                raise InputError(f"{name}: expected a number, was {text!r}") from None
    return found


def plan(file: Path, overrides: Sequence[str] = ()) -> Found:
    """Check a study and its backtest, and cut the window; nothing is run.

    Raises DocumentErrors or InputError with file and field of what is wrong.
    """
    study: Study = checked(file, overrides, Study).document
    document: Backtest = checked(study.backtest, kind=Backtest).document
    start, end = document.window.start_ns, document.window.end_ns
    if study.window_days is not None:
        start = max(start, end - study.window_days * DAY_NS)
    if start % DAY_NS or (end % DAY_NS and not study.hold_out):
        place = "start" if start % DAY_NS else "end"
        raise InputError(
            f"{study.backtest}: window.{place}: a study judges whole UTC days: must be at 00:00"
        )
    recorded = {one.source_venue for one in CatalogIndex(Path(document.catalog)).provenance}
    if (TESTNET in recorded) != study.testnet:
        there = "is recorded" if TESTNET in recorded else "is not recorded"
        raise InputError(
            f"{file}: testnet: {str(study.testnet).lower()}, but {document.catalog} {there} on "
            "Bybit's testnet"
        )
    window, held = Span(start, end), None
    folds = study.folds
    purge, test = folds.purge_days * DAY_NS, folds.min_test_days * DAY_NS
    try:
        if study.hold_out:
            window, held = hold_out(window, study.hold_out, purge_ns=purge, min_test_ns=test)
        splits = _splits(study, window, purge, test)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    searches = len(splits) + 1
    least = searches if folds.method == "walk_forward" else searches * study.stages.batch
    if study.learns and study.stages.top < least:
        raise InputError(
            f"{file}: stages.top: {study.method} searches each of {len(splits)} trainings and the "
            f"whole window by itself: needs at least {least}, was {study.stages.top}"
        )
    return Found(study, within(study.backtest, window), window, held, splits)


def _splits(study: Study, window: Span, purge: int, test: int) -> list[Split]:
    folds = study.folds
    if folds.method == "walk_forward":
        lengths = folds.train_days * DAY_NS, folds.test_days * DAY_NS
        anchored = folds.anchored
        return walk_forward(window, *lengths, anchored=anchored, purge_ns=purge, min_test_ns=test)
    return combinatorial(
        window,
        folds.groups,
        folds.tested,
        purge_ns=purge,
        embargo_ns=folds.embargo_days * DAY_NS,
        min_test_ns=test,
    )


def within(backtest: str, window: Span) -> Resolved:
    """Return the study's backtest, run over another window."""
    start, end = map(minute_text, window)
    return checked(backtest, [f"window.start={start}", f"window.end={end}"])
