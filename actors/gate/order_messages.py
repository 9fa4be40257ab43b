"""Converts the engine's orders to `OrderFacts`, and refusals to its events. Engine-specific."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import CancelAllOrders, CancelOrder
from nautilus_trader.model.enums import OrderSide, OrderType, TimeInForce
from nautilus_trader.model.events import OrderCancelRejected, OrderDenied, OrderModifyRejected
from nautilus_trader.model.objects import Price
from nautilus_trader.model.orders import Order

from actors.records.order_facts import Operation, OrderFacts
from strategies.order_tags import decision_of, reason_of
from strategies.refusals import Refusal, as_reason

_SIDES = {OrderSide.BUY: "BUY", OrderSide.SELL: "SELL"}
# Orders hold plain numbers; making an enumeration member of each is slower.
_TYPES = {int(member): member.name for member in OrderType}
_TIMES = {int(member): member.name for member in TimeInForce}


def order_facts(
    order: Order,
    operation: Operation,
    quantity: Decimal,
    price: Price | None,
    is_exit: bool,
    ts: int,
    reference_price: Decimal | None = None,
) -> OrderFacts:
    """Return the request for an order, with the quantity and price that it will have."""
    return OrderFacts(
        operation=operation,
        client_order_id=order.client_order_id.value,
        strategy=order.strategy_id.get_tag(),
        instrument=order.instrument_id.value,
        side=_SIDES[order.side],
        quantity=quantity,
        ts=ts,
        price=None if price is None else price.as_decimal(),
        trigger_price=order.trigger_price.as_decimal() if order.has_trigger_price else None,
        order_type=_TYPES[order.order_type],
        time_in_force=_TIMES[order.time_in_force],
        reduce_only=order.is_reduce_only,
        post_only=order.is_post_only,
        is_exit=is_exit,
        reason=reason_of(order.tags),
        decision_id=decision_of(order.tags),
        reference_price=reference_price,
    )


def cancel_facts(command: CancelOrder | CancelAllOrders, ts: int) -> OrderFacts:
    """Return the request to cancel one order, or all of an instrument."""
    is_one = isinstance(command, CancelOrder)
    return OrderFacts(
        operation="cancel" if is_one else "cancel_all",
        client_order_id=command.client_order_id.value if is_one else "",
        strategy=command.strategy_id.get_tag(),
        instrument=command.instrument_id.value,
        side="" if is_one else _SIDES.get(command.order_side, ""),
        quantity=Decimal(0),
        ts=ts,
        is_exit=True,
    )


def denied(order: Order, refusal: Refusal, now: int) -> OrderDenied:
    """Return the event that denies an order before it leaves."""
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
    """Return the event that rejects a change: the order stays as it was."""
    return OrderModifyRejected(**_about(order, refusal, now))


def cancel_rejected(order: Order, refusal: Refusal, now: int) -> OrderCancelRejected:
    """Return the event that rejects a cancel: the order stays open."""
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
