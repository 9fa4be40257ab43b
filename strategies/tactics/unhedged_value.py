"""Unhedged value over time of two legs that hedge each other: the measure, for tactic and guard.

What is left of the legs (first plus ratio times second, signed value) is summed up over time until
they are hedged again. Values are in the settlement currency, times UNIX nanoseconds (UTC).
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

ZERO = Decimal(0)
TOLERANCE = Decimal("0.02")
"""What may be left that counts as hedged, a fraction of the larger leg …"""
DUST = Decimal(5)
"""… or in the settlement currency, where that is more."""


class UnhedgedValue(msgspec.Struct, frozen=True):
    """Two legs that are not hedged.

    ``net`` is the unhedged value since ``at``, signed; ``total`` the value times nanoseconds until
    then since they were last hedged.
    """

    at: int
    net: Decimal
    total: Decimal


def total_at(before: UnhedgedValue | None, now: int) -> Decimal:
    """Return value times nanoseconds until now; a clock that went back changes nothing."""
    if before is None:
        return ZERO
    return before.total + abs(before.net) * max(0, now - before.at)


def measured(before: UnhedgedValue | None, net: Decimal, now: int) -> UnhedgedValue:
    """Return the measure after the unhedged value was measured anew."""
    return UnhedgedValue(now, net, total_at(before, now))


def hedged(
    first: Decimal, second: Decimal, tolerance: Decimal = TOLERANCE, dust: Decimal = DUST
) -> bool:
    """Whether two signed values, the second times the ratio, hedge each other."""
    return abs(first + second) <= max(max(abs(first), abs(second)) * tolerance, dust)
