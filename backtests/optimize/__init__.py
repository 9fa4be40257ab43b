"""Optimize: search a backtest's parameters, and refuse what is likely luck.

- ``plan.py`` check the study, cut its window; all that a study knows
- ``study.py`` the stages: draw, screen, run, judge; each trial in the ledger
- ``adaptive.py`` tpe and nsga2: what to run next, by what ran before
- ``outcome.py`` what is left: best.json, trials.parquet, best.yaml
- ``report.py`` report.html
- ``trials.py`` one trial: screened, run event by event, or under stress
- ``identity.py`` the hash of all that a trial depends on
- ``workers.py`` the processes that run trials
- ``cluster.py`` the same on the workers of a Dask cluster
- ``judge.py`` the mathematics: nominate, choose out of sample, gates
- ``robustness.py`` what else could have come of the best candidate
- ``dashboard.py`` a copy of the trials for optuna-dashboard
- ``running.py`` studies in the background: their lock and progress
- ``commands.py`` `perpdesk optimize`, `perpdesk studies`

To add a gate, add a field to ``config/documents/study.py`` and a row to `judge.gates`.
"""
