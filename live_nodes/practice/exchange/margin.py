"""Margins of a unified account in cross margin: pure formulas, in Decimal.

Sources, Bybit's help centre: "Order Cost (USDT Contract)" (initial margin, fee to open, fee to
close at the bankruptcy price), "Maintenance Margin (USDT Contract)", "Liquidation Price (USDT
Contract)" and "Bankruptcy Price (USDT Contract)"; the API's ``breakEvenPrice`` from
https://bybit-exchange.github.io/docs/v5/position. Bybit's higher risk tiers are left out: one
maintenance rate a symbol.
"""

from __future__ import annotations

from decimal import Decimal

from live_nodes.practice.exchange.model import ZERO

ONE = Decimal(1)
LEAST_BREAK_EVEN_FEE = Decimal("0.00055")


def fee_to_close(value: Decimal, leverage: Decimal, taker: Decimal, long: bool) -> Decimal:
    """Return the taker fee at the bankruptcy price, value x (1 -+ 1 / leverage) x taker rate."""
    part = ONE / leverage
    return value * (ONE - part if long else ONE + part) * taker


def position_margin(value: Decimal, leverage: Decimal, taker: Decimal, long: bool) -> Decimal:
    """Return a position's initial margin: value / leverage + fee to close."""
    return value / leverage + fee_to_close(value, leverage, taker, long)


def order_margin(value: Decimal, leverage: Decimal, taker: Decimal, long: bool) -> Decimal:
    """Return an order's cost: initial margin + fee to open + fee to close."""
    return position_margin(value, leverage, taker, long) + value * taker


def maintenance_margin(value: Decimal, rate: Decimal, taker: Decimal) -> Decimal:
    """Return a position's maintenance margin: value x (maintenance rate + taker fee to close)."""
    return value * (rate + taker)


def orders_margin(
    size: Decimal,
    buys: tuple[Decimal, Decimal],
    sells: tuple[Decimal, Decimal],
    leverage: Decimal,
    taker: Decimal,
) -> Decimal:
    """Return what a symbol's open orders hold in one-way mode: the dearer side counts.

    Orders that would first close the position hold nothing for that part.

    Parameters
    ----------
    size : Decimal
        Position, negative when short.
    buys, sells : tuple of Decimal
        (quantity, value) of all open orders of a side that are not reduce-only.
    leverage, taker : Decimal
        Leverage and taker fee rate.
    """
    dear = ZERO
    for (qty, value), closing, long in ((buys, -size, True), (sells, size, False)):
        opening = qty - max(closing, ZERO)
        if opening > 0:
            dear = max(dear, order_margin(value * opening / qty, leverage, taker, long))
    return dear


def liquidation_price(
    size: Decimal,
    mark: Decimal,
    balance: Decimal,
    other_maintenance: Decimal,
    rate: Decimal,
    taker: Decimal,
) -> Decimal | None:
    """Return the mark price of one symbol at which margin balance and maintenance margin meet.

    All other prices stay; null when no positive price does it.

    Parameters
    ----------
    size, mark : Decimal
        Position, negative when short, and its mark price.
    balance : Decimal
        Margin balance of the account at this mark.
    other_maintenance : Decimal
        Maintenance margin of the other positions.
    rate, taker : Decimal
        Maintenance rate and taker fee rate.
    """
    slope = size - abs(size) * (rate + taker)
    if not slope:
        return None
    price = (size * mark - balance + other_maintenance) / slope
    return price if price > 0 else None


def bankruptcy_price(
    size: Decimal, mark: Decimal, balance: Decimal, total_value: Decimal, taker: Decimal
) -> Decimal:
    """Return the price at which the venue takes a position over, the account left with nothing.

    The margin balance is given up in proportion to the positions' values (``total_value``); the
    fee to close is paid out of it: ``size (b - mark) - |size| b taker = -share``.
    """
    share = balance * abs(size) * mark / total_value
    return (size * mark - share) / (size - abs(size) * taker)


def break_even(size: Decimal, entry: Decimal, realised: Decimal, taker: Decimal) -> Decimal:
    """Return Bybit's break-even price: (entry x qty - realised) / (qty - |qty| x taker rate)."""
    rate = max(taker, LEAST_BREAK_EVEN_FEE)
    return (entry * size - realised) / (size - abs(size) * rate)
