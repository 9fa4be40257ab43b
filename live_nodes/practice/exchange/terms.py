"""The exchange's vocabulary: Bybit's own words for sides, types and states, and its refusals.

From https://bybit-exchange.github.io/docs/v5/enum.
"""

from __future__ import annotations

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


class Refusal(Exception):
    """A request that the exchange refuses, with Bybit's own code and words.

    Parameters
    ----------
    code : int
        Bybit's ``retCode`` (https://bybit-exchange.github.io/docs/v5/error).
    message : str
        Bybit's ``retMsg``.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
