"""Our books against the venue's: recovery at the start, a sweep while running, repair.

May import `bybit` and `local`. Rules are pure (`*_rules`).
"""
