"""Formulas for funding payments, margin and liquidation. Pure.

Bybit, "Maintenance margin (USDT contracts)" and "Liquidation price under UTA cross margin":
maintenance margin of a position is position value x maintenance rate + estimated fee to close; a
cross-margin account is liquidated when its margin balance (cash + unrealised profit at mark) is no
longer above the sum. The venue then takes the positions over at their bankruptcy prices, which
leave the account with nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from actors.measures import Floats

STEP = Decimal("0.00000001")
"""Bybit books USDT to eight decimals."""


@dataclass(frozen=True, slots=True)
class FundingPayment:
    """A funding payment as booked: ``amount`` is what the account received.

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
    """Return a position's funding payment; negative is paid.

    Bybit, "Introduction to funding rate": fee = position value at mark x funding rate; longs pay
    shorts when the rate is positive.
    """
    return (-quantity * mark_price * rate).quantize(STEP)


def adverse_prices(quantity: Floats, low: Floats, high: Floats) -> Floats:
    """Return each position's worst price of the bar: the low for longs, the high for shorts."""
    return np.where(quantity > 0, low, high)


def margin_balance(cash: float, quantity: Floats, price: Floats) -> float:
    """Return cash plus the value of the positions.

    ``cash`` is starting balance + cash flow of all fills - fees + funding. Quantities are signed,
    shape (N,); prices of flat instruments may be NaN.
    """
    held = quantity != 0
    return cash + float(quantity[held] @ price[held])


def maintenance_margin(quantity: Floats, price: Floats, rate: Floats, taker_fee: Floats) -> float:
    """Return the maintenance margin of all positions, fee to close included."""
    held = quantity != 0
    value = np.abs(quantity[held]) * price[held]
    return float(value @ (rate[held] + taker_fee[held]))


def is_liquidated(
    cash: float, quantity: Floats, price: Floats, rate: Floats, taker: Floats
) -> bool:
    """Whether the margin balance at these prices no longer exceeds the maintenance margin."""
    if not quantity.any():
        return False
    balance = margin_balance(cash, quantity, price)
    return balance <= maintenance_margin(quantity, price, rate, taker)


def bankruptcy_prices(
    balance: Decimal, positions: dict[str, tuple[Decimal, Decimal, Decimal]]
) -> dict[str, Decimal]:
    """Return the prices at which the venue takes the positions over, the account left with nothing.

    ``positions`` are (signed quantity, price, taker fee rate), and ``balance`` is the margin
    balance at these prices, positive or not. It is given up in proportion to the value of the
    positions; the fee to close is paid out of it. For a quantity q at price p the bankruptcy price
    b solves ``q (b - p) - |q| b fee = -share``: a long falls further, a short rises further.
    """
    total = sum((abs(q) * p for q, p, _ in positions.values()), Decimal(0))
    prices = {}
    for name, (quantity, price, fee) in positions.items():
        share = balance * abs(quantity) * price / total
        prices[name] = (quantity * price - share) / (quantity - abs(quantity) * fee)
    return prices
