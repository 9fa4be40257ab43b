"""What Bybit's words for orders and executions mean to the desk. Pure.

Words: https://bybit-exchange.github.io/docs/v5/enum.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from live_nodes.bybit.facts import VenueFill, VenueOrder

STATUS_WORDS = {
    "New": "ACCEPTED",
    "Untriggered": "ACCEPTED",
    "Triggered": "TRIGGERED",
    "PartiallyFilled": "PARTIALLY_FILLED",
    "Filled": "FILLED",
    "Cancelled": "CANCELED",
    "PartiallyFilledCanceled": "CANCELED",
    "Deactivated": "CANCELED",
    "Rejected": "REJECTED",
}
"""Bybit's word for an order's status, and the journal's."""

ATTACHED = frozenset(
    {"TakeProfit", "StopLoss", "PartialTakeProfit", "PartialStopLoss", "TrailingStop"}
)
"""``stopOrderType`` of orders that the venue itself keeps for a position; they carry no link id."""

TRADES = frozenset({"Trade", "AdlTrade", "BustTrade", "BlockTrade", "Delivery"})
"""``execType`` of executions that move a position; funding does not."""


def is_attached(order: VenueOrder) -> bool:
    """Whether the venue keeps the order for a position (take-profit, stop-loss)."""
    return order.stop_order_type in ATTACHED


def is_protective(order: VenueOrder) -> bool:
    """Whether it can only shrink a position: it stays when a node stops or restarts."""
    return order.reduce_only or is_attached(order)


def moves_position(fill: VenueFill) -> bool:
    """Whether an execution changed a position."""
    return fill.kind in TRADES


def signed(fill: VenueFill) -> Decimal:
    """Return the execution's quantity, buys positive, base coin."""
    return fill.quantity if fill.side == "Buy" else -fill.quantity


def why(order: VenueOrder) -> str:
    """Return why the venue rejected or cancelled an order, empty when it says nothing."""
    return "" if order.reject_reason == "EC_NoError" else order.reject_reason


def described(order: VenueOrder) -> str:
    """Return an order in words for a trader."""
    price = f" at {order.price}" if order.price else ""
    return (
        f"{order.side.lower()} {order.quantity - order.filled}{price} in {order.instrument} "
        f"({order.order_link_id or order.order_id})"
    )


def products_of(ids: Iterable[str]) -> tuple[str, ...]:
    """Return the products (``LINEAR``, ``SPOT``) of instrument ids."""
    return tuple(sorted({name.partition(".")[0].rpartition("-")[2] for name in ids}))
