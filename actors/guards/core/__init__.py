"""Snapshots, readings, limits and halts that all guards share. Pure.

`positions` and `lazy` are the parts of a backtest's snapshot, which are made when they are read.

Imports strategies (messages) and config only, no single guard.
"""
