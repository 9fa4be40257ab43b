"""Stationary bootstrap: resample a series in stretches of random length.

Politis and Romano (1994), "The Stationary Bootstrap": stretches begin anywhere, with equal chance,
their lengths are geometric, and the series is joined end to start, so that what is resampled is
stationary and keeps the dependence within a stretch.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from actors.measures import Floats, Integers


class Interval(NamedTuple):
    """A mean and the interval that holds 95 % of its resampled values; NaN of too few values."""

    mean: float
    low: float
    high: float


def resample(
    rng: np.random.Generator, count: int, mean_length: float, size: int | None = None
) -> Integers:
    """Return places of one resampled series of so many values; the mean length is at least 1.

    `size` is the length of the resampled series, by default that of the series.
    """
    size = count if size is None else size
    begins = rng.random(size) < 1.0 / mean_length
    begins[:1] = True
    starts = rng.integers(0, count, size)
    newest = np.maximum.accumulate(np.where(begins, np.arange(size), 0))
    return (starts[newest] + np.arange(size) - newest) % count


def mean_length(count: int) -> float:
    """Return a mean length of stretches that grows with the cube root of the series.

    That rate has the least mean square error (Politis and White 2004).
    """
    return float(max(1, math.ceil(count ** (1 / 3))))


def interval(values: Floats, draws: int = 2000, seed: int = 0) -> Interval:
    """Return the mean of a series with its 95 % interval (percentiles of resampled means)."""
    if len(values) < 2:
        return Interval(float(values.mean()) if len(values) else math.nan, math.nan, math.nan)
    rng, length = np.random.default_rng(seed), mean_length(len(values))
    means = [float(values[resample(rng, len(values), length)].mean()) for _ in range(draws)]
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(values.mean()), float(low), float(high))
