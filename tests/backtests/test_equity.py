"""The equity curve against a count by hand of every sample."""

from __future__ import annotations

from decimal import Decimal as D
from itertools import pairwise

import numpy as np
import pytest

from actors.records.ledger import Ledger
from actors.records.rows import FillRow
from backtests.engine.feed import PriceGrid
from backtests.engine.settlement import FundingPayment
from backtests.results.curves import EquityCurve
from tests.fills import a_fill

HOUR = 3_600_000_000_000
COLUMNS = {"X": 0, "Y": 1}


def grid(first: int, closes: list[list[float]]) -> PriceGrid:
    close = np.array(closes, dtype=float).reshape(-1, 2)
    ts = np.arange(first, first + len(close), dtype=np.int64) * HOUR
    return PriceGrid(ts, close, close, close)


def fill(hour: float, name: str, quantity: D, price: D, fee: D) -> FillRow:
    return a_fill(quantity, price, fee, ts=int(hour * HOUR), instrument=name)


def payment(hour: float, name: str, amount: D) -> FundingPayment:
    return FundingPayment(int(hour * HOUR), "s", name, D(0), D(0), D(0), amount)


def test_a_curve_followed_by_hand() -> None:
    """1,000 USDT. Hour 1: buy 2 X at 100 for 1 of fee. Hour 3: funding -3; sell 1 X at 130."""
    ledger = Ledger(starting=D(1000))
    booked = [fill(0.5, "X", D(2), D(100), D(1)), fill(2.5, "X", D(-1), D(130), D("0.5"))]
    fills = [(one, ledger.book(one)) for one in booked]
    curve = EquityCurve(D(1000), 0, COLUMNS)
    prices = [[110, np.nan], [120, np.nan], [90, 7], [95, 7]]
    curve.extend(grid(1, prices), fills, [payment(3, "X", D(-3))])
    found = curve.columns()
    assert found["ts"].tolist() == [hour * HOUR for hour in range(5)]
    # 1,000 - 1; then 130 - 100 realised, 0.5 of fee, 3 of funding.
    assert found["cash"].tolist() == pytest.approx([1000, 999, 999, 1025.5, 1025.5])
    # 2 x 10, 2 x 20, then one left that was bought at 100.
    assert found["unrealized"].tolist() == pytest.approx([0, 20, 40, -10, -5])
    assert found["equity"].tolist() == pytest.approx([1000, 1019, 1039, 1015.5, 1020.5])
    assert found["gross"].tolist() == found["net"].tolist() == [0, 220, 240, 90, 95]
    # A positive fraction of the highest so far.
    lost = [0, 0, 0, 23.5 / 1039, 18.5 / 1039]
    assert found["drawdown"].tolist() == pytest.approx(lost)


def test_what_happens_at_a_close_belongs_to_its_sample() -> None:
    ledger = Ledger(starting=D(100))
    at_close, after = fill(1, "X", D(1), D(10), D(0)), fill(1.001, "Y", D(-1), D(5), D(0))
    curve = EquityCurve(D(100), 0, COLUMNS)
    fills = [(booked, ledger.book(booked)) for booked in (at_close, after)]
    curve.extend(grid(1, [[10, 5], [10, 5]]), fills, [])
    assert curve.columns()["net"].tolist() == [0, 10, 5]
    assert curve.columns()["gross"].tolist() == [0, 10, 15]


def test_nothing_but_the_start_is_a_flat_curve() -> None:
    curve = EquityCurve(D(50), 7, COLUMNS)
    curve.extend(grid(1, []), [], [])
    curve.extend(grid(1, [[np.nan, np.nan], [1, np.nan]]), [], [])
    assert curve.columns()["equity"].tolist() == [50, 50, 50]
    assert curve.columns()["drawdown"].tolist() == [0, 0, 0]


def test_slices_cut_anywhere_give_the_same_curve_to_the_bit() -> None:
    random = np.random.default_rng(3)
    prices = random.uniform(1, 100, (12, 2)).tolist()
    ledger = Ledger(starting=D(1000))
    fills = []
    for hour in sorted(random.uniform(0, 12, 25)):
        quantity, cents = D(int(random.integers(1, 50))) / 10, D(int(random.integers(100, 9999)))
        side = random.choice([-1, 1])
        booked = fill(hour, random.choice(["X", "Y"]), int(side) * quantity, cents / 100, D("0.3"))
        fills.append((booked, ledger.book(booked)))
    payments = [payment(hour, "X", D("-1.7")) for hour in (0.5, 3, 8)]
    whole = EquityCurve(D(1000), 0, COLUMNS)
    whole.extend(grid(1, prices), fills, payments)
    for cuts in ([3], [1, 2, 8], list(range(1, 12))):
        sliced = EquityCurve(D(1000), 0, COLUMNS)
        for first, last in pairwise([0, *cuts, 12]):
            inside = range(first * HOUR + 1, last * HOUR + 1)
            parts = [pair for pair in fills if pair[0].ts in inside]
            paid = [one for one in payments if one.ts in inside]
            sliced.extend(grid(first + 1, prices[first:last]), parts, paid)
        for name, column in sliced.columns().items():
            np.testing.assert_array_equal(column, whole.columns()[name])


def test_the_highest_leverage_is_after_fills_at_their_prices_whatever_the_slices() -> None:
    ledger = Ledger(starting=D(100))
    fills = [fill(1, "X", D(10), D(11), D(1)), fill(2.5, "Y", D(5), D(4), D(0))]
    fills += [fill(3.5, "Y", D(-5), D(4), D(0))]
    booked = [(one, ledger.book(one)) for one in fills]
    prices = [[11, 5], [12, 5], [1, 4], [1, 4]]
    whole = EquityCurve(D(100), 0, COLUMNS)
    whole.extend(grid(1, prices), booked, [])
    # 110 of 99, then 140 of 99 + 10 at the 12 of X before; selling raises nothing.
    assert whole.highest_leverage == (pytest.approx(140 / 109), fills[1].ts)
    sliced = EquityCurve(D(100), 0, COLUMNS)
    sliced.extend(grid(1, prices[:2]), booked[:1], [])
    sliced.extend(grid(3, prices[2:]), booked[1:], [])
    assert sliced.highest_leverage == whole.highest_leverage
