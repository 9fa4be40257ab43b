"""Search that learns: TPE (Bayesian) and NSGA-II (several objectives) of Optuna.

Each training of a walk-forward searches for itself, as does the whole window: what a test decides
must not have been drawn to where that test went well. A search begins with what earlier ones ran,
unless their trainings have days of its tests. Each proposes candidates batch by batch, so that the
outcome depends neither on how many workers there are nor on which of them is faster.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from backtests.optimize import judge
from backtests.optimize.judge import Bar, Flags
from backtests.optimize.plan import Found
from backtests.studies.search_space import Candidate, Space, draw, rounded, size
from config.documents.search_space import Dimension
from config.documents.study import Study

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

RunAll = Callable[[Sequence[int], str, Sequence[Bar], int, int], None]
"""Runs candidates: numbers, stage, bars, how many of the stage are done, and all of them."""
FEWEST_DRAWN = 8
"""Candidates that a search without known ones draws before it learns."""
_PATIENCE = 10
"""Batches without anything new, after which a search ends: what it wants is known."""


def search(found: Found, run: RunAll) -> list[list[int]]:
    """Search each training and the whole window; return the candidates that each may choose from.

    Those of the whole window come last. Known candidates of `found` are none of it.
    """
    study, window = found.study, found.window
    trainings = [judge.days_of(window, split.train) for split in found.splits]
    tests = [judge.days_of(window, split.test) for split in found.splits]
    everything = judge.days_of(window, (window,))
    checks = sorted({int(np.argmax(days)) for days in tests})
    numbers = {_key(candidate): i for i, candidate in enumerate(found.candidates)}
    shares = [len(part) for part in np.array_split(np.arange(study.stages.top), len(trainings) + 1)]
    pools: list[list[int]] = []
    seen: list[Flags] = []
    for place, (days, test) in enumerate(
        zip([*trainings, everything], [*tests, ~everything], strict=True)
    ):
        fair = [k for k in range(place) if not (seen[k] & test).any()]
        pool = list(dict.fromkeys(i for k in fair for i in pools[k]))
        seen.append(np.logical_or.reduce([days, *(seen[k] for k in fair)]))
        one = _Search(found, days, checks if study.stages.prune else (), place)
        pools.append(pool + one.go(pool, shares[place], numbers, run, len(shares)))
    return pools


class _Search:
    """One search: it maximises the study's figures over some days of the window."""

    def __init__(self, found: Found, days: Flags, checks: Sequence[int], place: int) -> None:
        self._found, self._days, self._checks, self._place = found, days, checks, place
        self._names = found.study.objectives
        self._seed = int(np.random.SeedSequence([found.study.seed, place]).generate_state(1)[0])
        self._learner = _Learner(found.study, self._seed)

    def go(
        self, pool: list[int], count: int, numbers: dict[str, int], run: RunAll, searches: int
    ) -> list[int]:
        """Run so many candidates and return them; `pool` is known, `numbers` are by candidate."""
        found, mine, idle = self._found, list[int](), 0
        for i in pool:
            self._tell(self._learner.take(found.candidates[i]), i)
        stage, study = f"search {self._place + 1} of {searches}", found.study
        # Without learning: only of these the probability of overfitting is that of a choice among
        # all that there is; what is near the best is alike, and a coin decides which is better.
        first = min(count, max(FEWEST_DRAWN, count // 2)) if not pool else 0
        drawn = draw(study.search, "sobol", first, self._seed) if first else []
        while len(mine) < count and idle < _PATIENCE:
            few = range(min(study.stages.batch, count - len(mine)))
            asked = [(self._learner.take(one), one) for one in drawn]
            told = []
            for trial, candidate in asked or [self._learner.ask() for _ in few]:
                number = numbers.setdefault(_key(candidate), len(found.candidates))
                if number == len(found.candidates):
                    found.candidates.append(candidate)
                told.append((trial, number))
            new = list(dict.fromkeys(i for _, i in told if i not in pool and i not in mine))
            idle = 0 if new else idle + 1
            for number in new:
                found.stopped.pop(number, None)  # by a search that may have seen this one's test
            found.drawn |= set(new) if drawn else set()
            drawn = []
            known = found.stopped | found.full
            ran = [known[i] for i in (*pool, *mine) if i in known]
            bars = judge.bars_of(self._names, ran, self._days, self._checks)
            run(new, stage, bars, len(mine), count)
            for trial, number in told:
                self._tell(trial, number)
            mine += new
        return mine

    def _tell(self, trial: Trial, number: int) -> None:
        found = self._found
        if (returns := found.full.get(number)) is not None:
            values = [judge.worth(name, returns[self._days]) for name in self._names]
            self._learner.tell(trial, values)
        else:
            part = found.stopped.get(number, np.zeros(0))
            value = judge.worth(self._names[0], part[self._days[: len(part)]])
            self._learner.give_up(trial, value, len(part))


class _Learner:
    """Optuna's sampler over a study's search space; values are maximised."""

    def __init__(self, study: Study, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space, self._distributions = study.search, distributions(study.search)
        sampler: Any
        if study.method == "nsga2":
            near = optuna.samplers.nsgaii
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                # Optuna's own only shuffle values and draw them anew: near values are not tried.
                sampler = optuna.samplers.NSGAIISampler(
                    population_size=study.stages.batch,
                    crossover=near.SBXCrossover(),
                    mutation=near.PolynomialMutation(),
                    seed=seed,
                )
        else:
            sampler = optuna.samplers.TPESampler(n_startup_trials=FEWEST_DRAWN, seed=seed)
        names = study.objectives
        self._study = optuna.create_study(sampler=sampler, directions=["maximize"] * len(names))

    def ask(self) -> tuple[Trial, Candidate]:
        """Propose a candidate."""
        trial = self._study.ask(self._distributions)
        return trial, {
            path: chosen(dimension, trial.params[path]) for path, dimension in self._space.items()
        }

    def take(self, candidate: Candidate) -> Trial:
        """Begin a candidate that was proposed by others."""
        self._study.enqueue_trial(as_chosen(self._space, candidate))
        return self._study.ask(self._distributions)

    def tell(self, trial: Trial, values: Sequence[float]) -> None:
        """Say what came of a candidate; one without a figure is worse than any."""
        if np.isfinite(values).all():
            self._study.tell(trial, values)
        else:
            self.give_up(trial, -np.inf, 0)

    def give_up(self, trial: Trial, value: float, day: int) -> None:
        """Say that a candidate was refused, or stopped by a day with some value."""
        import optuna

        if np.isfinite(value) and len(self._study.directions) == 1:
            trial.report(value, day)
        self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Return a search space as Optuna has it."""
    return {path: _distribution(dimension) for path, dimension in space.items()}


def _distribution(dimension: Dimension) -> BaseDistribution:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if dimension.choice is not None:
        return CategoricalDistribution([json.dumps(value) for value in dimension.choice])
    # Optuna warns of a largest value that no step reaches.
    steps = size(dimension) - 1
    if dimension.int is not None:
        low, high = dimension.int
        step = int(dimension.step or 1)
        return IntDistribution(
            low, high if dimension.log else low + int(steps) * step, dimension.log, step
        )
    assert dimension.float is not None
    least, most = dimension.float
    if dimension.step is None:
        return FloatDistribution(least, most, dimension.log)
    return FloatDistribution(least, least + steps * dimension.step, step=dimension.step)


def chosen(dimension: Dimension, value: Any) -> Any:
    """Return a parameter's value of Optuna's."""
    return json.loads(value) if dimension.choice is not None else rounded(dimension, value)


def as_chosen(space: Space, candidate: Mapping[str, Any]) -> dict[str, Any]:
    """Return a candidate's values as Optuna has them."""
    return {
        path: json.dumps(value) if space[path].choice is not None else value
        for path, value in candidate.items()
    }


def _key(candidate: Mapping[str, Any]) -> str:
    return json.dumps(candidate, default=str)
