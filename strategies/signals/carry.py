"""Carry of perpetuals: the mean funding rate a year, and on which side it is worth receiving."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_UNITS = 1e12
"""Rates are added up in whole units, so that a mean depends on nothing but its own rates."""
_DIGITS = 12
"""A mean a year is rounded to so many: 0.01 % in eight hours is 0.1095, as one writes a level."""


@dataclass(frozen=True, slots=True)
class Settlements:
    """All settlements of N instruments, those of each together, oldest first; arrays of shape (S,).

    ``instrument`` is the column and ``row`` the candle of a settlement, ``first`` the place of its
    instrument's first one. ``rate`` is the funding rate, a fraction, and ``mean`` the mean rate a
    candle over a lookback, NaN where it is unknown. ``count``, of shape (N,), is how many each
    instrument has.
    """

    instrument: NDArray[np.int64]
    row: NDArray[np.int64]
    first: NDArray[np.int64]
    rate: Floats
    mean: Floats
    count: NDArray[np.int64]


def settlements_of(funding: Floats, lookback: int) -> Settlements:
    """Return the settlements of a window, each with the mean rate over the lookback before it.

    ``funding`` has shape (W, N), oldest first, NaN without a settlement. A rate is paid for the
    time since the settlement before, so the mean is the sum of the rates settled in the last
    ``lookback`` candles over the time from the settlement before the first of them: it holds for
    any interval, also one that changes. The first known settlement has no time and no mean.
    """
    by_instrument = np.ascontiguousarray(funding.T)
    known = ~np.isnan(by_instrument)
    instrument, row = np.nonzero(known)
    count = np.count_nonzero(known, axis=1)
    first = np.repeat(count.cumsum() - count, count)
    rate = by_instrument[known]
    # The last settlement before the lookback, or the first that is known.
    place = instrument * len(funding) + row
    before = np.maximum(np.searchsorted(place, place - lookback, side="right") - 1, first)
    time = row - row[before]
    total = np.rint(rate * _UNITS).astype(np.int64).cumsum()
    mean = np.full(row.shape, np.nan)
    np.divide(total - total[before], time * _UNITS, out=mean, where=time > 0)
    return Settlements(instrument, row, first, rate, mean, count)


def carry(
    funding: Floats,
    *,
    lookback: int,
    candles_a_year: float,
    enter: float,
    leave: float,
    same_sign: int = 0,
    same_sign_of: int = 1,
    own_percentile: float | None = None,
) -> Floats:
    """Return minus the mean funding rate a year where it is worth receiving, else NaN; shape (N,).

    Positive is to be held long (shorts pay), negative short. ``funding`` is as in
    `settlements_of`; its first ``lookback`` rows only serve the means of later ones.

    A side is entered at a settlement whose mean, counted as received by it, is at least ``enter``,
    when it would have received at least ``same_sign`` of the last ``same_sign_of`` settlements. It
    is left at one whose mean is below ``leave``. With ``own_percentile`` the level of entry is at
    least that quantile of the instrument's own absolute means in the window. Without a settlement
    in the last ``lookback`` rows nothing is known.
    """
    known = settlements_of(funding, lookback)
    judged = known.row >= lookback
    mean = np.where(judged, np.round(known.mean * candles_a_year, _DIGITS), np.nan)
    level = np.full(known.count.shape, enter)
    if own_percentile is not None:
        level = np.fmax(level, _quantile(np.abs(mean), known, own_percentile))
    received = np.zeros(known.count.shape, np.bool_)
    for side in (1.0, -1.0):
        earns = -side * mean
        often = _last(-side * known.rate > 0.0, known, same_sign_of) >= same_sign
        entered = _newest(judged & often & (earns >= level[known.instrument]), known)
        received |= entered > _newest(judged & ~(earns >= leave), known)
    score = np.full(known.count.shape, np.nan)
    last = (known.count.cumsum() - 1)[known.count > 0]
    fresh = known.row[last] >= len(funding) - lookback
    score[known.count > 0] = np.where(fresh, -mean[last], np.nan)
    return np.where(received, score, np.nan)


def _last(happened: NDArray[np.bool_], known: Settlements, settlements: int) -> NDArray[np.int64]:
    """Return in how many of an instrument's last settlements it happened, each included."""
    count = np.append(0, happened.cumsum())
    until = np.arange(1, len(count))
    since: NDArray[np.int64] = np.maximum(until - settlements, known.first)
    times: NDArray[np.int64] = count[until] - count[since]
    return times


def _newest(happened: NDArray[np.bool_], known: Settlements) -> NDArray[np.int64]:
    """Return each instrument's newest row in which it happened, -1 without any; shape (N,)."""
    newest = np.full(known.count.shape, -1)
    if len(happened):
        row = np.where(happened, known.row, -1)
        newest[known.count > 0] = np.maximum.reduceat(row, np.unique(known.first))
    return newest


def _quantile(value: Floats, known: Settlements, part: float) -> Floats:
    """Return the least value that ``part`` of an instrument's own do not exceed, else NaN."""
    table = np.full((len(known.count), int(known.count.max(initial=0)) + 1), np.nan)
    table[known.instrument, np.arange(len(value)) - known.first] = value
    table.sort(axis=1)
    count = np.count_nonzero(~np.isnan(table), axis=1)
    place = np.maximum(np.ceil(part * count - 1e-9).astype(np.int64) - 1, 0)
    quantile: Floats = table[np.arange(len(count)), place]
    return quantile
