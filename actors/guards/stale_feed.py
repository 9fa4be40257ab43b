"""Stale feed: nothing was heard of an instrument for too long."""

from __future__ import annotations

from actors.guards.core.guard import Nothing, Readings, Rule, nothing
from actors.guards.core.limits import Reading, inside, notable_readings
from actors.guards.core.params import Span, TransientParams, seconds, span_ns
from actors.guards.core.snapshot import Input, Snapshot


class StaleFeedParams(TransientParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The silence of an instrument's market data at which its entries stop.

    Parameters
    ----------
    limit : str
        Such as ``10s``.
    """

    limit: Span = "10s"


def step(state: Nothing, seen: Input, params: StaleFeedParams) -> tuple[Nothing, Readings]:
    """Measure; readings in seconds of what is silent, and of what is silent for longest."""
    if not isinstance(seen, Snapshot):
        return state, None
    limit = seconds(span_ns(params.limit))
    silences = {
        name: seconds(market.silent_ns)
        for name, market in seen.markets.items()
        if market.silent_ns is not None
    }

    def reading(name: str, silence: float) -> Reading:
        over = silence >= limit
        return Reading(
            scope=f"instrument:{name}",
            measured=silence,
            limit=limit,
            over=over,
            clear=not over and inside(silence, limit, params.hysteresis),
            action=params.asks,
            multiplier=params.multiplier,
            reason=f"silent for {silence:.1f} s, limit {params.limit}" if over else "",
        )

    return state, notable_readings(silences, limit - params.hysteresis * limit, reading)


RULE = Rule(
    state=Nothing,
    start=nothing,
    step=step,
    needs=frozenset({"markets"}),
    events=frozenset(),
)
