"""Micro momentum: a fast average of the mid above a slow one expects a further rise.

The distance of two exponential averages (``fast_s``, ``slow_s``) of a random walk of volatility s
has the standard deviation ``s (slow - fast) / sqrt(2 (slow + fast))``; the distance is counted in
these, by the usual volatility. Trades confirm it: bought less sold size of the last ``flow_s`` on
its side, as a part of both, scales the score; trades against it leave none. There is no score while
volatility is far from its usual.
"""

from __future__ import annotations

import math

import numpy as np

from strategies.signals.compiled import Floats, averaged, compiled, faded, middle, places
from strategies.signals.scalper_parameters import MicroMomentum

_BEGAN, _SEEN, _MID, _FAST, _SLOW, _BOUGHT, _SOLD, _TRADED = range(8)
_FAST_S, _SLOW_S, _FLOW_S, _SCALE, _LEAST_RATIO, _MOST_RATIO = places(
    MicroMomentum, "fast_s slow_s flow_s scale least_ratio most_ratio"
)


def new_state() -> Floats:
    """Return the state before the first book."""
    state = np.zeros(8)
    state[_BEGAN] = np.nan
    return state


@compiled
def on_book(
    state: Floats, now: float, bids: Floats, asks: Floats, tick: float, rules: Floats
) -> None:
    """Take in a book."""
    mid = middle(bids, asks) / tick
    if math.isnan(mid):
        return
    if math.isnan(state[_BEGAN]):
        state[_BEGAN] = state[_SEEN] = now
        state[_FAST] = state[_SLOW] = state[_MID] = mid
    elapsed = now - state[_SEEN]
    state[_FAST] = averaged(state[_FAST], state[_MID], elapsed, rules[_FAST_S])
    state[_SLOW] = averaged(state[_SLOW], state[_MID], elapsed, rules[_SLOW_S])
    state[_MID], state[_SEEN] = mid, max(state[_SEEN], now)


@compiled
def on_trade(state: Floats, now: float, size: float, side: int, rules: Floats) -> None:
    """Take in a trade."""
    left = faded(now - state[_TRADED], rules[_FLOW_S])
    state[_BOUGHT] *= left
    state[_SOLD] *= left
    state[_BOUGHT if side > 0 else _SOLD] += size
    state[_TRADED] = max(state[_TRADED], now)


@compiled
def score(
    state: Floats, now: float, volatility: float, usual_volatility: float, rules: Floats
) -> float:
    """Return the score; NaN until books were seen for ``slow_s`` and volatility is known."""
    if not now - state[_BEGAN] >= rules[_SLOW_S] or math.isnan(usual_volatility):
        return math.nan
    if not rules[_LEAST_RATIO] <= volatility / usual_volatility <= rules[_MOST_RATIO]:
        return 0.0
    elapsed = now - state[_SEEN]
    fast = averaged(state[_FAST], state[_MID], elapsed, rules[_FAST_S])
    slow = averaged(state[_SLOW], state[_MID], elapsed, rules[_SLOW_S])
    lag = (rules[_SLOW_S] - rules[_FAST_S]) / math.sqrt(2.0 * (rules[_SLOW_S] + rules[_FAST_S]))
    distance = math.tanh((fast - slow) / (usual_volatility * lag) / rules[_SCALE])
    both, flow = state[_BOUGHT] + state[_SOLD], 0.0
    if both > 0.0:
        flow = (state[_BOUGHT] - state[_SOLD]) / both * faded(now - state[_TRADED], rules[_FLOW_S])
    return distance * max(math.copysign(flow, flow * distance), 0.0)
