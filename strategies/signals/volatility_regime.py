"""Volatility regime: volatility now against its usual, low, normal, high or extreme.

The mid is sampled on a grid of time (``sample_s``), so the bounce between bid and ask within a
sample and the number of messages do not matter. Volatility is the root of its squared differences,
averaged over ``short_s``, in ticks a root second and at least ``floor_ticks``. Usual is the
geometric mean of volatility over ``long_s``, which a storm or a jump moves less than a mean of
squares; the regime is where the ratio lies. After a silence of ``short_s`` everything begins anew:
a gap is not a calm market. The regime has no side, so its score is 0, NaN while it is not known.
"""

from __future__ import annotations

import math

import numpy as np

from strategies.signals.compiled import Floats, compiled, middle, places
from strategies.signals.scalper_parameters import VolatilityRegime

_MID, _SAMPLE, _NEXT, _BEGAN, _SEEN, _SHORT, _SHORT_WEIGHT, _LONG, _LONG_WEIGHT = range(9)
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
        _average(state, _SHORT, square, math.exp(-rules[_SAMPLE_S] / rules[_SHORT_S]))
        # One or two samples are no volatility yet.
        if state[_SHORT_WEIGHT] > 0.5:
            now_is = math.log(_short(state, rules))
            _average(state, _LONG, now_is, math.exp(-rules[_SAMPLE_S] / rules[_LONG_S]))
        state[_SAMPLE] = state[_MID]
        state[_NEXT] += rules[_SAMPLE_S]


@compiled
def _average(state: Floats, place: int, value: float, kept: float) -> None:
    """Let a value into an average that began at zero; its weight says how much of it was seen."""
    state[place] = state[place] * kept + value * (1.0 - kept)
    state[place + 1] = state[place + 1] * kept + 1.0 - kept


@compiled
def _short(state: Floats, rules: Floats) -> float:
    found = math.sqrt(state[_SHORT] / state[_SHORT_WEIGHT])
    return max(found, float(rules[_FLOOR_TICKS]))


@compiled
def _known(state: Floats, now: float, rules: Floats) -> bool:
    if math.isnan(state[_MID]) or now - state[_SEEN] > rules[_SHORT_S]:
        return False
    _advance(state, now, rules)
    return bool(now - state[_BEGAN] >= rules[_WARM_S] and state[_LONG_WEIGHT] > 0.0)


@compiled
def volatility(state: Floats, now: float, rules: Floats) -> float:
    """Return the volatility now, ticks a root second; NaN while it is not known."""
    return _short(state, rules) if _known(state, now, rules) else math.nan


@compiled
def usual_volatility(state: Floats, now: float, rules: Floats) -> float:
    """Return the usual volatility, ticks a root second; NaN while it is not known."""
    if not _known(state, now, rules):
        return math.nan
    return math.exp(state[_LONG] / state[_LONG_WEIGHT])


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
