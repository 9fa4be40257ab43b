"""Correlation stop: legs of pairs, the book, and what is not known yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal as D

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guards.core.limits import Reading
from actors.guards.core.snapshot import Market, Snapshot
from actors.guards.core.windows import Samples
from actors.guards.correlation import Correlation, CorrelationParams
from tests.actors.guards.positions import BTC, ETH, NOW, by_scope, holding, only, snapshot

MINUTE = 60 * 10**9
SOL = "SOLUSDT-LINEAR.BYBIT"
# Four returns of a coin up and down by a tenth, in logarithms; and one that takes turns with it.
UP, DOWN = 0.1, -0.1
SWINGS = (UP, DOWN, UP, DOWN)
TURNS = (UP, UP, DOWN, DOWN)


def priced(prices: Mapping[str, float | None], at: int, *holdings: object) -> Snapshot:
    """Return the desk at a minute with these prices; it holds 100 of each named, signed."""
    markets = {
        name: Market(price=None if price is None else D(repr(price)))
        for name, price in prices.items()
    }
    return snapshot(*holdings, now=NOW + at * MINUTE, markets=markets)  # type: ignore[arg-type]


def paths(**returns: Sequence[float]) -> list[dict[str, float | None]]:
    """Return the prices of coins after each of their logarithmic returns, from 100."""
    names = {"btc": BTC, "eth": ETH, "sol": SOL}
    curves = {
        names[name]: 100 * np.exp(np.concatenate(([0.0], np.cumsum(moves))))
        for name, moves in returns.items()
    }
    steps = len(next(iter(curves.values())))
    return [{name: float(curve[i]) for name, curve in curves.items()} for i in range(steps)]


def played(
    rows: Sequence[Mapping[str, float | None]], params: CorrelationParams, *holdings: object
) -> tuple[Samples, tuple[Reading, ...]]:
    state = Correlation(params).start(priced(rows[0], 0))
    readings: tuple[Reading, ...] = ()
    for at, prices in enumerate(rows):
        state, found = Correlation(params).observe(state, priced(prices, at, *holdings))
        assert found is not None
        readings = found
    return state, readings


def params(**given: object) -> CorrelationParams:
    return CorrelationParams(**{"every": "1m", "lookback": 4, **given})


BOTH_LONG = (holding(BTC, 1, 100), holding(ETH, 1, 100))
HEDGED = (holding(BTC, 1, 100), holding(ETH, -1, 100))


# -- pairs -----------------------------------------------------------------------------------------

PAIR = ((BTC, ETH),)


@pytest.mark.parametrize(
    ("eth", "correlation", "over"),
    [
        (SWINGS, 1.0, True),
        # Twice the size is the same.
        ((0.2, -0.2, 0.2, -0.2), 1.0, True),
        ((DOWN, UP, DOWN, UP), -1.0, False),
        (TURNS, 0.0, False),
        # Three agree and one does not: (0.01 x 3 + 0) / sqrt(0.04 x 0.03).
        ((UP, DOWN, UP, 0.0), None, True),
    ],
)
def test_legs_that_move_as_one_are_over(
    eth: Sequence[float], correlation: float | None, over: bool
) -> None:
    _, readings = played(paths(btc=SWINGS, eth=eth), params(pairs=PAIR))
    found = by_scope(readings)
    assert set(found) == {(f"instrument:{leg}", f"{BTC}/{ETH}") for leg in (BTC, ETH)}
    expected = float(np.corrcoef(SWINGS, eth)[0, 1]) if correlation is None else correlation
    for reading in readings:
        assert reading.measured == pytest.approx(expected, abs=1e-9)
        assert reading.over == over


def test_at_the_limit_exactly_is_over_and_clear_is_a_tenth_below() -> None:
    rows = paths(btc=SWINGS, eth=(UP, DOWN, UP, 0.0))
    (first, _) = played(rows, params(pairs=PAIR))[1]
    for limit, over, clear in (
        (first.measured, True, False),
        (np.nextafter(first.measured, 0), True, False),
        (np.nextafter(first.measured, 1), False, False),
        # Its tenth below 1 is 0.9; below 0.99 it is 0.891.
        (1.0, False, first.measured <= 0.9),
    ):
        reading = played(rows, params(pairs=PAIR, limit=float(limit)))[1][0]
        assert (reading.over, reading.clear) == (over, clear)


def test_too_few_samples_are_told_and_do_nothing() -> None:
    rows = paths(btc=SWINGS, eth=SWINGS)
    _, readings = played(rows[:4], params(pairs=PAIR))
    assert {reading.reason for reading in readings} == {"4 of 5 samples"}
    assert not any(reading.over or reading.clear for reading in readings)
    assert played(rows[:5], params(pairs=PAIR))[1][0].over


def test_a_price_that_was_missing_starts_the_count_anew() -> None:
    rows = paths(btc=SWINGS * 2, eth=SWINGS * 2)
    rows[2][ETH] = None
    for count, reason in ((5, "2 of 5 samples"), (7, "4 of 5 samples")):
        assert played(rows[:count], params(pairs=PAIR))[1][0].reason == reason
    assert played(rows[:8], params(pairs=PAIR))[1][0].over


def test_a_price_that_does_not_move_correlates_with_nothing() -> None:
    _, readings = played(paths(btc=SWINGS, eth=(0.0,) * 4), params(pairs=PAIR))
    assert [reading.reason for reading in readings] == ["prices did not move"] * 2
    assert not any(reading.over or reading.clear for reading in readings)


# -- the book --------------------------------------------------------------------------------------


def test_two_longs_that_move_alike_are_one_position() -> None:
    rows = paths(btc=SWINGS, eth=SWINGS, sol=TURNS)
    reading = only(played(rows, params(), *BOTH_LONG)[1])
    assert (reading.scope, reading.over) == ("desk", True)
    assert reading.reason == f"positions in {BTC} and {ETH}: correlation 1.00, limit 0.9"


def test_a_long_and_a_short_that_move_alike_hedge_each_other() -> None:
    reading = only(played(paths(btc=SWINGS, eth=SWINGS), params(), *HEDGED)[1])
    assert (reading.measured, reading.over, reading.clear) == (pytest.approx(-1), False, True)


def test_a_long_and_a_short_that_move_against_each_other_are_one_position() -> None:
    rows = paths(btc=SWINGS, eth=(DOWN, UP, DOWN, UP))
    assert only(played(rows, params(), *HEDGED)[1]).over


def test_small_positions_are_left_out() -> None:
    rows = paths(btc=SWINGS, eth=SWINGS)
    # 5 % of 1,000 of equity is 50: the second position is worth 50, or a little less.
    for quantity, over in (("0.5", True), ("0.4999", False)):
        held = (holding(BTC, 1, 100), holding(ETH, quantity, 100))
        reading = only(played(rows, params(), *held)[1])
        assert reading.over == over
    assert reading.reason.startswith("fewer than two positions are large enough")
    assert reading.clear


def test_what_is_known_counts_where_another_position_is_not_known_yet() -> None:
    rows = paths(btc=SWINGS, eth=SWINGS, sol=SWINGS)
    for prices in rows[:2]:
        prices[SOL] = None
    held = (*BOTH_LONG, holding(SOL, 1, 100))
    assert only(played(rows, params(), *held)[1]).over
    held = (holding(BTC, 1, 100), holding(SOL, 1, 100))
    reading = only(played(rows, params(), *held)[1])
    assert (reading.reason, reading.over, reading.clear) == ("3 of 5 samples", False, False)


# -- sampling --------------------------------------------------------------------------------------


def test_samples_are_taken_once_a_period_and_kept_as_far_as_is_looked_back() -> None:
    every = params(every="5m")
    state = Samples()
    kept = []
    for at in range(60):
        after, _ = Correlation(every).observe(state, priced({BTC: 100.0 + at, ETH: 50.0}, at))
        if after is not state:
            kept.append(after.prices[BTC][-1])
        state = after
    # NOW is 20 seconds past a minute that is 3 minutes into a period of five.
    assert kept == [100.0, *(102.0 + 5 * n for n in range(12))]
    assert state.prices[BTC] == tuple(kept[-5:])
    assert len(state.times) == len(state.prices[ETH]) == 5


def test_a_clock_that_goes_back_takes_no_sample() -> None:
    state, _ = Correlation(params()).observe(Samples(), priced({BTC: 100.0}, 10))
    assert Correlation(params()).observe(state, priced({BTC: 90.0}, 5))[0] is state
    assert Correlation(params()).observe(state, priced({BTC: 90.0}, 10))[0] is state
    assert Correlation(params()).observe(state, priced({BTC: 90.0}, 11))[0].prices[BTC] == (
        100.0,
        90.0,
    )


def test_pairs_sample_their_legs_only() -> None:
    state, _ = played(paths(btc=SWINGS, eth=SWINGS, sol=SWINGS), params(pairs=PAIR))
    assert set(state.prices) == {BTC, ETH}


def test_a_release_samples_anew() -> None:
    state, _ = played(paths(btc=SWINGS, eth=SWINGS), params(pairs=PAIR))
    at = priced({}, 9)
    assert Correlation(params()).released(state, at, "desk") == Samples()
    left = Correlation(params()).released(state, at, f"instrument:{BTC}")
    assert set(left.prices) == {ETH}


def test_a_pair_of_one_instrument_is_a_mistake() -> None:
    assert params(pairs=PAIR).check() == []
    assert [field for field, _ in params(pairs=((BTC, BTC),)).check()] == ["pairs[0]"]


# -- against numpy's own ---------------------------------------------------------------------------

MOVES = st.lists(st.integers(-50, 50).map(lambda n: n / 1000), min_size=6, max_size=6)


@given(MOVES, MOVES, MOVES, st.lists(st.sampled_from([1, -1]), min_size=3, max_size=3))
def test_the_books_largest_correlation_is_numpys(
    btc: list[float], eth: list[float], sol: list[float], signs: list[int]
) -> None:
    names = (BTC, ETH, SOL)
    held = [holding(name, sign, 100) for name, sign in zip(names, signs, strict=True)]
    rows = paths(btc=btc, eth=eth, sol=sol)
    moves = np.diff(np.log([[prices[name] for name in names] for prices in rows]), axis=0)
    sought = []
    for i in range(3):
        for j in range(i):
            a, b = moves[:, i] * signs[i], moves[:, j] * signs[j]
            if a.std() > 1e-12 and b.std() > 1e-12:
                sought.append(np.corrcoef(a, b)[0, 1])
    reading = only(played(rows, params(lookback=6), *held)[1])
    if sought:
        assert reading.measured == pytest.approx(max(sought), abs=1e-6)
    assert reading.over == (reading.measured >= 0.9)
