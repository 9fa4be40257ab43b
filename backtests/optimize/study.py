"""Run a study: draw candidates, screen them, run the best, judge out of sample.

Each trial stands in the ledger before it runs, so that a killed study goes on where it was: what
is done is not run again. The screen is, for it takes seconds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from pathlib import Path
from typing import Any

import numpy as np

from actors import measures
from actors.measures import Floats
from backtests.optimize import adaptive, judge, robustness
from backtests.optimize.identity import code, identity, variant
from backtests.optimize.judge import Bar, stopped_at
from backtests.optimize.plan import Found, within
from backtests.optimize.trials import Outcome, Trials
from backtests.optimize.workers import Pool
from backtests.optimize.workers import workers as workers_of
from backtests.studies.search_space import draw, neighbours, space_size, value_at
from backtests.studies.trial_ledger import DONE, PRUNED, Trial, TrialLedger
from config.documents.search_space import Dimension
from config.errors import GateRefused, InputError

Tell = Callable[[str, int, int, str], None]
"""Called with the stage, trials done and all of it, and the best so far in words."""


def optimize(found: Found, ledger: TrialLedger, workers: int | str, tell: Tell) -> Found:
    """Run a planned study to its gates; whether they pass is `Found.accepted`.

    Raises GateRefused where the screen does not rank as full runs do.
    """
    study = found.study
    learns = study.learns and space_size(study.search) > study.stages.top
    if not study.learns:
        found.candidates = draw(study.search, study.method, study.stages.candidates, study.seed)
    elif not learns:  # all there are
        found.candidates = draw(study.search, "grid", study.stages.top, study.seed)
    with workers_of(found.base, workers, study.stages.worker_mb) as pool:
        run = _Runs(found, ledger, pool, tell)
        everything = range(len(found.candidates))
        if study.screens:
            run.screen(everything)
            nominated = _nominated(found, found.screened)
            _measure_fidelity(found, run)
            run.full({i for names in nominated for i in names})
        elif learns:
            nominated = adaptive.search(found, run.full)
        else:
            run.full(everything)
            nominated = _nominated(found, found.full, every=True)
        # What the sample ran counts as a trial, but its candidates were not nominated.
        in_race = sorted({i for names in nominated for i in names} & found.full.keys())
        if not in_race:
            raise _none_ran(found)
        found.best = max(in_race, key=lambda i: found.objective(found.full[i]))
        _name_dead_knobs(found, run)
        _look_around(found, run)
        found.out_of_sample = judge.out_of_sample(
            study.objective, found.full, nominated, found.window, found.splits, study.folds
        )
        data = run.data
        found.trials = ledger.count(data)
        race = found.race
        drawn = sorted(found.drawn & race.keys() or race)
        found.overfit = judge.overfitting_of(np.array([race[i] for i in drawn]))
        found.gates = judge.gates(
            study.gates,
            found.out_of_sample,
            found.full[found.best],
            found.figures[found.best],
            np.array(list(race.values())),
            found.overfit,
            found.trials,
            ledger.sharpes(data),
        )
        if study.until is not None:
            found.gates.append(judge.until(study.until, found.gates))
        _resample_and_stress(found, run)
        found.replaced = pool.replaced
    if found.accepted and found.held is not None:
        _open_hold_out(found, ledger, workers, tell)
    return found


def _nominated(found: Found, returns: dict[int, Floats], every: bool = False) -> list[list[int]]:
    if not returns:
        raise _none_ran(found)
    numbers = sorted(returns)  # not as they ended: of equals the first is taken
    top = len(numbers) if every else found.study.stages.top
    rows = np.array([returns[i] for i in numbers])
    lists = judge.nominate(found.study.objective, rows, found.window, found.splits, top)
    return [[numbers[i] for i in names] for names in lists]


def _none_ran(found: Found) -> InputError:
    return InputError(f"{found.study.name}: no candidate is sound: {found.refusal}")


def _measure_fidelity(found: Found, run: _Runs) -> None:
    stages = found.study.stages
    ranked = sorted(found.screened, key=lambda i: found.objective(found.screened[i]))
    places = np.linspace(0, len(ranked) - 1, min(stages.sample, len(ranked))).round().astype(int)
    sample = [ranked[i] for i in dict.fromkeys(places.tolist())]
    run.full(sample, "sample of the screen")
    both = [i for i in sample if i in found.full]
    found.sample = both
    found.fidelity = judge.rank_correlation(
        np.array([found.objective(found.screened[i]) for i in both]),
        np.array([found.objective(found.full[i]) for i in both]),
    )
    if not found.fidelity >= stages.least_fidelity:
        raise GateRefused(
            f"{found.study.name}: the rank correlation of screen and full run over "
            f"{len(both)} candidates is {found.fidelity:.2f}, at least "
            f"{stages.least_fidelity:g} is needed: the screen would choose by chance; set "
            "stages.screen: false with fewer candidates"
        )


def _name_dead_knobs(found: Found, run: _Runs) -> None:
    """Find the knobs that change nothing around the best candidate: in the screen, and at all."""
    best = found.candidates[found.best]
    for path, dimension in found.study.search.items():
        ends = dimension.choice or (value_at(dimension, 0.0), value_at(dimension, 1.0))
        others = [best | {path: value} for value in ends if value != best[path]]
        first = len(found.candidates)
        found.candidates += others
        numbers = range(first, first + len(others))
        if found.study.screens:
            run.screen(numbers, "knobs without effect")
        if not _moves(numbers, found.best, found.screened):
            run.full(numbers, "knobs without effect")
            if _moves(numbers, found.best, found.full):
                found.unseen += [path] * found.study.screens
            elif any(i in found.full for i in numbers):
                found.dead.append(path)
        _forget(found, numbers)


def _forget(found: Found, numbers: Iterable[int]) -> None:
    # Looked at for their effect alone: chosen now, they would be a second search.
    for number in numbers:
        for kept in (found.screened, found.full, found.refused):
            kept.pop(number, None)


def _moving(found: Found) -> dict[str, Dimension]:
    return {p: d for p, d in found.study.search.items() if p not in found.dead}


def _look_around(found: Found, run: _Runs) -> None:
    """Run the best candidate's neighbours: before the gates, for each is a look that counts."""
    best, space = found.candidates[found.best], _moving(found)
    ran = {json.dumps(found.candidates[i]): i for i in found.full}
    near = neighbours(space, best)
    first = len(found.candidates)
    new = [one for one in near if json.dumps(one) not in ran]
    found.candidates += new
    numbers = range(first, len(found.candidates))
    run.full(numbers, "neighbours of the best")
    ran |= {json.dumps(found.candidates[i]): i for i in numbers if i in found.full}
    around = [(one, ran[json.dumps(one)]) for one in near if json.dumps(one) in ran]
    found.sensitivity = robustness.sensitivity(
        space,
        best,
        found.objective(found.full[found.best]),
        [(one, found.objective(found.full[number])) for one, number in around],
    )
    _forget(found, numbers)


