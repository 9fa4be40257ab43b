from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.tactics.pricing import (
    Terms,
    TopOfBook,
    portion,
    resting_price,
    smallest,
    stands_at_best,
    worst_price,
)

TICK = D("0.1")


def touch(bid="100.0", ask="100.5"):
    return TopOfBook(D(bid), D(ask), D(8), D(6))


def terms(exits=False, max_quantity=None, **changes):
    facts = {"tick": "0.1", "step": "0.01", "min_quantity": "0.02", "min_notional": "5"} | changes
    largest = None if max_quantity is None else D(max_quantity)
    return Terms(
        **{key: D(value) for key, value in facts.items()}, max_quantity=largest, exits=exits
    )


@pytest.mark.parametrize(
    ("book", "place", "ticks", "buy_at", "sell_at"),
    [
        (("100.0", "100.5"), "join", 1, "100.0", "100.5"),
        (("100.0", "100.5"), "improve", 1, "100.1", "100.4"),
        (("100.0", "100.5"), "improve", 3, "100.3", "100.2"),
        (("100.0", "100.5"), "improve", 9, "100.4", "100.1"),  # One tick short of the other side.
        (("100.0", "100.1"), "improve", 1, "100.0", "100.1"),  # Nothing to improve.
        (("100.0", "100.5"), "behind", 2, "99.8", "100.7"),
        (("0.2", "0.3"), "behind", 5, "0.1", "0.8"),  # Above zero.
    ],
)
def test_an_order_rests_at_its_place(book, place, ticks, buy_at, sell_at):
    assert resting_price(True, touch(*book), TICK, place, ticks) == D(buy_at)
    assert resting_price(False, touch(*book), TICK, place, ticks) == D(sell_at)


@pytest.mark.parametrize(
    ("buy", "reference", "bps", "worst"),
    [
        (True, "100.0", 10, "100.1"),
        (True, "100.0", 19, "100.1"),  # Rounded toward the reference, never past the cap.
        (False, "100.0", 19, "99.9"),
        (True, "100.25", 0, "100.2"),
        (False, "100.25", 0, "100.3"),
        (False, "0.1", 1000, "0.1"),
    ],
)
def test_the_worst_price_lies_within_the_cap_on_the_tick(buy, reference, bps, worst):
    assert worst_price(buy, D(reference), bps, TICK) == D(worst)


def test_an_order_at_the_best_price_may_be_the_best_price():
    places = [(True, "100.0"), (True, "99.9"), (False, "100.5"), (False, "100.6")]
    found = [stands_at_best(buy, D(price), touch()) for buy, price in places]
    assert found == [True, False, True, False]


@pytest.mark.parametrize(
    ("left", "price", "exits", "least"),
    [
        ("9", "100", False, "0.05"),  # 5 / 100.
        ("9", "300", False, "0.02"),  # 5 / 300 is 0.0167: two lots, and the least quantity.
        ("9", "99", False, "0.06"),  # 0.0505, rounded up.
        ("9", "100", True, "0.02"),
        ("0.01", "100", True, "0.01"),  # The rest of an exit may go however small.
    ],
)
def test_the_smallest_order_satisfies_quantity_and_value(left, price, exits, least):
    assert smallest(D(left), D(price), terms(exits)) == D(least)


@pytest.mark.parametrize(
    ("left", "most", "largest", "size"),
    [
        ("3", None, None, "3"),
        ("3", "1.239", None, "1.23"),
        ("3", "0.001", None, "0.05"),  # The exchange's minimum goes before the share.
        ("3", "2.97", None, "3"),  # 0.03 left over could not be ordered.
        ("3", None, "2", "2"),
        ("3", None, "2.97", "2.92"),
        ("0.04", None, None, "0"),
        ("0.05", None, None, "0.05"),
        ("3", None, "0.04", "0"),  # The largest order is below the exchange's minimum.
    ],
)
def test_a_portion_leaves_nothing_that_could_not_be_ordered(left, most, largest, size):
    got = portion(D(left), D(100), None if most is None else D(most), terms(max_quantity=largest))
    assert got == D(size)


LOTS = st.integers(1, 5000).map(lambda n: D(n) * D("0.01"))


@given(LOTS, st.none() | LOTS, st.none() | LOTS, st.booleans(), st.integers(1, 10_000))
def test_a_portion_is_whole_lots_within_what_is_left(left, most, largest, exits, price):
    asked = terms(exits, max_quantity=None if largest is None else largest + 5)
    size = portion(left, D(price) * TICK, most, asked)
    assert D(0) <= size <= left
    assert size % D("0.01") == 0
    assert size == 0 or size >= smallest(left, D(price) * TICK, asked)
