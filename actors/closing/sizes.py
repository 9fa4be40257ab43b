"""What an order does to a position, and how much of a position can be closed. Pure."""

from __future__ import annotations

from decimal import Decimal

from actors.closing.facts import Key, Terms, UnderWay, View

ZERO = Decimal(0)


def closable(held: Decimal, terms: Terms) -> Decimal:
    """Return how much of a position an order can close, unsigned base coin, zero for dust.

    Bybit takes reduce-only orders below its minimum value, so a perpetual leaves nothing but less
    than a lot. In spot there are only sales: of what the wallet has, and none below a minimum.
    """
    size = abs(held)
    if terms.spot:
        there = size if terms.there is None else terms.there
        size = min(size, there) if held > 0 else ZERO
    size = size // terms.lot * terms.lot
    if terms.spot and size < terms.min_quantity:
        return ZERO
    if terms.spot and terms.price is not None and size * terms.price < terms.min_notional:
        return ZERO
    return size


def offset(key: Key, held: Decimal, view: View, *, even: bool = False) -> Decimal:
    """Return how much of a position is there at the venue, which nets all owners' positions.

    With ``even`` it is the venue's position itself, so that only a net of zero counts as flat.
    """
    net = sum((q for k, q in view.positions.items() if k.instrument == key.instrument), ZERO)
    if even:
        return abs(net)
    return min(abs(held), abs(net)) if net * held > 0 else ZERO


def is_leaving(order: UnderWay, held: Decimal) -> bool:
    """Whether it is an exit that takes at once and can't be more than the position."""
    if not order.takes or order.left * held >= 0:
        return False
    return order.reduce_only or abs(order.left) <= abs(held)


def could_turn(order: UnderWay, held: Decimal) -> bool:
    """Whether its fill has to be counted on: an exit on its way, or one the venue won't cap."""
    return order.left * held < 0 and (not order.reduce_only or is_leaving(order, held))


def is_entry(order: UnderWay, held: Decimal) -> bool:
    """Whether it could open or enlarge a position."""
    return not order.reduce_only and (order.left * held >= 0 or abs(order.left) > abs(held))
