"""When things happened, as far back as a rolling window reaches. Pure.

What is exactly as old as the window is out of it. A stamp that lies ahead, as after the clock went
back, is in: a clock can't make the desk forget.
"""

from __future__ import annotations

from bisect import bisect_right

Stamps = tuple[int, ...]
"""UNIX nanoseconds (UTC), rising."""


def added(stamps: Stamps, ts: int, window_ns: int, most: int) -> Stamps:
    """Return the stamps with one more, without those that are out of the window by then.

    Parameters
    ----------
    stamps : tuple of int
        Those so far.
    ts : int
        The new one.
    window_ns : int
        Length of the window.
    most : int
        How many are kept: the newest. To know whether a limit is reached, as many as the limit
        are enough.
    """
    kept = stamps[bisect_right(stamps, ts - window_ns) :]
    place = bisect_right(kept, ts)
    return (*kept[:place], ts, *kept[place:])[-most:]


def counted(stamps: Stamps, now: int, window_ns: int) -> int:
    """Return how many are in the window that ends now."""
    return len(stamps) - bisect_right(stamps, now - window_ns)


def below_from(stamps: Stamps, count: int, window_ns: int) -> int:
    """Return from when on fewer than `count` are in the window, if none is added.

    There must be at least `count` of them.
    """
    return stamps[-count] + window_ns
