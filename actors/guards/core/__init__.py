"""Snapshots, readings, limits and halts that all guards share. Pure.

Imports strategies (messages) and config only, no single guard.
"""
