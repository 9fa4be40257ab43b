"""What a strategy is told when the order gate keeps a request back. Engine-specific."""

from __future__ import annotations

from typing import Any

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.events import OrderCancelRejected, OrderDenied, OrderModifyRejected
from nautilus_trader.model.orders import Order

FROM_GATE = "order gate: "
"""Before the reason of what the gate keeps back, which the venue never heard of."""


def denied(order: Order, reason: str, now: int) -> OrderDenied:
    """Return the end of an order that never left."""
    return OrderDenied(
        trader_id=order.trader_id,
        strategy_id=order.strategy_id,
        instrument_id=order.instrument_id,
        client_order_id=order.client_order_id,
        reason=FROM_GATE + reason,
        event_id=UUID4(),
        ts_init=now,
    )


def change_rejected(order: Order, reason: str, now: int) -> OrderModifyRejected:
    """Return the answer to a change that never left: the order stays as it was."""
    return OrderModifyRejected(**_about(order, reason, now))


def cancel_rejected(order: Order, reason: str, now: int) -> OrderCancelRejected:
    """Return the answer to a cancel that never left: the order stays open."""
    return OrderCancelRejected(**_about(order, reason, now))


def _about(order: Order, reason: str, now: int) -> dict[str, Any]:
    return {
        "trader_id": order.trader_id,
        "strategy_id": order.strategy_id,
        "instrument_id": order.instrument_id,
        "client_order_id": order.client_order_id,
        "venue_order_id": order.venue_order_id,
        "account_id": order.account_id,
        "reason": FROM_GATE + reason,
        "event_id": UUID4(),
        "ts_event": now,
        "ts_init": now,
    }
