"""The drill: breach every guard of a document on purpose, in two worlds, and check the result.

A guard's ``drill`` describes as data what to hold and which events to cause. ``drill_run`` is one
drill from the start of a world to the release of the halt. ``backtest_world`` (the backtests'
engine in memory) and ``practice_world`` (a real node on a practice exchange) are the two worlds;
``world`` is their interface. ``strategy`` carries out instructions and retries entries during a
halt. May import every other room of ``live_nodes`` except ``practice``.
"""
