"""Mean reversion: which side is held, since when and how far from its stop, by a window alone.

Arrays have shape (W, N), oldest first. A comparison with an unknown value (NaN) is false: it
neither enters nor leaves.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from strategies.signals.oscillators import Bollinger

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Integers = NDArray[np.int64]


class Marks(NamedTuple):
    """What each candle says, whatever is held.

    ``enter`` is 1 where a long may be entered, -1 where a short may, else 0. ``broke`` is -1 where
    the price breaks out below with volume, 1 where above, else 0. ``inside`` is where the price is
    not outside. ``distance`` is that of an entry's close from its stop, a fraction of the close.
    """

    enter: Integers
    leave_long: Mask
    leave_short: Mask
    broke: Integers
    inside: Mask
    distance: Floats


class Reversions(NamedTuple):
    """What is held after the last candle, arrays of shape (N,).

    ``side`` is 1, -1 or 0; ``age`` is how many candles ago it was entered, ``distance`` how far
    from its stop, a fraction of the entry's close.
    """

    side: Integers
    age: Integers
    distance: Floats


def volume_multiple(volume: Floats, lookback: int) -> Floats:
    """Return each volume over the mean of the ``lookback`` before it; NaN where they are too few.

    A missing candle has no volume.
    """
    known = np.nan_to_num(volume)
    total = np.vstack([np.zeros(volume.shape[1]), known.cumsum(axis=0)])
    before = total[lookback:-1] - total[: -lookback - 1]
    result = np.full(volume.shape, np.nan)
    np.divide(known[lookback:] * lookback, before, out=result[lookback:], where=before > 0.0)
    return result


def bollinger_marks(
    close: Floats,
    bands: Bollinger,
    rsi: Floats,
    high_volume: Mask,
    *,
    enter_rsi: float,
    leave_rsi: float,
    stop_width: float,
    least_distance: float,
) -> Marks:
    """Return the marks of a reversion to the middle of Bollinger bands.

    Long: the close is below the lower band and ``rsi`` below ``enter_rsi``; it is left at the
    middle, or at an ``rsi`` above ``leave_rsi``. Short is the mirror, ``rsi`` counted from 100. The
    stop is ``stop_width`` standard deviations beyond the band: a close there with high volume is a
    break, and none there is entered. A distance to it counts as ``least_distance`` at least.
    """
    lower, upper, beyond = bands.lower, bands.upper, stop_width * bands.deviation
    low, high = lower - beyond, upper + beyond
    enter_long = (close < lower) & (close > low) & (rsi < enter_rsi)
    enter_short = (close > upper) & (close < high) & (100.0 - rsi < enter_rsi)
    distance = np.where(enter_long, close - low, high - close) / close
    return Marks(
        enter=enter_long.astype(np.int64) - enter_short,
        leave_long=(close >= bands.middle) | (rsi > leave_rsi),
        leave_short=(close <= bands.middle) | (100.0 - rsi > leave_rsi),
        broke=((close >= high) & high_volume).astype(np.int64) - ((close <= low) & high_volume),
        inside=(close >= lower) & (close <= upper),
        distance=np.maximum(distance, least_distance),
    )


def vwap_marks(
    close: Floats, vwap: Floats, high_volume: Mask, *, deviation: float, stop: float
) -> Marks:
    """Return the marks of a reversion to the volume-weighted average price.

    It is entered on high volume where the close is further from ``vwap`` than ``deviation``, a
    fraction, and left at ``vwap``. The stop is a fraction beyond the close of the entry.
    """
    low, high = vwap * (1.0 - deviation), vwap * (1.0 + deviation)
    return Marks(
        enter=((close < low) & high_volume).astype(np.int64) - ((close > high) & high_volume),
        leave_long=close >= vwap,
        leave_short=close <= vwap,
        broke=np.zeros(close.shape, np.int64),
        inside=(close >= low) & (close <= high),
        distance=np.full(close.shape, stop),
    )


def held_reversions(
    close: Floats, marks: Marks, *, history: int, cooldown: int, stops_at_entry: bool
) -> Reversions:
    """Return what is held after the last candle by these marks, from nothing ``history`` before.

    A position is stopped by a break against it and, with ``stops_at_entry``, by a close as far from
    its entry's as the entry's ``distance``. After a stop or a break nothing is entered until the
    price has been inside, nor in the next ``cooldown`` candles. Stops come before exits, exits
    before entries: a candle may turn a position.
    """
    rows, count = close.shape
    side, entry = np.zeros(count, np.int64), np.zeros(count, np.int64)
    stop, distance = np.full(count, np.nan), np.full(count, np.nan)
    shut, since = np.zeros(count, np.bool_), np.full(count, -cooldown - 1)
    for row in range(max(rows - history, 0), rows):
        price, broke, enter = close[row], marks.broke[row], marks.enter[row]
        stopped = broke * side < 0
        if stops_at_entry:
            stopped |= (side != 0) & (side * (price - stop) <= 0.0)
        left = np.where(side > 0, marks.leave_long[row], marks.leave_short[row])
        side = np.where(stopped | left, 0, side)
        shuts = stopped | (broke != 0)
        shut = (shut & ~marks.inside[row]) | shuts
        since = np.where(shuts, row, since)
        enters = (side == 0) & (enter != 0) & ~shut & (row - since > cooldown)
        if enters.any():
            side, entry = np.where(enters, enter, side), np.where(enters, row, entry)
            distance = np.where(enters, marks.distance[row], distance)
            stop = np.where(enters, price * (1.0 - enter * marks.distance[row]), stop)
    return Reversions(side, rows - 1 - entry, distance)
