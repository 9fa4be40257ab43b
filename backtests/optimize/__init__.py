"""Optimize: search a backtest's parameters, and refuse what is likely luck.

- ``study.py`` the stages: draw, screen, run, judge, write; each trial in the ledger
- ``trials.py`` one trial, screened or event by event, in a worker process
- ``judge.py`` the mathematics: nominate, choose out of sample, gates
- ``commands.py`` `perpdesk optimize`

To add a gate, add a field to ``config/documents/study.py`` and a row to `judge.gates`.
"""
