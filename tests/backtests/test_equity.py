"""The equity curve against a count by hand of every sample."""

from __future__ import annotations

from decimal import Decimal as D
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


ROWS = 12
events = st.lists(
    st.tuples(
        st.integers(1, ROWS * 60),
        st.sampled_from(["X", "Y"]),
        st.integers(-50, 50).filter(bool).map(lambda n: D(n) / 10),
        st.integers(100, 10_000).map(lambda n: D(n) / 100),
        st.integers(0, 100).map(lambda n: D(n) / 100),
        st.one_of(st.none(), st.integers(-500, 500).map(lambda n: D(n) / 100)),
    ),
    max_size=25,
)
closes = st.lists(
    st.lists(st.integers(100, 10_000).map(lambda n: n / 100), min_size=2, max_size=2),
    min_size=ROWS,
    max_size=ROWS,
)


@given(events, closes, st.lists(st.integers(1, ROWS - 1), max_size=4, unique=True))
def test_any_curve_agrees_with_counting_every_sample_anew(
    story: list[tuple[int, str, D, D, D, D | None]], prices: list[list[float]], cuts: list[int]
) -> None:
    """Also in slices: the curve is the same to the last bit, wherever the window is cut."""
    story.sort(key=lambda event: event[0])
    ledger = Ledger(starting=D(10_000))
    fills, payments = [], []
    for minute, name, quantity, price, fee, funding in story:
        booked = fill(minute / 60, name, quantity, price, fee)
        fills.append((booked, ledger.book(booked)))
        if funding is not None:
            payments.append(payment(minute / 60, name, funding))
    whole = EquityCurve(D(10_000), 0, COLUMNS)
    whole.extend(grid(1, prices), fills, payments)
    found = whole.columns()

    for row in range(ROWS):
        now = (row + 1) * HOUR
        cash, held = Fraction(10_000), {"X": Fraction(0), "Y": Fraction(0)}
        for booked, _ in fills:
            if booked.ts <= now:
                cash -= Fraction(booked.signed) * Fraction(booked.price) + Fraction(booked.fee)
                held[booked.instrument] += Fraction(booked.signed)
        cash += sum((Fraction(p.amount) for p in payments if p.ts <= now), Fraction(0))
        value = {name: held[name] * Fraction(prices[row][COLUMNS[name]]) for name in held}
        sample = row + 1
        assert found["equity"][sample] == pytest.approx(float(cash + sum(value.values())))
        net = float(sum(value.values()))
        assert found["net"][sample] == pytest.approx(net, abs=1e-6)
        gross = float(sum(abs(v) for v in value.values()))
        assert found["gross"][sample] == pytest.approx(gross, abs=1e-6)
        held_cash = found["cash"][sample] + found["unrealized"][sample]
        assert held_cash == pytest.approx(found["equity"][sample])

    highest = np.maximum.accumulate(found["equity"])
    assert (found["drawdown"] >= 0).all()
    np.testing.assert_allclose(highest * (1 - found["drawdown"]), found["equity"])

    sliced = EquityCurve(D(10_000), 0, COLUMNS)
    edges = [0, *sorted(cuts), ROWS]
    for first, last in pairwise(edges):
        part = grid(first + 1, prices[first:last])

        def inside(ts: int, first: int = first, last: int = last) -> bool:
            return first * HOUR < ts <= last * HOUR

        sliced.extend(
            part,
            [(f, cost) for f, cost in fills if inside(f.ts)],
            [p for p in payments if inside(p.ts)],
        )
    for name, column in sliced.columns().items():
        np.testing.assert_array_equal(column, found[name])
