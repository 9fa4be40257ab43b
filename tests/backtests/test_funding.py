"""Funding: settled to the cent, on the position that stood just before the boundary."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from backtests.engine.build import BacktestDesk
from backtests.engine.feed import Settlement
from backtests.engine.settlement import FundingPayment, funding_amount
from tests.builders_engine import A, Candles, Script, at, balance, play, trading

STILL = Candles([100.0] * 8)


def settle(stamp: int, rate: str, mark: str = "100", name: str = A) -> Settlement:
    return Settlement(stamp, name, D(rate), D(mark))


def paid(desk: BacktestDesk) -> list[tuple[int, str, D]]:
    return [(p.ts, p.instrument, p.amount) for p in desk.accountant.payments]


@pytest.mark.parametrize(
    ("quantity", "mark", "rate", "amount"),
    [
        # Bybit, "Introduction to funding rate": position value x rate; positive: longs pay shorts.
        ("10", "8000", "0.0001", "-8"),
        ("-10", "8000", "0.0001", "8"),
        ("10", "8000", "-0.0001", "8"),
        ("-10", "8000", "-0.0001", "-8"),
        ("10", "8000", "0", "0"),
        # Booked to eight decimals.
        ("0.001", "0.0123", "0.0001", "-0.00000000"),
        ("0.003", "33.33", "0.000123", "-0.00001230"),
    ],
)
def test_longs_pay_shorts_when_the_rate_is_positive(
    quantity: str, mark: str, rate: str, amount: str
) -> None:
    assert funding_amount(D(quantity), D(mark), D(rate)) == D(amount)


def test_the_account_pays_at_the_mark_price_of_the_stamp() -> None:
    script = Script({at(1): trading(A, "10")})
    desk = play(
        {A: STILL}, script, settlements=[settle(at(3), "0.0001", "99.5"), settle(at(5), "-0.0003")]
    )
    assert desk.accountant.payments == [
        FundingPayment(at(3), "script", A, D("0.0001"), D("99.5"), D(10), D("-0.0995")),
        FundingPayment(at(5), "script", A, D("-0.0003"), D(100), D(10), D("0.3")),
    ]
    assert desk.accountant.ledger.funding == D("0.2005")
    assert balance(desk.engine) == D("10000.2005")
    assert desk.accountant.equity() == pytest.approx(10_000.2005)


@pytest.mark.parametrize("delay", [0, 1])
def test_a_fill_at_the_boundary_comes_too_late_for_it(delay: int) -> None:
    """Bought at the very stamp: nothing to pay. Sold at the very stamp: still to pay."""
    script = Script({at(2, 5): trading(A, "1"), at(4, 5): trading(A, "-1")})
    marks = [settle(at(candle), "0.001") for candle in (3, 5, 6)]
    desk = play({A: STILL}, script, settlements=marks, delay=delay)
    assert [fill.ts_event for fill in script.fills] == [at(3) + delay, at(5) + delay]
    assert paid(desk) == [(at(5), A, D("-0.1"))]


def test_a_fill_just_before_the_boundary_counts() -> None:
    """The print stands one nanosecond before the stamp of the settlement."""
    script = Script({at(2, 5): trading(A, "1"), at(4, 5): trading(A, "-1")})
    marks = [settle(at(candle) + 2, "0.001") for candle in (3, 4, 5)]
    desk = play({A: STILL}, script, settlements=marks, delay=0)
    assert [fill.ts_event for fill in script.fills] == [at(3), at(5)]
    assert paid(desk) == [(at(3) + 2, A, D("-0.1")), (at(4) + 2, A, D("-0.1"))]


def test_each_side_of_a_flip_meets_its_own_settlements() -> None:
    script = Script({at(1): trading(A, "1"), at(3): trading(A, "-3")})
    desk = play({A: STILL}, script, settlements=[settle(at(c), "0.01") for c in (2, 5)])
    assert paid(desk) == [(at(2), A, D(-1)), (at(5), A, D(2))]
    (closed,) = desk.accountant.ledger.closed
    (opened,) = desk.accountant.ledger.open.values()
    assert (closed.funding, opened.funding) == (D(-1), D(2))


@pytest.mark.parametrize("per_slice", [1, 2, 3, 8])
def test_settlements_at_the_edges_of_slices_and_of_the_window_are_not_lost(per_slice: int) -> None:
    script = Script({at(0, 5): trading(A, "1")})
    marks = [settle(at(candle), "0.01") for candle in range(1, 9)]
    desk = play({A: STILL}, script, before={A: 100.0}, settlements=marks, per_slice=per_slice)
    # Bought in candle 1, a second after its opening stamp.
    assert [ts for ts, _, _ in paid(desk)] == [at(candle) for candle in range(2, 9)]
    assert balance(desk.engine) == 10_000 - 7


def test_a_stamp_between_candles_is_settled_at_its_own_time() -> None:
    script = Script({at(1): trading(A, "1"), at(3): trading(A, "-1")})
    marks = [settle(at(2, 1200), "0.01"), settle(at(3, 0.5), "0.01"), settle(at(3, 1200), "0.01")]
    desk = play({A: STILL}, script, settlements=marks)
    assert [ts for ts, _, _ in paid(desk)] == [at(2, 1200), at(3, 0.5)]


def test_two_strategies_on_one_instrument_share_what_is_paid() -> None:
    first = Script({at(1): trading(A, "1")}, key="one")
    second = Script({at(1): trading(A, "3")}, key="two")
    desk = play({A: STILL}, first, second, settlements=[settle(at(3), "0.01")])
    assert {p.strategy: p.amount for p in desk.accountant.payments} == {"one": D(-1), "two": D(-3)}
    assert balance(desk.engine) == 9_996
