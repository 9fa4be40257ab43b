"""Candles on ticks and lots, funding, and the mark price of the demo market.

Formulas: Bybit help centre, "Introduction to Funding Rate" (rate = premium + interest clamped
against the premium) and "Mark Price Calculation" (price 1 = index times one plus the funding rate
for the time that remains).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from catalog.demo.parameters import STEPS_PER_HOUR
from catalog.demo.returns import Floats, autoregression
from config.durations import DAY_NS, HOUR_NS

Integers = NDArray[np.int64]

_CENTS = 100


@dataclass(frozen=True)
class TickCandles:
    """Candles in whole ticks, lots and cents, so that sums are exact; arrays have shape (T,)."""

    ts: Integers
    """Close time, UNIX nanoseconds (UTC)."""
    open: Integers
    high: Integers
    low: Integers
    close: Integers
    volume: Integers | None = None
    turnover: Integers | None = None
    """Volume in lots and turnover in cents; ``None`` for mark prices."""


def on_grid(values: Floats, decimals: int) -> Integers:
    """Round positive values to whole multiples of ``10 ** -decimals``, at least one."""
    scaled = values * 10.0**decimals if decimals >= 0 else values / 10.0**-decimals
    return np.maximum(np.rint(scaled), 1.0).astype(np.int64)


def off_grid(counts: Integers, decimals: int) -> Floats:
    """Return multiples of ``10 ** -decimals`` as the floats nearest to the decimal numbers."""
    values: Floats = counts.astype(np.float64)
    return values / 10.0**decimals if decimals >= 0 else values * 10.0**-decimals


def hourly(prices: Floats, first_close_ns: int, decimals: int) -> TickCandles:
    """Return hourly candles of five-minute prices, without volume.

    ``prices``, of shape (hours * 12 + 1,), begins with the opening price. ``first_close_ns`` is
    UNIX nanoseconds (UTC); ``decimals`` are those of the tick.
    """
    open_, *others = of_steps(on_grid(prices, decimals), STEPS_PER_HOUR)
    closes = first_close_ns + HOUR_NS * np.arange(len(open_), dtype=np.int64)
    return TickCandles(closes, open_, *others)


def of_steps(ticks: Integers, steps: int) -> list[Integers]:
    """Return open, high, low and close of each so many steps of a walk."""
    start, within = ticks[:-1:steps], ticks[1:].reshape(-1, steps)
    highs = np.maximum(start, within.max(axis=1))
    return [start, highs, np.minimum(start, within.min(axis=1)), within[:, -1]]


def with_volume(
    candles: TickCandles, rng: np.random.Generator, turnover: Floats, tick: int, lot: int
) -> TickCandles:
    """Add volume that rises with the size of the hour's return.

    ``turnover`` is the typical one of each hour, USDT; ``tick`` and ``lot`` are decimals.
    """
    middle = off_grid(candles.open + candles.high + candles.low + candles.close, tick) / 4.0
    move = np.abs(np.log(candles.close / candles.open))
    relative = move / max(float(move.mean()), 1e-12)
    noise = np.exp(0.35 * rng.standard_normal(move.size) - 0.06)
    lots = on_grid(turnover * (0.5 + 0.5 * relative) * noise / middle, lot)
    cents = np.rint(off_grid(lots, lot) * middle * _CENTS).astype(np.int64)
    return replace(candles, volume=lots, turnover=cents)


def daily(hours: TickCandles) -> TickCandles:
    """Return daily UTC candles of hourly candles with volume.

    The listing day's candle covers the hours that traded. The delisting day has no candle, because
    it has no close at midnight.
    """
    day = (hours.ts - 1) // DAY_NS
    complete = day < hours.ts[-1] // DAY_NS
    firsts = np.flatnonzero(np.diff(day[complete], prepend=-1))
    if firsts.size == 0:
        empty = np.zeros(0, dtype=np.int64)
        return TickCandles(empty, empty, empty, empty, empty, empty, empty)
    lasts = np.append(firsts[1:], int(complete.sum())) - 1
    assert hours.volume is not None
    assert hours.turnover is not None
    return TickCandles(
        ts=(day[firsts] + 1) * DAY_NS,
        open=hours.open[firsts],
        high=np.maximum.reduceat(hours.high[complete], firsts),
        low=np.minimum.reduceat(hours.low[complete], firsts),
        close=hours.close[lasts],
        volume=np.add.reduceat(hours.volume[complete], firsts),
        turnover=np.add.reduceat(hours.turnover[complete], firsts),
    )


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

    It returns to zero within hours. The coin's return over the last three days raises it by 0.1 %
    of that return. ``log_price`` is that of each hour's end, shape (hours + 1,). ``volatility`` is
    the daily idiosyncratic volatility; the premium's own is 1.5 % of it.
    """
    wandering = 0.015 * volatility * autoregression(rng, log_price.size, _PERSISTENCE)
    past = np.concatenate([np.full(_CROWD_HOURS, log_price[0]), log_price[:-_CROWD_HOURS]])
    crowd = _CROWD_PAYS * (log_price - past[: log_price.size])
    lean: Floats = np.clip(wandering + crowd, -_LARGEST_PREMIUM, _LARGEST_PREMIUM)
    return lean


def funding_rates(premiums: Floats, hour_of_window: int, minutes: int) -> tuple[Integers, Floats]:
    """Return the positions in ``premiums`` at which funding is due, and the rates there.

    ``premiums``, of shape (hours,), are those at the ends of the hours that trade.
    ``hour_of_window`` counts hours from a UTC midnight to the end of the first of them. The funding
    interval ``minutes`` is a whole number of hours. Rates are fractions of the position's value,
    positive when longs pay, rounded to 8 decimals.
    """
    every = minutes // 60
    at = np.flatnonzero((hour_of_window + np.arange(premiums.size)) % every == 0)
    total = np.concatenate([[0.0], np.cumsum(premiums)])
    since = np.maximum(at + 1 - every, 0)
    mean = (total[at + 1] - total[since]) / (at + 1 - since)
    interest = _INTEREST_A_DAY * minutes / 1440.0
    rate = mean + np.clip(interest - mean, -_CLAMP, _CLAMP)
    return at, np.round(np.clip(rate, -_LARGEST_RATE, _LARGEST_RATE), 8)


def mark_candles(last: TickCandles, premiums: Floats, minutes: int, decimals: int) -> TickCandles:
    """Return the mark price's hourly candles.

    ``premiums`` begins with that at the start of the first hour, then has one at the end of each
    hour. ``minutes`` is the funding interval, ``decimals`` are the tick's.
    """
    hour_of_day = (last.ts // HOUR_NS) % 24
    at, rate = funding_rates(premiums[1:], int(hour_of_day[0]), minutes)
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
    return TickCandles(last.ts, start, high, np.maximum(low, 1), end)
