"""When verdicts stood: from a guard's word on a scope to its next one there, or the run's end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

import pyarrow as pa

NONE = "none"


@dataclass(frozen=True, slots=True)
class Span:
    """A verdict from its beginning to its end, UNIX nanoseconds (UTC).

    Parameters
    ----------
    guard, scope, action, multiplier, measured, limit, reason
        As in `backtests.results.tables.VERDICTS`, of the word that began it.
    begin, end : int
        From its first word to the one that changed it or took it back; ``end`` is the run's where
        it still stood.
    until : int or None
        When its guard would look whether it goes on, as it said last.
    open : bool
        Whether it still stood at the end of the run.
    """

    guard: str
    scope: str
    action: str
    multiplier: float
    begin: int
    end: int
    until: int | None
    measured: float | None
    limit: float | None
    reason: str
    open: bool


def spans(verdicts: pa.Table, end: int) -> list[Span]:
    """Return all spans, sorted by beginning, then guard and scope.

    A word that changes no more than reason, measure or time prolongs the span.

    Parameters
    ----------
    verdicts : pyarrow.Table
        As in `backtests.results.tables.VERDICTS`.
    end : int
        Of the run, UNIX nanoseconds (UTC).
    """
    standing: dict[tuple[str, str], Span] = {}
    found: list[Span] = []
    for row in verdicts.to_pylist():
        name = row["guard"], row["scope"]
        stood = standing.get(name)
        if stood is not None and (stood.action, stood.multiplier) == (
            row["action"],
            row["multiplier"],
        ):
            standing[name] = replace(stood, until=row["until"])
            continue
        if stood is not None:
            found.append(replace(standing.pop(name), end=row["ts"], open=False))
        if row["action"] != NONE:
            standing[name] = _begun(row, end)
    found += standing.values()
    return sorted(found, key=attrgetter("begin", "guard", "scope", "end"))


def stood_for(found: Iterable[Span]) -> int:
    """Return how long at least one of the spans stood, nanoseconds."""
    total, reached = 0, None
    for begin, end in sorted((span.begin, span.end) for span in found):
        first = begin if reached is None else max(begin, reached)
        total += max(end - first, 0)
        reached = max(end, first)
    return total


def tripped(found: Iterable[Span]) -> int:
    """Return how often something began to stand on a scope where nothing of the guard's stood."""
    count = 0
    ended: dict[tuple[str, str], int] = {}
    for span in found:
        name = span.guard, span.scope
        count += ended.get(name) != span.begin
        ended[name] = span.end
    return count


def _begun(row: dict[str, Any], end: int) -> Span:
    words = {k: row[k] for k in ("guard", "scope", "action", "multiplier", "until")}
    measures = {k: row[k] for k in ("measured", "limit", "reason")}
    return Span(**words, **measures, begin=row["ts"], end=max(end, row["ts"]), open=True)
