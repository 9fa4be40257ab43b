"""Large trades: a burst of large market orders of one side expects more of them.

Trades of one side with at most ``join_s`` between them are one order, whatever number of resting
orders it took. An order is large from a quantile of the sizes of the last ``usual_s`` and from a
multiple of their median, and counts as its size over the larger of both, at most `MOST`. Counts
fade over ``decay_s``. Their sum of both sides, over its mean of the last ``usual_s`` (at least 1),
says how busy the large ones are; beyond ``burst`` the score grows with it, times the balance of the
sides.
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
    saturated,
    size_at,
    sizes_seen,
)
from strategies.signals.scalper_parameters import LargeTrades

MOST = 3.0
"""Most that one order counts: one alone is no burst."""
_SIDE, _LAST, _SIZE, _COUNTED, _LARGE, _BOUGHT, _SOLD, _USUAL, _SEEN_S, _RECORD = range(10)
_USUAL_S, _QUANTILE, _MULTIPLE, _JOIN_S, _DECAY_S, _BURST, _SCALE, _LEAST_ORDERS = places(
    LargeTrades, "usual_s quantile multiple join_s decay_s burst scale least_orders"
)


def new_state() -> Floats:
    """Return the state before the first trade."""
    return np.zeros(_RECORD + SIZES)


@compiled
def on_trade(state: Floats, now: float, size: float, side: int, rules: Floats) -> None:
    """Take in a trade."""
    record = state[_RECORD:]
    left = faded(now - state[_LAST], rules[_DECAY_S])
    state[_BOUGHT] *= left
    state[_SOLD] *= left
    if sizes_seen(record) >= rules[_LEAST_ORDERS]:
        kept = faded(now - state[_LAST], rules[_USUAL_S])
        state[_USUAL] *= kept
        state[_SEEN_S] = state[_SEEN_S] * kept + rules[_USUAL_S] * (1.0 - kept)
    if side != state[_SIDE] or now - state[_LAST] > rules[_JOIN_S]:
        if state[_SIZE] > 0.0:
            add_size(record, state[_LAST], state[_SIZE], rules[_USUAL_S])
            state[_LARGE] = max(
                size_at(record, rules[_QUANTILE]), rules[_MULTIPLE] * size_at(record, 0.5)
            )
        state[_SIDE], state[_SIZE], state[_COUNTED] = side, 0.0, 0.0
    state[_SIZE] += size
    state[_LAST] = max(state[_LAST], now)
    if sizes_seen(record) >= rules[_LEAST_ORDERS] and state[_SIZE] >= state[_LARGE]:
        counts = min(state[_SIZE] / state[_LARGE], MOST)
        state[_BOUGHT if side > 0 else _SOLD] += counts - state[_COUNTED]
        state[_USUAL] += counts - state[_COUNTED]
        state[_COUNTED] = counts


@compiled
def score(state: Floats, now: float, rules: Floats) -> float:
    """Return the score; NaN until ``least_orders`` were seen."""
    if sizes_seen(state[_RECORD:]) < rules[_LEAST_ORDERS]:
        return math.nan
    both = float(state[_BOUGHT] + state[_SOLD])
    if both <= 0.0:
        return 0.0
    # So many would stand if they came at their usual rate; a burst is part of what is usual.
    usual = state[_USUAL] / (state[_SEEN_S] + rules[_DECAY_S]) * rules[_DECAY_S]
    busy = both * faded(now - state[_LAST], rules[_DECAY_S]) / max(usual, 1.0)
    balance = float(state[_BOUGHT] - state[_SOLD]) / both
    return balance * saturated(busy - rules[_BURST], rules[_SCALE])
