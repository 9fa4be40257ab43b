"""Crossed book: a bid at or above the best ask, so that one of the two is no price to trade on."""

from __future__ import annotations

from decimal import Decimal

from actors.guards.core.guard import Nothing, Readings, Rule, nothing
from actors.guards.core.limits import Reading
from actors.guards.core.params import Release, TransientParams
from actors.guards.core.snapshot import Input, Snapshot


class CrossedBookParams(TransientParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What follows from a crossed book: by default entries wait, and two seconds longer."""

    release: Release = "2s"


def step(state: Nothing, seen: Input, params: CrossedBookParams) -> tuple[Nothing, Readings]:
    """Measure by how much bids overlap asks; a reading in quote currency of each that does.

    An instrument's best prices must be known; that of the narrowest book is told where none is
    crossed.
    """
    if not isinstance(seen, Snapshot):
        return state, None
    overlaps = {
        name: market.bid - market.ask
        for name, market in seen.markets.items()
        if market.bid is not None and market.ask is not None
    }
    nearest = max(overlaps, key=overlaps.__getitem__, default=None)
    return state, tuple(
        _reading(name, overlap, params)
        for name, overlap in overlaps.items()
        if overlap >= 0 or name == nearest
    )


def _reading(name: str, overlap: Decimal, params: CrossedBookParams) -> Reading:
    over = overlap >= 0
    return Reading(
        scope=f"instrument:{name}",
        measured=float(overlap),
        limit=0.0,
        over=over,
        clear=not over,
        action=params.asks,
        multiplier=params.multiplier,
        reason=f"the bid is {overlap} above the ask" if over else "",
    )


RULE = Rule(
    state=Nothing,
    start=nothing,
    step=step,
    needs=frozenset({"markets"}),
    events=frozenset(),
)
