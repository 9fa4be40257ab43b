"""Read Bybit's orders, executions, positions and wallet into plain types. Pure.

Terms and fields: https://bybit-exchange.github.io/docs/v5/enum and the pages of each path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from catalog.instruments import instrument_id, split_id
from strategies.account_value import is_spot
from strategies.order_tags import only_shrinks
from strategies.refusals import Code, Refusal, from_venue

MS = 1_000_000
OPEN_STATUSES = ("New", "PartiallyFilled", "Untriggered", "Triggered")
"""Statuses of orders that may still fill."""
STOP_FILTER = "StopOrder"
"""``orderFilter`` of a conditional order, which takes up no coins before its trigger."""
MARGIN_MODES = {
    "REGULAR_MARGIN": "cross",
    "ISOLATED_MARGIN": "isolated",
    "PORTFOLIO_MARGIN": "portfolio",
}


@dataclass(frozen=True)
class VenueOrder:
    """An order at the venue; amounts in base coin, prices in quote coin."""

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
    price: Decimal
    """Zero for market orders."""
    trigger_price: Decimal
    """Zero for orders without a condition."""
    reduce_only: bool
    stop_order_type: str
    reject_reason: str
    created_ns: int

    @property
    def order_filter(self) -> str:
        """Bybit's kind of a conditional order of a spot pair, empty for all others."""
        if not (is_spot(self.instrument) and self.trigger_price):
            return ""
        return "tpslOrder" if self.stop_order_type == "tpslOrder" else STOP_FILTER

    @property
    def is_open(self) -> bool:
        """Whether it may still fill."""
        return self.status in OPEN_STATUSES


@dataclass(frozen=True)
class VenueFill:
    """An execution at the venue."""

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
    attached: bool = False
    """Whether it is of a stop or take-profit that the venue keeps for the position."""


@dataclass(frozen=True)
class LogEntry:
    """An element of the transaction log: ``change = cash_flow + funding - fee`` of one coin."""

    id: str
    ts_ns: int
    kind: str
    """Bybit's ``type``: ``TRADE``, ``SETTLEMENT`` (funding), ``TRANSFER_IN`` …"""
    instrument: str
    """Empty where none was traded."""
    coin: str
    trade_id: str
    cash_flow: Decimal
    funding: Decimal
    """Received is positive."""
    fee: Decimal
    change: Decimal
    balance: Decimal
    """Of the coin, after it."""


@dataclass(frozen=True)
class PositionSettings:
    """How the account holds a perpetual; leverage is zero where the venue names none."""

    mode: Literal["one_way", "hedge"]
    leverage: Decimal


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
        quantity=decimal_of(row["qty"]),
        filled=decimal_of(row["cumExecQty"]),
        price=decimal_of(row.get("price")),
        trigger_price=decimal_of(row.get("triggerPrice")),
        reduce_only=bool(row.get("reduceOnly")),
        stop_order_type=row.get("stopOrderType") or "",
        reject_reason=row.get("rejectReason") or "",
        created_ns=int(row["createdTime"]) * MS,
    )


def fill_of(row: dict[str, Any], product: str) -> VenueFill:
    """Read an execution of ``/v5/execution/list``."""
    return VenueFill(
        instrument=instrument_id(row["symbol"], product),
        execution_id=row["execId"],
        order_id=row["orderId"],
        order_link_id=row.get("orderLinkId") or "",
        side=row["side"],
        quantity=decimal_of(row["execQty"]),
        price=decimal_of(row["execPrice"]),
        fee=decimal_of(row.get("execFee")),
        fee_coin=row.get("feeCurrency") or "",
        is_maker=bool(row.get("isMaker")),
        kind=row["execType"],
        ts_ns=int(row["execTime"]) * MS,
        attached=row.get("stopOrderType") in ATTACHED,
    )


def entry_of(row: dict[str, Any]) -> LogEntry:
    """Read an element of ``/v5/account/transaction-log``."""
    product = (row.get("category") or "").upper()
    return LogEntry(
        id=row["id"],
        ts_ns=int(row["transactionTime"]) * MS,
        kind=row["type"],
        instrument=instrument_id(row["symbol"], product) if row.get("symbol") and product else "",
        coin=row["currency"],
        trade_id=row.get("tradeId") or "",
        cash_flow=decimal_of(row.get("cashFlow")),
        funding=decimal_of(row.get("funding")),
        fee=decimal_of(row.get("fee")),
        change=decimal_of(row.get("change")),
        balance=decimal_of(row.get("cashBalance")),
    )


def settings_of(rows: list[dict[str, Any]]) -> PositionSettings:
    """Read the rows of one symbol in ``/v5/position/list``; portfolio margin has no leverage."""
    hedge = any(int(row.get("positionIdx") or 0) for row in rows)
    leverages = [decimal_of(row.get("leverage")) for row in rows]
    return PositionSettings("hedge" if hedge else "one_way", min(leverages, default=Decimal(0)))


def decimal_of(text: str | None) -> Decimal:
    """Return the field as a number; Bybit leaves fields empty that do not apply."""
    return Decimal(text) if text else Decimal(0)


