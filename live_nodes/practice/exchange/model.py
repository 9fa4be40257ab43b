"""The exchange's vocabulary: Bybit's words, markets and accounts as set up, and typed requests.

Everything is frozen. Money, prices and quantities are :class:`~decimal.Decimal`; times are int UTC
milliseconds, as on Bybit's wire. Names of values (``"Buy"``, ``"PartiallyFilled"``) are Bybit's
own, from https://bybit-exchange.github.io/docs/v5/enum, so that the wire only has to spell fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

type Key = tuple[str, str]
"""A market: (category, symbol name), for example ``("linear", "BTCUSDT")``."""

type Level = tuple[Decimal, Decimal]
"""One aggregated price level of a book: (price, quantity)."""

Category = Literal["linear", "spot"]
Side = Literal["Buy", "Sell"]
OrderType = Literal["Market", "Limit"]
TimeInForce = Literal["GTC", "IOC", "FOK", "PostOnly"]
TriggerBy = Literal["", "LastPrice", "MarkPrice", "IndexPrice"]
TpslMode = Literal["", "Full", "Partial"]
OrderStatus = Literal[
    "Untriggered",
    "Triggered",
    "New",
    "PartiallyFilled",
    "Filled",
    "Cancelled",
    "PartiallyFilledCanceled",
    "Deactivated",
    "Rejected",
]
ZERO = Decimal(0)
FINAL_STATUSES = frozenset(
    {"Filled", "Cancelled", "PartiallyFilledCanceled", "Deactivated", "Rejected"}
)
"""Statuses after which an order never changes; spot's partly filled cancel has its own name."""


class OfMarket:
    """Something that belongs to one market."""

    __slots__ = ()
    category: Category
    symbol: str

    @property
    def key(self) -> Key:
        """Category and name of the market."""
        return (self.category, self.symbol)


class BybitRefusal(Exception):
    """A request that the exchange refuses, with Bybit's own ``retCode`` and ``retMsg``.

    Codes: https://bybit-exchange.github.io/docs/v5/error.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class PracticeSymbol:
    """One market and its rules, in quote coin and base coin units.

    ``max_qty`` and ``max_market_qty`` bound one order; ``min_notional`` is quote coin;
    ``maintenance_margin`` is a fraction of the position's value (Bybit's lowest risk tier);
    ``maker_fee`` and ``taker_fee`` are fractions, used where an account has none of its own;
    ``funding_minutes`` is 0 for spot. ``price_limit`` bounds how far through the last price (as a
    fraction) a limit order may reach (Bybit's ``priceLimitRatioX``). ``status`` is ``"Trading"``,
    ``"PreLaunch"``, ``"Delivering"`` or ``"Closed"``.
    """

    category: Category
    name: str
    base: str
    quote: str
    settle: str
    tick: Decimal
    lot: Decimal
    min_qty: Decimal
    max_qty: Decimal
    max_market_qty: Decimal
    min_notional: Decimal
    max_leverage: Decimal = Decimal(100)
    maintenance_margin: Decimal = Decimal("0.005")
    funding_minutes: int = 480
    launch_ms: int = 0
    delivery_ms: int = 0
    status: str = "Trading"
    maker_fee: Decimal = Decimal("0.0002")
    taker_fee: Decimal = Decimal("0.00055")
    price_limit: Decimal = Decimal("0.1")
    leverage_step: Decimal = Decimal("0.01")

    @property
    def key(self) -> Key:
        """Category and name: what the exchange calls this market."""
        return (self.category, self.name)


@dataclass(frozen=True, slots=True)
class FeeRates:
    """Fractions of a fill's value; negative is a rebate."""

    maker: Decimal
    taker: Decimal


@dataclass(frozen=True, slots=True)
class AccountSpec:
    """An account as it begins: its coins, its leverage and its fees (null: the symbol's own).

    ``collateral`` says which part of a coin's dollar value counts as margin; coins that it does not
    name count nothing.
    """

    name: str
    balances: tuple[tuple[str, Decimal], ...] = (("USDT", Decimal(100_000)),)
    leverage: Decimal = Decimal(10)
    linear_fees: FeeRates | None = None
    spot_fees: FeeRates | None = None
    collateral: tuple[tuple[str, Decimal], ...] = (("USDT", Decimal(1)), ("USDC", Decimal(1)))


@dataclass(frozen=True, slots=True)
class OrderRequest(OfMarket):
    """POST /v5/order/create, checked and typed by ``order_bodies.order_request``.

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
