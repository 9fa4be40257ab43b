"""A study for Optuna's dashboard: `optuna-dashboard results/studies/NAME/optuna.journal`.

A copy to look at, begun anew by each run of a study: what is known stands in the ledger of trials.
A line of a file is a fifteenth of the work of a row of Optuna's database.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from backtests.optimize import judge
from backtests.optimize.adaptive import as_chosen, distributions
from backtests.optimize.plan import Found
from config.documents.study import MINIMISED

JOURNAL = "optuna.journal"


class Board:
    """Shows the trials of a study, those that were run event by event, as they end."""

    def __init__(self, folder: Path, found: Found) -> None:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._found, self._shown = found, set[int]()
        self._names = found.study.objectives
        self._distributions = distributions(found.study.search)
        self._study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(folder / JOURNAL))),
            study_name=f"{found.study.name}, seed {found.study.seed}",
            directions=["minimize" if n in MINIMISED else "maximize" for n in self._names],
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.set_metric_names(self._names)

    def show(self) -> None:
        """Add the trials that have ended since."""
        found = self._found
        for number in sorted((found.full.keys() | found.stopped.keys()) - self._shown):
            self._shown.add(number)
            self._study.add_trial(self._trial(number))

    def _trial(self, number: int) -> Any:
        from optuna.trial import TrialState, create_trial

        found = self._found
        figures = found.figures.get(number, {})
        returns = found.full.get(number)
        part = found.stopped.get(number, ())
        values = [] if returns is None else [judge.objective(n, returns) for n in self._names]
        known = bool(values) and all(abs(value) < float("inf") for value in values)
        return create_trial(
            state=TrialState.COMPLETE if known else TrialState.PRUNED,
            values=values if known else None,
            params=as_chosen(found.study.search, found.candidates[number]),
            distributions=self._distributions,
            user_attrs={name: figures[name] for name in judge.FIGURES if name in figures}
            | ({"stopped_after_days": len(part)} if returns is None else {}),
        )
