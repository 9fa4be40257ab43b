"""What the venue itself shows, for whoever must not believe our own books alone."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal

from actors.closing.facts import AtVenue
from live_nodes.bybit.rest import VenueRest
from live_nodes.reconcile.sweep_rules import Finding, Kind

ZERO = Decimal(0)
Repair = Callable[[Finding], Awaitable[bool]]
Held = Callable[[], Mapping[str, Decimal]]
"""Our net positions by instrument id, signed base coin."""


class VenueCheck:
    """Asks the venue what is left (`actors.closing.closer.Verify`).

    A position that our books don't have as the venue has it, twice in a row, is taken over from
    there first, or nobody could close it.

    Parameters
    ----------
    rest : VenueRest
        Entered.
    products : sequence of str
        ``LINEAR``, ``SPOT``.
    held : Held
        Our books.
    repair : Repair
        Mends them (`live_nodes.reconcile.repair.Repairer`).
    """

    def __init__(
        self, rest: VenueRest, products: Sequence[str], held: Held, repair: Repair
    ) -> None:
        self._rest, self._products, self._held, self._repair = rest, products, held, repair
        self._differed: dict[str, Decimal] = {}

    async def __call__(self) -> AtVenue:
        """Ask.

        Raises
        ------
        VenueError
            If the venue can't be asked.
        """
        asked = time.time_ns()
        orders = [o for product in self._products for o in await self._rest.open_orders(product)]
        positions: dict[str, Decimal] = {}
        if "LINEAR" in self._products:
            found = await self._rest.positions()
            positions = {name: position.quantity for name, position in found.items()}
            await self._mend(positions)
        return AtVenue(
            asked=asked,
            positions=positions,
            orders={order.order_link_id or order.order_id: order.instrument for order in orders},
        )

    async def _mend(self, there: Mapping[str, Decimal]) -> None:
        here = self._held()
        differs = {
            name: there.get(name, ZERO)
            for name in sorted(here.keys() | there.keys())
            if name.endswith("-LINEAR.BYBIT") and here.get(name, ZERO) != there.get(name, ZERO)
        }
        # Pushes and answers cross each other: what stands in two answers is no crossing.
        for name in [n for n, quantity in differs.items() if self._differed.get(n) == quantity]:
            detail = f"our books hold {here.get(name, ZERO):f}, the venue {differs[name]:f}"
            await self._repair(Finding(Kind.POSITION_DIFFERS, name, name, detail))
        self._differed = differs
