"""Schedule arithmetic: decision times and the last complete candle.

All times are UNIX nanoseconds (UTC). A schedule is an interval with an offset; both count from the
epoch, so ``every: 1d, at: "00:05"`` is five past midnight UTC and ``every: 7d`` falls on Thursdays.
"""

from __future__ import annotations


def next_fire(now_ns: int, every_ns: int, at_ns: int) -> int:
    """Return the first time of the schedule strictly after now."""
    return (now_ns - at_ns) // every_ns * every_ns + every_ns + at_ns


def last_fire(now_ns: int, every_ns: int, at_ns: int) -> int:
    """Return the last time of the schedule at or before now."""
    return (now_ns - at_ns) // every_ns * every_ns + at_ns


def last_close(now_ns: int, interval_ns: int) -> int:
    """Return the close time of the last candle that is complete now; one closing now counts."""
    return now_ns // interval_ns * interval_ns
