"""Filters: which instruments may be held at all, or on one side; each off by default."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from config.durations import DAY_NS, HOUR_NS
from strategies.signals.parameters import AdxFilter, FundingFilter, HoursFilter, SlopeFilter
from strategies.signals.selection import Mask, Sides


def adx_passes(rules: AdxFilter, adx: NDArray[np.float64]) -> Mask:
    """Return which instruments have an ADX within the limits; NaN is not."""
    return (adx >= rules.least) & (adx <= rules.most)


def slope_sides(rules: SlopeFilter, slope: NDArray[np.float64]) -> Sides:
    """Return who may be held on each side, by slopes in basis points a day; NaN on none."""
    up, down = slope >= rules.least_bps, -slope >= rules.least_bps
    if rules.sides == "both":
        return Sides(up | down, up | down)
    return Sides(up, down) if rules.sides == "with_trend" else Sides(down, up)


def in_hours(rules: HoursFilter, ts: int) -> bool:
    """Return whether the hour of a time (UNIX nanoseconds, UTC) is among those named."""
    return ts % DAY_NS // HOUR_NS in rules.hours


def funding_sides(rules: FundingFilter, paid_a_day: NDArray[np.float64]) -> Sides:
    """Return who may be held on each side, by what longs pay a day, a fraction; NaN on none."""
    bps = paid_a_day * 1e4
    return Sides(bps <= rules.most_bps, -bps <= rules.most_bps)


def rows_for_funding(interval_ns: int) -> int:
    """Return how many candles cover a day."""
    return -(-DAY_NS // interval_ns)


def funding_a_day(funding: NDArray[np.float64], interval_ns: int) -> NDArray[np.float64]:
    """Return what a long position paid in the last day, a fraction of its value, shape (N,).

    ``funding`` has shape (W, N): rates settled in each candle, NaN without a settlement. A day has
    as many settlements as the instrument has, so hourly ones count 24 times. NaN with none.
    """
    rows = rows_for_funding(interval_ns)
    last = funding[-rows:]
    settled = ~np.isnan(last)
    total = np.where(settled, last, 0.0).sum(axis=0) * (DAY_NS / (rows * interval_ns))
    return np.where(settled.any(axis=0), total, np.nan)