STATUS_WORDS = {
    "New": "ACCEPTED",
    "Untriggered": "ACCEPTED",
    "Triggered": "TRIGGERED",
    "PartiallyFilled": "PARTIALLY_FILLED",
    "Filled": "FILLED",
    "Cancelled": "CANCELED",
    "PartiallyFilledCanceled": "CANCELED",
    "Deactivated": "CANCELED",
    "Rejected": "REJECTED",
}
"""Journal status by Bybit's order status."""

ATTACHED = frozenset(
    {"TakeProfit", "StopLoss", "PartialTakeProfit", "PartialStopLoss", "TrailingStop"}
)
"""``stopOrderType`` of the venue's own orders for a position; they have no link id."""

_REFUSED: dict[Code, tuple[str, ...]] = {
    "cash": ("170131", "insufficientbalance"),
    "post_only": ("postonly",),
    "nothing_to_take": ("noimmediateqty",),
    "busy": (
        *("10006", "toomanyvisits", "10016", "10429", "frequencyprotection"),
        *("servererror", "servertimeout", "maintenance", "recvwindow"),
    ),
    "not_trading": ("110066", "tradingiscurrentlynotallowed", "notavailableforapitrading"),
    "gone": (
        *("110001", "170213", "toolatetocancel", "toolatetoreplace", "orderdoesnotexist"),
        *("110008", "110010", "hasbeenfinishedorcanceled", "orderhasbeencanceled"),
        *("170139", "170142", "orderhasbeenfilled"),
    ),
    "passed": ("110092", "110093", "expectrising", "expectfalling"),
}
_NUMBER = re.compile(r"(?<![\[\d])(?<!\d\.)\d+(?!\]|\.?\d)")
"""A whole number outside of brackets, in which Bybit's words have prices and quantities."""

TRADES = frozenset({"Trade", "AdlTrade", "BustTrade", "BlockTrade", "Delivery"})
"""``execType`` of executions that move a position; funding does not."""


EXECUTED = frozenset({"TRADE", "SETTLEMENT", "DELIVERY", "LIQUIDATION", "ADL"})
"""``type`` of the transaction log's entries of executions, which `/v5/execution/list` has too."""
_CHARGES = frozenset({"INTEREST", "FEE", "PENALTY", "DEDUCTION"})


def is_charge(kind: str) -> bool:
    """Whether a log entry's ``type`` is a cost or its refund: interest, fees; not a transfer.

    By its words, as Bybit adds kinds: a cost must not look like a withdrawal, which is no loss.
    """
    return not _CHARGES.isdisjoint(kind.split("_"))


def is_attached(order: VenueOrder) -> bool:
    """Whether it is a take-profit or stop-loss that the venue keeps for a position."""
    return order.stop_order_type in ATTACHED


def is_protective(order: VenueOrder) -> bool:
    """Whether it can only reduce a position, and so stays at a stop or restart."""
    sells = order.side == "Sell"
    return is_attached(order) or only_shrinks(
        order.order_link_id, order.instrument, sells=sells, reduce_only=order.reduce_only
    )


def moves_position(fill: VenueFill) -> bool:
    """Whether an execution changed a position."""
    return fill.kind in TRADES


def signed_quantity(fill: VenueFill) -> Decimal:
    """Return the execution's quantity, buys positive, base coin."""
    return fill.quantity if fill.side == "Buy" else -fill.quantity


def reason_of(order: VenueOrder) -> str:
    """Return why the venue rejected or cancelled an order, empty without a reason."""
    return "" if order.reject_reason == "EC_NoError" else order.reject_reason


def refused(words: str) -> Refusal:
    """Return the refusal that Bybit's text means; the adapter passes no code.

    EC_PostOnlyWillTakeLiquidity, EC_NoImmediateQtyToFill; as busy 10006 and 10429 (rate limits),
    10000 and 10016 (server timeout, server error; maintenance), 10002 (it came outside of the
    receive window: a clock is off); 110066 and 170157 (the symbol does
    not trade now); as gone the codes of a cancel or change that came after the order's end; as
    passed 110092 and 110093 (a trigger that the price has reached).
    """
    letters = "".join(filter(str.isalpha, words.lower()))
    # Words first: a price may have the digits of a code.
    for seen in (letters, _NUMBER.findall(words)):
        for code, signs in _REFUSED.items():
            if any(sign in seen for sign in signs):
                return from_venue(code, words)
    return from_venue("venue", words)


def wrong_size(words: str) -> bool:
    """Whether Bybit refused a quantity (10001) that is no whole number of its lots."""
    return "qty invalid" in words.lower()


def order_text(order: VenueOrder) -> str:
    """Return an order in words for a trader."""
    price = f" at {order.price}" if order.price else ""
    trigger = f" with trigger {order.trigger_price}" if order.trigger_price else ""
    return (
        f"{order.side.lower()} {order.quantity - order.filled}{price}{trigger} in "
        f"{order.instrument} ({order.order_link_id or order.order_id})"
    )


def products_of(ids: Iterable[str]) -> tuple[str, ...]:
    """Return the products (``LINEAR``, ``SPOT``) of instrument ids."""
    return tuple(sorted({split_id(name)[1] for name in ids}))
