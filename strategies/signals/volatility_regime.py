"""Volatility regime: volatility now against its usual, low, normal, high or extreme.

The mid is sampled on a grid of time (``sample_s``), so the bounce between bid and ask within a
sample and the number of messages do not matter. Squared differences are averaged over ``short_s``
and over ``long_s``; the regime is where the ratio of their roots lies. Volatilities are in ticks a
root second, and at least ``floor_ticks``. After a silence of ``short_s`` everything begins anew: a
gap is not a calm market. The regime has no side, so its score is 0, NaN while it is not known.
"""

from __future__ import annotations

import math

import numpy as np

from strategies.signals.compiled import Floats, compiled, middle, places
from strategies.signals.scalper_parameters import VolatilityRegime

_MID, _SAMPLE, _NEXT, _BEGAN, _SEEN, _SHORT, _LONG, _SHORT_WEIGHT, _LONG_WEIGHT = range(9)
_SAMPLE_S, _SHORT_S, _LONG_S, _WARM_S, _LOW, _HIGH, _EXTREME, _FLOOR_TICKS = places(
    VolatilityRegime, "sample_s short_s long_s warm_s low high extreme floor_ticks"
)


def new_state() -> Floats:
    """Return the state before the first book."""
    state = np.zeros(9)
    state[_MID] = np.nan
    return state


@compiled
def on_book(
    state: Floats, now: float, bids: Floats, asks: Floats, tick: float, rules: Floats
) -> None:
    """Take in a book."""
    mid = middle(bids, asks) / tick
    if math.isnan(mid):
        return
    if math.isnan(state[_MID]) or now - state[_SEEN] > rules[_SHORT_S]:
        state[:] = 0.0
        state[_SAMPLE], state[_NEXT], state[_BEGAN] = mid, now + rules[_SAMPLE_S], now
    _advance(state, now, rules)
    state[_MID], state[_SEEN] = mid, max(state[_SEEN], now)


@compiled
def _advance(state: Floats, now: float, rules: Floats) -> None:
    """Take the samples up to a moment; one by one, so it does not matter who asks how often."""
    while now >= state[_NEXT]:
        square = (state[_MID] - state[_SAMPLE]) ** 2 / rules[_SAMPLE_S]
        for place, time in ((_SHORT, rules[_SHORT_S]), (_LONG, rules[_LONG_S])):
            kept = math.exp(-rules[_SAMPLE_S] / time)
            state[place] = state[place] * kept + square * (1.0 - kept)
            state[place + 2] = state[place + 2] * kept + 1.0 - kept
        state[_SAMPLE] = state[_MID]
        state[_NEXT] += rules[_SAMPLE_S]


@compiled
def volatility(state: Floats, now: float, rules: Floats) -> float:
    """Return the volatility now, ticks a root second; NaN while it is not known."""
    return _root(state, now, _SHORT, rules)


@compiled
def usual_volatility(state: Floats, now: float, rules: Floats) -> float:
    """Return the usual volatility, ticks a root second; NaN while it is not known."""
    return _root(state, now, _LONG, rules)


@compiled
def _root(state: Floats, now: float, place: int, rules: Floats) -> float:
    if math.isnan(state[_MID]) or now - state[_SEEN] > rules[_SHORT_S]:
        return math.nan
    _advance(state, now, rules)
    if now - state[_BEGAN] < rules[_WARM_S]:
        return math.nan
    # The average began at zero: its weight says how much of it was seen.
    found = math.sqrt(state[place] / max(state[place + 2], 1e-12))
    return max(found, float(rules[_FLOOR_TICKS]))


@compiled
def regime(state: Floats, now: float, rules: Floats) -> int:
    """Return 0 low, 1 normal, 2 high, 3 extreme, -1 while not known."""
    usual = usual_volatility(state, now, rules)
    if math.isnan(usual):
        return -1
    ratio = volatility(state, now, rules) / usual
    return int(ratio >= rules[_LOW]) + int(ratio >= rules[_HIGH]) + int(ratio >= rules[_EXTREME])


@compiled
def score(state: Floats, now: float, rules: Floats) -> float:
    """Return 0, NaN while the regime is not known."""
    return 0.0 * usual_volatility(state, now, rules)
