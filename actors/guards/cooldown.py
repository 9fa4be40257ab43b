"""Cooldown: a pause between two trades, and a longer one after a loss."""

from __future__ import annotations

import msgspec

from actors.guards.core.exposure import Holds, adds, after_fill, held_of, is_flat
from actors.guards.core.guard import Readings, Rule
from actors.guards.core.limits import Reading
from actors.guards.core.params import (
    Of,
    SpanOrNone,
    TransientParams,
    refuses,
    scope_of,
    seconds,
    span_ns,
)
from actors.guards.core.snapshot import FillEvent, Input, OrderRequested, RoundTripEvent, Snapshot


class CooldownParams(TransientParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long no new trade is opened after one was closed. Adding to an open one is none.

    An order that turns a position from long to short passes where no pause runs, and begins one.

    Parameters
    ----------
    after_trade : str
        After any trade, such as ``500ms``; ``0s`` for no pause.
    after_loss : str
        After one that lost, net of fees and funding; the longer of the two counts.
    of : {"instrument", "strategies", "desk"}
        Where nothing is opened: in the instrument, by the strategy, or anywhere.
    """

    after_trade: SpanOrNone = "500ms"
    after_loss: SpanOrNone = "5s"
    of: Of = "instrument"

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) when no pause is asked for."""
        missing = []
        if span_ns(self.after_trade) == span_ns(self.after_loss) == 0:
            missing = [("after_trade", "is 0s, and after_loss too; one must be longer")]
        return super().check() + missing


class Cooling(msgspec.Struct, frozen=True):
    """A pause that runs: from a close until then, UNIX nanoseconds (UTC)."""

    since: int
    until: int
    lost: bool


class Coolings(msgspec.Struct, frozen=True):
    """The newest pause of each scope, and what is open."""

    running: dict[str, Cooling]
    holds: Holds


def start(params: CooldownParams, snapshot: Snapshot) -> Coolings:
    """Begin with no pause."""
    return Coolings({}, held_of(snapshot))


def step(state: Coolings, seen: Input, params: CooldownParams) -> tuple[Coolings, Readings]:
    """Begin a pause at a close; readings in seconds since it, over until the limit has passed.

    While something is open in the scope only `admit` keeps new trades back, as a verdict would also
    refuse what adds to the open one.
    """
    if isinstance(seen, Snapshot):
        now, holds = seen.now, held_of(seen, state.holds)
        running = {k: c for k, c in state.running.items() if now < c.until}
        if holds is not state.holds or len(running) != len(state.running):
            state = Coolings(running, holds)
    elif isinstance(seen, FillEvent):
        now = seen.ts
        state = msgspec.structs.replace(state, holds=after_fill(state.holds, seen))
    elif isinstance(seen, RoundTripEvent):
        now = seen.ts
        state = _closed(state, seen, params)
    else:
        return state, None
    return state, tuple(
        _reading(scope, cooling, now, is_flat(state.holds, scope), params)
        for scope, cooling in state.running.items()
    )


def admit(
    state: Coolings, asked: OrderRequested, snapshot: Snapshot, params: CooldownParams
) -> str | None:
    """Refuse what opens before the pause is over; at its very end it passes."""
    if not refuses(params) or adds(asked):
        return None
    cooling = state.running.get(scope_of(params.of, asked.strategy, asked.instrument))
    if cooling is None or asked.ts >= cooling.until:
        return None
    return _words(cooling, asked.ts)


def released(state: Coolings, snapshot: Snapshot, scope: str, params: CooldownParams) -> Coolings:
    """End the scope's pause."""
    kept = {k: c for k, c in state.running.items() if k != scope}
    return msgspec.structs.replace(state, running=kept)


def _closed(state: Coolings, closed: RoundTripEvent, params: CooldownParams) -> Coolings:
    wait, lost = span_ns(params.after_trade), closed.net < 0
    if lost:
        wait = max(wait, span_ns(params.after_loss))
    scope = scope_of(params.of, closed.strategy, closed.instrument)
    before = state.running.get(scope)
    until = closed.ts + wait
    if wait == 0 or (before is not None and before.until >= until):
        return state
    running = {**state.running, scope: Cooling(closed.ts, until, lost)}
    return msgspec.structs.replace(state, running=running)


def _reading(scope: str, cooling: Cooling, now: int, flat: bool, params: CooldownParams) -> Reading:
    over = now < cooling.until and flat
    return Reading(
        scope=scope,
        measured=seconds(now - cooling.since),
        limit=seconds(cooling.until - cooling.since),
        over=over,
        clear=not over,
        action=params.asks,
        multiplier=params.multiplier,
        reason=_words(cooling, now) if over else "",
        until=cooling.until,
    )


def _words(cooling: Cooling, now: int) -> str:
    wait = seconds(cooling.until - cooling.since)
    trade = "a losing trade" if cooling.lost else "a trade"
    left = seconds(cooling.until - now)
    return f"{wait:g} s between {trade} and the next, {left:.3g} s of them left"


RULE = Rule(
    state=Coolings,
    start=start,
    step=step,
    admit=admit,
    released=released,
    needs=frozenset({"open_exposure"}),
    events=frozenset({FillEvent, RoundTripEvent}),
)
