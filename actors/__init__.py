"""Guards and what they stand on: rules, the desk that feeds them, the order gate, the closer.

May import strategies (messages), catalog and config. What is seen goes one way, the same in a
backtest and live:

    fills, funding, prices, orders -> RiskDesk -> Guard: rule -> readings -> latches -> Verdict
    Verdict -> strategies (sizes, exits), the order gate (entries), the closer (what is left)

- ``rules/`` the mathematics, pure: facts in, readings out; ``rules/latch.py`` makes halts of them
- ``losses.py``, ``activity.py``, ``exposure.py``, ``markets.py``, ``accounts.py`` the guards: each
  names its parameters and its rule, and no more
- ``guard.py`` the shell that carries a rule: state is kept before a verdict is said; ``guards.py``
  makes those of a document; ``risk_desk.py`` shows them what is going on, and asks them at the gate
- ``books.py`` results by strategy; ``heartbeats.py`` who has fallen silent
- ``closer.py`` closes what is left after a flatten
- ``order_gate.py`` the checks in front of every order, pure; ``gate.py`` its shell at the engine
- ``journal.py`` what was decided, sent and got; ``measures.py`` one definition of Sharpe and others

To add a guard: its parameters (a `GuardParams` with ranges, units and a ``check``) and its pure
functions, bound as ``RULE``, in a file of ``rules/``; a class of a few lines in the module that it
belongs to; its unit in ``live_nodes/operate/risk_status.py``; what breaches it in
``live_nodes/drill/recipes.py`` (a guard that can't be drilled is an error); a truth table just
inside, at and just outside its limit in ``tests/actors/rules``; its line in
``live_nodes/nodes/guarded_practice.yaml``, and ``python -m config.schema``. A guard of one's own
package derives from `actors.desk.guard:Guard` and is named in ``use`` where the document lists the
package under ``allow``.
"""
