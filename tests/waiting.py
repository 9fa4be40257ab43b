"""Waiting in tests: for a condition, as long as a busy machine may need."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

DEADLINE = 60.0
"""Seconds. A wait ends as soon as its condition holds; only a failure takes so long."""
_POLL = 0.01
_BUSY = 5
"""How much longer things may take while other work has the cores."""


def eventually[T](
    wanted: Callable[[], T], what: object = "", deadline: float = DEADLINE, poll: float = _POLL
) -> T:
    """Wait until something is true, and return it.

    Parameters
    ----------
    wanted : callable
        Asked over and over.
    what : object
        What is waited for, for the failure's message; a callable is called then.
    deadline, poll : float
        Seconds.
    """
    until = time.monotonic() + deadline
    while not (found := wanted()):
        assert time.monotonic() < until, _late(what, deadline)
        time.sleep(poll)
    return found


async def eventually_async[T](
    wanted: Callable[[], T], what: object = "", deadline: float = DEADLINE, poll: float = _POLL
) -> T:
    """Wait as `eventually` does, and let the loop run meanwhile."""
    until = time.monotonic() + deadline
    while not (found := wanted()):
        assert time.monotonic() < until, _late(what, deadline)
        await asyncio.sleep(poll)
    return found


def _late(what: object, deadline: float) -> str:
    return f"did not come within {deadline:g} s: {what() if callable(what) else what}"


def slack(seconds: float) -> float:
    """Return the bound for a promise of so many seconds on a machine that does other work."""
    return seconds * _BUSY
