"""Results of a run: tables, figures, equity curve, benchmarks.

May import `backtests.engine` and below. A new figure goes into `figures`, a new table into
`tables`; a new column of fills into `actors.records.rows.FillRow`.
"""
