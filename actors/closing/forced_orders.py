"""Commands in a strategy's name that it does not give itself: the venue's, and the closer's.

Engine-specific.
"""

from __future__ import annotations

from decimal import Decimal

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import CancelOrder, SubmitOrder
from nautilus_trader.model.enums import OrderSide, TimeInForce
from nautilus_trader.model.identifiers import ClientOrderId, PositionId, StrategyId, TraderId
from nautilus_trader.model.instruments import Instrument
from nautilus_trader.model.objects import Quantity
from nautilus_trader.model.orders import MarketOrder, Order


def at_market(
    trader_id: TraderId,
    strategy_id: StrategyId,
    instrument: Instrument,
    quantity: Decimal,
    *,
    named: str,
    tag: str,
    now: int,
    reduce_only: bool = True,
    position_id: PositionId | None = None,
) -> SubmitOrder:
    """Return the command that trades a signed quantity at market, UNIX nanoseconds (UTC)."""
    order = MarketOrder(
        trader_id=trader_id,
        strategy_id=strategy_id,
        instrument_id=instrument.id,
        client_order_id=ClientOrderId(named),
        order_side=OrderSide.BUY if quantity > 0 else OrderSide.SELL,
        quantity=Quantity(abs(quantity), instrument.size_precision),
        init_id=UUID4(),
        ts_init=now,
        time_in_force=TimeInForce.GTC,
        reduce_only=reduce_only,
        tags=[tag],
    )
    return SubmitOrder(
        trader_id=trader_id,
        strategy_id=strategy_id,
        order=order,
        command_id=UUID4(),
        ts_init=now,
        position_id=position_id,
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
