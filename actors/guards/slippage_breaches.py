"""Slippage breaches: fills came out too much worse than the price that their orders saw."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from actors.guards.core.guard import Readings, Rule
from actors.guards.core.limits import Reading, inside
from actors.guards.core.params import GuardParams, Of, Span, scope_of, span_ns
from actors.guards.core.snapshot import FillEvent, Input, Snapshot
from actors.guards.core.windows import Stamps, added, below_from, counted


class SlippageBreachesParams(GuardParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many fills with how much slippage stop entries.

    Fills of one moment in one instrument count once: an order that walks through several levels of
    the book is filled in as many parts.

    Parameters
    ----------
    limit_bps : float
        Slippage from which a fill is a breach, basis points of its value.
    count : int
        Breaches.
    window : str
        Rolling, such as ``1d``.
    of : {"instrument", "strategies", "desk"}
        What they are counted for.
    """

    limit_bps: Annotated[float, Meta(gt=0, le=10_000)] = 20.0
    count: Annotated[int, Meta(ge=1, le=1000)] = 3
    window: Span = "1d"
    of: Of = "instrument"


class Breaches(msgspec.Struct, frozen=True):
    """When the newest breaches of each scope came, and the last of each instrument."""

    stamps: dict[str, Stamps]
    last: dict[str, int]


def start(params: SlippageBreachesParams, snapshot: Snapshot) -> Breaches:
    """Begin with none."""
    return Breaches({}, {})


def step(state: Breaches, seen: Input, params: SlippageBreachesParams) -> tuple[Breaches, Readings]:
    """Count the breaches of the window that ends now, up to the limit."""
    if isinstance(seen, Snapshot):
        now = seen.now
    elif isinstance(seen, FillEvent) and _is_breach(seen, state, params):
        now = seen.ts
        scope = scope_of(params.of, seen.strategy, seen.instrument)
        before = state.stamps.get(scope, ())
        after = added(before, now, span_ns(params.window), params.count)
        state = Breaches({**state.stamps, scope: after}, {**state.last, seen.instrument: now})
    else:
        return state, None
    return state, tuple(
        _reading(scope, stamps, now, params) for scope, stamps in state.stamps.items()
    )


def released(
    state: Breaches, snapshot: Snapshot, scope: str, params: SlippageBreachesParams
) -> Breaches:
    """Forget the scope's breaches so far."""
    kept = {name: stamps for name, stamps in state.stamps.items() if name != scope}
    return msgspec.structs.replace(state, stamps=kept)


def _is_breach(fill: FillEvent, state: Breaches, params: SlippageBreachesParams) -> bool:
    if fill.slippage is None or state.last.get(fill.instrument) == fill.ts:
        return False
    # 3 bps as a fraction times 10 000 is 2.9999999999999996.
    return round(fill.slippage * 10_000, 9) >= params.limit_bps


def _reading(scope: str, stamps: Stamps, now: int, params: SlippageBreachesParams) -> Reading:
    window = span_ns(params.window)
    count = counted(stamps, now, window)
    over = count >= params.count
    words = f"{count} fills within {params.window} slipped {params.limit_bps:g} bps or more"
    return Reading(
        scope=scope,
        measured=count,
        limit=params.count,
        over=over,
        clear=not over and inside(count, params.count, params.hysteresis),
        action=params.asks,
        multiplier=params.multiplier,
        reason=words if over else "",
        until=below_from(stamps, params.count, window) if over else None,
    )


RULE = Rule(
    state=Breaches,
    start=start,
    step=step,
    released=released,
    events=frozenset({FillEvent}),
)