def _resample_and_stress(found: Found, run: _Runs) -> None:
    """Resample and stress the best candidate: what is chosen already is no new candidate."""
    outcome, study = run.stressed(), found.study
    found.stress, found.stress_refused = outcome.figures.get("stress", []), outcome.why
    found.monte_carlo = robustness.monte_carlo_block(
        found.full[found.best],
        np.zeros(0) if outcome.returns is None else outcome.returns,
        robustness.drawdown_tiers(found.base.complete),
        study.seed,
    )
    assert found.out_of_sample is not None
    race = found.race
    found.stability = robustness.stability(
        _moving(found),
        found.candidates[found.best],
        [found.candidates[i] for i in found.out_of_sample.chosen if i >= 0],
        [found.candidates[i] for i in race],
        np.array([found.objective(returns) for returns in race.values()]),
        study.seed,
    )


def _moves(numbers: Iterable[int], best: int, returns: dict[int, Floats]) -> bool:
    return any(i in returns and not np.array_equal(returns[i], returns[best]) for i in numbers)


def _open_hold_out(found: Found, ledger: TrialLedger, workers: int | str, tell: Tell) -> None:
    assert found.held is not None
    found.held_looked_at = True
    base = within(found.study.backtest, found.held)
    last = Found(found.study, base, found.held, None, [], [found.candidates[found.best]])
    with workers_of(base, workers, found.study.stages.worker_mb) as pool:
        run = _Runs(last, ledger, pool, tell)
        name = identity(variant(base, last.candidates[0]))
        found.held_seen = ledger.count(run.data, but=name)
        try:
            ledger.open_hold_out(found.study.name, run.data, name)
        except GateRefused as refused:
            found.held_refused = str(refused)
            gate = judge.Gate("hold-out not opened before", math.nan, "for others", passed=False)
            found.gates.append(gate)
            return
        run.full([0], "hold-out")
    sharpe = measures.sharpe(last.full[0], judge.YEAR) if last.full else math.nan
    wanted = found.study.gates.sharpe
    found.gates.append(judge.at_least("Sharpe on the hold-out", sharpe, wanted))


