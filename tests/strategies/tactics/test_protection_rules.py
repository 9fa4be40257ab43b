"""Which orders protect a position: by tables with hand-made numbers, and by properties."""

from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.tactics.pricing import Terms
from strategies.tactics.protective import (
    CandleClosed,
    Offered,
    PositionSeen,
    Protection,
    Reattached,
    TakeFilled,
    Target,
    step,
    wanted,
)

HOUR = 3_600 * 10**9
TERMS = Terms(
    tick=D("0.1"),
    step=D("0.1"),
    min_quantity=D("0.1"),
    min_notional=D(5),
    max_quantity=None,
    exits=True,
)
HALVES = (Target(at=1.0, fraction=0.5), Target(at=2.0, fraction=0.25))


def opened(rules, quantity="4", entry="100", atr="2", now=0):
    return step(None, PositionSeen(now, D(quantity), D(entry), D(atr)), rules)


def candle(high, low, hour=1, atr="2"):
    return CandleClosed((hour - 1) * HOUR, hour * HOUR, D(high), D(low), D(atr))


def seen(quantity, entry="100", now=0):
    return PositionSeen(now, D(quantity), D(entry), D(2))


def orders(state, rules, room="99"):
    return [(w.kind, str(w.price), str(w.quantity)) for w in wanted(state, rules, TERMS, D(room))]


@pytest.mark.parametrize(
    ("quantity", "rules", "stop"),
    [
        ("4", Protection(stop=2.0), "96.0"),
        ("-4", Protection(stop=2.0), "104.0"),
        ("4", Protection(stop=None), "93.0"),
        ("-4", Protection(stop=None, catastrophic=3.0), "106.0"),
        ("4", Protection(stop=50.0, catastrophic=50.0), "0.1"),
        # At least 5 % of 100, where two ATR are 4.
        ("4", Protection(stop=2.0, least_bps=500.0), "95.0"),
        ("-4", Protection(stop=2.0, least_bps=300.0), "104.0"),
    ],
)
def test_the_first_stop_is_so_many_atr_from_the_entry_on_the_losing_side(quantity, rules, stop):
    assert orders(opened(rules, quantity), rules) == [("stop", stop, "4")]


@pytest.mark.parametrize(
    ("rules", "quantity", "high", "low", "stop"),
    [
        # R is 4: in profit by 3 to 110, the stop follows by 2 · 1.5, or by 2 % of 110.
        ({"trail_atr": 1.5}, "4", "110", "99", "107.0"),
        ({"trail_fraction": 0.02}, "4", "110", "99", "107.8"),
        ({"trail_atr": 1.5}, "-4", "101", "90", "93.0"),
        ({"trail_fraction": 0.02}, "-4", "101", "90", "91.8"),
        ({"break_even": 1.0, "break_even_bps": 10.0}, "4", "104", "99", "100.1"),
        ({"break_even": 1.0, "break_even_bps": 10.0}, "-4", "101", "96", "99.9"),
        ({"break_even": 1.0}, "4", "103.9", "99", "96.0"),
        # Both: the tighter one.
        ({"break_even": 1.0, "trail_atr": 3.0}, "4", "105", "99", "100.0"),
        # From one R of profit on, which is 4; an ATR counts as 2.5 where the stop is 5 away.
        ({"trail_atr": 0.5, "trail_after": 1.0}, "4", "103.9", "99", "96.0"),
        ({"trail_atr": 0.5, "trail_after": 1.0}, "4", "104", "99", "103.0"),
        ({"trail_atr": 1.0, "least_bps": 500.0}, "4", "110", "99", "107.5"),
        # A move of one R against the position is no profit.
        ({"break_even": 0.5, "trail_atr": 1.0, "trail_fraction": 0.01}, "4", "100", "96.5", "96.0"),
        ({"break_even": 0.5, "trail_atr": 1.0}, "-4", "103.5", "100", "104.0"),
    ],
)
def test_a_candle_moves_the_stop_only_in_profit(rules, quantity, high, low, stop):
    rules = Protection(stop=2.0, **rules)
    state = step(opened(rules, quantity), candle(high, low), rules)
    assert orders(state, rules)[0][1] == stop


