"""The drill: breach every guard of a document on purpose, in both worlds, and check what it does.

A guard's ``drill`` describes as data what must be held and what must happen. ``drill_run`` is one
drill from the start of a world to the release of the halt. ``backtest_world`` (the backtests'
engine on a market made in memory) and ``practice_world`` (a real node on a practice exchange of its
own) are the two worlds; ``world`` is what they share. ``strategy`` carries out instructions and,
once a halt stands, keeps trying entries. It may import every other room of ``live_nodes`` except
``practice``.
"""
