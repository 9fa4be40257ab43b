"""Correlation stop and volatility filter: by hand, both ends, missing prices, against numpy."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guards.account_mismatch import AccountMismatch
from actors.guards.core.guard import Guard
from actors.guards.core.limits import exact
from actors.guards.core.snapshot import Holding, Market, Mismatch, Snapshot
from actors.guards.core.windows import Samples
from actors.guards.correlation import Correlation
from actors.guards.volatility import YEAR_NS, Volatility
from tests.actors.guards.moments import BTC, BTC_SPOT, ETH, HOUR, MINUTE, NOON, SECOND
from tests.actors.guards.playing import Player, book, held

SOL = "SOLUSDT-LINEAR.BYBIT"
NAMES = {"btc": BTC, "eth": ETH, "sol": SOL}
Prices = Mapping[str, float | None]


def priced(prices: Prices, now: int, *holdings: Holding) -> Snapshot:
    """Return a snapshot of positions and prices."""
    markets = {
        name: Market(price=None if price is None else exact(price))
        for name, price in prices.items()
    }
    return book(*holdings, now=now, markets=markets)


def paths(**returns: Sequence[float]) -> list[dict[str, float | None]]:
    """Return the prices of coins after each of their logarithmic returns, from 100."""
    curves = {
        NAMES[name]: 100 * np.exp(np.concatenate(([0.0], np.cumsum(moves))))
        for name, moves in returns.items()
    }
    steps = len(next(iter(curves.values())))
    return [{name: float(curve[i]) for name, curve in curves.items()} for i in range(steps)]


def correlated(rows: Sequence[Prices], *holdings: Holding, **params: object) -> Player:
    """Play prices of each minute to a correlation stop that looks back over four returns."""
    player = Player(Correlation, **{"every": "1m", "lookback": 4, **params})
    return player.observe(
        *(priced(row, NOON + n * MINUTE, *holdings) for n, row in enumerate(rows))
    )


# -- correlation of pairs --------------------------------------------------------------------------

# Four returns of a coin up and down by a tenth, in logarithms; and one that takes turns with it.
UP, DOWN = 0.1, -0.1
SWINGS = (UP, DOWN, UP, DOWN)
TURNS = (UP, UP, DOWN, DOWN)
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
def test_legs_that_move_as_one_are_over(eth, correlation, over):
    readings = correlated(paths(btc=SWINGS, eth=eth), pairs=PAIR).readings
    found = {(reading.scope, reading.key) for reading in readings}
    assert found == {(f"instrument:{leg}", f"{BTC}/{ETH}") for leg in (BTC, ETH)}
    expected = float(np.corrcoef(SWINGS, eth)[0, 1]) if correlation is None else correlation
    for reading in readings:
        assert reading.measured == pytest.approx(expected, abs=1e-9)
        assert reading.over == over


def test_a_correlation_of_just_the_limit_is_over_and_a_tenth_below_it_is_clear() -> None:
    rows = paths(btc=SWINGS, eth=(UP, DOWN, UP, 0.0))
    measured = correlated(rows, pairs=PAIR).readings[0].measured
    for limit, over, clear in (
        (measured, True, False),
        (np.nextafter(measured, 1), False, False),
        # Its tenth below 1 is 0.9; below 0.99 it is 0.891.
        (1.0, False, measured <= 0.9),
    ):
        reading = correlated(rows, pairs=PAIR, limit=float(limit)).readings[0]
        assert (reading.over, reading.clear) == (over, clear)


def test_a_pair_with_too_few_samples_or_missing_prices_is_not_known() -> None:
    rows = paths(btc=SWINGS * 2, eth=SWINGS * 2)
    missing = [*rows[:2], rows[2] | {ETH: None}, *rows[3:]]
    for seen, reason in (
        (rows[:4], "4 of 5 samples"),
        (missing[:5], "2 of 5 samples"),
        (missing[:7], "4 of 5 samples"),
        (paths(btc=SWINGS, eth=(0.0,) * 4), "prices did not move"),
    ):
        for reading in correlated(seen, pairs=PAIR).readings:
            assert (reading.reason, reading.over, reading.clear) == (reason, False, False)
    assert correlated(rows[:5], pairs=PAIR).over()
    assert correlated(missing[:8], pairs=PAIR).over()


# -- correlation of the book -----------------------------------------------------------------------

BOTH_LONG, HEDGED = (held(1), held(1, ETH)), (held(1), held(-1, ETH))


@pytest.mark.parametrize(
    ("holdings", "eth", "over"),
    [
        (BOTH_LONG, SWINGS, True),
        (HEDGED, SWINGS, False),
        (HEDGED, (DOWN, UP, DOWN, UP), True),
    ],
)
def test_positions_that_move_alike_are_one(holdings, eth, over):
    [reading] = correlated(paths(btc=SWINGS, eth=eth, sol=TURNS), *holdings).readings
    assert (reading.scope, reading.over, reading.clear) == ("desk", over, not over)
    assert reading.measured == pytest.approx(1 if over else -1)
    if over:
        assert reading.reason == f"positions in {BTC} and {ETH}: correlation 1.00, limit 0.9"


def test_small_positions_are_left_out() -> None:
    rows = paths(btc=SWINGS, eth=SWINGS)
    # 5 % of 1,000 of equity is 50: the second position is worth 50, or a little less.
    assert correlated(rows, held(1), held("0.5", ETH)).over()
    [reading] = correlated(rows, held(1), held("0.4999", ETH)).readings
    assert (reading.over, reading.clear) == (False, True)
    assert reading.reason.startswith("fewer than two positions are large enough")


def test_what_is_known_counts_where_another_position_is_not_known_yet() -> None:
    rows = paths(btc=SWINGS, eth=SWINGS, sol=SWINGS)
    for prices in rows[:2]:
        prices[SOL] = None
    assert correlated(rows, *BOTH_LONG, held(1, SOL)).over()
    [reading] = correlated(rows, held(1), held(1, SOL)).readings
    assert (reading.reason, reading.over, reading.clear) == ("3 of 5 samples", False, False)


MOVES = st.lists(st.integers(-50, 50).map(lambda n: n / 1000), min_size=6, max_size=6)


@given(MOVES, MOVES, MOVES, st.lists(st.sampled_from([1, -1]), min_size=3, max_size=3))
def test_the_books_largest_correlation_is_numpys(btc, eth, sol, signs):
    rows = paths(btc=btc, eth=eth, sol=sol)
    holdings = [held(sign, name) for name, sign in zip(NAMES.values(), signs, strict=True)]
    prices = [[row[name] for name in NAMES.values()] for row in rows]
    moves = np.diff(np.log(prices), axis=0) * signs
    sought = [
        np.corrcoef(moves[:, i], moves[:, j])[0, 1]
        for i in range(3)
        for j in range(i)
        if moves[:, i].std() > 1e-12 and moves[:, j].std() > 1e-12
    ]
    [reading] = correlated(rows, *holdings, lookback=6).readings
    if sought:
        assert reading.measured == pytest.approx(max(sought), abs=1e-6)
    assert reading.over == (reading.measured >= 0.9)


# -- sampling --------------------------------------------------------------------------------------


def test_samples_are_taken_once_a_period_and_kept_for_the_lookback() -> None:
    player, kept = Player(Correlation, every="5m", lookback=4), []
    for n in range(60):
        before = player.state
        player.observe(priced({BTC: 100.0 + n, ETH: 50.0}, NOON + (n + 3) * MINUTE + 20 * SECOND))
        if player.state is not before:
            kept.append(player.state.prices[BTC][-1])
    # It begins 20 seconds past a minute that is 3 minutes into a period of five.
    assert kept == [100.0, *(102.0 + 5 * n for n in range(12))]
    assert player.state.prices[BTC] == tuple(kept[-5:])
    assert len(player.state.times) == len(player.state.prices[ETH]) == 5


def test_a_clock_that_goes_back_takes_no_sample() -> None:
    player = Player(Correlation, every="1m").observe(priced({BTC: 100.0}, NOON + 10 * MINUTE))
    for minute, prices in ((5, (100.0,)), (10, (100.0,)), (11, (100.0, 90.0))):
        player.observe(priced({BTC: 90.0}, NOON + minute * MINUTE))
        assert player.state.prices[BTC] == prices


@pytest.mark.parametrize(
    ("guard", "params", "sampled"),
    [
        (Correlation, {"pairs": PAIR}, {BTC, ETH}),
        (Volatility, {"reference": BTC}, {BTC}),
        (Volatility, {}, {BTC, ETH, SOL}),
    ],
)
def test_only_what_is_measured_is_sampled_and_a_release_samples_it_anew(guard, params, sampled):
    player = Player(guard, **params).observe(priced({BTC: 1.0, ETH: 1.0, SOL: 1.0}, NOON))
    assert set(player.state.prices) == sampled
    assert set(player.accept(f"instrument:{BTC}").state.prices) == sampled - {BTC}
    assert player.accept("desk").state == Samples()


# -- volatility ------------------------------------------------------------------------------------


def volatile(tape: Sequence[Snapshot], **params: object) -> Player:
    return Player(Volatility, **{"every": "1h", "lookback": 4, **params}).observe(*tape)


def hourly(hour: float, **prices: float | None) -> Snapshot:
    named = {NAMES[name]: price for name, price in prices.items()}
    return priced(named, NOON + int(hour * HOUR))


def swinging(move: float, hours: int = 4, calm: float = 0.0) -> list[Snapshot]:
    """BTC goes up and down by this logarithm each hour, ETH by another."""
    return [
        hourly(at, btc=100 * math.exp(move * (at % 2)), eth=50 * math.exp(calm * (at % 2)))
        for at in range(hours + 1)
    ]


YEARLY = 0.01 * math.sqrt(8760)
"""A return of 1 % an hour is a hundredth times the root of 8,760 hours: 93.6 % a year."""


@pytest.mark.parametrize(
    ("params", "over", "clear"),
    [
        ({"most": YEARLY / 0.9 * 1.0001}, False, True),
        ({"most": YEARLY / 0.9 * 0.9999}, False, False),
        ({"most": YEARLY * 1.0001}, False, False),
        ({"most": YEARLY * 0.9999}, True, False),
        ({"most": None, "least": YEARLY * 1.0001}, True, False),
        ({"most": None, "least": YEARLY * 0.9999}, False, False),
        ({"most": None, "least": YEARLY / 1.1 * 1.0001}, False, False),
        ({"most": None, "least": YEARLY / 1.1 * 0.9999}, False, True),
    ],
)
def test_a_market_that_moves_too_much_or_too_little_is_over(params, over, clear):
    # ETH is far inside the range, and not shown.
    [reading] = volatile(swinging(0.01, calm=0.1 if "least" in params else 0.0), **params).readings
    assert (reading.scope, reading.key) == (
        f"instrument:{BTC}",
        "least" if "least" in params else "most",
    )
    assert (reading.over, reading.clear) == (over, clear)
    assert reading.measured == pytest.approx(YEARLY)
    assert round(YEARLY, 3) == 0.936


def test_volatility_of_just_the_limit_is_over_at_both_ends() -> None:
    [reading] = volatile(swinging(0.01), most=90.0, reference=BTC).readings
    for limits in ({"most": reading.measured}, {"most": None, "least": reading.measured}):
        assert volatile(swinging(0.01), reference=BTC, **limits).over()


def test_a_reference_counts_for_the_desk() -> None:
    [reading] = volatile(swinging(0.01, calm=0.5), most=0.5, reference=BTC).readings
    assert (reading.scope, reading.over) == ("desk", True)
    assert reading.reason == f"volatility of {BTC} 93.59 % a year, most 50 %"


def test_volatility_of_too_few_samples_or_missing_prices_is_not_known() -> None:
    found = volatile(swinging(0.5, hours=3), most=0.1, least=0.01).readings
    assert sorted(reading.reason for reading in found) == [
        *[f"{BTC}: 4 of 5 samples"] * 2,
        *[f"{ETH}: 4 of 5 samples"] * 2,
    ]
    missing = swinging(0.01, hours=6)
    missing[3] = hourly(3, btc=None, eth=50.0)
    for tape, params, count in (
        ([hourly(0, eth=50.0)], {"reference": BTC}, 0),
        (missing, {"most": 0.5}, 3),
    ):
        found = volatile(tape, **params).readings
        [reading] = [one for one in found if one.reason]
        assert reading.reason == f"{BTC}: {count} of 5 samples"
        assert (reading.over, reading.clear) == (False, False)


def test_rarer_samples_count_by_the_time_that_they_took() -> None:
    # The same swing of 1 %, but every four hours: half the volatility.
    tape = [hourly(4 * at, btc=100 * math.exp(0.01 * (at % 2))) for at in range(5)]
    assert volatile(tape).readings[0].measured == pytest.approx(YEARLY / 2)


def test_between_two_samples_nothing_changes_whatever_the_limits() -> None:
    player = volatile(swinging(0.01), most=0.5)
    state, readings = player.state, player.readings
    later = hourly(4.2, btc=500.0, eth=1.0)
    assert player.observe(later).state is state
    assert player.readings == readings
    for most, over in ((0.5, True), (1.5, False), (0.5, True)):
        guard = Volatility(Volatility.Config(every="1h", lookback=4, most=most))
        assert guard.measure(state, later)[1][0].over == over


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(1, 1000)), min_size=5, max_size=12))
def test_volatility_is_the_root_of_squared_returns_over_their_time(steps):
    hours, tape = 0, []
    for after, price in steps:
        hours += after
        tape.append((hours, price))
    [reading] = volatile([hourly(at, btc=price) for at, price in tape], most=0.001).readings
    newest = tape[-5:]
    squares = sum(math.log(b / a) ** 2 for (_, a), (_, b) in pairwise(newest))
    years = (newest[-1][0] - newest[0][0]) * HOUR / YEAR_NS
    assert reading.measured == pytest.approx(math.sqrt(squares / years), abs=1e-12)


# -- any tape --------------------------------------------------------------------------------------

PRICE = st.one_of(st.none(), st.integers(1, 10**6).map(lambda n: n / 1000))
QUANTITY = st.integers(-(10**5), 10**5).map(lambda n: n / 1000)
MOMENT = st.tuples(
    st.integers(-5, 30),
    st.tuples(*[PRICE] * 3),
    st.tuples(*[QUANTITY] * 3),
    st.integers(-100, 10**5),
    st.booleans(),
)


@pytest.mark.parametrize(
    ("guard", "params"),
    [
        (Correlation, {"every": "10s", "lookback": 3}),
        (Correlation, {"pairs": PAIR, "every": "10s", "lookback": 3}),
        (Volatility, {"least": 0.5, "every": "10s", "lookback": 3}),
        (Volatility, {"reference": BTC, "every": "10s", "lookback": 3}),
        (AccountMismatch, {"count": 2, "window": "30s"}),
    ],
)
@given(moments=st.lists(MOMENT, min_size=1, max_size=12))
def test_any_tape_goes_on_over_restarts(guard: type[Guard], params: dict, moments: list) -> None:
    """Time may stand still or go back, prices may be missing; the player restarts each time."""
    player, now = Player(guard, **params).observe(book()), NOON
    for after, prices, quantities, equity, differs in moments:
        now += after * SECOND
        if differs:
            kind = "position_differs"
            player.observe(Mismatch(ts=now, kind=kind, instrument=BTC, detail="1 is not 2"))
            continue
        named = list(zip((BTC, ETH, BTC_SPOT), prices, quantities, strict=True))
        holdings = [held(q, name, price=price) for name, price, q in named if q]
        known = {
            name: Market(price=None if price is None else exact(price), spot=name == BTC_SPOT)
            for name, price, _ in named
        }
        player.observe(book(*holdings, equity=equity, now=now, markets=known))
