"""Symbols, accounts and typed requests of the exchange.

Times are UTC milliseconds; values are Bybit's: https://bybit-exchange.github.io/docs/v5/enum.
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
MINUTE_MS = 60_000
DAY_MS = 1_440 * MINUTE_MS
WEEK_MS = 7 * DAY_MS
FINAL_STATUSES = frozenset(
    {"Filled", "Cancelled", "PartiallyFilledCanceled", "Deactivated", "Rejected"}
)
"""Statuses of final orders; spot has its own name for a partly filled cancel."""


class OfMarket:
    """Base of records that belong to one market."""

    __slots__ = ()
    category: Category
    symbol: str

    @property
    def key(self) -> Key:
        """Category and name of the market."""
        return (self.category, self.symbol)


class BybitRefusal(Exception):
    """A refused request, with a code of https://bybit-exchange.github.io/docs/v5/error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class PracticeSymbol:
    """One market and its rules, in quote coin and base coin units.

    ``max_qty`` and ``max_market_qty`` bound one order; ``min_notional`` is quote coin.
    ``maintenance_margin`` is a fraction of the position's value, ``price_limit`` the fraction by
    which a limit order may be beyond the last price (Bybit's ``priceLimitRatioX``). Fees are
    fractions; ``funding_minutes`` is 0 for spot. ``status`` is ``"Trading"``, ``"PreLaunch"``,
    ``"Delivering"`` or ``"Closed"``.
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
        """Category and name."""
        return (self.category, self.name)


@dataclass(frozen=True, slots=True)
class FeeRates:
    """Fractions of a fill's value; negative is a rebate."""

    maker: Decimal
    taker: Decimal


@dataclass(frozen=True, slots=True)
class AccountSpec:
    """An account at its start; null fees mean the symbol's own fees."""

    name: str
    balances: tuple[tuple[str, Decimal], ...] = (("USDT", Decimal(100_000)),)
    leverage: Decimal = Decimal(10)
    linear_fees: FeeRates | None = None
    spot_fees: FeeRates | None = None
