"""What a funding settlement pays. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

STEP = Decimal("0.00000001")
"""Bybit books USDT to eight decimals."""


@dataclass(frozen=True, slots=True)
class FundingPayment:
    """One settlement as booked: ``amount`` is what the account received.

    ``ts`` is the settlement's stamp, UNIX nanoseconds (UTC); ``quantity`` the signed position.
    """

    ts: int
    strategy: str
    instrument: str
    rate: Decimal
    mark_price: Decimal
    quantity: Decimal
    amount: Decimal


def funding_amount(quantity: Decimal, mark_price: Decimal, rate: Decimal) -> Decimal:
    """Return what a position receives at a settlement; negative is paid.

    Bybit, "Introduction to funding rate": fee = position value at mark x funding rate; longs pay
    shorts when the rate is positive.
    """
    return (-quantity * mark_price * rate).quantize(STEP)
