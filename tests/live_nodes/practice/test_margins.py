"""Margins by hand, after Bybit's own examples."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest

from live_nodes.practice.exchange.margins import (
    bankruptcy_price,
    break_even,
    fee_to_close,
    liquidation_price,
    maintenance_margin,
    order_margin,
    orders_margin,
    position_margin,
)

TAKER = D("0.00055")


@pytest.mark.parametrize(
    ("cost", "value", "leverage", "taker", "long", "expected"),
    [
        # Bybit, "Order Cost": 1 BTC long at 50,000 with 10x, taker 0.055 %: initial margin 5,000,
        # opening fee 27.5, closing fee (at 0.9 of the price) 24.75, together 5,052.25.
        (fee_to_close, 50_000, 10, TAKER, True, "24.75"),
        (order_margin, 50_000, 10, TAKER, True, "5052.25"),
        (position_margin, 50_000, 10, TAKER, True, "5024.75"),
        # The older page: 1 BTC long at 10,000 with 50x, taker 0.075 %: 200 + 7.5 + 7.35.
        (order_margin, 10_000, 50, D("0.00075"), True, "214.85"),
        # Bankruptcy price of a 10x short: 1.1 of the entry.
        (fee_to_close, 50_000, 10, TAKER, False, "30.25"),
    ],
)
def test_the_published_order_costs(
    cost: Any, value: int, leverage: int, taker: D, long: bool, expected: str
) -> None:
    assert cost(D(value), D(leverage), taker, long=long) == D(expected)


def test_maintenance_has_the_fee_to_close_in_it() -> None:
    assert maintenance_margin(D(20_000), D("0.005"), D("0.0006")) == D(112)


@pytest.mark.parametrize(
    ("size", "buys", "sells", "expected"),
    [
        # No position: the dearer side. 10x and no fee, so a tenth of the value.
        (0, (1, 100), (3, 330), 33),
        (0, (4, 400), (3, 330), 40),
        # Long 2: the first two of the sells close, a third of 330 opens.
        (2, (0, 0), (3, 330), 11),
        (2, (0, 0), (2, 220), 0),
        # Short 2: the first two of the buys close.
        (-2, (4, 400), (0, 0), 20),
        (-2, (1, 100), (1, 110), 11),
    ],
)
def test_open_orders_hold_margin_for_what_they_would_open(
    size: int, buys: tuple[int, int], sells: tuple[int, int], expected: int
) -> None:
    got = orders_margin(D(size), (D(buys[0]), D(buys[1])), (D(sells[0]), D(sells[1])), D(10), D(0))
    assert got == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        # Bybit, "Liquidation Price (USDT Contract)", example 1: 1 BTC long at 20,000, 50x (400
        # USDT), rate 0.5 %: 19,700, where 100 = 0.5 % of the entry value is left. In cross margin
        # the margin follows the mark, so the price p solves 400 + p - 20,000 = 0.005 p.
        (1, "19698.49"),
        # 400 - (p - 20,000) = 0.005 p: p = 20,400 / 1.005.
        (-1, "20298.51"),
    ],
)
def test_the_liquidation_price_leaves_the_maintenance_margin(size: int, expected: str) -> None:
    price = liquidation_price(D(size), D(20_000), D(400), D(0), D("0.005"), D(0))
    assert price is not None
    assert price.quantize(D("0.01")) == D(expected)
    assert D(400) + size * (price - 20_000) == pytest.approx(D("0.005") * price)
    # A balance that outlives the position has none.
    assert liquidation_price(D(1), D(100), D(1000), D(0), D("0.005"), D(0)) is None


def test_other_positions_bring_liquidation_nearer() -> None:
    beside = liquidation_price(D(1), D(20_000), D(400), D(199), D("0.005"), D(0))
    assert beside is not None
    # 199 / 0.995 = 200 dearer than alone.
    assert beside.quantize(D("0.01")) == D("19898.49")


def test_the_bankruptcy_price_leaves_nothing() -> None:
    # Long 2 at mark 100, 10 left, fee 1 %: 2 b - 200 - 0.02 b = -10.
    price = bankruptcy_price(D(2), D(100), D(10), D(200), D("0.01"))
    assert 10 + 2 * (price - 100) - 2 * price * D("0.01") == pytest.approx(0, abs=1e-20)


def test_two_positions_share_what_is_left_by_value() -> None:
    long = bankruptcy_price(D(2), D(100), D(10), D(300), D(0))
    short = bankruptcy_price(D(-1), D(100), D(10), D(300), D(0))
    assert 2 * (long - 100) - (short - 100) == pytest.approx(D(-10))
    assert long < 100 < short


def test_break_even_is_as_documented() -> None:
    # (entry x qty - realised) / (qty - |qty| x max(taker, 0.00055)): long 2 at 100, paid 0.2.
    assert break_even(D(2), D(100), D("-0.2"), D("0.001")) == D("200.2") / D("1.998")
    assert break_even(D(-2), D(100), D("-0.2"), D("0.0001")) == D("-199.8") / D("-2.0011")
