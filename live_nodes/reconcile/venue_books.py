"""Engine books for the sweep, venue books for the closer. Engine-specific."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from nautilus_trader.model.enums import OrderStatus
from nautilus_trader.model.identifiers import ClientOrderId

from actors.closing.facts import AtVenue
from live_nodes.bybit.facts import VenueFill
from live_nodes.bybit.rest import VenueRest
from live_nodes.reconcile.recovery import Recovery
from live_nodes.reconcile.sweep import EngineBooks, FindingKind, SweepFinding

CONFIRMED = (OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED, OrderStatus.TRIGGERED)


UNANSWERED_NS = 10_000_000_000
"""No order can arrive after this age: 5 s for the adapter's login, 5 s of receive window."""


def engine_books(
    cache: Any,
    fills: Iterable[VenueFill],
    explained: Mapping[str, Decimal],
    instruments: set[str],
    now_ns: int,
) -> EngineBooks:
    """Return the engine's books for a sweep of `instruments` at `now_ns` (UNIX nanoseconds).

    `fills` are executions to look up, `explained` the positions that our own orders made.
    """
    under_way = [*cache.orders_open(), *cache.orders_inflight()]
    # The cache keeps all closed orders: a list of them would take longer each hour.
    alive = map(cache.order, cache.client_order_ids() - cache.client_order_ids_closed())
    waiting = [order for order in alive if order.status == OrderStatus.INITIALIZED]
    positions: dict[str, Decimal] = dict.fromkeys(instruments, Decimal(0))
    for position in cache.positions_open():
        name = position.instrument_id.value
        positions[name] = positions.get(name, Decimal(0)) + position.signed_decimal_qty()
    return EngineBooks(
        open_orders={
            order.client_order_id.value: order.instrument_id.value
            for order in [*under_way, *waiting]
        },
        confirmed={o.client_order_id.value for o in under_way if o.status in CONFIRMED},
        executions={fill.execution_id for fill in fills if _is_known(cache, fill)},
        positions=positions,
        explained=explained,
        # One whose cancel went the same way among them.
        unanswered={
            order.client_order_id.value: order.instrument_id.value
            for order in under_way
            if order.venue_order_id is None and now_ns - order.ts_submitted >= UNANSWERED_NS
        },
        venue_ids={
            order.client_order_id.value: order.venue_order_id.value
            for order in under_way
            if order.venue_order_id is not None
        },
    )


def _is_known(cache: Any, fill: VenueFill) -> bool:
    if not fill.order_link_id:
        return False
    order = cache.order(ClientOrderId(fill.order_link_id))
    return order is not None and any(i.value == fill.execution_id for i in order.trade_ids)


ZERO = Decimal(0)
Repair = Callable[[SweepFinding], Awaitable[bool]]
Held = Callable[[], Mapping[str, Decimal]]
"""Our net positions by instrument id, signed base coin."""


class VenueCheck:
    """Fetches what is left at the venue, for a closer.

    A position that differs from our books (`held`) twice in a row is first taken over by `repair`
    (`live_nodes.reconcile.repair.Repairer`); else nobody could close it.
    With coins, `recovery` journals the newest executions: only they tell own coins from others'.
    Orders that no books have (`Recovery.leaves_alone`) may lock own coins in a pair that is closed:
    unless `others_stay`, they are cancelled. Those that stay are not what is left.
    """

    def __init__(
        self,
        rest: VenueRest,
        products: Sequence[str],
        held: Held,
        repair: Repair,
        recovery: Recovery | None = None,
        *,
        others_stay: bool = False,
    ) -> None:
        self._rest, self._products, self._held, self._repair = rest, products, held, repair
        self._recovery, self._others_stay = recovery, others_stay
        self._differed: dict[str, Decimal] = {}

    async def __call__(self, covers: Callable[[str], bool]) -> AtVenue:
        """Fetch open orders and positions; `covers` says in which instruments all is closed.

        Raises VenueError if the venue gives no answer.
        """
        queried_at = time.time_ns()
        orders = await self._rest.open_orders(*self._products)
        recovery = self._recovery
        if recovery is not None:
            if "SPOT" in self._products:
                await recovery.catch_up()
            others = recovery.of_others(orders)
            if self._others_stay:
                orders = [order for order in orders if order not in others]
            else:
                await recovery.cancel([order for order in others if covers(order.instrument)])
        positions = await self._rest.positions()
        await self._repair_lasting(positions)
        return AtVenue(
            queried_at=queried_at,
            positions=positions,
            orders={order.order_link_id or order.order_id: order.instrument for order in orders},
        )

    async def _repair_lasting(self, there: Mapping[str, Decimal]) -> None:
        here = self._held()
        differs = {
            name: there.get(name, ZERO)
            for name in sorted(here.keys() | there.keys())
            if here.get(name, ZERO) != there.get(name, ZERO)
        }
        # Pushes and answers overtake each other: only a difference in two answers is real.
        for name in [n for n, quantity in differs.items() if self._differed.get(n) == quantity]:
            detail = f"our books hold {here.get(name, ZERO):f}, the venue {differs[name]:f}"
            await self._repair(SweepFinding(FindingKind.POSITION_DIFFERS, name, name, detail))
        self._differed = differs
