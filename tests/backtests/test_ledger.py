"""The run's own books: a story told by hand, and what must hold for any fills."""

from __future__ import annotations

from decimal import Decimal as D
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from actors.records.ledger import Ledger
from actors.records.rows import FillRow
from tests.fills import a_fill


def fill(
    quantity: str | D, price: str | D, fee: str | D = "0", *, reference: str | None = None, **more
) -> FillRow:
    if reference is not None:
        more["reference_price"] = D(reference)
    return a_fill(quantity, price, fee, **more)


def test_a_story_told_by_hand() -> None:
    """1,000 USDT; two purchases, a half exit, funding, a flip to short, and the way out."""
    ledger = Ledger(starting=D(1000))

    # Buy 2 at 100 (the market stood at 99.5), then 2 more at 110: 420 paid, average entry 105.
    assert ledger.book(fill(2, 100, "0.2", ts=1, reference="99.5")) == D(200)
    assert ledger.book(fill(2, 110, "0.22", ts=2)) == D(220)
    assert ledger.slippage == D(1)
    assert ledger.quantities == {"X": D(4)}
    # At 120: 4 x 120 - 420 = 60 of profit, 0.42 of fees.
    assert ledger.gross_pnl({"X": D(120)}) == D(60)
    assert ledger.equity({"X": D(120)}) == D("1059.58")

    # Sell half at 125: (125 - 105) x 2 = 40 realised; what is left cost 210.
    assert ledger.book(fill(-2, 125, "0.25", ts=3)) == D(-210)
    (trip,) = ledger.open.values()
    assert (trip.quantity, trip.cost, trip.peak) == (D(2), D(210), D(4))
    assert ledger.gross_pnl({"X": D(105)}) == D(40)

    # Longs pay 0.5 of funding.
    assert ledger.book_funding("X", D("-0.5")) == {"s": D("-0.5")}

    # Sell 5 at 115: 2 close the long, 3 open a short. Of the fee of 0.5, 0.2 and 0.3.
    assert ledger.book(fill(-5, 115, "0.5", ts=4, reference="116")) == D(-210) + D(-345)
    assert ledger.slippage == D(1) + D(5)
    (closed,) = ledger.closed
    assert (closed.is_long, closed.ts_opened, closed.ts_closed) == (True, 1, 4)
    assert (closed.entry_price, closed.exit_price) == (D(105), D(120))
    # 2 x 125 + 2 x 115 - 420 = 60.
    assert (closed.gross(), closed.fees, closed.funding) == (D(60), D("0.87"), D("-0.5"))
    (short,) = ledger.open.values()
    assert (short.is_long, short.quantity, short.fees) == (False, D(-3), D("0.3"))
    assert (short.entry_price, short.exit_price) == (D(115), None)

    # Shorts receive 1.5; bought back at 120: -15.
    ledger.book_funding("X", D("1.5"))
    assert ledger.book(fill(3, 120, "0.36", ts=5)) == D(345)
    assert ledger.closed[1].gross() == D(-15)
    assert (ledger.closed[1].entry_price, ledger.closed[1].exit_price) == (D(115), D(120))

    # 1,000 + 60 - 15 - (0.2 + 0.22 + 0.25 + 0.5 + 0.36) + (1.5 - 0.5).
    assert ledger.fees == D("1.53")
    assert ledger.equity({}) == D("1044.47")
    assert ledger.quantities == {}
    assert ledger.open == {}
    assert ledger.fills == 5
    assert ledger.turnover == 200 + 220 + 250 + 575 + 360


def test_funding_of_an_instrument_that_nobody_holds_is_booked_without_a_share() -> None:
    ledger = Ledger(starting=D(10))
    assert ledger.book_funding("X", D(1)) == {}
    assert ledger.equity({}) == D(11)


def test_strategies_share_funding_by_quantity_and_nothing_is_lost_in_rounding() -> None:
    ledger = Ledger(starting=D(10))
    ledger.book(fill(1, 1, strategy="a"))
    ledger.book(fill(2, 1, strategy="b"))
    shares = ledger.book_funding("X", D("-0.00000100"))
    assert set(shares) == {"a", "b"}
    assert sum(shares.values()) == D("-0.00000100")
    assert abs(shares["a"] * 2 - shares["b"]) <= D("1e-20")


def test_a_strategy_is_closed_by_its_own_fills_only() -> None:
    ledger = Ledger(starting=D(10))
    ledger.book(fill(1, 1, strategy="a"))
    ledger.book(fill(-1, 2, strategy="b"))
    assert ledger.quantities == {}
    assert not ledger.closed
    assert {key: trip.quantity for key, trip in ledger.open.items()} == {
        ("a", "X"): D(1),
        ("b", "X"): D(-1),
    }


