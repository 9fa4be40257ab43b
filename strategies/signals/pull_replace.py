"""Pull and replace: a large order away from the best price that is pulled untraded was a bluff.

An order is a growth of one level, within the levels that are read before and after. One behind the
best that is large among the last orders (from ``quantile``, and ``multiple`` of the median) is
remembered for ``life_s``. When about its size (within ``part``) goes in one message, still behind
the best, trades at its price are subtracted: those that no decrease explained yet, and those that
come within ``match_s``. What is left was pulled. A bid that was pulled expects a fall, as the one
who showed it wants to sell; counts fade over ``decay_s``.
"""

from __future__ import annotations

import math

import numpy as np

from strategies.signals.compiled import (
    SIZES,
    Floats,
    add_size,
    compiled,
    faded,
    places,
    size_at,
    sizes_seen,
)
from strategies.signals.scalper_parameters import PullReplace

MOST = 3.0
"""Most that one pulled order counts, in large orders."""
_PULLED, _AT, _LARGE, _LARGE_AT, _SEEN, _RECORD = 0, 2, 3, 4, 5, 6
_SLOTS = _RECORD + SIZES
_ORDERS, _WIDTH = 8, 7
_PRICE, _SIZE, _LARGE_THEN, _PLACED, _UNEXPLAINED, _LOST, _LOST_AT = range(_WIDTH)
_BEFORE = _SLOTS + 2 * _ORDERS * _WIDTH
_USUAL_S, _QUANTILE, _MULTIPLE, _PART, _LIFE_S, _MATCH_S, _DECAY_S, _SCALE, _LEAST_ORDERS = places(
    PullReplace, "usual_s quantile multiple part life_s match_s decay_s scale least_orders"
)


def new_state(levels: int) -> Floats:
    """Return the state before the first book, for books of so many levels."""
    state = np.zeros(_BEFORE + 4 * levels)
    state[_SLOTS:] = np.nan
    state[_SEEN] = state[_LARGE_AT] = -np.inf
    return state


@compiled
def _orders(state: Floats, side: int) -> Floats:
    """Return the remembered orders of a side, 0 bids or 1 asks; a view."""
    begin = _SLOTS + side * _ORDERS * _WIDTH
    return state[begin : begin + _ORDERS * _WIDTH].reshape(_ORDERS, _WIDTH)


@compiled
def on_book(
    state: Floats, now: float, bids: Floats, asks: Floats, tick: float, rules: Floats
) -> None:
    """Take in a book."""
    _settle(state, now, rules)
    record, length = state[_RECORD:_SLOTS], 2 * len(bids)
    if sizes_seen(record) == 0.0 and bids[0, 1] * asks[0, 1] > 0.0:
        # The scale of the record is of both sides, not of the bids, which are compared first.
        add_size(record, now, math.sqrt(bids[0, 1] * asks[0, 1]), rules[_USUAL_S])
    if now >= state[_LARGE_AT]:
        state[_LARGE] = max(
            size_at(record, rules[_QUANTILE]), rules[_MULTIPLE] * size_at(record, 0.5)
        )
        state[_LARGE_AT] = math.floor(now) + 1.0
    for side in range(2):
        sign, rows = (1.0, bids) if side == 0 else (-1.0, asks)
        begin = _BEFORE + side * length
        before = state[begin : begin + length].reshape(len(bids), 2)
        if now - state[_SEEN] <= rules[_LIFE_S] and not math.isnan(before[0, 0]):
            _compare(state, now, side, sign, before, rows, tick, rules)
        before[:] = rows
    state[_SEEN] = max(state[_SEEN], now)


