"""Slippage: too many entries filled too far from the price at which their orders left."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from actors.guards.core.drill import Mended, Plan, Scene, Slips, plan, stage
from actors.guards.core.examples import COIN, NOON, Example
from actors.guards.core.guard import Guard, Measured, Readings
from actors.guards.core.limits import Reading
from actors.guards.core.params import GuardParams, Of, Span, counted_scope, span_ns
from actors.guards.core.snapshot import DeskEvent, FillEvent, Snapshot
from actors.guards.core.windows import Stamps, added, counted_reading

DRILLED_BPS = 500.0
"""Largest limit that is drilled as it is: Bybit fills no market order far beyond 1,000 bps."""


class SlippageBreachesParams(GuardParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many entries filled with how much slippage stop entries.

    What only shrinks a position does not count: stops slip by nature. Fills of one moment in one
    instrument count once: an order that walks through several levels of the book is filled in as
    many parts.

    Parameters
    ----------
    limit_bps : float
        Slippage from which a fill is a breach, basis points of its value.
    count : int
        Breaches.
    window : str
        Rolling, such as ``1d``.
    against : {"order", "decision"}
        ``order``: the price when the fill's own order left; fills of orders that rested have no
        slippage. ``decision``: the price when the first order of the decision left, for fills of
        orders that rested as well, such as one that followed the price.
    of : {"instrument", "strategies", "desk"}
        What they are counted for.
    """

    limit_bps: Annotated[float, Meta(ge=0.1, le=10_000)] = 20.0
    count: Annotated[int, Meta(ge=1, le=1000)] = 3
    window: Span = "1d"
    against: Literal["order", "decision"] = "order"
    of: Of = "instrument"


class Breaches(msgspec.Struct, frozen=True):
    """The newest breaches of each scope, and the last of each instrument; UNIX nanoseconds."""

    stamps: dict[str, Stamps]
    last: dict[str, int]


class SlippageBreaches(Guard[SlippageBreachesParams, Breaches]):
    """Stops entries after too many of them were filled with too much slippage."""

    Config = SlippageBreachesParams
    State = Breaches
    unit = "fills"
    events = frozenset({FillEvent})
    only_events = True
    example = Example(
        SlippageBreachesParams(count=10),
        lambda count: tuple(
            FillEvent(
                ts=NOON + n,
                strategy="a",
                instrument=COIN,
                quantity=Decimal(1),
                price=Decimal(1),
                fee=Decimal(0),
                slippage=0.01,
            )
            for n in range(int(count))
        ),
        (9, 10, 10),
        clear=9,
        scope=f"instrument:{COIN}",
    )

    def start(self, snapshot: Snapshot) -> Breaches:
        """Return a state without breaches."""
        return Breaches({}, {})

    def measure(self, state: Breaches, snapshot: Snapshot) -> Measured[Breaches]:
        """Count the breaches in the window that ends now, up to the limit."""
        return state, self._readings(state, snapshot.now)

    def on_event(self, state: Breaches, event: DeskEvent) -> tuple[Breaches, Readings]:
        """Count an entry's fill with too much slippage."""
        params = self.params
        if not isinstance(event, FillEvent) or not _is_breach(event, state, params):
            return state, None
        scope = counted_scope(params.of, event.strategy, event.instrument)
        before = state.stamps.get(scope, ())
        after = added(before, event.ts, span_ns(params.window), params.count)
        last = {**state.last, event.instrument: event.ts}
        state = Breaches({**state.stamps, scope: after}, last)
        return state, self._readings(state, event.ts)

    def _readings(self, state: Breaches, now: int) -> tuple[Reading, ...]:
        params, window = self.params, span_ns(self.params.window)
        words = f"entries within {params.window} slipped {params.limit_bps:g} bps or more"
        return tuple(
            counted_reading(params, scope, stamps, now, window, params.count, words)
            for scope, stamps in state.stamps.items()
        )

    def released(self, state: Breaches, snapshot: Snapshot, scope: str) -> Breaches:
        """Remove the scope's breaches."""
        kept = {name: stamps for name, stamps in state.stamps.items() if name != scope}
        return msgspec.structs.replace(state, stamps=kept)

    def drill(self, scene: Scene) -> Plan:
        """Fill as many orders as the limit with more slippage than it allows."""
        limit = min(self.params.limit_bps, DRILLED_BPS)
        count, bps = self.params.count, limit * 1.3 + 2
        changed: dict[str, object] = {}
        note = ""
        if limit < self.params.limit_bps:
            changed = {"limit_bps": limit}
            note = f"with limit_bps {limit:g}, as no market order fills much further from the mark"
        slips = Slips(scene.first, bps, count, weight=0.03, every=max(1.0, scene.beat))
        halt = stage(self.params, scene.counted_scope(self.params.of), slips)
        words = f"{count} fills {bps:g} bps worse than the price that stood"
        return plan(
            self.params, words, scene.first, halt, after=(Mended(),), params=changed, note=note
        )


def _is_breach(fill: FillEvent, state: Breaches, params: SlippageBreachesParams) -> bool:
    slippage = fill.slippage if params.against == "order" else fill.decision_slippage
    if not fill.entry or slippage is None or state.last.get(fill.instrument) == fill.ts:
        return False
    # 3 bps as a fraction times 10 000 is 2.9999999999999996.
    return round(slippage * 10_000, 9) >= params.limit_bps
