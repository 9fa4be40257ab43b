"""Our books against the venue's: recovery at the start, a sweep while running, repair.

May import `bybit` and `local`. What is concluded and done is decided by pure functions
(`recovery_rules`, the first half of `sweep`).
"""
