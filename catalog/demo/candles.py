"""Hourly candles on ticks and lots, and daily ones that are exactly their sum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.demo.parameters import HOUR_NS, STEPS_PER_HOUR
from catalog.demo.volatility import Floats

Integers = NDArray[np.int64]

_CENTS = 100


@dataclass(frozen=True)
class Candles:
    """Candles as whole numbers of ticks, lots and cents, so that sums of them are exact.

    Parameters
    ----------
    ts : ndarray of int64, shape (T,)
        Close time, UNIX nanoseconds (UTC).
    open, high, low, close : ndarray of int64, shape (T,)
        Prices in ticks.
    volume, turnover : ndarray of int64 or None, shape (T,)
        Traded quantity in lots and value in cents; ``None`` for mark prices.
    """

    ts: Integers
    open: Integers
    high: Integers
    low: Integers
    close: Integers
    volume: Integers | None = None
    turnover: Integers | None = None


def on_grid(values: Floats, decimals: int) -> Integers:
    """Round positive values to whole multiples of ``10 ** -decimals``, at least one."""
    scaled = values * 10.0**decimals if decimals >= 0 else values / 10.0**-decimals
    return np.maximum(np.rint(scaled), 1.0).astype(np.int64)


def off_grid(counts: Integers, decimals: int) -> Floats:
    """Return multiples of ``10 ** -decimals`` as the floats nearest to the decimal numbers."""
    values: Floats = counts.astype(np.float64)
    return values / 10.0**decimals if decimals >= 0 else values * 10.0**-decimals


def hourly(prices: Floats, first_close_ns: int, decimals: int) -> Candles:
    """Return hourly candles of a five-minute path, without volume.

    Parameters
    ----------
    prices : ndarray, shape (hours * 12 + 1,)
        Price at the start and at the end of each five minutes.
    first_close_ns : int
        Close time of the first candle, UNIX nanoseconds (UTC).
    decimals : int
        Decimals of the tick.
    """
    ticks = on_grid(prices, decimals)
    hours = (ticks.size - 1) // STEPS_PER_HOUR
    start, within = ticks[:-1:STEPS_PER_HOUR], ticks[1:].reshape(hours, STEPS_PER_HOUR)
    return Candles(
        ts=first_close_ns + HOUR_NS * np.arange(hours, dtype=np.int64),
        open=start,
        high=np.maximum(start, within.max(axis=1)),
        low=np.minimum(start, within.min(axis=1)),
        close=within[:, -1],
    )


def with_volume(
    candles: Candles, rng: np.random.Generator, turnover: Floats, tick: int, lot: int
) -> Candles:
    """Return the candles with volume that rises with the size of the hour's return.

    Parameters
    ----------
    candles : Candles
        Hourly candles.
    rng : numpy.random.Generator
        The instrument's volume stream.
    turnover : ndarray, shape (T,)
        Typical turnover of each hour, USDT.
    tick, lot : int
        Decimals of the tick and of the lot.
    """
    middle = off_grid(candles.open + candles.high + candles.low + candles.close, tick) / 4.0
    move = np.abs(np.log(candles.close / candles.open))
    relative = move / max(float(move.mean()), 1e-12)
    noise = np.exp(0.35 * rng.standard_normal(move.size) - 0.06)
    lots = on_grid(turnover * (0.5 + 0.5 * relative) * noise / middle, lot)
    cents = np.rint(off_grid(lots, lot) * middle * _CENTS).astype(np.int64)
    return Candles(candles.ts, candles.open, candles.high, candles.low, candles.close, lots, cents)


def daily(hours: Candles) -> Candles:
    """Return the UTC days of hourly candles with volume.

    The listing day's candle covers the hours that traded. A day on which trading ceased before
    midnight has no candle: there was no close to stamp it with.
    """
    day_ns = 24 * HOUR_NS
    day = (hours.ts - 1) // day_ns
    complete = day < hours.ts[-1] // day_ns
    firsts = np.flatnonzero(np.diff(day[complete], prepend=-1))
    if firsts.size == 0:
        empty = np.zeros(0, dtype=np.int64)
        return Candles(empty, empty, empty, empty, empty, empty, empty)
    lasts = np.append(firsts[1:], int(complete.sum())) - 1
    assert hours.volume is not None
    assert hours.turnover is not None
    return Candles(
        ts=(day[firsts] + 1) * day_ns,
        open=hours.open[firsts],
        high=np.maximum.reduceat(hours.high[complete], firsts),
        low=np.minimum.reduceat(hours.low[complete], firsts),
        close=hours.close[lasts],
        volume=np.add.reduceat(hours.volume[complete], firsts),
        turnover=np.add.reduceat(hours.turnover[complete], firsts),
    )
