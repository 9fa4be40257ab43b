"""Which legs of a rebalance may leave, so that a neutral book stays near neutral while they fill.

A leg that rests may fill now, later or never. What may leave is judged by the worst mix: all buys
under way filled and no sell, and the other way round. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Leg:
    """One instrument's part of a rebalance, in settlement currency, positive for buying.

    Parameters
    ----------
    name : str
        Instrument id.
    wanted : float
        By how much the whole leg changes the net exposure.
    filled : float
        By how much it has so far.
    sent, ended : bool
        Whether it has left, and whether nothing more comes of it.
    """

    name: str
    wanted: float
    filled: float = 0.0
    sent: bool = False
    ended: bool = False

    @property
    def open(self) -> float:
        """What may still fill of a leg under way."""
        return self.wanted - self.filled if self.sent and not self.ended else 0.0

    @property
    def final(self) -> float:
        """Where it ends, as far as is known."""
        return self.filled if self.ended else self.wanted


def releasable(legs: Sequence[Leg], bound: float) -> list[str]:
    """Return the legs that may leave now, in their order.

    The exposure may lie anywhere between that of the old book and that of the new, and ``bound``
    outside of it. When nothing is under way and no leg fits, the one that strays least leaves
    alone: a leg larger than the bound must not stop the rebalance.

    Parameters
    ----------
    legs : sequence of Leg
        All of the rebalance, the most urgent first.
    bound : float
        Settlement currency, positive.
    """
    target = sum(leg.final for leg in legs)
    lowest, highest = min(target, 0.0) - bound, max(target, 0.0) + bound
    now = sum(leg.filled for leg in legs)
    up = now + sum(max(leg.open, 0.0) for leg in legs)
    down = now + sum(min(leg.open, 0.0) for leg in legs)

    def strays(leg: Leg) -> float:
        """Return by how much the worst mix would leave the band with this leg under way too."""
        high, low = up + max(leg.wanted, 0.0), down + min(leg.wanted, 0.0)
        return max(high - highest, lowest - low, 0.0)

    found = []
    waiting = [leg for leg in legs if not leg.sent and not leg.ended]
    for leg in waiting:
        if strays(leg) == 0.0:
            found.append(leg.name)
            up += max(leg.wanted, 0.0)
            down += min(leg.wanted, 0.0)
    under_way = any(leg.sent and not leg.ended for leg in legs)
    if waiting and not found and not under_way:
        found.append(min(waiting, key=strays).name)
    return found
