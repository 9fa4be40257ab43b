"""Inside a candle: a path that touches its open, high, low and close, the same for the same seed.

Pure functions on whole ticks. Two candles drawn with one seed (last and mark price) have their
highs, lows and wiggles at the same moments, so that they stay as near to each other as their
candles are.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

Ticks = NDArray[np.int64]
LEAST_KNOTS = 4
WIGGLE = 0.6


def seed_of(*parts: object) -> int:
    """Return a seed of 64 bits that depends on the parts alone (not on Python's hash)."""
    text = "|".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def candle_path(open_: int, high: int, low: int, close: int, knots: int, seed: int) -> Ticks:
    """Draw the prices at equal steps of time inside one candle.

    Parameters
    ----------
    open_, high, low, close : int
        In ticks; low <= open, close <= high.
    knots : int
        How many prices, at least 4; price k holds from k to k + 1 steps after the start.
    seed : int
        Of the draw.

    Returns
    -------
    numpy.ndarray of int64
        The first is the open, the last the close; the largest is the high, the smallest the low.

    Raises
    ------
    ValueError
        When the candle is impossible or there are too few knots.
    """
    if not low <= min(open_, close) <= max(open_, close) <= high:
        raise ValueError(f"no such candle: open {open_} high {high} low {low} close {close}")
    if knots < LEAST_KNOTS:
        raise ValueError(f"knots must be at least {LEAST_KNOTS}, was {knots}")
    draw = np.random.Generator(np.random.PCG64(seed))
    first, second = sorted(draw.choice(knots - 2, size=2, replace=False) + 1)
    up_first = bool(draw.integers(2))
    pins = np.array([0, first, second, knots - 1])
    turns = (high, low) if up_first else (low, high)
    levels = np.array([open_, *turns, close], dtype=np.float64)
    at = np.arange(knots)
    walk = np.cumsum(draw.standard_normal(knots))
    bridge = walk - np.interp(at, pins, walk[pins])
    wiggle = bridge * (WIGGLE * (high - low) / np.sqrt(knots))
    path = np.rint(np.clip(np.interp(at, pins, levels) + wiggle, low, high)).astype(np.int64)
    path[pins] = levels.astype(np.int64)
    return path


def volume_path(lots: int, knots: int, seed: int) -> Ticks:
    """Draw how much was traded by the end of each step; the last is all of it.

    Parameters
    ----------
    lots : int
        The candle's volume in lots.
    knots : int
        Number of steps.
    seed : int
        Of the draw.
    """
    draw = np.random.Generator(np.random.PCG64(seed ^ 0x5DEECE66D))
    share = np.cumsum(0.2 + draw.random(knots))
    done = np.floor(lots * (share / share[-1])).astype(np.int64)
    done[-1] = lots
    return done


def mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix 64-bit numbers so that neighbours have nothing in common (SplitMix64, Steele 2014)."""
    z = values + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def uniforms(values: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return numbers in [0, 1) that depend on the values alone."""
    return (mixed(values) >> np.uint64(11)).astype(np.float64) / float(1 << 53)
