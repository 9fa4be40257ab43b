"""Strategies over whole panels without the engine: thousands of candidates in seconds.

Uses the strategies' own functions. May import strategies and catalog.
"""
