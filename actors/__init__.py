"""Guards and what they stand on: rules, the order gate, measures.

May import strategies (messages), catalog and config. A rule is a pure function that returns a
Verdict; the strictest wins. To add one: the pure part in a file of its own with a table test just
inside and just outside its limit, the thin Actor that feeds it beside it.

- ``order_gate.py`` the checks in front of every order, pure; ``gate.py`` its shell at the engine
- ``measures.py`` one definition of Sharpe, drawdown and the rest
"""
