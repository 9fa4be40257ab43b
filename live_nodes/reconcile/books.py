"""Our side of a comparison with the venue, read from the engine's cache. Engine-specific."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from nautilus_trader.model.enums import OrderStatus
from nautilus_trader.model.identifiers import ClientOrderId

from live_nodes.bybit.facts import VenueFill
from live_nodes.reconcile.sweep_rules import Books

CONFIRMED = (OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED, OrderStatus.TRIGGERED)


UNANSWERED_NS = 10_000_000_000
"""Age at which an order can't arrive any more: the adapter waits up to 5 s for a login before it
sends, and Bybit refuses what is older than its receive window, 5 s again."""


def books_of(
    cache: Any,
    fills: Iterable[VenueFill],
    explained: Mapping[str, Decimal],
    instruments: set[str],
    now_ns: int,
) -> Books:
    """Return what the engine's cache knows.

    Parameters
    ----------
    cache : nautilus_trader.cache.cache.Cache
        The node's.
    fills : iterable of VenueFill
        Executions to be looked up.
    explained : mapping of str to Decimal
        Positions that our own orders made.
    instruments : set of str
        Those that the node trades: foreign orders in others are not in its cache.
    now_ns : int
        UNIX nanoseconds.
    """
    under_way = [*cache.orders_open(), *cache.orders_inflight()]
    waiting = [order for order in cache.orders() if order.status == OrderStatus.INITIALIZED]
    positions: dict[str, Decimal] = dict.fromkeys(
        (name for name in instruments if name.endswith("-LINEAR.BYBIT")), Decimal(0)
    )
    for position in cache.positions_open():
        name = position.instrument_id.value
        if name.endswith("-LINEAR.BYBIT"):
            positions[name] = positions.get(name, Decimal(0)) + position.signed_decimal_qty()
    return Books(
        open_orders={
            order.client_order_id.value: order.instrument_id.value
            for order in [*under_way, *waiting]
        },
        confirmed={o.client_order_id.value for o in under_way if o.status in CONFIRMED},
        executions={fill.execution_id for fill in fills if _is_known(cache, fill)},
        positions=positions,
        explained=explained,
        unanswered={
            order.client_order_id.value: order.instrument_id.value
            for order in under_way
            if order.status == OrderStatus.SUBMITTED and now_ns - order.ts_last >= UNANSWERED_NS
        },
    )


def _is_known(cache: Any, fill: VenueFill) -> bool:
    if not fill.order_link_id:
        return False
    order = cache.order(ClientOrderId(fill.order_link_id))
    return order is not None and any(i.value == fill.execution_id for i in order.trade_ids)
