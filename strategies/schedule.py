"""When a strategy decides, and which candle is the last complete one then.

All times are UNIX nanoseconds (UTC). A schedule is an interval with an offset; both count from the
epoch, so ``every: 1d, at: "00:05"`` is five past midnight UTC and ``every: 7d`` falls on Thursdays.
"""

from __future__ import annotations

import re
from functools import cache

_UNITS = {"s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}
DURATION = r"^[1-9][0-9]*[smhd]$"
CLOCK = r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"


@cache
def duration_ns(text: str) -> int:
    """Return the nanoseconds of a duration such as ``30s``, ``5m``, ``4h`` or ``1d``.

    Raises
    ------
    ValueError
        If it is no whole positive number followed by s, m, h or d.
    """
    if not re.match(DURATION, text):
        raise ValueError(f"expected a duration such as 5m, 4h or 1d, was {text!r}")
    return int(text[:-1]) * _UNITS[text[-1]]


def offset_ns(text: str) -> int:
    """Return the nanoseconds after the start of a period of a clock time ``HH:MM`` or ``HH:MM:SS``.

    Raises
    ------
    ValueError
        If it is no clock time below 24:00.
    """
    if not re.match(CLOCK, text):
        raise ValueError(f'expected a clock time such as "00:05", was {text!r}')
    hours, minutes, seconds = (*map(int, text.split(":")), 0)[:3]
    return (hours * 3600 + minutes * 60 + seconds) * 10**9


def next_fire(now_ns: int, every_ns: int, at_ns: int) -> int:
    """Return the first moment of the schedule strictly after now."""
    return (now_ns - at_ns) // every_ns * every_ns + every_ns + at_ns


def last_fire(now_ns: int, every_ns: int, at_ns: int) -> int:
    """Return the last moment of the schedule that has come; one that comes now counts."""
    return (now_ns - at_ns) // every_ns * every_ns + at_ns


def last_close(now_ns: int, interval_ns: int) -> int:
    """Return the close time of the last candle that is complete now; one closing now counts."""
    return now_ns // interval_ns * interval_ns
