"""The drill: every guard of a document is breached on purpose, in both worlds, and watched.

``recipes`` says as data what must be held and what must happen for each kind of guard; ``course``
is the one way of a drill, from the start of a world to the release of the halt; ``backtest_world``
and ``practice_world`` are the two worlds: the backtests' engine on a market made in memory, and a
real node on a practice exchange of its own. ``strategy`` does what the course tells it and, once a
halt stands, stubbornly goes on trying entries.
"""
