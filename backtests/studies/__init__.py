"""Studies: search for parameters, and tell luck from skill before money follows them.

The mathematics is pure: arrays and times in, figures out, all randomness seeded. It may import
config and `actors.measures`, nothing of the engine; rooms such as ``backtests/policies`` use it.

- ``bootstrap.py`` stationary bootstrap: resampled series and intervals
- ``search_space.py`` candidates by random draw, Sobol sequence or grid; their neighbours
- ``splits.py`` walk-forward, combinatorial purged cross-validation, final hold-out
- ``selection.py`` probabilistic and deflated Sharpe, minimum track record length
- ``overfitting.py`` probability of backtest overfitting (PBO, CSCV)
- ``monte_carlo.py`` resampled days or trades: the bad tail, ruin, the band of paths
- ``importance.py`` which parameters, and pairs of them, explain the objective (fANOVA)
- ``trial_ledger.py`` every trial on a data set counts, and hold-outs open once
- ``ledger_database.py`` where the ledger is kept: a SQLite file, or PostgreSQL

One file a word of the trader's; to add a method, add its file and name the paper in its docstring.
Tests have the paper's own example.
"""
