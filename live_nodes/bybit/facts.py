"""What the venue says of an account, read from Bybit v5's answers into plain facts.

Pure. Field meanings: https://bybit-exchange.github.io/docs/v5/enum and the pages of each path.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from catalog.instruments import instrument_id

MS = 1_000_000
OPEN_STATUSES = ("New", "PartiallyFilled", "Untriggered", "Triggered")
"""Bybit's words for orders that may still fill."""
MARGIN_MODES = {
    "REGULAR_MARGIN": "cross",
    "ISOLATED_MARGIN": "isolated",
    "PORTFOLIO_MARGIN": "portfolio",
}


@dataclass(frozen=True)
class VenueOrder:
    """An order as the venue has it. Amounts are in base coin, prices in quote coin."""

    instrument: str
    order_id: str
    order_link_id: str
    side: Literal["Buy", "Sell"]
    status: str
    """Bybit's ``orderStatus``."""
    order_type: str
    time_in_force: str
    quantity: Decimal
    filled: Decimal
    average_price: Decimal
    """Zero while nothing is filled."""
    price: Decimal
    """Zero for market orders."""
    trigger_price: Decimal
    """Zero for orders without a condition."""
    reduce_only: bool
    stop_order_type: str
    reject_reason: str
    created_ns: int
    updated_ns: int

    @property
    def is_open(self) -> bool:
        """Whether it may still fill."""
        return self.status in OPEN_STATUSES


@dataclass(frozen=True)
class VenueFill:
    """An execution as the venue has it."""

    instrument: str
    execution_id: str
    order_id: str
    order_link_id: str
    side: Literal["Buy", "Sell"]
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_coin: str
    is_maker: bool
    kind: str
    """Bybit's ``execType``: ``Trade``, ``Funding``, ``BustTrade`` …"""
    ts_ns: int


@dataclass(frozen=True)
class VenuePosition:
    """A net position as the venue has it."""

    instrument: str
    quantity: Decimal
    """Signed base coin."""
    average_price: Decimal
    mark_price: Decimal
    unrealised: Decimal
    leverage: str
    index: int
    """0 in one-way mode; 1 and 2 are the sides of hedge mode."""


@dataclass(frozen=True)
class Wallet:
    """The unified account's money."""

    balances: dict[str, Decimal]
    """Wallet balance of each coin, unrealised profit left out."""
    equity: Decimal
    """Of the whole account, in USD."""


@dataclass(frozen=True)
class FeeRate:
    """An instrument's fee rates for this account, fractions of the notional."""

    maker: Decimal
    taker: Decimal


def order_of(row: dict[str, Any], product: str) -> VenueOrder:
    """Read an order of ``/v5/order/realtime`` or ``/v5/order/history``."""
    return VenueOrder(
        instrument=instrument_id(row["symbol"], product),
        order_id=row["orderId"],
        order_link_id=row.get("orderLinkId") or "",
        side=row["side"],
        status=row["orderStatus"],
        order_type=row["orderType"],
        time_in_force=row["timeInForce"],
        quantity=number(row["qty"]),
        filled=number(row["cumExecQty"]),
        average_price=number(row.get("avgPrice")),
        price=number(row.get("price")),
        trigger_price=number(row.get("triggerPrice")),
        reduce_only=bool(row.get("reduceOnly")),
        stop_order_type=row.get("stopOrderType") or "",
        reject_reason=row.get("rejectReason") or "",
        created_ns=int(row["createdTime"]) * MS,
        updated_ns=int(row["updatedTime"]) * MS,
    )


def fill_of(row: dict[str, Any], product: str) -> VenueFill:
    """Read an execution of ``/v5/execution/list``."""
    return VenueFill(
        instrument=instrument_id(row["symbol"], product),
        execution_id=row["execId"],
        order_id=row["orderId"],
        order_link_id=row.get("orderLinkId") or "",
        side=row["side"],
        quantity=number(row["execQty"]),
        price=number(row["execPrice"]),
        fee=number(row.get("execFee")),
        fee_coin=row.get("feeCurrency") or "",
        is_maker=bool(row.get("isMaker")),
        kind=row["execType"],
        ts_ns=int(row["execTime"]) * MS,
    )


def position_of(row: dict[str, Any], product: str) -> VenuePosition:
    """Read a position of ``/v5/position/list``."""
    size = number(row["size"])
    return VenuePosition(
        instrument=instrument_id(row["symbol"], product),
        quantity=-size if row.get("side") == "Sell" else size,
        average_price=number(row.get("avgPrice")),
        mark_price=number(row.get("markPrice")),
        unrealised=number(row.get("unrealisedPnl")),
        leverage=row.get("leverage") or "",
        index=int(row.get("positionIdx") or 0),
    )


def wallet_of(row: dict[str, Any]) -> Wallet:
    """Read the unified account of ``/v5/account/wallet-balance``."""
    return Wallet(
        balances={coin["coin"]: number(coin.get("walletBalance")) for coin in row["coin"]},
        equity=number(row.get("totalEquity")),
    )


def number(text: str | None) -> Decimal:
    """Return the number that a field spells; Bybit leaves fields empty that do not apply."""
    return Decimal(text) if text else Decimal(0)
