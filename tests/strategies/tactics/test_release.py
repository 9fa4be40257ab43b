from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.tactics.release import Leg, releasable


def legs(*wanted):
    return [Leg(f"L{n}", float(value)) for n, value in enumerate(wanted)]


def changed(book, number, **changes):
    return [replace(leg, **changes) if n == number else leg for n, leg in enumerate(book)]


FILLED = {"sent": True, "filled": 100, "ended": True}


@pytest.mark.parametrize(
    ("book", "bound", "leave"),
    [
        # Worst mix of the first four: +200 with no sell, -200 with no buy.
        (legs(100, -100, 100, -100, 100, -100), 200, [0, 1, 2, 3]),
        # Net is +100 after a fill: another buy could make it +200, a sell brings it back.
        (changed(legs(100, -100, 100, -100), 0, **FILLED), 150, [1, 3]),
        # A leg larger than the bound leaves alone.
        (legs(500, -300, -200), 100, [2]),
        (changed(legs(500, -300, -200), 2, sent=True), 100, []),
        # From nothing to long only: every mix lies between the old book and the new.
        (legs(400, 300, 300), 1, [0, 1, 2]),
        # A leg that gave up moves the goal.
        (changed(legs(100, -100), 0, sent=True, ended=True), 1, [1]),
        ([], 1, []),
        (changed(legs(1), 0, sent=True, ended=True), 1, []),
    ],
)
def test_legs_leave_within_the_bound(book, bound, leave):
    assert releasable(book, bound) == [f"L{n}" for n in leave]


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
