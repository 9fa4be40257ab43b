from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.tactics.release import Leg, releasable


def legs(*wanted):
    return [Leg(f"L{n}", float(value)) for n, value in enumerate(wanted)]


def test_pairs_leave_together_up_to_the_bound():
    # Worst mix of the first four: +200 with no sell, -200 with no buy.
    assert releasable(legs(100, -100, 100, -100, 100, -100), 200) == ["L0", "L1", "L2", "L3"]


def test_a_fill_on_one_side_makes_room_on_the_other_only():
    first = legs(100, -100, 100, -100)
    first[0] = replace(first[0], sent=True, filled=100, ended=True)
    # Net is +100: another buy could make it +200, a sell brings it back.
    assert releasable(first, 150) == ["L1", "L3"]


def test_a_leg_larger_than_the_bound_leaves_alone():
    assert releasable(legs(500, -300, -200), 100) == ["L2"]
    out = legs(500, -300, -200)
    out[2] = replace(out[2], sent=True)
    assert releasable(out, 100) == []


def test_a_rebalance_that_moves_the_net_is_not_held_up_on_its_way():
    # From nothing to long only: every mix lies between the old book and the new.
    assert releasable(legs(400, 300, 300), 1) == ["L0", "L1", "L2"]


def test_a_leg_that_gave_up_moves_the_goal():
    out = legs(100, -100)
    out[0] = replace(out[0], sent=True, ended=True, filled=0.0)
    assert releasable(out, 1) == ["L1"]


def test_nothing_is_left_to_send():
    assert releasable([], 1) == []
    assert releasable([Leg("A", 1.0, sent=True, ended=True)], 1) == []


@given(
    st.lists(st.floats(-100, 100).filter(lambda x: abs(x) > 1), min_size=1, max_size=12),
    st.floats(1, 150),
    st.randoms(use_true_random=False),
)
def test_every_leg_leaves_and_the_worst_mix_stays_near_the_way(wanted, bound, chance):
    book = {leg.name: leg for leg in legs(*wanted)}
    target = sum(wanted)
    largest = max(map(abs, wanted))
    for _ in range(200):
        for name in releasable(list(book.values()), bound):
            book[name] = replace(book[name], sent=True)
        now = sum(leg.filled for leg in book.values())
        up = now + sum(max(leg.open, 0.0) for leg in book.values())
        down = now + sum(min(leg.open, 0.0) for leg in book.values())
        # One leg alone may be larger than the bound; two never stray together.
        slack = max(bound, largest) + 1e-6
        assert min(target, 0.0) - slack - largest <= down
        assert up <= max(target, 0.0) + slack + largest
        out = [leg for leg in book.values() if leg.sent and not leg.ended]
        if not out:
            break
        leg = chance.choice(out)
        book[leg.name] = replace(leg, filled=leg.wanted, ended=True)
    assert all(leg.ended for leg in book.values())


@pytest.mark.parametrize("bound", [50.0, 120.0])
def test_equal_pairs_never_stray_past_the_bound(bound):
    book = {leg.name: leg for leg in legs(*[40, -40] * 6)}
    while any(not leg.ended for leg in book.values()):
        for name in releasable(list(book.values()), bound):
            book[name] = replace(book[name], sent=True)
        # Buys fill first: the worst order of events.
        out = sorted((leg for leg in book.values() if leg.open), key=lambda leg: -leg.wanted)
        book[out[0].name] = replace(out[0], filled=out[0].wanted, ended=True)
        assert abs(sum(leg.filled for leg in book.values())) <= bound
