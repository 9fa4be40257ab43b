"""Order rate: limits orders per second and per minute, and halts strategies that exceed them."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from actors.guards.core.drill import Plan, Scene, Trade, Trades, plan, stage
from actors.guards.core.examples import COIN, NOON, Example
from actors.guards.core.guard import Guard, Measured, Readings
from actors.guards.core.limits import Reading
from actors.guards.core.params import Release, Span, TransientParams, refuses, span_ns
from actors.guards.core.snapshot import DeskEvent, OrderRequested, Refused, Snapshot
from actors.guards.core.windows import Stamps, added, counted, counted_reading
from config.durations import MINUTE_NS
from strategies.messages import Action


class OrderRateParams(TransientParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How fast each strategy's orders leave.

    An entry above the rate is refused for the moment. Exits count, and always pass. A strategy of
    which so many were refused within a minute misbehaves, and is halted.

    Parameters
    ----------
    count : int
        Orders of a strategy within the window.
    window : str
        Rolling, such as ``1s``.
    per_minute : int or None
        Orders of a strategy within a rolling minute.
    spam_after : int
        Refused for the rate within a rolling minute.
    """

    release: Release = "manual"
    count: Annotated[int, Meta(ge=1, le=1000)] = 100
    window: Span = "1s"
    per_minute: Annotated[int, Meta(ge=1, le=5000)] | None = 600
    spam_after: Annotated[int, Meta(ge=1, le=1000)] = 100


class Rates(msgspec.Struct, frozen=True):
    """Times of the newest orders of each strategy, sent and refused."""

    left: dict[str, Stamps]
    refused: dict[str, Stamps]


class OrderRate(Guard[OrderRateParams, Rates]):
    """Keeps each strategy's orders below a rate, and halts one that keeps exceeding it."""

    Config = OrderRateParams
    State = Rates
    unit = "refused"
    events = frozenset({OrderRequested, Refused})
    only_events = True
    example = Example(
        OrderRateParams(count=1, spam_after=10),
        lambda count: (
            OrderRequested(
                ts=NOON,
                strategy="a",
                instrument=COIN,
                quantity=Decimal(1),
                price=None,
                is_exit=False,
            ),
            *(
                Refused(ts=NOON + n, strategy="a", instrument=COIN, reason="rate")
                for n in range(int(count))
            ),
        ),
        (9, 10, 10),
        clear=9,
        scope="strategy:a",
    )

    def start(self, snapshot: Snapshot) -> Rates:
        """Return a state without orders."""
        return Rates({}, {})

    def measure(self, state: Rates, snapshot: Snapshot) -> Measured[Rates]:
        """Count each strategy's entries that were refused for the rate in the last minute."""
        return state, self._readings(state, snapshot.now)

    def on_event(self, state: Rates, event: DeskEvent) -> tuple[Rates, Readings]:
        """Add an order that left, or one refused for the rate."""
        params = self.params
        if isinstance(event, OrderRequested):
            most = max(params.count, params.per_minute or 0)
            reach = max(span_ns(params.window), MINUTE_NS if params.per_minute else 0)
            before = state.left.get(event.strategy, ())
            after = added(before, event.ts, reach, most)
            if after != before:
                state = Rates({**state.left, event.strategy: after}, state.refused)
            return state, None
        if not isinstance(event, Refused):
            return state, None
        if not _too_fast(state, event.strategy, event.ts, params):
            return state, None
        before = state.refused.get(event.strategy, ())
        after = added(before, event.ts, MINUTE_NS, params.spam_after)
        if after != before:
            state = Rates(state.left, {**state.refused, event.strategy: after})
        return state, self._readings(state, event.ts)

    def _readings(self, state: Rates, now: int) -> tuple[Reading, ...]:
        return tuple(
            counted_reading(
                self.params,
                f"strategy:{strategy}",
                state.refused.get(strategy, ()),
                now,
                MINUTE_NS,
                self.params.spam_after,
                f"orders of {strategy} within a minute were too many for its rate",
            )
            for strategy in sorted(state.left)
        )

    def admit(self, state: Rates, order: OrderRequested, snapshot: Snapshot) -> str | None:
        """Refuse an entry above the rate."""
        if not refuses(self.params):
            return None
        return _too_fast(state, order.strategy, order.ts, self.params)

    def released(self, state: Rates, snapshot: Snapshot, scope: str) -> Rates:
        """Remove the strategy's refused orders."""
        name = scope.removeprefix("strategy:")
        kept = {k: stamps for k, stamps in state.refused.items() if scope != "desk" and k != name}
        return Rates(state.left, kept)

    def drill(self, scene: Scene) -> Plan:
        """Send what the rate allows at one moment, and enough more to be halted."""
        params = self.params
        many = min(params.count, params.per_minute or params.count) + params.spam_after
        # Limit orders far from the price: orders sent before the halt must not fill after it.
        burst = tuple(
            (Trade(instrument=scene.first, quantity="0", away=0.05), 0.0011) for _ in range(many)
        )
        halt = stage(params, scene.strategy, Trades(burst))
        shrinks = params.asks == Action.SHRINK
        note = "without refusals an order rate can't shrink" if shrinks else ""
        return plan(params, f"{many} orders at one moment", scene.second, halt, note=note)


def _too_fast(state: Rates, strategy: str, ts: int, params: OrderRateParams) -> str | None:
    stamps = state.left.get(strategy, ())
    if counted(stamps, ts, span_ns(params.window)) >= params.count:
        return f"{params.count} orders of {strategy} within {params.window}"
    if params.per_minute and counted(stamps, ts, MINUTE_NS) >= params.per_minute:
        return f"{params.per_minute} orders of {strategy} within a minute"
    return None
