"""Volatility filter: by hand, both ends of the range, and what is not known yet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal as D
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guards.core.limits import Reading
from actors.guards.core.snapshot import Market, Snapshot
from actors.guards.core.windows import Samples
from actors.guards.volatility import YEAR_NS, Volatility, VolatilityParams
from tests.actors.guards.positions import BTC, ETH, NOW, by_scope, only, snapshot

HOUR = 3600 * 10**9


def priced(at: float, **prices: float | None) -> Snapshot:
    markets = {
        {"btc": BTC, "eth": ETH}[name]: Market(price=None if price is None else D(repr(price)))
        for name, price in prices.items()
    }
    return snapshot(now=NOW + int(at * HOUR), markets=markets)


def played(
    tape: Sequence[Snapshot], params: VolatilityParams
) -> tuple[Samples, tuple[Reading, ...] | None]:
    state, readings = Volatility(params).start(tape[0]), None
    for seen in tape:
        state, readings = Volatility(params).observe(state, seen)
    return state, readings


def params(**given: object) -> VolatilityParams:
    return VolatilityParams(**{"every": "1h", "lookback": 4, **given})


def swinging(move: float, hours: int = 4, calm: float = 0.0) -> list[Snapshot]:
    """BTC goes up and down by this logarithm each hour, ETH by another."""
    return [
        priced(at, btc=100 * math.exp(move * (at % 2)), eth=50 * math.exp(calm * (at % 2)))
        for at in range(hours + 1)
    ]


# A return of 1 % an hour: a hundredth times the root of 8,760 hours is 93.6 % a year.
YEARLY = 0.01 * math.sqrt(8760)


def test_a_percent_an_hour_is_94_percent_a_year() -> None:
    found = by_scope(played(swinging(0.01), params())[1])
    assert found[f"instrument:{BTC}", "most"].measured == pytest.approx(YEARLY)
    assert round(YEARLY, 3) == 0.936


@pytest.mark.parametrize(
    ("most", "over", "clear"),
    [
        (YEARLY / 0.9 * 1.0001, False, True),
        (YEARLY / 0.9 * 0.9999, False, False),
        (YEARLY * 1.0001, False, False),
        (YEARLY * 0.9999, True, False),
    ],
)
def test_a_market_that_moves_too_much_is_over(most: float, over: bool, clear: bool) -> None:
    found = by_scope(played(swinging(0.01), params(most=most))[1])
    reading = found[f"instrument:{BTC}", "most"]
    assert (reading.over, reading.clear) == (over, clear)
    assert (f"instrument:{ETH}", "most") not in found


@pytest.mark.parametrize(
    ("least", "over", "clear"),
    [
        (YEARLY * 1.0001, True, False),
        (YEARLY * 0.9999, False, False),
        (YEARLY / 1.1 * 1.0001, False, False),
        (YEARLY / 1.1 * 0.9999, False, True),
    ],
)
def test_a_market_that_moves_too_little_is_over(least: float, over: bool, clear: bool) -> None:
    limits = params(most=None, least=least)
    found = by_scope(played(swinging(0.01, calm=0.1), limits)[1])
    reading = found[f"instrument:{BTC}", "least"]
    assert (reading.over, reading.clear) == (over, clear)
    assert (f"instrument:{ETH}", "least") not in found


def test_the_limit_itself_is_over_at_both_ends() -> None:
    measured = only(played(swinging(0.01), params(most=90.0, reference=BTC))[1]).measured
    found = by_scope(played(swinging(0.01), params(most=measured, reference=BTC))[1])
    assert found["desk", "most"].over
    limits = params(most=None, least=measured, reference=BTC)
    assert by_scope(played(swinging(0.01), limits)[1])["desk", "least"].over


def test_a_reference_counts_for_the_desk() -> None:
    reading = only(played(swinging(0.01, calm=0.5), params(most=0.5, reference=BTC))[1])
    assert (reading.scope, reading.over) == ("desk", True)
    assert reading.reason == f"volatility of {BTC} 93.59 % a year, most 50 %"
    state, _ = played(swinging(0.01), params(reference=BTC))
    assert set(state.prices) == {BTC}


def test_too_few_samples_are_told_and_do_nothing() -> None:
    found = by_scope(played(swinging(0.5, hours=3), params(most=0.1, least=0.01))[1])
    assert {reading.reason for reading in found.values()} == {
        f"{BTC}: 4 of 5 samples",
        f"{ETH}: 4 of 5 samples",
    }
    assert len(found) == 4
    assert not any(reading.over or reading.clear for reading in found.values())


def test_a_reference_that_has_no_price_is_told() -> None:
    reading = only(played([priced(0, eth=50.0)], params(reference=BTC))[1])
    assert reading.reason == f"{BTC}: 0 of 5 samples"
    assert (reading.over, reading.clear) == (False, False)


def test_a_price_that_was_missing_starts_its_count_anew() -> None:
    tape = swinging(0.01, hours=6)
    tape[3] = priced(3, btc=None, eth=50.0)
    found = by_scope(played(tape, params(most=0.5))[1])
    assert found[f"instrument:{BTC}", "most"].reason == f"{BTC}: 3 of 5 samples"


def test_rarer_samples_count_by_the_time_that_they_took() -> None:
    # The same swing of 1 %, but every four hours: half the volatility.
    tape = [priced(4 * at, btc=100 * math.exp(0.01 * (at % 2))) for at in range(5)]
    assert only(played(tape, params())[1]).measured == pytest.approx(YEARLY / 2)


def test_between_two_samples_nothing_changes_and_the_same_is_read() -> None:
    state, readings = played(swinging(0.01), params(most=0.5))
    later = priced(4.2, btc=500.0, eth=1.0)
    again, same = Volatility(params(most=0.5)).observe(state, later)
    assert again is state
    assert same == readings


def test_other_limits_on_the_same_samples_read_by_themselves() -> None:
    state, _ = played(swinging(0.01), params())
    seen = priced(4.2, btc=100.0, eth=50.0)
    for most, over in ((0.5, True), (1.5, False), (0.5, True)):
        found = by_scope(Volatility(params(most=most)).observe(state, seen)[1])
        assert found[f"instrument:{BTC}", "most"].over == over


def test_a_release_samples_anew() -> None:
    state, _ = played(swinging(0.01), params())
    assert Volatility(params()).released(state, priced(9), "desk") == Samples()
    left = Volatility(params()).released(state, priced(9), f"instrument:{BTC}")
    assert set(left.prices) == {ETH}


def test_an_empty_range_is_a_mistake() -> None:
    assert params().check() == []
    assert [field for field, _ in params(most=None).check()] == ["most"]
    assert [field for field, _ in params(most=0.5, least=0.5).check()] == ["least"]


@given(
    st.lists(st.tuples(st.integers(1, 50), st.floats(1, 1000)), min_size=5, max_size=12),
)
def test_it_is_the_root_of_squared_returns_over_their_time(
    steps: list[tuple[int, float]],
) -> None:
    hours, tape = 0, []
    for after, price in steps:
        hours += after
        tape.append((hours, price))
    _, readings = played([priced(at, btc=price) for at, price in tape], params(most=0.001))
    newest = tape[-5:]
    squares = sum(math.log(b / a) ** 2 for (_, a), (_, b) in pairwise(newest))
    years = (newest[-1][0] - newest[0][0]) * HOUR / YEAR_NS
    assert only(readings).measured == pytest.approx(math.sqrt(squares / years), abs=1e-12)
