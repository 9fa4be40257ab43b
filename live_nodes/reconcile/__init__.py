"""Compare our books with the venue's: recovery, sweep and repair.

May import `bybit` and `local`. Pure functions decide (`recovery_rules`, the first half of `sweep`).
"""
