"""Requests as the exchange takes them: checked and typed (``validation`` makes them from JSON)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from live_nodes.practice.exchange.terms import (
    Category,
    Key,
    OrderType,
    Side,
    TimeInForce,
    TpslMode,
    TriggerBy,
)


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """POST /v5/order/create, checked and typed (``validation.order_request`` makes it).

    Empty strings and nulls are fields that the caller left out. ``slippage`` is a fraction or null
    (from ``slippageToleranceType`` Percent or TickSize).
    """

    category: Category
    symbol: str
    side: Side
    order_type: OrderType
    qty: Decimal
    price: Decimal | None = None
    time_in_force: TimeInForce = "GTC"
    order_link_id: str = ""
    market_unit: Literal["", "baseCoin", "quoteCoin"] = ""
    is_leverage: bool = False
    reduce_only: bool = False
    close_on_trigger: bool = False
    position_idx: int = 0
    trigger_price: Decimal | None = None
    trigger_direction: int = 0
    trigger_by: TriggerBy = ""
    order_filter: Literal["Order", "StopOrder", "tpslOrder"] = "Order"
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    tp_trigger_by: TriggerBy = ""
    sl_trigger_by: TriggerBy = ""
    tpsl_mode: TpslMode = ""
    tp_order_type: OrderType = "Market"
    sl_order_type: OrderType = "Market"
    tp_limit_price: Decimal | None = None
    sl_limit_price: Decimal | None = None
    slippage_type: Literal["", "TickSize", "Percent"] = ""
    slippage: Decimal | None = None

    @property
    def key(self) -> Key:
        """The market that the order is for."""
        return (self.category, self.symbol)


@dataclass(frozen=True, slots=True)
class AmendRequest:
    """POST /v5/order/amend; null leaves a value as it is, zero takes a TP or SL away."""

    category: Category
    symbol: str
    order_id: str = ""
    order_link_id: str = ""
    qty: Decimal | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    trigger_by: TriggerBy = ""
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    tp_trigger_by: TriggerBy = ""
    sl_trigger_by: TriggerBy = ""
    tp_limit_price: Decimal | None = None
    sl_limit_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """POST /v5/order/cancel; one of the two ids is given, ``order_id`` wins."""

    category: Category
    symbol: str
    order_id: str = ""
    order_link_id: str = ""
    order_filter: Literal["", "Order", "StopOrder", "tpslOrder"] = ""


@dataclass(frozen=True, slots=True)
class CancelAllRequest:
    """POST /v5/order/cancel-all; linear needs a symbol, a base coin or a settle coin."""

    category: Category
    symbol: str = ""
    base_coin: str = ""
    settle_coin: str = ""
    order_filter: Literal["", "Order", "StopOrder", "tpslOrder"] = ""
    stop_order_type: str = ""


@dataclass(frozen=True, slots=True)
class TradingStopRequest:
    """POST /v5/position/trading-stop; null leaves as is, zero takes away.

    A trailing stop is refused: the practice exchange does not have one.
    """

    category: Category
    symbol: str
    tpsl_mode: Literal["Full", "Partial"] = "Full"
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    tp_trigger_by: TriggerBy = "LastPrice"
    sl_trigger_by: TriggerBy = "LastPrice"
    tp_size: Decimal | None = None
    sl_size: Decimal | None = None
    tp_order_type: OrderType = "Market"
    sl_order_type: OrderType = "Market"
    tp_limit_price: Decimal | None = None
    sl_limit_price: Decimal | None = None
    position_idx: int = 0
