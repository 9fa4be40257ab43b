"""A value that is remembered: where a session began, and the best that it has seen.

A session is all of the time since the guard's first start, or a UTC day. Marks are part of rules'
states, so they survive restarts.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from config.durations import DAY_NS

Session = Literal["all", "day"]
"""``all``: since the guard's first start; ``day``: since midnight UTC."""

SINCE = {"all": "since the start", "day": "since midnight UTC"}
"""A session in words."""


def release_problems(session: Session, release: str) -> list[tuple[str, str]]:
    """Return what `check` says of a halt that would end at midnight where nothing begins anew."""
    if session == "day" or release != "next_day":
        return []
    words = "can't be next_day where the session is all: at midnight the limit is still reached"
    return [("release", words)]


class Mark(msgspec.Struct, frozen=True):
    """A value, and the UTC day (number of days since 1970) of the session that it belongs to."""

    day: int
    value: Decimal


def fresh(value: Decimal, now: int) -> Mark:
    """Return the mark of a session that begins now; UNIX nanoseconds (UTC)."""
    return Mark(now // DAY_NS, value)


def opening(mark: Mark, value: Decimal, now: int, session: Session) -> Mark:
    """Return where the session began: the mark itself until another session begins.

    The first value seen on a day is where the day begins. A clock that goes back begins no session:
    the later day goes on.
    """
    if session == "day" and now // DAY_NS > mark.day:
        return fresh(value, now)
    return mark


def best(mark: Mark, value: Decimal, now: int, session: Session) -> Mark:
    """Return the session's largest value; the mark itself while it is not exceeded."""
    kept = opening(mark, value, now, session)
    return Mark(kept.day, value) if value > kept.value else kept