class _Runs:
    """Sends candidates to workers and keeps what comes back, in the ledger too."""

    def __init__(self, found: Found, ledger: TrialLedger, pool: Pool, tell: Tell) -> None:
        self._found, self._ledger, self._pool, self._tell = found, ledger, pool, tell
        self._ended, self._highest = set[int](), {"screen": -math.inf, "full": -math.inf}
        self.data = ledger.data_set(Path(found.base.document.catalog), *found.window)
        self._days = len(judge.days_of(found.window, ()))

    def screen(self, numbers: Sequence[int], stage: str = "screen") -> None:
        """Screen candidates, all of them again."""
        found, done = self._found, []
        chunk = max(1, min(50, len(numbers) // 20))
        results = self._pool.map(
            Trials.screen, [found.candidates[i] for i in numbers], chunksize=chunk
        )
        for count, (number, outcome) in enumerate(zip(numbers, results, strict=True), 1):
            candidate = found.candidates[number]
            if outcome.returns is None:
                found.refused[number] = outcome.why
            else:
                found.screened[number] = outcome.returns
                done.append((outcome.name, candidate, outcome.figures))
                self._rise("screen", outcome.returns)
            self._tell(stage, count, len(numbers), self._best("screen"))
        self._ledger.record(found.study.name, self.data, "screen", done)

    def full(
        self,
        numbers: Iterable[int],
        stage: str = "full",
        bars: Sequence[Bar] = (),
        before: int = 0,
        of: int | None = None,
    ) -> None:
        """Run candidates event by event, but for those whose outcome is known.

        They are stopped by the bars. `before` of the stage, which has `of`, are done already.
        """
        found = self._found
        wanted = set(numbers) - found.full.keys() - found.refused.keys()
        waiting = {}
        for number in sorted(wanted - found.stopped.keys() if bars else wanted):
            candidate = found.candidates[number]
            try:
                name = identity(variant(found.base, candidate))
            except InputError as error:
                found.refused[number] = str(error)
                continue
            trial = self._ledger.begin(found.study.name, self.data, name, candidate)
            if self._known(number, trial, bars):
                found.known_before += trial.number not in self._ended
            else:
                waiting[self._pool.submit(Trials.full, candidate, bars)] = number, trial.number
        total, pending = of or len(waiting), set(waiting)
        self._tell(stage, before, total, self._best("full"))
        while pending:
            ended, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in ended:
                self._end(*waiting[future], future.result(), bars)
            done = before + len(waiting) - len(pending)
            self._tell(stage, done, total, self._best("full"))

    def stressed(self) -> Outcome:
        """Run the best candidate under worse conditions."""
        self._tell("stress of the best", 0, 1, "")
        candidate = self._found.candidates[self._found.best]
        return self._pool.submit(Trials.stressed, candidate).result()

    def _known(self, number: int, trial: Trial, bars: Sequence[Bar]) -> bool:
        """Take a trial's outcome from the ledger; False where it must run."""
        if trial.state not in (DONE, PRUNED):
            return False
        returns = self._ledger.returns(trial.number, code())
        return returns is not None and self._take(number, returns, trial.figures, bars)

    def _take(
        self, number: int, returns: Floats, figures: dict[str, Any], bars: Sequence[Bar]
    ) -> bool:
        """Take an outcome; False where it was stopped by other bars than these.

        However much of it was run, by this study or another: what these bars stop is stopped.
        """
        found = self._found
        if (day := stopped_at(returns, bars)) is not None:
            found.stopped[number] = returns[:day]
        elif len(returns) == self._days:
            found.full[number], found.figures[number] = returns, figures
            self._rise("full", returns)
        else:
            return False
        return True

    def _end(self, number: int, trial: int, outcome: Outcome, bars: Sequence[Bar]) -> None:
        returns = outcome.returns
        if returns is None:
            self._found.refused[number] = outcome.why
            end = self._ledger.fail if outcome.ran else self._ledger.refuse
            end(trial, outcome.why)
            return
        self._ended.add(trial)
        if outcome.figures:
            self._ledger.finish(trial, outcome.figures, returns, code())
        else:
            why = f"stopped after {len(returns)} days: in the worst quarter"
            sharpe = {"sharpe": measures.sharpe(returns, judge.YEAR)}
            self._ledger.prune(trial, why, sharpe, returns, code())
        self._take(number, returns, outcome.figures, bars)

    def _rise(self, kind: str, returns: Floats) -> None:
        self._highest[kind] = max(self._highest[kind], self._found.objective(returns))

    def _best(self, kind: str) -> str:
        highest = self._highest[kind]
        return "" if highest == -math.inf else f"best {self._found.study.objective} {highest:.2f}"
