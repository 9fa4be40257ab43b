"""VWAP deviation: a mid above the volume-weighted average price of the last minute expects a fall.

The average forgets exponentially over ``window_s``. Its distance from a random walk of volatility s
has the standard deviation ``s sqrt(window_s / 2)``, and is counted in these, by the usual
volatility; the score has the opposite sign.
"""

from __future__ import annotations

import math

import numpy as np

from strategies.signals.compiled import Floats, compiled, faded, middle, places
from strategies.signals.scalper_parameters import VwapDeviation

_BEGAN, _TRADED, _FIRST, _VALUE, _VOLUME, _MID = range(6)
_WINDOW_S, _SCALE = places(VwapDeviation, "window_s scale")


def new_state() -> Floats:
    """Return the state before the first trade."""
    state = np.zeros(6)
    state[_BEGAN] = state[_MID] = np.nan
    return state


@compiled
def on_book(state: Floats, bids: Floats, asks: Floats, tick: float) -> None:
    """Take in a book."""
    state[_MID] = middle(bids, asks) / tick


@compiled
def on_trade(
    state: Floats, now: float, price: float, size: float, tick: float, rules: Floats
) -> None:
    """Take in a trade."""
    if math.isnan(state[_BEGAN]):
        state[_BEGAN] = state[_TRADED] = now
        # Prices are kept as distances from the first one: differences of large sums are inexact.
        state[_FIRST] = price / tick
    left = faded(now - state[_TRADED], rules[_WINDOW_S])
    state[_VALUE] = state[_VALUE] * left + (price / tick - state[_FIRST]) * size
    state[_VOLUME] = state[_VOLUME] * left + size
    state[_TRADED] = max(state[_TRADED], now)


@compiled
def score(state: Floats, now: float, usual_volatility: float, rules: Floats) -> float:
    """Return the score; NaN until trades were seen for ``window_s`` and volatility is known."""
    if not now - state[_BEGAN] >= rules[_WINDOW_S] or not state[_VOLUME] > 0.0:
        return math.nan
    average = state[_FIRST] + state[_VALUE] / state[_VOLUME]
    deviation = usual_volatility * math.sqrt(rules[_WINDOW_S] / 2.0)
    return -math.tanh((state[_MID] - average) / deviation / rules[_SCALE])
