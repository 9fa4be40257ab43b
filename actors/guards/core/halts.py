"""Halts of guards: a reached limit halts until its release ends the halt. Pure.

A halt ends only with a measurement, because its limit may still be reached. ``since`` and ``until``
are UNIX nanoseconds (UTC), so a clock that goes back can only prolong a halt.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence

import msgspec

from actors.guards.core.decisions import NO_DECISIONS, Decisions
from actors.guards.core.limits import Reading
from actors.guards.core.params import GuardParams, pause_of
from config.durations import DAY_NS
from strategies.messages import Action, Verdict


class Latch(msgspec.Struct, frozen=True, kw_only=True):
    """A halt, with the values of the reading that reached its limit."""

    scope: str
    key: str
    action: int
    multiplier: float
    release: str
    since: int
    until: int | None  # when it is checked again; None: ``manual``, usually ``recovered``
    measured: float
    limit: float
    reason: str


_INSTRUMENT = re.compile(r"[^\s:]+-(LINEAR|INVERSE|SPOT|OPTION)\.BYBIT")
Latches = tuple[Latch, ...]
"""Sorted by scope, then key."""


def step(
    latches: Latches,
    readings: Sequence[Reading] | None,
    now: int,
    params: GuardParams,
    decisions: Decisions = NO_DECISIONS,
) -> Latches:
    """Return the halts after new readings, the same object when nothing changed.

    None as `readings` means that nothing was measured: all halts stay. A halt until the next day
    covers the next of the `decisions` that it holds back.
    """
    if readings is None:
        return latches
    if not latches and not any(reading.over for reading in readings):
        return latches
    found = {(reading.scope, reading.key): reading for reading in readings}
    kept = {(latch.scope, latch.key): latch for latch in latches}
    for name, latch in list(kept.items()):
        after = _later(latch, found.get(name), now, decisions)
        if after is None:
            del kept[name]
        else:
            kept[name] = after
    for name, reading in found.items():
        if reading.over:
            kept[name] = _tripped(reading, now, params, kept.get(name), decisions)
    result = tuple(kept[name] for name in sorted(kept))
    return latches if result == latches else result


def unfit(latches: Latches, before: Latches, strategies: Callable[[], Collection[str]]) -> str:
    """Return what is wrong with the halts that were not there before, empty for nothing.

    A multiplier above 1 would enlarge positions, and a scope that is none would hold nothing back.
    Scopes of earlier halts are known, though their strategy left. Any instrument's id will do: what
    is traded by hand, or has left the universe, is in no list.
    """
    known = {latch.scope for latch in before}
    for latch in latches:
        if latch in before:
            continue
        if not 0 <= latch.multiplier <= 1:
            return (
                f"multiplier {latch.multiplier} of its reading on {latch.scope} must be from 0 to 1"
            )
        kind, _, name = latch.scope.partition(":")
        if latch.scope in known or latch.scope == "desk":
            continue
        if kind == "instrument" and _INSTRUMENT.fullmatch(name):
            continue
        if kind == "strategy" and name in strategies():
            continue
        return (
            f"scope {latch.scope!r} of its reading must be desk, strategy:KEY with a key of "
            f"{', '.join(sorted(filter(None, strategies())))}, or instrument:ID with an id such as "
            "BTCUSDT-LINEAR.BYBIT"
        )
    return ""


def verdicts(latches: Latches, guard: str, *, transient: bool = False) -> dict[str, Verdict]:
    """Return the guard's verdict on each scope: its strictest halt there.

    ``until`` is the latest end of the scope's halts, None where one has no end. Halts of a
    transient guard end by themselves, unless the release is ``manual``.
    """
    by_scope: dict[str, list[Latch]] = {}
    for latch in latches:
        by_scope.setdefault(latch.scope, []).append(latch)
    return {scope: _verdict(found, guard, transient) for scope, found in by_scope.items()}


def released(latches: Latches, scope: str | None = None) -> Latches:
    """Return the halts that remain after the trader released a scope, or all scopes (None)."""
    return tuple(latch for latch in latches if scope is not None and latch.scope != scope)


def end_of(
    release: str, now: int, scope: str = "desk", decisions: Decisions = NO_DECISIONS
) -> int | None:
    """Return when a halt that begins now is checked again, UNIX nanoseconds (UTC).

    None for ``manual`` and ``recovered``: no time ends these. ``next_day`` ends at midnight, and
    not before the scope's next decision.

    Examples
    --------
    >>> end_of("30m", 1), end_of("next_day", DAY_NS), end_of("manual", 1)
    (1800000000001, 172800000000000, None)
    """
    if release == "next_day":
        return max((now // DAY_NS + 1) * DAY_NS, decisions.covered(scope, now))
    pause = pause_of(release)
    return None if pause is None else now + pause


def _verdict(latches: list[Latch], guard: str, transient: bool) -> Verdict:
    latch = max(latches, key=lambda latch: (latch.action, -latch.multiplier))
    ends = [other.until for other in latches]
    return Verdict(
        action=Action(latch.action),
        scope=latch.scope,
        multiplier=latch.multiplier,
        until=None if None in ends else max(end for end in ends if end is not None),
        guard=guard,
        reason=latch.reason,
        measured=latch.measured,
        limit=latch.limit,
        transient=transient and latch.release != "manual",
        covers_decision=any(other.release == "next_day" for other in latches),
    )


def _tripped(
    reading: Reading, now: int, params: GuardParams, before: Latch | None, decisions: Decisions
) -> Latch:
    if before is not None:
        # A changed document can make an action stricter.
        if (reading.action, -reading.multiplier) <= (before.action, -before.multiplier):
            return before
        return msgspec.structs.replace(
            before,
            action=int(reading.action),
            multiplier=reading.multiplier,
            measured=reading.measured,
            limit=reading.limit,
            reason=reading.reason,
        )
    release = reading.release or params.release
    return Latch(
        scope=reading.scope,
        key=reading.key,
        action=int(reading.action),
        multiplier=reading.multiplier,
        release=release,
        since=now,
        until=_until(release, reading, now, reading.scope, decisions),
        measured=reading.measured,
        limit=reading.limit,
        reason=reading.reason,
    )


def _until(
    release: str, reading: Reading | None, now: int, scope: str, decisions: Decisions
) -> int | None:
    if release == "recovered":
        return None if reading is None else reading.until
    return end_of(release, now, scope, decisions)


def _later(latch: Latch, reading: Reading | None, now: int, decisions: Decisions) -> Latch | None:
    if latch.release == "manual":
        return latch
    over = reading is not None and reading.over
    if latch.release == "recovered":
        # No reading: there is nothing to measure, as after a position was closed.
        if reading is None or (reading.clear and not over):
            return None
        return msgspec.structs.replace(latch, until=reading.until)
    if latch.until is None or now < latch.until:
        return latch
    if latch.release == "next_day" and now < (end := decisions.caught_up(latch.scope, latch.until)):
        return msgspec.structs.replace(latch, until=end)
    if not over:
        return None
    until = _until(latch.release, reading, now, latch.scope, decisions)
    return msgspec.structs.replace(latch, until=until)
