"""Book imbalance: more size bid than offered expects a rise.

``(bids - asks) / (bids + asks)`` over the levels that are read, each level's size by ``decay`` less
than that before it, averaged over ``smooth_s``; its change a second; and where the micro-price (the
mid weighted by the other side's best size) lies between bid and ask. Cont, Kukanov and Stoikov
(2014), "The Price Impact of Order Book Events"; Stoikov (2018), "The Micro-Price".
"""

from __future__ import annotations

import math

import numpy as np

from strategies.signals.compiled import Floats, averaged, compiled, middle, places
from strategies.signals.scalper_parameters import BookImbalance

_BEGAN, _SEEN, _VALUE, _MICRO, _FAST, _SLOW = range(6)
_DECAY, _SMOOTH_S, _CHANGE_S, _CHANGE_SCALE, _CHANGE_SHARE, _MICRO_SHARE = places(
    BookImbalance, "decay smooth_s change_s change_scale change_share micro_share"
)


def new_state() -> Floats:
    """Return the state before the first book."""
    state = np.zeros(6)
    state[_BEGAN] = np.nan
    return state


@compiled
def on_book(state: Floats, now: float, bids: Floats, asks: Floats, rules: Floats) -> None:
    """Take in a book."""
    if math.isnan(middle(bids, asks)):
        return
    weight, net, gross = 1.0, 0.0, 0.0
    for level in range(len(bids)):
        net += weight * (bids[level, 1] - asks[level, 1])
        gross += weight * (bids[level, 1] + asks[level, 1])
        weight *= rules[_DECAY]
    if gross <= 0.0:
        return
    value = net / gross
    if math.isnan(state[_BEGAN]):
        state[_BEGAN] = state[_SEEN] = now
        state[_FAST] = state[_SLOW] = state[_VALUE] = value
    elapsed = now - state[_SEEN]
    state[_FAST] = averaged(state[_FAST], state[_VALUE], elapsed, rules[_SMOOTH_S])
    state[_SLOW] = averaged(state[_SLOW], state[_VALUE], elapsed, rules[_CHANGE_S])
    state[_VALUE] = value
    best = bids[0, 1] + asks[0, 1]
    state[_MICRO] = (bids[0, 1] - asks[0, 1]) / best if best > 0.0 else 0.0
    state[_SEEN] = max(state[_SEEN], now)


@compiled
def score(state: Floats, now: float, rules: Floats) -> float:
    """Return the score; NaN until books were seen for ``change_s``."""
    if not now - state[_BEGAN] >= rules[_CHANGE_S]:
        return math.nan
    elapsed = now - state[_SEEN]
    fast = averaged(state[_FAST], state[_VALUE], elapsed, rules[_SMOOTH_S])
    slow = averaged(state[_SLOW], state[_VALUE], elapsed, rules[_CHANGE_S])
    change = math.tanh((fast - slow) / (rules[_CHANGE_S] - rules[_SMOOTH_S]) / rules[_CHANGE_SCALE])
    change_share, micro_share = rules[_CHANGE_SHARE], rules[_MICRO_SHARE]
    level_share = 1.0 - change_share - micro_share
    return float(level_share * fast + change_share * change + micro_share * state[_MICRO])
