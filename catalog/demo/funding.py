"""The perp's premium over its index, the funding it leads to, and the mark price.

Formulas: Bybit help centre, "Introduction to Funding Rate" (rate = premium + interest clamped
against the premium) and "Mark Price Calculation" (price 1 = index times one plus the funding rate
for the time that remains).
"""

from __future__ import annotations

import numpy as np

from catalog.demo.candles import Candles, Integers, off_grid, on_grid
from catalog.demo.parameters import HOUR_NS
from catalog.demo.volatility import Floats, autoregression

_PERSISTENCE = 0.9
_CROWD_HOURS = 72
_CROWD_PAYS = 0.001
_LARGEST_PREMIUM = 0.01
_INTEREST_A_DAY = 0.0003
_CLAMP = 0.0005
_LARGEST_RATE = 0.0075
_WICKS_IN_INDEX = 0.8


def premium(rng: np.random.Generator, log_price: Floats, volatility: float) -> Floats:
    """Return the premium of perp over index at each hour's end, shape (hours + 1,).

    It wanders, returns to zero within hours, and leans with the crowd: the coin's return over the
    last three days raises it by 0.1 % of that return.

    Parameters
    ----------
    rng : numpy.random.Generator
        The instrument's premium stream.
    log_price : ndarray, shape (hours + 1,)
        Log price at each hour's end.
    volatility : float
        Daily idiosyncratic volatility; the wandering is 1.5 % of it.
    """
    wandering = 0.015 * volatility * autoregression(rng, log_price.size, _PERSISTENCE)
    past = np.concatenate([np.full(_CROWD_HOURS, log_price[0]), log_price[:-_CROWD_HOURS]])
    crowd = _CROWD_PAYS * (log_price - past[: log_price.size])
    lean: Floats = np.clip(wandering + crowd, -_LARGEST_PREMIUM, _LARGEST_PREMIUM)
    return lean


def rates(premiums: Floats, hour_of_window: int, minutes: int) -> tuple[Integers, Floats]:
    """Return when funding is due and at what rate.

    Parameters
    ----------
    premiums : ndarray, shape (hours,)
        Premium at the end of each hour in which the instrument trades.
    hour_of_window : int
        Hours from a UTC midnight to the end of the first of those hours.
    minutes : int
        Funding interval, a whole number of hours.

    Returns
    -------
    at : ndarray of int64, shape (F,)
        Positions in ``premiums`` of the settlements.
    rate : ndarray, shape (F,)
        Fraction of the position's value that longs pay to shorts; rounded to 8 decimals.
    """
    every = minutes // 60
    at = np.flatnonzero((hour_of_window + np.arange(premiums.size)) % every == 0)
    total = np.concatenate([[0.0], np.cumsum(premiums)])
    since = np.maximum(at + 1 - every, 0)
    mean = (total[at + 1] - total[since]) / (at + 1 - since)
    interest = _INTEREST_A_DAY * minutes / 1440.0
    rate = mean + np.clip(interest - mean, -_CLAMP, _CLAMP)
    return at, np.round(np.clip(rate, -_LARGEST_RATE, _LARGEST_RATE), 8)


def mark(last: Candles, premiums: Floats, minutes: int, decimals: int) -> Candles:
    """Return the mark price's hourly candles.

    Parameters
    ----------
    last : Candles
        Hourly candles of the perp.
    premiums : ndarray, shape (T + 1,)
        Premium at the start of the first hour and at the end of each.
    minutes : int
        Funding interval.
    decimals : int
        Decimals of the tick.
    """
    hour_of_day = (last.ts // HOUR_NS) % 24
    at, rate = rates(premiums[1:], int(hour_of_day[0]), minutes)
    known = np.zeros(last.ts.size + 1)
    known[at + 1] = 1.0
    newest = np.cumsum(known).astype(np.int64)
    current = np.concatenate([[0.0], rate])[newest]
    hours = minutes // 60
    # Hours since the last funding, at the first hour's start and at each hour's end.
    since = (np.concatenate([[hour_of_day[0] - 1], hour_of_day]) % hours) / hours
    ends = np.concatenate([last.open[:1], last.close])
    price = off_grid(ends, decimals) / (1.0 + premiums) * (1.0 + current * (1.0 - since))
    body = on_grid(price, decimals)
    start, end = body[:-1], body[1:]
    above = last.high - np.maximum(last.open, last.close)
    below = np.minimum(last.open, last.close) - last.low
    # Index constituents do not all share one exchange's wicks.
    high = np.maximum(start, end) + np.rint(above * _WICKS_IN_INDEX).astype(np.int64)
    low = np.minimum(start, end) - np.rint(below * _WICKS_IN_INDEX).astype(np.int64)
    return Candles(last.ts, start, high, np.maximum(low, 1), end)