@compiled
def _compare(
    state: Floats,
    now: float,
    side: int,
    sign: float,
    before: Floats,
    rows: Floats,
    tick: float,
    rules: Floats,
) -> None:
    """Find what grew and what shrank between two books of a side; both go from the best price."""
    count, old, new = len(rows), 0, 0
    while old < count or new < count:
        was = before[old, 0] * sign if old < count else math.nan
        now_is = rows[new, 0] * sign if new < count else math.nan
        # Padding ends a side; a level beyond the last of a full side may exist without being read.
        if math.isnan(was) and math.isnan(now_is):
            break
        if abs(was - now_is) < tick / 2:
            change, price, place = rows[new, 1] - before[old, 1], rows[new, 0], new
            old, new = old + 1, new + 1
        elif math.isnan(now_is) or was > now_is:
            if new == count:
                break
            change, price, place = -before[old, 1], before[old, 0], old
            old += 1
        else:
            if old == count:
                break
            change, price, place = rows[new, 1], rows[new, 0], new
            new += 1
        if change > 0.0:
            add_size(state[_RECORD:_SLOTS], now, change, rules[_USUAL_S])
            if place > 0 and change >= state[_LARGE]:
                _remember(state, now, side, price, change)
        elif change < 0.0 and place > 0:
            _shrink(state, now, side, price, -change, tick, rules)


@compiled
def _remember(state: Floats, now: float, side: int, price: float, size: float) -> None:
    """Remember a large order in place of none or of the oldest."""
    orders, chosen = _orders(state, side), 0
    for number in range(_ORDERS):
        if math.isnan(orders[number, _PRICE]):
            chosen = number
            break
        if orders[number, _PLACED] < orders[chosen, _PLACED]:
            chosen = number
    orders[chosen] = 0.0
    orders[chosen, _PRICE], orders[chosen, _SIZE], orders[chosen, _PLACED] = price, size, now
    orders[chosen, _LARGE_THEN] = state[_LARGE]


@compiled
def _shrink(
    state: Floats, now: float, side: int, price: float, size: float, tick: float, rules: Floats
) -> None:
    """Let a level shrink: first by what traded there, then by what was cancelled."""
    orders = _orders(state, side)
    for number in range(_ORDERS):
        order = orders[number]
        if abs(order[_PRICE] - price) < tick / 2 and order[_LOST] == 0.0:
            traded = min(order[_UNEXPLAINED], size)
            order[_UNEXPLAINED] -= traded
            pulled = size - traded
            if rules[_PART] * order[_SIZE] <= pulled <= order[_SIZE] / rules[_PART]:
                order[_LOST], order[_LOST_AT] = pulled, now


@compiled
def _settle(state: Floats, now: float, rules: Floats) -> None:
    """Count pulled orders that no trade explained in time; forget those that stood long."""
    for side in range(2):
        orders = _orders(state, side)
        for number in range(_ORDERS):
            order = orders[number]
            if order[_LOST] > 0.0 and now - order[_LOST_AT] > rules[_MATCH_S]:
                if order[_LOST] >= rules[_PART] * order[_SIZE]:
                    # Counted from when it was certain, whenever the next message comes.
                    certain = order[_LOST_AT] + rules[_MATCH_S]
                    left = faded(certain - state[_AT], rules[_DECAY_S])
                    state[_PULLED] *= left
                    state[_PULLED + 1] *= left
                    counts = min(min(order[_LOST], order[_SIZE]) / order[_LARGE_THEN], MOST)
                    state[_PULLED + side] += counts * faded(state[_AT] - certain, rules[_DECAY_S])
                    state[_AT] = max(state[_AT], certain)
                order[_PRICE] = order[_LOST] = math.nan
            elif now - order[_PLACED] > rules[_LIFE_S]:
                order[_PRICE] = math.nan


@compiled
def on_trade(
    state: Floats, now: float, price: float, size: float, side: int, tick: float, rules: Floats
) -> None:
    """Take in a trade."""
    _settle(state, now, rules)
    orders = _orders(state, 1 if side > 0 else 0)
    for number in range(_ORDERS):
        order = orders[number]
        if abs(order[_PRICE] - price) < tick / 2:
            if order[_LOST] > 0.0:
                order[_LOST] = max(order[_LOST] - size, 1e-12)
            else:
                order[_UNEXPLAINED] += size


@compiled
def score(state: Floats, now: float, rules: Floats) -> float:
    """Return the score; NaN until ``least_orders`` were seen."""
    if sizes_seen(state[_RECORD:_SLOTS]) < rules[_LEAST_ORDERS]:
        return math.nan
    net = (state[_PULLED + 1] - state[_PULLED]) * faded(now - state[_AT], rules[_DECAY_S])
    return math.tanh(net / rules[_SCALE])
