"""Live trading nodes: the same setup as a backtest's, launched through Nautilus's Bybit adapter.

May import everything below: backtests, actors, strategies, catalog, config.

A run is `launch.py`, to be read from top to bottom: what is asked before (`preflight.py`,
`recovery.py`), what refuses a start (`gates.py`), what is built (`build.py`, `adapter.py`), what
looks on while it trades (`watch.py`, `sweep.py`, `throttle.py`), and the way out (`stopping.py`).
The rules behind them are pure and stand apart (`*_rules.py`, `outcome.py`). `practice/` is an
exchange of our own that speaks Bybit v5: trading code never imports it, it is another process.

To add a node, write a document in ``nodes/``; to add a gate, a function in ``gates.py`` and the
question for its facts in ``preflight.py``; to add a watch, a verdict in ``watch_rules.py`` and a
policy in ``config/documents/watch.py``.
"""
