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
    """The schedules of a desk's strategies by key; those without a schedule are left out.

    ``missed`` is the first decision that a strategy missed, by key: a start at ``started`` makes it
    up. Times are UNIX nanoseconds (UTC).
    """

    def __init__(
        self,
        schedules: Mapping[str, Schedule] | None = None,
        missed: Mapping[str, int] | None = None,
        started: int = 0,
    ) -> None:
        self._schedules, self._missed = dict(schedules or {}), dict(missed or {})
        self._started = started

    def covered(self, scope: str, now: int) -> int:
        """Return when each strategy in a scope has made its next decision; `now` without any.

        Times are UNIX nanoseconds (UTC). Half a period covers a decision that is soon repeated.

        Examples
        --------
        >>> minute = 60 * 10**9
        >>> Decisions({"a": Schedule(60 * minute, 5 * minute)}).covered("desk", 0) // minute
        10
        """
        ends = [
            next_fire(now, each.every, each.at) + min(COVERED_NS, each.every // 2)
            for _, each in self._in(scope)
        ]
        return max(ends, default=now)

    def caught_up(self, scope: str, until: int) -> int:
        """Return when the start has made up the decisions that a halt until then was to cover.

        Examples
        --------
        >>> minute = 60 * 10**9
        >>> hourly = {"a": Schedule(60 * minute, 0)}
        >>> decisions = Decisions(hourly, {"a": 120 * minute}, 200 * minute)
        >>> [decisions.caught_up("desk", end * minute) // minute for end in (119, 125)]
        [119, 205]
        """
        missed = [self._missed[key] for key, _ in self._in(scope) if key in self._missed]
        return self._started + COVERED_NS if missed and min(missed) <= until else until

    def _in(self, scope: str) -> list[tuple[str, Schedule]]:
        kind, _, name = scope.partition(":")
        return [
            (key, each)
            for key, each in self._schedules.items()
            if kind == "desk" or name == key or name in each.instruments
        ]


NO_DECISIONS = Decisions()
