"""Order rate: so many requests leave in a second and a minute; who keeps knocking is halted."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from actors.guards.core.guard import Readings, Rule
from actors.guards.core.limits import Reading, inside
from actors.guards.core.params import Release, Span, TransientParams, refuses, span_ns
from actors.guards.core.snapshot import Input, OrderRequested, Refused, Snapshot
from actors.guards.core.windows import Stamps, added, below_from, counted
from config.durations import MINUTE_NS


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
    """When the newest orders of each strategy left, and when the newest were refused."""

    left: dict[str, Stamps]
    refused: dict[str, Stamps]


def start(params: OrderRateParams, snapshot: Snapshot) -> Rates:
    """Begin with none."""
    return Rates({}, {})


def step(state: Rates, seen: Input, params: OrderRateParams) -> tuple[Rates, Readings]:
    """Count; readings of the entries of each strategy refused for the rate in the last minute."""
    if isinstance(seen, OrderRequested):
        most = max(params.count, params.per_minute or 0)
        reach = max(span_ns(params.window), MINUTE_NS if params.per_minute else 0)
        before = state.left.get(seen.strategy, ())
        after = added(before, seen.ts, reach, most)
        if after == before:
            return state, None
        return Rates({**state.left, seen.strategy: after}, state.refused), None
    if isinstance(seen, Refused) and _too_fast(state, seen.strategy, seen.ts, params):
        now = seen.ts
        before = state.refused.get(seen.strategy, ())
        after = added(before, now, MINUTE_NS, params.spam_after)
        if after != before:
            state = Rates(state.left, {**state.refused, seen.strategy: after})
    elif isinstance(seen, Snapshot):
        now = seen.now
    else:
        return state, None
    return state, tuple(
        _reading(strategy, state.refused.get(strategy, ()), now, params)
        for strategy in sorted(state.left)
    )


def admit(
    state: Rates, asked: OrderRequested, snapshot: Snapshot, params: OrderRateParams
) -> str | None:
    """Refuse an entry that would be one too many."""
    if not refuses(params):
        return None
    return _too_fast(state, asked.strategy, asked.ts, params)


def released(state: Rates, snapshot: Snapshot, scope: str, params: OrderRateParams) -> Rates:
    """Forget what was refused of the strategy."""
    name = scope.removeprefix("strategy:")
    kept = {k: stamps for k, stamps in state.refused.items() if scope != "desk" and k != name}
    return Rates(state.left, kept)


def _too_fast(state: Rates, strategy: str, ts: int, params: OrderRateParams) -> str | None:
    stamps = state.left.get(strategy, ())
    if counted(stamps, ts, span_ns(params.window)) >= params.count:
        return f"{params.count} orders of {strategy} within {params.window}"
    if params.per_minute and counted(stamps, ts, MINUTE_NS) >= params.per_minute:
        return f"{params.per_minute} orders of {strategy} within a minute"
    return None


def _reading(strategy: str, stamps: Stamps, now: int, params: OrderRateParams) -> Reading:
    count = counted(stamps, now, MINUTE_NS)
    over = count >= params.spam_after
    words = f"{count} orders of {strategy} within a minute were too many for its rate"
    return Reading(
        scope=f"strategy:{strategy}",
        measured=count,
        limit=params.spam_after,
        over=over,
        clear=not over and inside(count, params.spam_after, params.hysteresis),
        action=params.asks,
        multiplier=params.multiplier,
        reason=words if over else "",
        until=below_from(stamps, params.spam_after, MINUTE_NS) if over else None,
    )


RULE = Rule(
    state=Rates,
    start=start,
    step=step,
    admit=admit,
    released=released,
    events=frozenset({OrderRequested, Refused}),
)
