from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.sizing.rounding import Lot, outside_band, size_order, split

LOT = Lot(step=D("0.1"), min_quantity=D("0.2"), min_notional=D("5"))


def sized(current, wanted, price="10", minimum="skip", largest="100", lot=LOT):
    return size_order(D(current), D(wanted), D(price), lot, minimum=minimum, largest=D(largest))


@pytest.mark.parametrize(
    ("current", "target", "band", "trades"),
    [
        (0.0, 0.0, 0.0, False),
        (0.1, 0.1, 0.0, False),
        (0.1, 0.11, 0.0, True),
        (0.1, 0.11, 0.02, False),
        (0.1, 0.13, 0.02, True),
        (0.0, 0.01, 0.02, False),  # An entry too small to be worth it.
        (0.001, 0.0, 0.02, True),  # A way out is always taken.
        (-0.1, 0.1, 0.02, True),
    ],
)
def test_the_band_lets_only_worthwhile_changes_through(current, target, band, trades):
    assert outside_band(current, target, band) is trades


@pytest.mark.parametrize(
    ("current", "wanted", "order"),
    [
        ("0", "1.29", "1.2"),  # Toward zero: never more than wanted.
        ("0", "-1.29", "-1.2"),
        ("1.2", "1.29", "0.0"),
        ("1.2", "-1.2", "-2.4"),  # One order turns the position round.
        ("1.2", "0", "-1.2"),
    ],
)
def test_targets_are_rounded_toward_zero_to_whole_lots(current, wanted, order):
    got = sized(current, wanted)
    assert got.quantity == D(order)
    assert got.reason == ""


@pytest.mark.parametrize(
    ("minimum", "order", "reason"),
    [
        ("skip", "0", "skipped: order value 4.00 is below the exchange's minimum 5"),
        ("respect_cap", "0.5", "raised from 0.4 to the exchange's minimum 0.5"),
        ("force_exchange_min", "0.5", "raised from 0.4 to the exchange's minimum 0.5"),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_an_entry_below_the_minimum_notional(minimum, order, reason, sign):
    got = sized("0", D("0.4") * sign, minimum=minimum)
    assert got.quantity == D(order) * sign
    assert got.reason == reason


def test_respect_cap_does_not_raise_above_the_cap():
    got = sized("0", "0.4", minimum="respect_cap", largest="0.45")
    assert got.quantity == 0
    assert got.reason.endswith("and the minimum would exceed the cap of 0.45")
    assert sized("0", "0.4", minimum="force_exchange_min", largest="0.45").quantity == D("0.5")


@pytest.mark.parametrize("sign", [1, -1])
def test_an_entry_of_less_than_a_lot_is_an_order_too_small_and_not_silence(sign):
    got = sized("0", D("0.04") * sign)
    assert got.quantity == 0
    assert got.reason == "skipped: order quantity 0.04 is below the lot of 0.1"
    forced = sized("0", D("0.04") * sign, minimum="force_exchange_min")
    assert forced.quantity == D("0.5") * sign
    assert forced.reason == "raised from 0.04 to the exchange's minimum 0.5"
    assert sized("0", "0.04", minimum="respect_cap").quantity == D("0.5")
    capped = sized("0", "0.04", minimum="respect_cap", largest=D(1) / 3)
    assert capped.quantity == 0
    assert capped.reason.endswith("and the minimum would exceed the cap of 0.333333")


def test_a_position_is_closed_when_less_than_a_lot_of_it_is_wanted():
    got = sized("1.2", "0.04")
    assert got.quantity == D("-1.2")
    assert got.reason == "closed: the position wanted is less than the lot of 0.1"


def test_an_enlargement_below_the_minimum_is_raised_as_an_order():
    # From 3.0 to 3.3 is 3 USDT: the smallest order is 0.5.
    assert sized("3.0", "3.3").quantity == 0
    assert sized("3.0", "3.3", minimum="force_exchange_min").quantity == D("0.5")


def test_a_reduction_needs_no_minimum_notional():
    assert sized("3.0", "2.8").quantity == D("-0.2")


def test_a_reduction_below_the_minimum_quantity():
    assert sized("3.0", "2.9").reason == (
        "skipped: order quantity 0.1 is below the exchange's minimum 0.2"
    )
    assert sized("3.0", "2.9", minimum="respect_cap").quantity == D("-0.2")
    # It never turns the position round to reach a minimum.
    coarse = Lot(step=D("0.1"), min_quantity=D("5"), min_notional=D("0"))
    assert sized("0.3", "0.2", minimum="force_exchange_min", lot=coarse).quantity == D("-0.3")


def test_a_whole_exit_needs_no_minimum():
    assert sized("0.1", "0").quantity == D("-0.1")


def test_a_turn_round_counts_as_one_order():
    # From 0.3 to -0.2: an order of 0.5 at 10 is exactly the 5 that the exchange wants.
    assert sized("0.3", "-0.2").quantity == D("-0.5")


def test_the_raised_order_is_whole_lots_at_an_awkward_price():
    # 5 / 7 = 0.714…: 0.8 is the first whole lot above.
    got = sized("0", "0.4", price="7", minimum="force_exchange_min")
    assert got.quantity == D("0.8")


lots = st.builds(
    Lot,
    step=st.sampled_from([D("0.001"), D("0.1"), D("1"), D("10")]),
    min_quantity=st.sampled_from([D("0"), D("0.1"), D("1"), D("10")]),
    min_notional=st.sampled_from([D("0"), D("5"), D("100")]),
)


@given(
    held=st.integers(-50, 50),
    wanted=st.decimals("-100", "100", places=5),
    price=st.decimals("0.01", "1000", places=2),
    lot=lots,
    minimum=st.sampled_from(["skip", "respect_cap", "force_exchange_min"]),
)
def test_every_order_is_whole_lots_and_large_enough(held, wanted, price, lot, minimum):
    current = held * lot.step
    got = size_order(current, wanted, price, lot, minimum=minimum, largest=abs(wanted)).quantity
    after = current + got
    assert got % lot.step == 0
    if got and abs(after) > abs(current):
        assert abs(got) * price >= lot.min_notional
    if minimum != "force_exchange_min":
        assert abs(after) <= max(abs(current), abs(wanted))
    if minimum == "skip":
        assert abs(wanted - after) <= max(abs(wanted - current), lot.step)


@pytest.mark.parametrize(
    ("size", "step", "largest", "sizes"),
    [
        ("5", "1", None, ["5"]),
        ("10", "1", "10", ["10"]),
        ("11", "1", "10", ["6", "5"]),
        ("2.5", "0.1", "1", ["0.9", "0.8", "0.8"]),
        ("9", "3", "5", ["3", "3", "3"]),  # A largest order that is no whole number of lots.
    ],
)
def test_an_order_too_large_for_the_venue_becomes_several_of_about_the_same_size(
    size, step, largest, sizes
):
    got = split(D(size), D(step), None if largest is None else D(largest))
    assert got == [D(part) for part in sizes]
    assert sum(got) == D(size)
