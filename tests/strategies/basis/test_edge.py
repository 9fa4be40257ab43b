"""Edge arithmetic by hand-made books."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.basis.edge import Book, Costs, Funding, edge_of, executable, gain_bps, prices_of

HOUR = 3600 * 10**9
SPOT = Book(bids=[(99.0, 2.0), (98.0, 10.0)], asks=[(100.0, 1.0), (102.0, 3.0)])
PERP = Book(bids=[(103.0, 2.0), (101.0, 4.0)], asks=[(104.0, 5.0)])


def test_a_quantity_costs_the_average_of_the_levels_that_it_takes() -> None:
    assert executable(SPOT.asks, 1.0) == 100.0
    assert executable(SPOT.asks, 4.0) == (100.0 + 3 * 102.0) / 4
    assert executable(SPOT.asks, 0.0) == 100.0


def test_what_is_not_displayed_counts_at_the_last_level_and_an_empty_side_has_no_price() -> None:
    assert executable(SPOT.asks, 8.0) == (100.0 + 7 * 102.0) / 8
    assert math.isnan(executable([], 1.0))


def test_the_basis_of_two_coins_is_by_what_the_books_display_of_two() -> None:
    found = prices_of(SPOT, PERP, 2.0)
    assert found == (101.0, 99.0, 104.0, 103.0)
    assert found.basis_bps == pytest.approx(2 / 101 * 1e4)
    assert found.exit_bps == pytest.approx(5 / 99 * 1e4)


def test_a_book_knows_its_spread_and_what_stands_near_its_mid() -> None:
    assert SPOT.spread_bps == pytest.approx(1 / 99.5 * 1e4)
    assert SPOT.displayed == 4.0
    assert SPOT.near(60.0) == (198.0, 100.0)
    assert SPOT.near(10.0) == (0.0, 0.0)
    assert SPOT.is_whole
    assert not Book([], SPOT.asks).is_whole
    assert not Book(PERP.bids, SPOT.asks).is_whole


def test_four_fees_slippage_and_the_planned_exit_are_taken_from_the_basis() -> None:
    edge = edge_of(50.0, 5.0, Costs(0.001, 0.00055, 3.0), Funding(), 0, 8 * HOUR)
    assert edge.fees_bps == pytest.approx(31.0)
    assert edge.locked_bps == edge.net_bps == pytest.approx(50 - 5 - 31 - 3)


@pytest.mark.parametrize(
    ("now", "until", "count"),
    [(0, 3, 0), (0, 4, 1), (3, 4, 1), (4, 4, 0), (4, 8, 1), (0, 12, 3), (9, 12, 1), (13, 15, 0)],
)
def test_settlements_are_those_after_now_until_the_exit(now: int, until: int, count: int) -> None:
    funding = Funding(next_ns=4 * HOUR, interval_ns=4 * HOUR)
    assert funding.settlements(now * HOUR, until * HOUR) == count


def test_each_perpetual_has_its_own_interval() -> None:
    hourly = Funding(0.0, 0.0001, HOUR, HOUR)
    eight = Funding(0.0, 0.0001, 8 * HOUR, 8 * HOUR)
    none = Funding()
    found = [one.expected_bps(0, 8 * HOUR) for one in (hourly, eight, none)]
    assert found == pytest.approx([8.0, 1.0, 0.0])
    assert [eight.hours_left(hour * HOUR) for hour in (2, 8, 17)] == [6.0, 8.0, 7.0]


def test_funding_that_the_short_pays_lessens_the_edge() -> None:
    paid = Funding(0.0, -0.0005, HOUR, 8 * HOUR)
    edge = edge_of(50.0, 0.0, Costs(0.001, 0.00055), paid, 0, 2 * HOUR)
    assert edge.net_bps == pytest.approx(50 - 31 - 5)


def test_the_gain_held_is_what_both_legs_gained_at_executable_prices() -> None:
    assert gain_bps(100.0, 103.0, prices_of(SPOT, PERP, 2.0)) == pytest.approx(-2 / 100 * 1e4)


@given(
    spot=st.floats(1.0, 1e5), basis=st.floats(-200, 200), moved=st.floats(0.5, 2.0),
    exit_=st.floats(-200, 200), fee=st.floats(0.0, 0.002),
)  # fmt: skip
def test_the_edge_is_what_a_round_trip_earns_of_the_spot_leg(
    spot: float, basis: float, moved: float, exit_: float, fee: float
) -> None:
    """One coin each way at one price a side; fees of the exit grow with its prices."""
    perp, out = spot * (1 + basis / 1e4), spot * moved
    back = out * (1 + exit_ / 1e4)
    paid = fee * (spot + perp + out + back)
    earned = (out - spot + perp - back - paid) / spot * 1e4
    edge = edge_of(basis, exit_ * moved, Costs(fee, fee), Funding(), 0, HOUR)
    allowed = fee * 1e4 * (2 * abs(moved - 1) + 0.02 * (1 + moved)) + 1e-6
    assert abs(earned - edge.net_bps) <= allowed
