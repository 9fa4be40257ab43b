"""Commands in a strategy's name that the closer gives, and the engine's orders as it sees them.

Engine-specific.
"""

from __future__ import annotations

from decimal import Decimal

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import CancelOrder, SubmitOrder
from nautilus_trader.model.enums import OrderSide, OrderStatus, OrderType, TimeInForce
from nautilus_trader.model.identifiers import ClientOrderId, PositionId, StrategyId, TraderId
from nautilus_trader.model.instruments import CurrencyPair, Instrument
from nautilus_trader.model.objects import Quantity
from nautilus_trader.model.orders import MarketOrder, Order

from actors.rules.closing_facts import EXTERNAL, Terms, UnderWay

NOBODY = "EXTERNAL"
"""The engine's owner of orders and positions that no strategy claims."""
EXTERNAL_KEY = "external"
"""Stands in order ids where the owner is nobody of the desk."""
TAG = "flatten"
"""Reason that the closer's orders carry."""
_NOT_LEFT = (OrderStatus.INITIALIZED, OrderStatus.EMULATED, OrderStatus.RELEASED)
_UNANSWERED = (*_NOT_LEFT, OrderStatus.SUBMITTED)
_AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)


def owner_key(strategy_id: StrategyId) -> str:
    """Return the key of the strategy, `EXTERNAL` for nobody's."""
    return EXTERNAL if strategy_id.value == NOBODY else str(strategy_id.get_tag())


def under_way(order: Order, owner: str, *, ours: bool) -> UnderWay:
    """Return the order as the closer's rules see it."""
    left = order.quantity.as_decimal() - order.filled_qty.as_decimal()
    return UnderWay(
        id=order.client_order_id.value,
        owner=owner,
        instrument=order.instrument_id.value,
        left=left if order.side == OrderSide.BUY else -left,
        reduce_only=order.is_reduce_only,
        takes=order.order_type == OrderType.MARKET or order.time_in_force in _AT_ONCE,
        left_us=order.status not in _NOT_LEFT,
        answered=order.status not in _UNANSWERED,
        since=order.ts_last,
        ours=ours,
    )


def terms_of(instrument: Instrument, price: Decimal | None, there: Decimal | None) -> Terms:
    """Return what the venue asks of an order in the instrument."""
    largest, least, value = (
        None if found is None else found.as_decimal()
        for found in (instrument.max_quantity, instrument.min_quantity, instrument.min_notional)
    )
    return Terms(
        lot=instrument.size_increment.as_decimal(),
        min_quantity=least or Decimal(0),
        min_notional=value or Decimal(0),
        max_quantity=largest,
        spot=isinstance(instrument, CurrencyPair),
        price=price,
        there=there,
    )


def close(
    trader_id: TraderId,
    strategy_id: StrategyId,
    instrument: Instrument,
    quantity: Decimal,
    *,
    order_id: str,
    position_id: PositionId | None,
    now: int,
) -> SubmitOrder:
    """Return the command that trades a signed quantity at market, reduce-only but in spot."""
    order = MarketOrder(
        trader_id=trader_id,
        strategy_id=strategy_id,
        instrument_id=instrument.id,
        client_order_id=ClientOrderId(order_id),
        order_side=OrderSide.BUY if quantity > 0 else OrderSide.SELL,
        quantity=Quantity(abs(quantity), instrument.size_precision),
        init_id=UUID4(),
        ts_init=now,
        time_in_force=TimeInForce.GTC,
        reduce_only=not isinstance(instrument, CurrencyPair),
        tags=[TAG],
    )
    return SubmitOrder(
        trader_id=trader_id,
        strategy_id=strategy_id,
        order=order,
        command_id=UUID4(),
        ts_init=now,
        position_id=position_id,
    )


def cancel(order: Order, now: int) -> CancelOrder:
    """Return the command that takes the order back."""
    return CancelOrder(
        trader_id=order.trader_id,
        strategy_id=order.strategy_id,
        instrument_id=order.instrument_id,
        client_order_id=order.client_order_id,
        venue_order_id=order.venue_order_id,
        command_id=UUID4(),
        ts_init=now,
    )
