"""What a strategy is told when the order gate keeps a request back. Engine-specific."""

from __future__ import annotations

from typing import Any

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.events import OrderCancelRejected, OrderDenied, OrderModifyRejected
from nautilus_trader.model.orders import Order

from strategies.refusals import Refusal, as_reason


def denied(order: Order, refusal: Refusal, now: int) -> OrderDenied:
    """Return the end of an order that never left."""
    return OrderDenied(
        trader_id=order.trader_id,
        strategy_id=order.strategy_id,
        instrument_id=order.instrument_id,
        client_order_id=order.client_order_id,
        reason=as_reason(refusal),
        event_id=UUID4(),
        ts_init=now,
    )


def change_rejected(order: Order, refusal: Refusal, now: int) -> OrderModifyRejected:
    """Return the answer to a change that never left: the order stays as it was."""
    return OrderModifyRejected(**_about(order, refusal, now))


def cancel_rejected(order: Order, refusal: Refusal, now: int) -> OrderCancelRejected:
    """Return the answer to a cancel that never left: the order stays open."""
    return OrderCancelRejected(**_about(order, refusal, now))


def _about(order: Order, refusal: Refusal, now: int) -> dict[str, Any]:
    return {
        "trader_id": order.trader_id,
        "strategy_id": order.strategy_id,
        "instrument_id": order.instrument_id,
        "client_order_id": order.client_order_id,
        "venue_order_id": order.venue_order_id,
        "account_id": order.account_id,
        "reason": as_reason(refusal),
        "event_id": UUID4(),
        "ts_event": now,
        "ts_init": now,
    }
