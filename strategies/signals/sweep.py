"""Sweep: one aggressor that trades through several prices within milliseconds; goes on its way.

Only trades count, so cancelled levels are no sweep. Trades of one side, each at the same price as
the last or further on its way, within ``within_s`` of the first are one aggressor. Beyond
``levels`` prices and ``least_move`` volatilities of one second it scores, the further the more, and
fades over ``decay_s``.
"""

from __future__ import annotations

import math

import numpy as np

from strategies.signals.compiled import Floats, compiled, faded, places, saturated
from strategies.signals.scalper_parameters import Sweep

_SIDE, _BEGAN, _START, _FAR, _PRICES, _VALUE, _AT = range(7)
_WITHIN_S, _LEVELS, _LEAST_MOVE, _DECAY_S, _SCALE = places(
    Sweep, "within_s levels least_move decay_s scale"
)


def new_state() -> Floats:
    """Return the state before the first trade."""
    return np.zeros(7)


@compiled
def on_trade(
    state: Floats,
    now: float,
    price: float,
    side: int,
    tick: float,
    volatility: float,
    rules: Floats,
) -> None:
    """Take in a trade; ``volatility`` is that of one second, in ticks."""
    further = (price - state[_FAR]) * side / tick
    if side != state[_SIDE] or now - state[_BEGAN] > rules[_WITHIN_S] or further < -0.5:
        state[_SIDE], state[_BEGAN], state[_PRICES] = side, now, 1.0
        state[_START] = state[_FAR] = price
    elif further > 0.5:
        state[_PRICES] += 1.0
        state[_FAR] = price
    moved = abs(state[_FAR] - state[_START]) / tick
    if state[_PRICES] > rules[_LEVELS] and moved >= rules[_LEAST_MOVE] * volatility:
        strength = 0.5 + 0.5 * saturated(moved / volatility - rules[_LEAST_MOVE], rules[_SCALE])
        left = state[_VALUE] * faded(now - state[_AT], rules[_DECAY_S])
        state[_VALUE], state[_AT] = side * max(strength, left * side), now


@compiled
def score(state: Floats, now: float, volatility: float, rules: Floats) -> float:
    """Return the score; NaN while volatility is not known."""
    if math.isnan(volatility):
        return math.nan
    return float(state[_VALUE]) * faded(now - state[_AT], rules[_DECAY_S])
