"""Iceberg: a price that is taken and shows new size at once hides more; its side is supported.

The best price of each side is followed. When trades have taken nearly all that it showed and it
shows a size again within ``refill_s``, that is a refill. From ``refills`` of them, and once more
traded there than ``beyond`` times the largest size shown since, it is an iceberg: of the bids, it
expects a rise. It is forgotten when the price is gone for longer than a refill takes, and fades
over ``decay_s`` after the last one.
"""

from __future__ import annotations

import math

import numpy as np

from strategies.signals.compiled import Floats, compiled, faded, places, saturated
from strategies.signals.scalper_parameters import Iceberg

TAKEN = 0.9
"""Part of the shown size that has to trade: the rest may be an order that came meanwhile."""
_PRICE, _SHOWN, _TRADED, _TRADED_AT, _TAKEN_AT, _FILLS, _REFILLED_AT, _VOLUME, _PEAK = range(9)
_WIDTH = 9
_REFILL_S, _REFILLS, _BEYOND, _DECAY_S, _SCALE = places(
    Iceberg, "refill_s refills beyond decay_s scale"
)


def new_state() -> Floats:
    """Return the state before the first book: a row for bids, one for asks."""
    state = np.zeros(2 * _WIDTH)
    state[_PRICE::_WIDTH] = state[_TAKEN_AT::_WIDTH] = np.nan
    return state


@compiled
def _follow(own: Floats, price: float, shown: float) -> None:
    own[:_WIDTH] = 0.0
    own[_PRICE], own[_SHOWN], own[_TAKEN_AT] = price, shown, np.nan


@compiled
def on_book(
    state: Floats, now: float, bids: Floats, asks: Floats, tick: float, rules: Floats
) -> None:
    """Take in a book."""
    for side in range(2):
        own, rows = state[side * _WIDTH :], bids if side == 0 else asks
        if math.isnan(rows[0, 0]):
            continue
        shown = 0.0
        for level in range(len(rows)):
            if abs(rows[level, 0] - own[_PRICE]) < tick / 2:
                shown = rows[level, 1]
                break
        if own[_TRADED] > 0.0 and own[_TRADED] >= TAKEN * own[_SHOWN]:
            own[_TAKEN_AT] = own[_TRADED_AT]
        own[_TRADED], own[_SHOWN] = 0.0, shown
        waits = now - own[_TAKEN_AT] <= rules[_REFILL_S]
        if waits and shown > 0.0:
            own[_FILLS] += 1.0
            own[_REFILLED_AT], own[_TAKEN_AT] = now, math.nan
        elif not waits and (shown == 0.0 or not math.isnan(own[_TAKEN_AT])):
            _follow(own, rows[0, 0], rows[0, 1])
        if own[_FILLS] > 0.0:
            own[_PEAK] = max(own[_PEAK], shown)
        elif not waits and abs(rows[0, 0] - own[_PRICE]) > tick / 2:
            _follow(own, rows[0, 0], rows[0, 1])


@compiled
def on_trade(state: Floats, now: float, price: float, size: float, side: int, tick: float) -> None:
    """Take in a trade."""
    own = state[_WIDTH if side > 0 else 0 :]
    if abs(price - own[_PRICE]) < tick / 2:
        own[_TRADED] += size
        own[_TRADED_AT] = now
        if own[_FILLS] > 0.0:
            own[_VOLUME] += size


@compiled
def score(state: Floats, now: float, rules: Floats) -> float:
    """Return the score; NaN before the first book."""
    total = 0.0
    for side in range(2):
        own = state[side * _WIDTH :]
        if math.isnan(own[_PRICE]):
            return math.nan
        if own[_FILLS] >= rules[_REFILLS] and own[_VOLUME] >= rules[_BEYOND] * own[_PEAK]:
            found = saturated(own[_FILLS] - rules[_REFILLS] + 1.0, rules[_SCALE])
            left = found * faded(now - own[_REFILLED_AT], rules[_DECAY_S])
            total += left if side == 0 else -left
    return total
