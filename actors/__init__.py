"""Guards and what they stand on: the desk that feeds them, the order gate, the closer, records.

May import strategies (messages), catalog and config. What happens goes one way, the same in a
backtest and live:

    fills, funding, prices, orders -> RiskDesk -> Guard -> readings -> latches -> Verdict
    Verdict -> strategies (sizes, exits), the order gate (entries), the closer (what is left)

- ``guards/`` one file a guard, pure: a snapshot or an event in, readings out
- ``desk/`` shows guards what happens, asks them at the gate, and publishes their verdicts
- ``gate/`` the checks in front of every order
- ``closing/`` closes what is left after a flatten
- ``records/`` what was decided, sent and got: journal, ledger, accounts
- ``measures.py`` one definition of Sharpe and others

To add a guard: one file in ``guards/`` (its docstring says what belongs in it).

A guard of your own package is the same one file: a class derived from
`actors.guards.core.guard.Guard`, with a ``Config`` (a `GuardParams` with ranges and units), a
``measure`` and, where it needs them, ``on_event``, ``admit``, ``released`` and a ``State``. Name it
in a document that lists the package under ``allow``:

    allow: [my_ideas]
    actors:
      calm: {use: my_ideas.calm:Calm, params: {limit: 3}}

`perpdesk risk drill` breaches it too where it has the method ``drill``.
"""
