"""Turns the engine's order events into the venue's responses. Engine-specific."""

from __future__ import annotations

from nautilus_trader.model.events import (
    OrderAccepted,
    OrderCancelRejected,
    OrderEvent,
    OrderFilled,
    OrderModifyRejected,
    OrderRejected,
    OrderUpdated,
)
from nautilus_trader.model.orders import Order

from actors.guards.core.snapshot import ErrorEvent, VenueResponse
from actors.records.owners import owner_of
from strategies.refusals import refusal_of

_REJECTED = OrderRejected, OrderModifyRejected, OrderCancelRejected
_ACCEPTED = OrderAccepted, OrderUpdated


def response_of(event: OrderEvent, order: Order | None) -> VenueResponse | ErrorEvent | None:
    """Return the venue response in an order event, or None.

    An order that the order gate refused never reached the venue. That an order to cancel is gone
    already is an answer, no rejection. An order that fills at once counts
    as accepted.
    """
    if isinstance(event, _REJECTED):
        refusal = refusal_of(event.reason)
        is_gone = refusal.code == "gone" and not isinstance(event, OrderRejected)
        if refusal.at_gate or is_gone:
            return None
        if refusal.code == "no_answer":
            text = f"no answer to {event.client_order_id.value} in {event.instrument_id.value}"
            return ErrorEvent(ts=event.ts_event, source="order", text=text)
        return _response(event, False, str(refusal))
    if isinstance(event, _ACCEPTED):
        return _response(event, True)
    if isinstance(event, OrderFilled) and order is not None and _is_first_response(order):
        return _response(event, True)
    return None


def _is_first_response(order: Order) -> bool:
    kinds = [type(event) for event in order.events]
    return OrderAccepted not in kinds and kinds.count(OrderFilled) == 1


def _response(event: OrderEvent, accepted: bool, reason: str = "") -> VenueResponse:
    return VenueResponse(
        ts=event.ts_event,
        strategy=owner_of(event.strategy_id),
        instrument=event.instrument_id.value,
        accepted=accepted,
        reason=reason,
    )
