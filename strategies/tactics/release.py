"""Choose the legs of a rebalance to send now, so that a neutral book stays near neutral.

A resting leg may fill now, later or never. The choice is by the worst mix: all buys under way
filled and no sell, and the other way round. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Leg:
    """One instrument's part of a rebalance, in settlement currency, positive for buying.

    ``wanted`` is the whole leg's change of net exposure, ``filled`` its change so far. An ``ended``
    leg fills no more.
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
        """Expected change of exposure at the end."""
        return self.filled if self.ended else self.wanted


def releasable(legs: Sequence[Leg], bound: float) -> list[str]:
    """Return the legs that may be sent now, in their order; give the most urgent first.

    The exposure may be anywhere between that of the old book and that of the new, and outside of it
    by ``bound`` (settlement currency, positive). When nothing is under way and no leg fits, the one
    that exceeds the bound least is sent alone: a leg larger than the bound must not stop the
    rebalance.
    """
    target = sum(leg.final for leg in legs)
    lowest, highest = min(target, 0.0) - bound, max(target, 0.0) + bound
    now = sum(leg.filled for leg in legs)
    up = now + sum(max(leg.open, 0.0) for leg in legs)
    down = now + sum(min(leg.open, 0.0) for leg in legs)

    def strays(leg: Leg) -> float:
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
