"""The engine's orders and commands as plain `OrderFacts`. Engine-specific."""

from __future__ import annotations

from decimal import Decimal

from nautilus_trader.execution.messages import CancelAllOrders, CancelOrder
from nautilus_trader.model.enums import OrderSide, OrderType, TimeInForce
from nautilus_trader.model.objects import Price
from nautilus_trader.model.orders import Order

from actors.records.order_facts import Operation, OrderFacts
from strategies.order_tags import decision_of, reason_of

_SIDES = {OrderSide.BUY: "BUY", OrderSide.SELL: "SELL"}
# An order has these as plain numbers; to make the enumeration's member of each takes longer.
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
    """Return what is asked of the venue for an order, with the quantity and price it will have."""
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


def cancel_facts(command: CancelOrder, ts: int) -> OrderFacts:
    """Return what a cancel asks."""
    return OrderFacts(
        operation="cancel",
        client_order_id=command.client_order_id.value,
        strategy=command.strategy_id.get_tag(),
        instrument=command.instrument_id.value,
        side="",
        quantity=Decimal(0),
        ts=ts,
        is_exit=True,
    )


def cancel_all_facts(command: CancelAllOrders, ts: int) -> OrderFacts:
    """Return what a cancel of an instrument's orders asks."""
    return OrderFacts(
        operation="cancel_all",
        client_order_id="",
        strategy=command.strategy_id.get_tag(),
        instrument=command.instrument_id.value,
        side=_SIDES.get(command.order_side, ""),
        quantity=Decimal(0),
        ts=ts,
        is_exit=True,
    )
