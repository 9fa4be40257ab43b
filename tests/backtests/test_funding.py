"""Funding: settled to the cent, on the position that stood just before the boundary."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtests.engine.build import BacktestDesk
from backtests.engine.feed import Settlement
from backtests.engine.settlement import FundingPayment, funding_amount
from tests.builders_engine import (
    A,
    B,
    Candles,
    Script,
    at,
    balance,
    play,
    taker_fee,
    trading,
    venue,
)

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


def test_no_rate_is_charged_twice_or_to_a_position_that_came_after_it() -> None:
    script = Script({at(3, 5): trading(A, "1"), at(5, 5): trading(A, "-1"), at(6): trading(B, "1")})
    desk = play({A: STILL, B: STILL}, script, settlements=[settle(at(2), "0.01")])
    assert paid(desk) == []
    desk = play(
        {A: STILL, B: STILL},
        Script({at(1): trading(A, "1")}),
        settlements=[settle(at(2), "0.01"), settle(at(6), "0.02", name=B)],
    )
    assert paid(desk) == [(at(2), A, D(-1))]


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


# -- against books kept by hand --------------------------------------------------------------------

CANDLES = 8
cents = st.integers(5_000, 15_000).map(lambda n: n / 100)
orders = st.lists(
    st.tuples(
        st.sampled_from([A, B]),
        st.integers(0, CANDLES - 1),
        st.sampled_from([0.0, 0.5, 1.0, 60.0, 3599.0]),
        st.integers(-5_000, 5_000).filter(lambda n: abs(n) >= 1_000),
    ),
    min_size=2,
    max_size=8,
    unique_by=lambda order: (order[1], order[2]),
)
charges = st.lists(
    st.tuples(
        st.sampled_from([A, B]),
        st.integers(1, CANDLES * 4),
        st.integers(-300, 300),
        st.integers(5_000_000, 15_000_000),
    ),
    min_size=4,
    max_size=16,
    unique_by=lambda charge: charge[:2],
)


@given(st.data(), orders, charges, st.sampled_from([1, 3, CANDLES]))
def test_funding_agrees_with_books_kept_by_hand(
    data: st.DataObject,
    wanted: list[tuple[str, int, float, int]],
    due: list[tuple[str, int, int, int]],
    per_slice: int,
) -> None:
    opens = {name: data.draw(st.lists(cents, min_size=8, max_size=8)) for name in (A, B)}
    script = Script(
        {
            at(candle, second): trading(name, str(D(thousandths) / 1000))
            for name, candle, second, thousandths in wanted
        }
    )
    marks = sorted(
        (
            Settlement(at(quarter / 4), name, D(rate) / 100_000, D(mark) / 100_000)
            for name, quarter, rate, mark in due
        ),
        key=lambda s: (s.ts, s.instrument),
    )
    desk = play(
        {name: Candles(opens[name]) for name in (A, B)},
        script,
        document=venue(fees=taker_fee("0.001")),
        before={A: 100.0, B: 100.0},
        settlements=marks,
        per_slice=per_slice,
    )
    assert script.denials == []

    # By hand: an order fills at the open of the first candle that starts no earlier than it.
    fills: list[tuple[int, str, D, D]] = []
    for name, candle, second, thousandths in wanted:
        filled_in = candle if second == 0.0 else candle + 1
        if filled_in < CANDLES:
            quantity = D(thousandths) / 1000
            fills.append((at(filled_in, 1), name, quantity, D(repr(opens[name][filled_in]))))
    expected = []
    for mark in marks:
        held = sum(
            (q for ts, name, q, _ in fills if name == mark.instrument and ts < mark.ts), D(0)
        )
        if held:
            amount = -held * mark.mark_price * mark.rate
            rounded = amount.quantize(D("1e-8"), ROUND_HALF_EVEN)
            expected.append((mark.ts, mark.instrument, rounded))
    assert paid(desk) == expected

    ledger = desk.accountant.ledger
    assert ledger.funding == sum((amount for _, _, amount in expected), D(0))
    value = D(0)
    for _, name, quantity, price in fills:
        last = D(repr(opens[name][-1]))
        value += quantity * (last - price) - (abs(quantity) * price * D("0.001"))
    prices = {name: D(repr(opens[name][-1])) for name in (A, B)}
    assert abs(ledger.equity(prices) - (10_000 + value + ledger.funding)) < D("0.000001")
    open_profit = sum(
        (
            position.unrealized_pnl(
                desk.engine.kernel.cache.instrument(position.instrument_id).make_price(
                    prices[position.instrument_id.value]
                )
            ).as_decimal()
            for position in desk.engine.kernel.cache.positions_open()
        ),
        D(0),
    )
    assert abs(balance(desk.engine) + open_profit - ledger.equity(prices)) < D("0.00001")
