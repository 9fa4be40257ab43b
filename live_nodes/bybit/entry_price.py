"""The venue's average entry price, spelled as two fills on the engine's grid of prices. Pure.

The engine takes a position over as one fill at the venue's average, rounded to its grid: three
bitcoin bought at 50000.1 and 50000.2 are off by up to 15 cents for as long as they are held. Two
fills on neighbouring prices, in the right proportion, have the very average.
"""

from __future__ import annotations

from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal


def first_part(
    quantity: Decimal, average: Decimal, tick: Decimal, lot: Decimal
) -> tuple[Decimal, Decimal] | None:
    """Return quantity and price of the first of the two fills, None where one is as good.

    The second is the rest, one tick higher. Both together cost what the position did, to within
    half of ``tick * lot``.

    Parameters
    ----------
    quantity : Decimal
        Of the position, unsigned, a multiple of `lot`.
    average : Decimal
        Its average entry price.
    tick, lot : Decimal
        Steps in which prices and quantities can be told.
    """
    lower = (average / tick).to_integral_value(ROUND_FLOOR) * tick
    higher_lots = quantity * (average - lower) / tick / lot
    rest = higher_lots.to_integral_value(ROUND_HALF_EVEN) * lot
    first = quantity - rest
    return (first, lower) if first and rest else None
