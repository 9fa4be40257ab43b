"""Risk guards, one file each; shared parts are in `core`. Pure: no nautilus_trader.

A file holds all of a guard: its parameters with ranges and units, its measurement, which entries it
admits, its drill, and an example just inside, at and outside its limit for
``tests/actors/guards/test_contract.py``. The desk finds guards by scanning this package.

To add a guard, copy a similar one: ``daily_loss.py`` for equity, ``position_cap.py`` for positions,
``spread.py`` for markets, ``rejections.py`` for events. Add it to
``live_nodes/nodes/guarded_practice.yaml``, and run ``python -m config.schema``. A document names it
by file and class, as in ``use: actors.guards.FILE:Class``.

- ``core/guard.py`` the base class and its methods
- ``core/snapshot.py`` snapshots of the desk, and events in between
- ``core/params.py`` the parameters of every guard, and durations; ``core/limits.py`` readings
- ``core/halts.py`` how a reading that reached its limit becomes a halt, and how that ends
- ``core/exposure.py``, ``core/margin.py``, ``core/windows.py``, ``core/equity_curves.py`` measures
- ``core/drill.py`` steps of a drill; ``core/examples.py`` examples of limits
"""
