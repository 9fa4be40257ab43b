"""Slippage by name, and prices on the worse tick."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtests.engine.venue import slipped_price
from config.documents.slippage import BasePlusSizeSlippage, FixedBpsSlippage, NoSlippage
from config.errors import DeskError
from tests.builders_engine import SPOT, A, Candles, Script, at, play, trading, venue

OWN = BasePlusSizeSlippage(base=D("0.001"), per=D(1_000_000), cap=D("0.02"))


@pytest.mark.parametrize(
    ("model", "notional", "fraction"),
    [
        (NoSlippage(), "1000000", "0"),
        (FixedBpsSlippage(bps=D("2.5")), "5", "0.00025"),
        (FixedBpsSlippage(bps=D("2.5")), "1000000", "0.00025"),
        # 0.05 % and a ten-thousandth of the notional, at most 1 %.
        (BasePlusSizeSlippage(), "0", "0.0005"),
        (BasePlusSizeSlippage(), "50", "0.0055"),
        (BasePlusSizeSlippage(), "99.99", "0.010499"),
        (BasePlusSizeSlippage(), "100", "0.0105"),
        (BasePlusSizeSlippage(), "100.01", "0.0105"),
        (OWN, "10000", "0.011"),
        (OWN, "50000", "0.021"),
    ],
)
def test_slippage_is_a_fraction_of_the_notional(model: Any, notional: str, fraction: str) -> None:
    assert model.fraction(D(notional)) == D(fraction)


@pytest.mark.parametrize(
    ("reference", "fraction", "tick", "buy", "expected"),
    [
        ("100", "0", "0.01", True, "100"),
        ("100", "0.001", "0.01", True, "100.1"),
        ("100", "0.001", "0.01", False, "99.9"),
        # 100.05 lies between ticks: the worse one each way.
        ("100", "0.0005", "0.1", True, "100.1"),
        ("100", "0.0005", "0.1", False, "99.9"),
        # A reference off the tick goes to the worse one even without slippage.
        ("100.04", "0", "0.1", True, "100.1"),
        ("100.04", "0", "0.1", False, "100.0"),
        # The least of slippage costs a whole tick of a coarse one.
        ("7", "0.0001", "0.5", True, "7.5"),
        ("7", "0.0001", "0.5", False, "6.5"),
        # A sale never fills below one tick.
        ("0.01", "0.5", "0.01", False, "0.01"),
    ],
)
def test_a_fill_is_on_the_worse_tick(
    reference: str, fraction: str, tick: str, buy: bool, expected: str
) -> None:
    assert slipped_price(D(reference), D(fraction), D(tick), buy=buy) == D(expected)


@given(
    st.integers(1, 10**9),
    st.integers(0, 5000).map(lambda n: D(n) / 10_000),
    st.sampled_from([D("0.00001"), D("0.01"), D("0.5"), D(10)]),
    st.booleans(),
)
def test_slippage_never_flatters_and_costs_at_most_a_tick_more(
    ticks: int, fraction: D, tick: D, buy: bool
) -> None:
    reference = ticks * tick
    price = slipped_price(reference, fraction, tick, buy=buy)
    assert price % tick == 0
    assert price >= tick
    if buy:
        exact = reference * (1 + fraction)
        assert exact <= price < exact + tick
    else:
        exact = max(reference * (1 - fraction), tick)
        assert exact - tick < price <= exact


def test_what_depends_on_the_size_is_said_in_percent_and_usdt() -> None:
    words = "0.05 % of the price, and 0.01 % more for each 10,000 USDT of the order"
    model = BasePlusSizeSlippage(per=D(100_000_000))
    assert model.described == f"base_plus_size: {words}, at most 1 % more"


class Own(NoSlippage):
    answer: Any

    def fraction(self, notional: D) -> D:
        return self.answer


@pytest.mark.parametrize(
    "answer",
    [D("-0.01"), None, D("1.5"), D(1), 0.001, 0, D("NaN"), D("sNaN"), D("Infinity"), "0.1"],
)
def test_an_answer_that_no_price_can_be_made_worse_by_names_its_model(answer: Any) -> None:
    model = Own(answer=answer)
    words = r"venue.slippage: Own.fraction\(.*\) must return a finite Decimal from 0 to below 1"
    for name in (A, SPOT):
        script = Script({at(1): trading(name, "1")})
        with pytest.raises(DeskError, match=words) as found:
            play(
                {name: Candles([100.0] * 3)},
                script,
                document=venue(slippage=NoSlippage()).model_copy(update={"slippage": model}),
            )
        assert str(found.value).endswith(f"was {answer!r}")
    with pytest.raises(DeskError, match=words):
        _ = model.smallest


@pytest.mark.parametrize("answer", ["0", "0.5", "0.999"])
def test_an_answer_below_the_whole_price_is_charged(answer: str) -> None:
    assert Own(answer=D(answer)).charged(D(100)) == D(answer)


def test_the_stress_of_the_dearest_model_stays_below_the_whole_price() -> None:
    """10 % and up to 50 % three times: 30 % and 69 %, not 150."""
    dearest = BasePlusSizeSlippage(base=D("0.1"), per=D(1000), cap=D("0.5")).times(3)
    assert dearest.charged(D(10) ** 9) == D("0.99")
    assert OWN.times(3).charged(D(10) ** 9) == D("0.063")