stories = st.lists(
    st.tuples(
        st.sampled_from("XYZ"),
        st.integers(-20, 20).filter(bool).map(lambda n: D(n) / 4),
        st.integers(1, 10**6).map(lambda n: D(n) / 100),
        st.integers(0, 10**6).map(lambda n: D(n) / 10**8),
        st.one_of(st.none(), st.integers(-(10**9), 10**9).map(lambda n: D(n) / 10**8)),
    ),
    max_size=60,
)
closes = st.fixed_dictionaries(
    {name: st.integers(1, 10**6).map(lambda n: D(n) / 100) for name in "XYZ"}
)


@given(stories, closes)
def test_the_cash_identity_is_exact_and_round_trips_add_up(
    story: list[tuple[str, D, D, D, D | None]], prices: dict[str, D]
) -> None:
    """Equity = what was there + what fills moved + positions at market - fees + funding."""
    ledger = Ledger(starting=D(100_000))
    held = dict.fromkeys("XYZ", Fraction(0))
    equity, open_cost = Fraction(100_000), D(0)
    for ts, (name, quantity, price, fee, funding) in enumerate(story):
        open_cost += ledger.book(fill(quantity, price, fee, ts=ts, instrument=name))
        equity -= Fraction(quantity) * Fraction(price) + Fraction(fee)
        held[name] += Fraction(quantity)
        if funding is not None and held[name]:
            ledger.book_funding(name, funding)
            equity += Fraction(funding)
    equity += sum((held[name] * Fraction(prices[name]) for name in "XYZ"), Fraction(0))
    assert Fraction(ledger.equity(prices)) == equity
    expected = ledger.starting + ledger.gross_pnl(prices) - ledger.fees + ledger.funding
    assert ledger.equity(prices) == expected
    assert ledger.quantities == {name: D(int(q * 4)) / 4 for name, q in held.items() if q}

    trips = [*ledger.closed, *ledger.open.values()]
    gross = sum((trip.gross(prices[trip.instrument]) for trip in trips), D(0))
    assert gross == ledger.gross_pnl(prices)
    assert sum((trip.fees for trip in trips), D(0)) == ledger.fees
    assert sum((trip.funding for trip in trips), D(0)) == ledger.funding
    assert sum((trip.paid + trip.earned for trip in trips), D(0)) == ledger.turnover
    # The equity curve relies on it: what is not open cost is realised.
    assert abs(open_cost - sum((trip.cost for trip in ledger.open.values()), D(0))) <= D("1e-15")
    for trip in ledger.closed:
        assert trip.bought == trip.sold
        assert trip.quantity == trip.cost == 0
        assert trip.ts_closed is not None
    for (_, name), trip in ledger.open.items():
        assert trip.quantity == ledger.quantities[name]
        assert (trip.quantity > 0) == trip.is_long
        # The open cost is what the average-price method gives.
        assert (trip.cost > 0) == trip.is_long


@given(st.integers(1, 1000), st.integers(1, 1000), st.integers(1, 10**6), st.sampled_from([1, -1]))
def test_a_flip_splits_exactly_in_two(held: int, beyond: int, cents: int, sign: int) -> None:
    """One fill through zero books what two fills would: a close, then an open, on one stamp."""
    price = D(cents) / 100
    fee = D(held + beyond) / 1000
    whole, parts = Ledger(starting=D(0)), Ledger(starting=D(0))
    for ledger in (whole, parts):
        ledger.book(fill(D(sign * held), D(50), ts=1))
    change = whole.book(fill(D(-sign * (held + beyond)), price, fee, ts=2))
    change_of_parts = parts.book(fill(D(-sign * held), price, D(held) / 1000, ts=2))
    change_of_parts += parts.book(fill(D(-sign * beyond), price, D(beyond) / 1000, ts=2))
    assert change == change_of_parts
    assert (whole.cash_flow, whole.turnover) == (parts.cash_flow, parts.turnover)
    (closed,), (same,) = whole.closed, parts.closed
    assert (closed.gross(), closed.ts_closed, closed.peak) == (same.gross(), 2, D(held))
    assert closed.fees == D(held) / 1000
    (opened,) = whole.open.values()
    assert (opened.quantity, opened.ts_opened) == (D(-sign * beyond), 2)
    assert closed.fees + opened.fees == fee


def test_the_fee_of_a_flip_is_split_to_the_coins_eighth_decimal() -> None:
    ledger = Ledger(starting=D(0))
    ledger.book(fill(1, 50))
    ledger.book(fill(-3, 50, "0.1"))
    fees = [trip.fees for trip in (*ledger.closed, *ledger.open.values())]
    assert list(map(str, fees)) == ["0.03333333", "0.06666667"]
