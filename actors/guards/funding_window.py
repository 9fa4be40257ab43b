"""Funding window: no entries, or no positions, around a funding settlement."""

from __future__ import annotations

import msgspec

from actors.guards.core.decisions import COVERED_NS
from actors.guards.core.drill import Funding, Plan, Scene, disturb
from actors.guards.core.examples import COIN, NOON, SECOND, Example, one_market
from actors.guards.core.guard import Guard, Measured
from actors.guards.core.limits import Reading, limit_reading
from actors.guards.core.params import SpanOrNone, TransientParams, refuses, seconds, span_ns
from actors.guards.core.snapshot import OrderRequested, Snapshot
from config.durations import HOUR_NS
from strategies.messages import Action


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

    def idle_on(self, every: int, at: int) -> str:
        """Return why decisions and their execution fall between funding settlements."""
        begins, ends = at % HOUR_NS, at % HOUR_NS + COVERED_NS
        outside = span_ns(self.after) <= begins and ends <= HOUR_NS - span_ns(self.before)
        if every % HOUR_NS or not outside or self.asks == Action.FLATTEN:
            return ""
        return "funding is settled on the hour, outside of which its window ends"


class Settlements(msgspec.Struct, frozen=True):
    """The next settlement and the last one that passed, UNIX nanoseconds, by instrument."""

    coming: dict[str, int]
    last: dict[str, int]


class FundingWindow(Guard[FundingWindowParams, Settlements]):
    """Stops entries around funding settlements, or closes positions for them."""

    Config = FundingWindowParams
    State = Settlements
    unit = "s"
    needs = frozenset({"markets"})
    example = Example(
        FundingWindowParams(before="3m"),
        lambda gone: (one_market(next_funding_ns=NOON + (200 - int(gone)) * SECOND),),
        (19, 20, 30),
        clear=19,
        scope=f"instrument:{COIN}",
    )

    def start(self, snapshot: Snapshot) -> Settlements:
        """Return the settlements in the snapshot."""
        return _seen(Settlements({}, {}), snapshot)

    def measure(self, state: Settlements, snapshot: Snapshot) -> Measured[Settlements]:
        """Update the settlements; readings are seconds to or from the settlement.

        They are on instruments inside their window, and on the one whose window is next.
        """
        params = self.params
        state = _seen(state, snapshot)
        before, after = span_ns(params.before), span_ns(params.after)
        readings = []
        nearest, gap = "", 0
        for name, coming in state.coming.items():
            at = _at(coming, state.last.get(name), snapshot.now, before, after)
            if at is not None:
                readings.append(_reading(name, at, snapshot.now, True, params))
            elif not nearest or abs(coming - snapshot.now) < gap:
                nearest, gap = name, abs(coming - snapshot.now)
        if nearest:
            readings.append(_reading(nearest, state.coming[nearest], snapshot.now, False, params))
        return state, tuple(readings)

    def admit(self, state: Settlements, order: OrderRequested, snapshot: Snapshot) -> str | None:
        """Refuse entries inside the window, by the time of the order."""
        params = self.params
        if not refuses(params):
            return None
        before, after = span_ns(params.before), span_ns(params.after)
        coming, last = state.coming.get(order.instrument), state.last.get(order.instrument)
        at = _at(coming, last, order.ts, before, after)
        return None if at is None else _words(at, order.ts)

    def drill(self, scene: Scene) -> Plan:
        """Bring a funding settlement near."""
        before, after = (seconds(span_ns(text)) for text in (self.params.before, self.params.after))
        near = Funding(scene.first, before, after)
        # The venue settles on whole minutes.
        return disturb(scene, self.params, near, "funding is settled soon", within=75.0)


def _seen(state: Settlements, snapshot: Snapshot) -> Settlements:
    coming: dict[str, int] = {}
    last: dict[str, int] = {}
    for name, market in snapshot.markets.items():
        expected, told = state.coming.get(name), market.next_funding_ns
        before = newest = state.last.get(name, 0)
        # The expected one has passed too if the venue has not sent the one after it yet.
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
    for at in (coming, last):
        if at is not None and at - before <= now < at + after:
            return at
    return None


def _reading(name: str, at: int, now: int, over: bool, params: FundingWindowParams) -> Reading:
    return limit_reading(
        params,
        f"instrument:{name}",
        seconds(abs(at - now)),
        seconds(span_ns(params.before if now < at else params.after)),
        over,
        _words(at, now) if over else "",
        clear=not over,
        until=at + span_ns(params.after) if over else None,
    )


def _words(at: int, now: int) -> str:
    away = seconds(abs(at - now))
    return f"funding is settled in {away:g} s" if now < at else f"funding settled {away:g} s ago"
