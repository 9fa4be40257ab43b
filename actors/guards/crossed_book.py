"""Crossed book: a bid at or above the best ask, so that one of them is no valid price."""

from __future__ import annotations

from actors.guards.core.drill import LASTS, Book, Plan, Scene, disturb
from actors.guards.core.examples import COIN, Example, one_market
from actors.guards.core.guard import Guard, Measured, Nothing
from actors.guards.core.limits import limit_reading
from actors.guards.core.params import Release, TransientParams
from actors.guards.core.snapshot import Snapshot


class CrossedBookParams(TransientParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What follows from a crossed book: by default entries wait, and two seconds longer."""

    release: Release = "2s"


class CrossedBook(Guard[CrossedBookParams, Nothing]):
    """Stops entries for a moment after a bid at or above the ask."""

    Config = CrossedBookParams
    unit = "USDT"
    needs = frozenset({"markets"})
    example = Example(
        CrossedBookParams(),
        lambda overlap: (one_market(bid=100 + overlap, ask=100),),
        (-1, 0, 1),
        clear=-1,
        scope=f"instrument:{COIN}",
    )

    def measure(self, state: Nothing, snapshot: Snapshot) -> Measured[Nothing]:
        """Measure by how much bids overlap asks, in quote currency.

        Crossed books have a reading; where none is crossed, only the narrowest one. Best prices
        must be known.
        """
        overlaps = {
            name: market.bid - market.ask
            for name, market in snapshot.markets.items()
            if market.bid is not None and market.ask is not None
        }
        nearest = max(overlaps, key=overlaps.__getitem__, default=None)
        return state, tuple(
            limit_reading(
                self.params,
                f"instrument:{name}",
                float(overlap),
                0.0,
                overlap >= 0,
                f"the bid is {overlap} above the ask" if overlap >= 0 else "",
                clear=overlap < 0,
            )
            for name, overlap in overlaps.items()
            if overlap >= 0 or name == nearest
        )

    def drill(self, scene: Scene) -> Plan:
        """Show a bid above the ask."""
        crossed = Book(scene.first, "crossed", 2.0, LASTS)
        return disturb(scene, self.params, crossed, "bid 2 bps above the ask")
