"""What a flatten past the node must clear at the venue, and what is still there. Pure.

Perpetuals only: a node trades nothing else at a venue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from config.documents import Universe
from config.universe import select
from live_nodes.bybit.facts import VenueOrder, VenuePosition
from live_nodes.bybit.terms import described

ZERO = Decimal(0)


@dataclass(frozen=True)
class Reach:
    """Whose orders and positions are cleared.

    Parameters
    ----------
    external : {"leave", "universe", "all"}
        ``risk.external``: what is not the desk's own and goes as well.
    universe : Universe
        Of the document.
    is_own : callable
        Whether a link id is that of an order of this node.
    """

    external: Literal["leave", "universe", "all"]
    universe: Universe
    is_own: Callable[[str], bool]

    def takes_all_of(self, instrument: str) -> bool:
        """Whether everything in the instrument goes, whoever made it."""
        if self.external == "all":
            return True
        return self.external == "universe" and bool(select([instrument], self.universe))

    def takes(self, order: VenueOrder) -> bool:
        """Whether an open order goes."""
        return self.is_own(order.order_link_id) or self.takes_all_of(order.instrument)

    def part_of(self, position: VenuePosition, own: Decimal) -> Decimal:
        """Return how much of a position goes, signed base coin.

        Parameters
        ----------
        position : VenuePosition
            As the venue has it.
        own : Decimal
            What our own executions made of it.
        """
        if self.takes_all_of(position.instrument):
            return position.quantity
        return within(own, position.quantity)


@dataclass(frozen=True)
class Left:
    """What must go and is still there.

    Parameters
    ----------
    orders : tuple of VenueOrder
        Open orders.
    positions : dict of str to Decimal
        By instrument, what of it must go; signed base coin.
    """

    orders: tuple[VenueOrder, ...] = ()
    positions: dict[str, Decimal] | None = None

    def __bool__(self) -> bool:
        return bool(self.orders or self.positions)

    @property
    def held(self) -> dict[str, Decimal]:
        """The positions, empty for none."""
        return self.positions or {}

    def count(self) -> str:
        """Return how much it is, in words."""
        parts = [
            f"{number} {word}{'' if number == 1 else 's'}"
            for number, word in ((len(self.orders), "order"), (len(self.held), "position"))
            if number
        ]
        return " and ".join(parts) or "nothing"

    def lines(self) -> list[str]:
        """Return each thing in words."""
        said = [f"order: {described(order)}" for order in self.orders]
        return said + [f"position: {q:f} {name}" for name, q in sorted(self.held.items())]


def what_is_left(
    reach: Reach,
    orders: Iterable[VenueOrder],
    positions: Iterable[VenuePosition],
    own: dict[str, Decimal],
) -> Left:
    """Return what of an account must go."""
    parts = {p.instrument: reach.part_of(p, own.get(p.instrument, ZERO)) for p in positions}
    return Left(
        tuple(order for order in orders if reach.takes(order)),
        {name: quantity for name, quantity in parts.items() if quantity},
    )


def within(part: Decimal, whole: Decimal) -> Decimal:
    """Return as much of `part` as lies in `whole`: on its side of zero and no larger.

    Examples
    --------
    >>> [within(Decimal(part), Decimal(-3)) for part in (-5, -2, 1)]
    [Decimal('-3'), Decimal('-2'), Decimal('0')]
    """
    if part * whole <= 0:
        return ZERO
    return part if abs(part) < abs(whole) else whole


def pieces(closing: Decimal, explained: Decimal) -> list[tuple[Decimal, bool]]:
    """Split what is closed into what our own orders made, and what they did not.

    Each is closed under a name of its kind, so that the next start finds its books right: the
    executions that it counts as its own are exactly those that take its own position to zero.

    Parameters
    ----------
    closing : Decimal
        What goes, signed base coin.
    explained : Decimal
        The position that the journal explains.

    Returns
    -------
    list of (Decimal, bool)
        Signed quantity, and whether it is our own; without empty ones.
    """
    ours = within(explained, closing)
    return [(q, own) for q, own in ((ours, True), (closing - ours, False)) if q]
