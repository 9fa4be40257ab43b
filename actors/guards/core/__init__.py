"""What guards share: snapshots of the desk, readings, limits, halts that stand. Pure.

Imports strategies (messages) and config only, never a single guard.
"""
