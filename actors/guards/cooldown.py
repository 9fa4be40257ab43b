"""Cooldown: a pause between two trades, and a longer one after a loss."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from actors.guards.core.drill import Plan, Scene, plan, round_trips, stage
from actors.guards.core.examples import COIN, NOON, SECOND, Example, desk
from actors.guards.core.exposure import Holds, adds, after_fill, held_of, is_flat
from actors.guards.core.guard import Guard, Measured, Readings
from actors.guards.core.limits import Reading, limit_reading
from actors.guards.core.params import (
    RARELY,
    Of,
    SpanOrNone,
    TransientParams,
    counted_scope,
    refuses,
    seconds,
    span_ns,
)
from actors.guards.core.snapshot import (
    DeskEvent,
    FillEvent,
    OrderRequested,
    RoundTripEvent,
    Snapshot,
)

DRILLED = "5s"
"""Shortest pause in which a drill sees entries refused, whose orders go out four a second."""


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

    def idle_on(self, every: int, at: int) -> str:
        """Return why pauses are over before the next decision."""
        longest = max(self.after_trade, self.after_loss, key=span_ns)
        if span_ns(longest) >= RARELY * every:
            return ""
        return f"its pauses last {longest} at most"


class Cooling(msgspec.Struct, frozen=True):
    """A running pause, from a close to its end, UNIX nanoseconds (UTC)."""

    since: int
    until: int
    lost: bool


class Coolings(msgspec.Struct, frozen=True):
    """The newest pause of each scope, and the open positions."""

    running: dict[str, Cooling]
    holds: Holds


class Cooldown(Guard[CooldownParams, Coolings]):
    """Keeps a pause between two trades, and a longer one after a loss."""

    Config = CooldownParams
    State = Coolings
    unit = "s"
    events = frozenset({FillEvent, RoundTripEvent})
    needs = frozenset({"open_exposure"})
    example = Example(
        CooldownParams(after_trade="10s", after_loss="10s"),
        lambda left: (
            RoundTripEvent(ts=NOON, strategy="a", instrument=COIN, net=Decimal(1)),
            desk(NOON + int((10 - left) * SECOND)),
        ),
        (-1, 0, 1),
        scope=f"instrument:{COIN}",
        at_limit=False,
    )

    def start(self, snapshot: Snapshot) -> Coolings:
        """Return a state without pauses."""
        return Coolings({}, held_of(snapshot))

    def measure(self, state: Coolings, snapshot: Snapshot) -> Measured[Coolings]:
        """Readings are seconds since a close, over until its pause has passed.

        With an open position in the scope, only `admit` refuses new trades, because a verdict would
        also refuse orders that add to it.
        """
        now, holds = snapshot.now, held_of(snapshot, state.holds)
        running = {k: c for k, c in state.running.items() if now < c.until}
        if holds is not state.holds or len(running) != len(state.running):
            state = Coolings(running, holds)
        return state, self._readings(state, now)

    def on_event(self, state: Coolings, event: DeskEvent) -> tuple[Coolings, Readings]:
        """Start a pause at a close."""
        if isinstance(event, FillEvent):
            state = msgspec.structs.replace(state, holds=after_fill(state.holds, event))
        elif isinstance(event, RoundTripEvent):
            state = _closed(state, event, self.params)
        return state, self._readings(state, event.ts)

    def _readings(self, state: Coolings, now: int) -> tuple[Reading, ...]:
        return tuple(
            _reading(scope, cooling, now, is_flat(state.holds, scope), self.params)
            for scope, cooling in state.running.items()
        )

    def admit(self, state: Coolings, order: OrderRequested, snapshot: Snapshot) -> str | None:
        """Refuse orders that open a position before the pause is over; at its end they pass."""
        if not refuses(self.params) or adds(order):
            return None
        cooling = state.running.get(counted_scope(self.params.of, order.strategy, order.instrument))
        if cooling is None or order.ts >= cooling.until:
            return None
        return _words(cooling, order.ts)

    def released(self, state: Coolings, snapshot: Snapshot, scope: str) -> Coolings:
        """End the scope's pause."""
        kept = {k: c for k, c in state.running.items() if k != scope}
        return msgspec.structs.replace(state, running=kept)

    def drill(self, scene: Scene) -> Plan:
        """Close a trade at a loss (its fees), and try the next one at once."""
        name = scene.first
        scope = scene.counted_scope(self.params.of)
        halt = stage(self.params, scope, round_trips(scene, 1), within=scene.beat + 3.0)
        words = f"a losing trade in {name}, and the next wanted at once"
        longest = max(self.params.after_trade, self.params.after_loss, key=span_ns)
        if span_ns(longest) >= span_ns(DRILLED):
            return plan(self.params, words, name, halt)
        note = (
            f"drilled with after_loss {DRILLED}: the document's {longest} is over too soon to see"
        )
        return plan(self.params, words, name, halt, params={"after_loss": DRILLED}, note=note)


def _closed(state: Coolings, closed: RoundTripEvent, params: CooldownParams) -> Coolings:
    wait, lost = span_ns(params.after_trade), closed.net < 0
    if lost:
        wait = max(wait, span_ns(params.after_loss))
    scope = counted_scope(params.of, closed.strategy, closed.instrument)
    before = state.running.get(scope)
    until = closed.ts + wait
    if wait == 0 or (before is not None and before.until >= until):
        return state
    running = {**state.running, scope: Cooling(closed.ts, until, lost)}
    return msgspec.structs.replace(state, running=running)


def _reading(scope: str, cooling: Cooling, now: int, flat: bool, params: CooldownParams) -> Reading:
    over = now < cooling.until and flat
    return limit_reading(
        params,
        scope,
        seconds(now - cooling.since),
        seconds(cooling.until - cooling.since),
        over,
        _words(cooling, now) if over else "",
        clear=not over,
        until=cooling.until,
    )


def _words(cooling: Cooling, now: int) -> str:
    wait = seconds(cooling.until - cooling.since)
    trade = "a losing trade" if cooling.lost else "a trade"
    left = seconds(cooling.until - now)
    return f"{wait:.12g} s between {trade} and the next, {round(left, 3):.12g} s of them left"
