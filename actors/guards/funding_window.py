"""Funding window: no entries, or nothing held, around the moment at which funding is settled."""

from __future__ import annotations

import msgspec

from actors.guards.core.guard import Readings, Rule
from actors.guards.core.limits import Reading
from actors.guards.core.params import SpanOrNone, TransientParams, refuses, seconds, span_ns
from actors.guards.core.snapshot import Input, OrderRequested, Snapshot


class FundingWindowParams(TransientParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The window around each instrument's funding settlement; ``flatten`` also closes what is open.

    It begins at ``before`` and is over at ``after`` exactly.

    Parameters
    ----------
    before, after : str
        Such as ``3m``; ``0s`` for none of it.
    """

    before: SpanOrNone = "3m"
    after: SpanOrNone = "3m"

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) when the window has no length."""
        empty = []
        if span_ns(self.before) == span_ns(self.after) == 0:
            empty = [("before", "is 0s, and after too; one must be longer")]
        return super().check() + empty


class Settlements(msgspec.Struct, frozen=True):
    """The settlement that comes and the last one seen to pass, UNIX nanoseconds, by instrument."""

    coming: dict[str, int]
    last: dict[str, int]


def start(params: FundingWindowParams, snapshot: Snapshot) -> Settlements:
    """Begin with what the snapshot says."""
    return _seen(Settlements({}, {}), snapshot)


def step(
    state: Settlements, seen: Input, params: FundingWindowParams
) -> tuple[Settlements, Readings]:
    """Take in the next settlements; readings in seconds from the settlement or to it.

    Told are the instruments inside their window, and the one that comes to its own next.
    """
    if not isinstance(seen, Snapshot):
        return state, None
    state = _seen(state, seen)
    before, after = span_ns(params.before), span_ns(params.after)
    readings = []
    nearest, gap = "", 0
    for name, coming in state.coming.items():
        at = _at(coming, state.last.get(name), seen.now, before, after)
        if at is not None:
            readings.append(_reading(name, at, seen.now, True, params))
        elif not nearest or abs(coming - seen.now) < gap:
            nearest, gap = name, abs(coming - seen.now)
    if nearest:
        readings.append(_reading(nearest, state.coming[nearest], seen.now, False, params))
    return state, tuple(readings)


def admit(
    state: Settlements, asked: OrderRequested, snapshot: Snapshot, params: FundingWindowParams
) -> str | None:
    """Refuse entries inside the window at the very moment of the order."""
    if not refuses(params):
        return None
    before, after = span_ns(params.before), span_ns(params.after)
    coming, last = state.coming.get(asked.instrument), state.last.get(asked.instrument)
    at = _at(coming, last, asked.ts, before, after)
    return None if at is None else _words(at, asked.ts)


def _seen(state: Settlements, snapshot: Snapshot) -> Settlements:
    coming: dict[str, int] = {}
    last: dict[str, int] = {}
    for name, market in snapshot.markets.items():
        expected, told = state.coming.get(name), market.next_funding_ns
        before = newest = state.last.get(name, 0)
        # The next one has passed too where the venue has not told the one after it yet.
        for at in (expected, told, market.last_funding_ns):
            if at is not None and newest < at <= snapshot.now:
                newest = at
        if newest > before:
            last[name] = newest
        if told is not None and told != expected:
            coming[name] = told
    if not coming and not last:
        return state
    return Settlements(state.coming | coming, state.last | last)


def _at(coming: int | None, last: int | None, now: int, before: int, after: int) -> int | None:
    """Return the settlement in whose window the moment is, None outside."""
    for at in (coming, last):
        if at is not None and at - before <= now < at + after:
            return at
    return None


def _reading(name: str, at: int, now: int, over: bool, params: FundingWindowParams) -> Reading:
    return Reading(
        scope=f"instrument:{name}",
        measured=seconds(abs(at - now)),
        limit=seconds(span_ns(params.before if now < at else params.after)),
        over=over,
        clear=not over,
        action=params.asks,
        multiplier=params.multiplier,
        reason=_words(at, now) if over else "",
        until=at + span_ns(params.after) if over else None,
    )


def _words(at: int, now: int) -> str:
    away = seconds(abs(at - now))
    return f"funding is settled in {away:g} s" if now < at else f"funding settled {away:g} s ago"


RULE = Rule(
    state=Settlements,
    start=start,
    step=step,
    admit=admit,
    needs=frozenset({"markets"}),
    events=frozenset(),
)
