"""Stale feed: nothing was heard of an instrument for too long."""

from __future__ import annotations

from actors.guards.core.facts import Input, Snapshot
from actors.guards.core.notable import notable_readings
from actors.guards.core.reading import Reading, inside
from actors.guards.core.rule import Readings, Rule
from actors.guards.core.spans import Span, seconds, span_ns
from actors.guards.core.stateless import Nothing, nothing
from actors.guards.core.transient import TransientParams


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
