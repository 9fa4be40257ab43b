"""What the desk's strategies hold, followed from fill to fill; and which entries are new trades.

Snapshots say what is held, fills what changed since: between two snapshots a trade can be opened
and closed. Adding to an open position is no new trade.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from actors.guards.core.facts import FillEvent, OpenExposure, OrderRequested, Snapshot

ZERO = Decimal(0)


class Held(msgspec.Struct, frozen=True):
    """An open position of a strategy: signed base coin, never zero."""

    strategy: str
    instrument: str
    quantity: Decimal


Holds = tuple[Held, ...]
"""Sorted by instrument, then strategy."""


def held_of(snapshot: Snapshot, before: Holds = ()) -> Holds:
    """Return what a snapshot says, the very same object as before where nothing changed.

    What is nobody's of this desk is left out.
    """
    own = [holding for holding in snapshot.holdings if holding.strategy]
    if len(own) == len(before):
        for held, holding in zip(before, own, strict=True):
            if (
                held.quantity != holding.quantity
                or held.instrument != holding.instrument
                or held.strategy != holding.strategy
            ):
                break
        else:
            return before
    return tuple(Held(h.strategy, h.instrument, h.quantity) for h in own)


def after_fill(holds: Holds, fill: FillEvent) -> Holds:
    """Return what is held after a fill."""
    name = (fill.instrument, fill.strategy)
    found = {(held.instrument, held.strategy): held.quantity for held in holds}
    left = found.pop(name, ZERO) + fill.quantity
    if left:
        found[name] = left
    return tuple(
        Held(strategy, instrument, found[instrument, strategy])
        for instrument, strategy in sorted(found)
    )


def is_flat(holds: Holds, scope: str) -> bool:
    """Whether nothing is held in a scope."""
    return not any(
        scope in ("desk", f"strategy:{held.strategy}", f"instrument:{held.instrument}")
        for held in holds
    )


def own_standing(asked: OrderRequested) -> OpenExposure | None:
    """Return what stands of the order's own owner in its instrument."""
    for row in asked.open_exposure:
        if row.strategy == asked.strategy and row.instrument == asked.instrument:
            return row
    return None


def adds(asked: OrderRequested) -> bool:
    """Whether the order adds to a position that is open."""
    own = own_standing(asked)
    return own is not None and own.held * asked.quantity > 0


def could_open(asked: OrderRequested) -> int:
    """Return how many trades the order and those under way could open, whatever is filled first.

    Each way through zero opens one: buys and sells can be filled in turns, beginning with the side
    that turns what is held. Reduce-only orders open nothing; that one of them closes what is held
    before an order is filled that was to add to it is not foreseen.

    Examples
    --------
    >>> from decimal import Decimal as D
    >>> row = OpenExposure(strategy="a", instrument="B", held=D(0), buy_orders=1, price=D(100))
    >>> buy = OrderRequested(
    ...     ts=0, strategy="a", instrument="B", quantity=D(1), price=None, is_exit=False
    ... )
    >>> could_open(buy), could_open(msgspec.structs.replace(buy, open_exposure=(row,)))
    (1, 1)
    >>> could_open(msgspec.structs.replace(buy, quantity=D(-1), open_exposure=(row,)))
    2
    """
    own = own_standing(asked)
    held, buys, sells = (own.held, own.buy_orders, own.sell_orders) if own else (ZERO, 0, 0)
    if asked.quantity > 0:
        buys += 1
    else:
        sells += 1
    if held > 0:
        return min(2 * sells, 2 * buys + 1)
    if held < 0:
        return min(2 * buys, 2 * sells + 1)
    return 2 * min(buys, sells) + (buys != sells)
