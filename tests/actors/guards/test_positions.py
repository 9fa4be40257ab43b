"""Sums of positions in whole units of money, against sums in Decimal."""

from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.guards.core.examples import desk
from actors.guards.core.exposure import sizes_of
from actors.guards.core.positions import Holdings, positions_of
from backtests.engine.market import exact_closes, whole_closes

PLACES = {"A": 1, "B": 4, "C": 9}
DECIMALS = np.array(list(PLACES.values()))
TICKS = st.tuples(*(st.integers(1, 10**9) for _ in PLACES))
QUANTITIES = st.tuples(*(st.decimals(-1000, 1000, places=n).filter(bool) for n in (0, 3, 8)))


def holdings(closes: list[float], quantities: tuple[Decimal, ...]) -> Holdings:
    """Hold the instruments that have a quantity, at these closes."""
    whole = whole_closes(np.array([closes]), DECIMALS)
    rows = [(n, "a", q, q / 3) for n, q in zip(PLACES, quantities, strict=True)]
    held = positions_of(rows, PLACES.__getitem__)
    return Holdings(
        held,
        lambda: exact_closes(np.array(closes), range(3)),
        None if whole is None else whole[0].tolist(),
    )


@given(TICKS, QUANTITIES)
def test_sums_of_whole_numbers_are_those_of_decimals(ticks, quantities):
    closes = [tick / 10**places for tick, places in zip(ticks, PLACES.values(), strict=True)]
    held = holdings(closes, quantities)
    assert held.unit < 1, "values are counted in whole numbers"
    values = [one.quantity * one.price for one in held]
    sizes = list(map(abs, values))
    assert [value * held.unit for value in held.values] == values
    assert sizes_of(desk(0, *held)) == (sum(sizes), max(sizes))
    assert sizes_of(replace(desk(), holdings=held)) == (sum(sizes), max(sizes))


def test_prices_between_two_ticks_are_summed_in_decimal():
    held = holdings([100.25, 2.0, 3.0], (Decimal(2), Decimal(-1), Decimal("0.5")))
    assert (held.unit, sum(held.values)) == (1, Decimal("200.0"))


def test_nothing_held_is_worth_nothing():
    held = Holdings(positions_of([], PLACES.__getitem__), tuple, [])
    assert (held == (), held.money(sum(held.values))) == (True, 0)