def test_a_market_without_volatility_is_protected_by_the_least_distance_or_not_at_all():
    rules = Protection(stop=2.0, least_bps=100.0)
    assert orders(opened(rules, atr="0"), rules) == [("stop", "99.0", "4")]
    assert opened(Protection(stop=2.0), atr="0") is None


def test_candles_that_began_before_the_entry_or_came_before_never_count():
    rules = Protection(stop=2.0, trail_atr=1.0)
    state = opened(rules, now=HOUR + 1)
    assert step(state, candle("120", "99", 2), rules) == state
    moved = step(state, candle("110", "99", 3), rules)
    assert moved.stop == 108
    assert step(moved, candle("120", "99", 3), rules) == moved


@pytest.mark.parametrize(
    ("quantity", "takes"),
    [
        ("4", [("take", "104.0", "2.0"), ("take", "108.0", "1.0")]),
        ("-4", [("take", "96.0", "2.0"), ("take", "92.0", "1.0")]),
        ("0.5", [("take", "104.0", "0.2"), ("take", "108.0", "0.1")]),
        ("0.1", []),
    ],
)
def test_take_profits_rest_on_the_winning_side_at_multiples_of_r(quantity, takes):
    rules = Protection(stop=2.0, take=HALVES)
    assert orders(opened(rules, quantity), rules)[1:] == takes


def test_what_take_profits_close_shrinks_the_stop_and_leaves_the_other_targets():
    rules = Protection(stop=2.0, take=HALVES)
    state = step(step(opened(rules), TakeFilled(D("0.7")), rules), seen("3.3"), rules)
    assert orders(state, rules) == [
        ("stop", "96.0", "3.3"), ("take", "104.0", "1.3"), ("take", "108.0", "1.0"),
    ]  # fmt: skip
    state = step(step(state, TakeFilled(D("1.3")), rules), seen("2"), rules)
    assert orders(state, rules) == [("stop", "96.0", "2"), ("take", "108.0", "1.0")]
    # A rebalance that leaves less than a target wants, or is about to.
    assert orders(step(state, seen("0.4"), rules), rules)[1:] == [("take", "108.0", "0.4")]
    assert orders(state, rules, room="0.3")[1:] == [("take", "108.0", "0.3")]


def test_the_whole_is_taken_without_dust():
    rules = Protection(stop=2.0, take=tuple(Target(at=n, fraction=f) for n, f in
                                            ((1.0, 0.33), (2.0, 0.33), (3.0, 0.34))))  # fmt: skip
    assert [q for _, _, q in orders(opened(rules, "1"), rules)[1:]] == ["0.3", "0.3", "0.4"]


def test_an_enlarged_position_counts_r_from_its_new_entry_and_never_loosens():
    rules = Protection(stop=2.0, take=HALVES)
    state = opened(rules)
    lower = step(state, seen("8", "98"), rules)
    assert orders(lower, rules)[:2] == [("stop", "96.0", "8"), ("take", "102.0", "4.0")]
    higher = step(lower, seen("9", "103"), rules)
    assert orders(higher, rules)[:2] == [("stop", "99.0", "9"), ("take", "107.0", "4.5")]


def test_a_flip_begins_anew_and_no_position_or_no_atr_is_nothing():
    rules = Protection(stop=2.0, trail_atr=1.0)
    state = step(opened(rules), candle("110", "99"), rules)
    flipped = step(state, seen("-2", "105", 5 * HOUR), rules)
    assert (flipped.long, flipped.stop, flipped.best, flipped.since) == (False, 109, 105, 5 * HOUR)
    assert step(state, seen("0"), rules) is None
    assert step(None, PositionSeen(0, D(1), D(100), None), rules) is None


