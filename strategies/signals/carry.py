"""Carry of perpetuals: the mean funding rate a year, and on which side it is worth receiving."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_DIGITS = 12
"""Means are rounded to so many, so that equal rates give equal means whatever came before them."""


@dataclass(frozen=True, slots=True)
class Settlements:
    """Settlements of N instruments, oldest first; arrays of shape (K, N).

    ``row`` is the candle's row, the number of rows where an instrument has fewer than K. ``rate``
    is the funding rate, a fraction, zero there. ``mean`` is the mean rate a candle over a lookback,
    NaN where it is unknown. ``count``, of shape (N,), is how many each instrument has.
    """

    row: NDArray[np.int64]
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
    known = ~np.isnan(funding)
    so_far = known.cumsum(axis=0)
    column, row = np.nonzero(known.T)
    shape = (int(so_far[-1].max(initial=0)), funding.shape[1])
    rows = np.full(shape, len(funding), np.int64)
    rows[so_far[row, column] - 1, column] = row
    rate = np.zeros(shape)
    rate[so_far[row, column] - 1, column] = funding[row, column]
    total = rate.cumsum(axis=0)
    # The last settlement before the lookback, or the first that is known.
    start = np.maximum(rows - lookback, 0)
    before = np.where(rows < lookback, 0, np.take_along_axis(so_far, start, axis=0) - 1)
    before = np.maximum(before, 0)
    time = rows - np.take_along_axis(rows, before, axis=0)
    mean = np.full(shape, np.nan)
    where = (rows < len(funding)) & (time > 0)
    np.divide(total - np.take_along_axis(total, before, axis=0), time, out=mean, where=where)
    return Settlements(rows, rate, mean, so_far[-1])


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
    if not len(known.row):
        return np.full(known.count.shape, np.nan)
    judged = (known.row >= lookback) & (known.row < len(funding))
    mean = np.where(judged, np.round(known.mean * candles_a_year, _DIGITS), np.nan)
    level = np.full(known.count.shape, enter)
    if own_percentile is not None:
        level = np.fmax(level, _quantile(np.abs(mean), own_percentile))
    received = np.zeros(known.count.shape, np.bool_)
    for side in (1.0, -1.0):
        earns = -side * mean
        often = _last(-side * known.rate > 0.0, same_sign_of) >= same_sign
        entered = _newest(judged & often & (earns >= level))
        received |= entered > _newest(judged & ~(earns >= leave))
    newest = np.maximum(known.count - 1, 0)[None, :]
    fresh = np.take_along_axis(known.row, newest, axis=0)[0] >= len(funding) - lookback
    now = np.take_along_axis(mean, newest, axis=0)[0]
    return np.where(received & fresh, -now, np.nan)


def _last(happened: NDArray[np.bool_], settlements: int) -> NDArray[np.int64]:
    """Return in how many of the last settlements it happened, each included."""
    count = happened.cumsum(axis=0)
    count[settlements:] -= count[:-settlements].copy()
    return count


def _newest(happened: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the newest row in which it happened, -1 without any."""
    return np.where(happened, np.arange(len(happened))[:, None], -1).max(axis=0)


def _quantile(value: Floats, part: float) -> Floats:
    """Return the least value that ``part`` of a column's known values do not exceed; or NaN."""
    count = np.count_nonzero(~np.isnan(value), axis=0)
    place = np.maximum(np.ceil(part * count - 1e-9).astype(np.int64) - 1, 0)[None, :]
    quantile: Floats = np.take_along_axis(np.sort(value, axis=0), place, axis=0)[0]
    return quantile
