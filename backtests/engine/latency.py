"""Delays of commands and data in backtests on quotes and books, drawn from a seed. Pure.

A draw depends on the seed and the moment alone. So a run repeats exactly, who looks at the age of
the data changes no delay, and two runs under other settings meet the same luck.
"""

from __future__ import annotations

import math

from config.documents import Bursts, Latency, WayLatency

MILLISECOND_NS = 1_000_000
_MASK = (1 << 64) - 1
_FEED, _ORDERS = 1, 2


def uniform(*parts: int) -> float:
    """Return a number in (0, 1) that looks random and follows from the parts (SplitMix64)."""
    state = 0
    for part in parts:
        state = (state + (part & _MASK) + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return (state + 0.5) / 2.0**64


def feed_delay_ns(latency: Latency, now: int) -> int:
    """Return the age at which data of a moment (UNIX nanoseconds) reach a strategy."""
    return _delay_ns(latency.feed, now, _FEED)


def command_delay_ns(latency: Latency, now: int) -> int:
    """Return how long a command of a moment takes: the data's way to it, and its own."""
    return feed_delay_ns(latency, now) + _delay_ns(latency.orders, now, _ORDERS)


def _delay_ns(delay: WayLatency, now: int, way: int) -> int:
    found = float(delay.base)
    if delay.jitter:
        found -= float(delay.jitter) * math.log(uniform(delay.seed, way, now))
    if delay.bursts is not None and is_burst(delay.bursts, delay.seed, now):
        found += float(delay.bursts.delay)
    return round(found * MILLISECOND_NS)


def is_burst(bursts: Bursts, seed: int, now: int) -> bool:
    """Whether a moment (UNIX nanoseconds) lies in the burst of its period."""
    every, length = round(bursts.every * 10**9), round(bursts.length * 10**9)
    period, passed = divmod(now, every)
    began = uniform(seed, period) * (every - length)
    return began <= passed < began + length
