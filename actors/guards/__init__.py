"""The guards, one file each; `core` is what they share. Pure: no nautilus_trader.

A file here holds all of a guard: its parameters with ranges and units, its unit, what it measures,
which entries it admits, how a drill breaches it, and an example just inside, at and outside its
limit that ``tests/actors/guards/test_contract.py`` plays. The set of guards is found by scanning
this package.

To add a guard: copy the one that is most like yours, ``daily_loss.py`` for equity,
``position_cap.py`` for what is held, ``spread.py`` for markets, ``rejections.py`` for events; add
it to ``live_nodes/nodes/guarded_practice.yaml``, and run ``python -m config.schema``. A document
names it by file and class, as in ``use: actors.guards.FILE:Class``.

- ``core/guard.py`` the base class, and what each of its methods is for
- ``core/snapshot.py`` snapshots of the desk, and events in between
- ``core/params.py`` the parameters of every guard, and durations; ``core/limits.py`` readings
- ``core/halts.py`` how a reading that reached its limit becomes a halt, and how that ends
- ``core/exposure.py``, ``core/margin.py``, ``core/windows.py``, ``core/equity_curves.py`` measures
- ``core/drill.py`` steps of a drill; ``core/examples.py`` examples of limits
"""
