"""Commands that the venue gives in a trader's name: closing a position, cancelling an order.

Engine-specific.
"""

from __future__ import annotations

from decimal import Decimal

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import CancelOrder, SubmitOrder
from nautilus_trader.model.enums import OrderSide, TimeInForce
from nautilus_trader.model.identifiers import ClientOrderId, StrategyId, TraderId
from nautilus_trader.model.instruments import Instrument
from nautilus_trader.model.objects import Quantity
from nautilus_trader.model.orders import MarketOrder, Order


def closing(
    trader_id: TraderId,
    strategy_id: StrategyId,
    instrument: Instrument,
    position: Decimal,
    *,
    order_id: str,
    kind: str,
    now: int,
) -> SubmitOrder:
    """Return the command that closes a strategy's whole signed position at market."""
    order = MarketOrder(
        trader_id=trader_id,
        strategy_id=strategy_id,
        instrument_id=instrument.id,
        client_order_id=ClientOrderId(order_id),
        order_side=OrderSide.SELL if position > 0 else OrderSide.BUY,
        quantity=Quantity(abs(position), instrument.size_precision),
        init_id=UUID4(),
        ts_init=now,
        time_in_force=TimeInForce.GTC,
        reduce_only=True,
        tags=[kind],
    )
    return SubmitOrder(
        trader_id=trader_id,
        strategy_id=strategy_id,
        order=order,
        command_id=UUID4(),
        ts_init=now,
    )


def cancelling(order: Order, now: int) -> CancelOrder:
    """Return the command that cancels an order."""
    return CancelOrder(
        trader_id=order.trader_id,
        strategy_id=order.strategy_id,
        instrument_id=order.instrument_id,
        client_order_id=order.client_order_id,
        venue_order_id=order.venue_order_id,
        command_id=UUID4(),
        ts_init=now,
    )
