"""Books by strategy and instrument, against hand numbers and a brute-force oracle."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.desk.books import StrategyBooks
from actors.guards.core.snapshot import FillEvent, RoundTripEvent
from actors.records.rows import FillRow
from tests.fills import a_fill

A, B = "AAAUSDT-LINEAR.BYBIT", "BBBUSDT-LINEAR.BYBIT"


def fill(quantity, price, fee="0", *, strategy="a", instrument=A, ts=0) -> FillRow:
    return a_fill(quantity, price, fee, strategy=strategy, instrument=instrument, ts=ts)


def prices(**known: str):
    named = {"a": A, "b": B}
    found = {named[name]: Decimal(price) for name, price in known.items()}
    return found.get


def test_a_position_is_valued_at_its_price_and_costs_its_fees_and_funding():
    books = StrategyBooks()
    books.fill(fill("2", "100", "0.2"))
    books.fill(fill("1", "130", "0.1"))
    books.funding("a", A, Decimal("-1.5"))
    # 3 x 120 - 330 - 0.3 - 1.5.
    assert books.booked.results(prices(a="120"))[0] == {"a": Decimal("28.2")}


def test_a_position_without_a_price_is_worth_its_entry():
    books = StrategyBooks()
    books.fill(fill("-2", "100", "0.2"))
    assert books.booked.results(prices())[0] == {"a": Decimal("-0.2")}


def test_a_partial_close_and_a_turn_are_round_trips_of_their_own():
    books = StrategyBooks()
    told = [
        books.fill(fill("4", "100", "0.4", ts=1)),
        books.fill(fill("-1", "110", "0.1", ts=2)),
        # Closes the 3 that are left and opens 2 the other way: 3/5 of the fee belong to the first.
        books.fill(fill("-5", "120", "0.5", ts=3)),
        books.fill(fill("2", "115", "0.2", ts=4)),
    ]
    opened = [events[0].opened for events in told if isinstance(events[0], FillEvent)]
    assert opened == [True, False, True, False]
    closed = [event for events in told for event in events if isinstance(event, RoundTripEvent)]
    assert [(c.ts, c.net, c.value) for c in closed] == [
        # 10 + 3 x 20 - 0.4 - 0.1 - 0.3, at a peak of 4 for 100.
        (3, Decimal("69.2"), Decimal(400)),
        # 2 x 5 - 0.2 - 0.2, at a peak of 2 for 120.
        (4, Decimal("9.6"), Decimal(240)),
    ]


FILLS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from([A, B]),
        st.integers(-6, 6).filter(bool),
        st.integers(90, 110),
        st.integers(0, 3),
        st.integers(-2, 2),
    ),
    max_size=30,
)


def lots(made):
    """Return each position's lots as a list of single units, bought or sold, first in first out.

    Every unit that closes a position is matched with any unit of it: profits of a flat position are
    the same by any matching.
    """
    books: dict[tuple[str, str], list[tuple[int, int]]] = {}
    trips: list[tuple[str, str, Decimal]] = []
    profit: dict[tuple[str, str], Decimal] = {}
    running: dict[tuple[str, str], Decimal] = {}
    for strategy, name, quantity, price, fee, funding in made:
        key = (strategy, name)
        held = books.setdefault(key, [])
        for _ in range(abs(quantity)):
            sign = 1 if quantity > 0 else -1
            unit_fee = Decimal(fee) / abs(quantity)
            gain = -unit_fee
            if held and held[0][0] == -sign:
                bought = held.pop(0)
                gain += sign * (bought[1] - price)
            else:
                held.append((sign, price))
            running[key] = running.get(key, Decimal(0)) + gain
            profit[key] = profit.get(key, Decimal(0)) + gain
            if not held:
                trips.append((*key, running.pop(key)))
        paid = Decimal(funding)
        profit[key] = profit.get(key, Decimal(0)) + paid
        if held:
            running[key] = running.get(key, Decimal(0)) + paid
    return books, trips, profit


@given(FILLS, st.integers(90, 110), st.integers(90, 110))
def test_books_agree_with_units_matched_one_by_one(made, price_a, price_b):
    books = StrategyBooks()
    closed = []
    for strategy, name, quantity, price, fee, funding in made:
        told = books.fill(fill(quantity, price, fee, strategy=strategy, instrument=name))
        closed += [(e.strategy, e.instrument, e.net) for e in told if isinstance(e, RoundTripEvent)]
        books.funding(strategy, name, Decimal(funding))
    held, trips, profit = lots(made)
    now = {A: price_a, B: price_b}
    wanted: dict[str, Decimal] = {}
    by_name: dict[str, Decimal] = {}
    for (strategy, name), realised in profit.items():
        open_ = sum(sign * (now[name] - price) for sign, price in held[strategy, name])
        wanted[strategy] = wanted.get(strategy, Decimal(0)) + realised + open_
        by_name[name] = by_name.get(name, Decimal(0)) + realised + open_
    price_of = {name: Decimal(price) for name, price in now.items()}.get
    assert books.booked.results(price_of)[0] == pytest.approx(wanted)
    assert books.booked.results(price_of)[1] == pytest.approx(by_name)
    assert [(c[0], c[1]) for c in closed] == [(t[0], t[1]) for t in trips]
    assert [c[2] for c in closed] == pytest.approx([t[2] for t in trips])
    quantities = {key: sum(sign for sign, _ in units) for key, units in held.items() if units}
    assert {key: trip.quantity for key, trip in books.open.items()} == quantities