@pytest.mark.parametrize(("held", "offered", "resting", "taken"), [
    ("2", "3.0", "1.0", "2"),  # The first target is gone, and the position is smaller by it.
    ("4", "3.0", "1.0", "0"),  # It was cancelled.
    ("2", "3.0", "3.0", "0"),  # Both still rest: others closed part.
    ("0.5", "3.0", "0", "3.0"),  # Both filled, and others closed more.
    ("-4", "3.0", "3.0", "0"),
    ("2", "0", "0", "0"),  # Neither was ever sent.
    ("1", "2.0", "0", "2.0"),  # The second was too small to be sent.
])  # fmt: skip
def test_after_a_restart_take_profits_that_are_gone_explain_a_smaller_position(
    held, offered, resting, taken
):
    rules = Protection(stop=2.0, take=HALVES)
    state = step(opened(rules), Offered(D(offered)), rules)
    state = step(state, Reattached(D(held), D(resting)), rules)
    assert (state.taken, state.offered) == (D(taken), D(resting))


def test_the_time_stop_leaves_once_a_candle_ends_late_enough():
    """Entered a second past noon, as by a decision at noon, its second candle ends at two."""
    rules = Protection(time_stop="2h")
    for now in (0, 10**9, HOUR):
        state = opened(rules, now=now)
        assert step(state, candle("101", "99", 1), rules).leave == ""
        leave = step(state, candle("101", "99", 2), rules).leave
        assert leave == ("" if now == HOUR else "time stop")


@pytest.mark.parametrize(("rules", "problems"), [
    (Protection(stop=3.5), ["catastrophic"]),
    (Protection(take=HALVES[::-1]), ["take[1].at"]),
    (Protection(take=(Target(at=1.0, fraction=0.6), Target(at=2.0, fraction=0.6))), ["take"]),
    (Protection(stop=None, catastrophic=1.0, take=HALVES), []),
])  # fmt: skip
def test_parameters_that_do_not_go_together(rules, problems):
    assert [field for field, _ in rules.check()] == problems


RULES = st.builds(
    Protection,
    stop=st.none() | st.floats(0.5, 3.0),
    least_bps=st.sampled_from([0.0, 50.0, 500.0]),
    trail_after=st.sampled_from([0.0, 0.5]),
    trail_atr=st.none() | st.floats(0.5, 5.0),
    trail_fraction=st.none() | st.floats(0.001, 0.2),
    break_even=st.none() | st.floats(0.1, 3.0),
    take=st.sampled_from(
        [(), HALVES, (*HALVES, Target(at=3.0, fraction=0.25)), (Target(at=1.5, fraction=1.0),)]
    ),
)
NUMBER = st.integers(1, 400).map(lambda n: D(n) / 10)
MOVES = st.lists(
    st.tuples(st.sampled_from(["candle", "take", "stop", "add", "cut"]), NUMBER, NUMBER),
    max_size=25,
)


@given(RULES, st.booleans(), NUMBER, MOVES)
def test_stops_never_loosen_and_nothing_exceeds_the_position_whatever_fills(
    rules, long, held, moves
):
    side, entry = (1 if long else -1), D(100)
    state = opened(rules, str(side * held), atr="3")
    first, in_profit = state.stop, False
    for hour, (move, a, b) in enumerate(moves, start=1):
        before = state
        stop, *takes = wanted(state, rules, TERMS, held)
        if move == "candle":
            high, low = 80 + max(a, b), 80 + min(a, b)
            in_profit |= (high if long else -low) > side * entry
            state = step(state, candle(high, low, hour, "3"), rules)
        elif move == "take" and takes:
            # Any of those that rest, wholly or in part: the engine's order of fills is not ours.
            take = takes[int(a * 10) % len(takes)]
            filled = min(b, take.quantity)
            held -= filled
            state = step(step(state, TakeFilled(filled), rules), seen(side * held, entry), rules)
        elif move in ("stop", "cut"):
            held -= min(a, stop.quantity)
            state = step(state, seen(side * held, entry), rules)
        elif move == "add":
            entry = (held * entry + a * (80 + b)) / (held + a)
            held += a
            in_profit = True
            state = step(state, seen(side * held, entry), rules)
        if not held:
            assert state is None
            return
        assert side * (state.stop - before.stop) >= 0
        assert in_profit or state.stop == first
        stop, *takes = wanted(state, rules, TERMS, held)
        assert stop.quantity == held
        assert sum(take.quantity for take in takes) <= held
        assert all(side * (take.price - entry) > -TERMS.tick for take in takes)
