"""Schedules of strategies' decisions, which a guard's halt must cover. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from strategies.schedule import next_fire

COVERED_NS = 300 * 1_000_000_000
"""Time after a decision's stamp for which a halt stands: live, a decision waits for its candles."""


class Schedule(NamedTuple):
    """Period and offset of a strategy's decisions in nanoseconds, and the instruments it trades."""

    every: int
    at: int
    instruments: frozenset[str] = frozenset()


class Decisions:
    """The schedules of a desk's strategies by key; those without a schedule are left out."""

    def __init__(self, schedules: Mapping[str, Schedule] | None = None) -> None:
        self._schedules = dict(schedules or {})

    def covered(self, scope: str, now: int) -> int:
        """Return when each strategy in a scope has made its next decision; `now` without any.

        Times are UNIX nanoseconds (UTC). Half a period covers a decision that is soon repeated.

        Examples
        --------
        >>> minute = 60 * 10**9
        >>> Decisions({"a": Schedule(60 * minute, 5 * minute)}).covered("desk", 0) // minute
        10
        """
        kind, _, name = scope.partition(":")
        ends = [
            next_fire(now, each.every, each.at) + min(COVERED_NS, each.every // 2)
            for key, each in self._schedules.items()
            if kind == "desk" or name == key or name in each.instruments
        ]
        return max(ends, default=now)


NO_DECISIONS = Decisions()
