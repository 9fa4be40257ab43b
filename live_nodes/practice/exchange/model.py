"""What the practice exchange is made of: symbols, requests, records, events and refusals.

Everything is frozen. Money, prices and quantities are :class:`~decimal.Decimal`; times are int UTC
milliseconds, as on Bybit's wire. Names of values (``"Buy"``, ``"PartiallyFilled"``,
``"EC_PostOnlyWillTakeLiquidity"``) are Bybit's own, from
https://bybit-exchange.github.io/docs/v5/enum, so that the wire only has to spell the fields.
"""

from __future__ import annotations

from live_nodes.practice.exchange.events import (
    Event,
    Executed,
    MarketChanged,
    OrderChanged,
    PositionChanged,
    Printed,
    WalletChanged,
)
from live_nodes.practice.exchange.records import (
    ROW_TYPES,
    ClosedPnl,
    CoinBalance,
    Execution,
    MarketRow,
    Order,
    Position,
    Row,
    Wallet,
)
from live_nodes.practice.exchange.requests import (
    AmendRequest,
    CancelAllRequest,
    CancelRequest,
    OrderRequest,
    TradingStopRequest,
)
from live_nodes.practice.exchange.symbols import (
    AccountSpec,
    Fees,
    Symbol,
)
from live_nodes.practice.exchange.terms import (
    FINAL_STATUSES,
    ZERO,
    Category,
    Key,
    Level,
    OrderStatus,
    OrderType,
    Refusal,
    Side,
    TimeInForce,
    TpslMode,
    TriggerBy,
)

__all__ = [
    "FINAL_STATUSES",
    "ROW_TYPES",
    "ZERO",
    "AccountSpec",
    "AmendRequest",
    "CancelAllRequest",
    "CancelRequest",
    "Category",
    "ClosedPnl",
    "CoinBalance",
    "Event",
    "Executed",
    "Execution",
    "Fees",
    "Key",
    "Level",
    "MarketChanged",
    "MarketRow",
    "Order",
    "OrderChanged",
    "OrderRequest",
    "OrderStatus",
    "OrderType",
    "Position",
    "PositionChanged",
    "Printed",
    "Refusal",
    "Row",
    "Side",
    "Symbol",
    "TimeInForce",
    "TpslMode",
    "TradingStopRequest",
    "TriggerBy",
    "Wallet",
    "WalletChanged",
]
