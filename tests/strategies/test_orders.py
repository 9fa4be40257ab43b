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


COARSE = Lot(step=D("0.1"), min_quantity=D("5"), min_notional=D("0"))
FORCED, CAPPED = {"minimum": "force_exchange_min"}, {"minimum": "respect_cap"}


@pytest.mark.parametrize(
    ("current", "wanted", "rules", "order"),
    [
        # Toward zero, never more than wanted.
        ("0", "1.29", {}, "1.2"),
        ("0", "-1.29", {}, "-1.2"),
        ("1.2", "1.29", {}, "0.0"),
        # One order turns the position round; it counts as one: 0.5 at 10 is exactly the 5 wanted.
        ("1.2", "-1.2", {}, "-2.4"),
        ("0.3", "-0.2", {}, "-0.5"),
        # A whole exit needs no minimum, a reduction no minimum notional.
        ("1.2", "0", {}, "-1.2"),
        ("0.1", "0", {}, "-0.1"),
        ("3.0", "2.8", {}, "-0.2"),
        ("3.0", "2.9", CAPPED, "-0.2"),
        # A reduction never turns the position round to reach a minimum.
        ("0.3", "0.2", FORCED | {"lot": COARSE}, "-0.3"),
        # 5 / 7 = 0.714…: 0.8 is the first whole lot above.
        ("0", "0.4", FORCED | {"price": "7"}, "0.8"),
    ],
)
def test_targets_are_rounded_toward_zero_to_whole_lots(current, wanted, rules, order):
    got = sized(current, wanted, **rules)
    assert got.quantity == D(order)
    assert got.reason == "" or rules


OVER_CAP = "and the minimum would exceed the cap of "


@pytest.mark.parametrize(
    ("current", "wanted", "rules", "order", "reason"),
    [
        ("0", "0.4", {}, "0", "skipped: order value 4.00 is below the exchange's minimum 5"),
        ("0", "0.4", CAPPED, "0.5", "raised from 0.4 to the exchange's minimum 0.5"),
        ("0", "0.4", FORCED, "0.5", "raised from 0.4 to the exchange's minimum 0.5"),
        ("0", "0.4", CAPPED | {"largest": "0.45"}, "0", f"{OVER_CAP}0.45"),
        ("0", "0.4", FORCED | {"largest": "0.45"}, "0.5", "exchange's minimum 0.5"),
        # Less than a lot is an order too small, with a reason.
        ("0", "0.04", {}, "0", "skipped: order quantity 0.04 is below the lot of 0.1"),
        ("0", "0.04", FORCED, "0.5", "raised from 0.04 to the exchange's minimum 0.5"),
        ("0", "0.04", CAPPED, "0.5", "raised from 0.04 to the exchange's minimum 0.5"),
        ("0", "0.04", CAPPED | {"largest": D(1) / 3}, "0", f"{OVER_CAP}0.333333"),
        ("1.2", "0.04", {}, "-1.2", "closed: the position wanted is less than the lot of 0.1"),
        # From 3.0 to 3.3 is 3 USDT: the smallest order is 0.5.
        ("3.0", "3.3", {}, "0", "skipped: order value 3.00 is below the exchange's minimum 5"),
        ("3.0", "3.3", FORCED, "0.5", "raised from 0.3 to the exchange's minimum 0.5"),
        ("3.0", "2.9", {}, "0", "skipped: order quantity 0.1 is below the exchange's minimum 0.2"),
        ("1.2", "1.25", {}, "0", ""),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_not_traded_as_wanted_has_a_reason(current, wanted, rules, order, reason, sign):
    got = sized(sign * D(current), sign * D(wanted), **rules)
    assert got.quantity == sign * D(order)
    assert got.reason.endswith(reason) if reason else got.reason == ""


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
