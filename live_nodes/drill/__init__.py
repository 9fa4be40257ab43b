"""The drill: every guard of a document is breached on purpose, in both worlds, and watched.

A guard's ``drill`` says as data what must be held and what must happen; ``drill_run`` is the one
course of a drill, from the start of a world to the release of the halt; ``backtest_world`` and
``practice_world`` are the two worlds (``world`` is what they share): the backtests' engine on a
market made in memory, and a real node on a practice exchange of its own. ``strategy`` carries out
instructions and, once a halt stands, keeps trying entries. It may import every other room of
``live_nodes`` except ``practice``.
"""
