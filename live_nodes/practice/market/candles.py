"""Candles in columns: whole ticks and lots, cut, joined and put together to longer ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from live_nodes.practice.exchange.model import Key, Symbol
from live_nodes.practice.market.feed import FundingRate, PriceKind

Whole = NDArray[np.int64]
DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
MONDAY_MS = 4 * DAY_MS
"""1970-01-05, the first Monday since the epoch."""


class Candles(NamedTuple):
    """Columns of equal length, sorted by start.

    Starts are UTC milliseconds, prices whole ticks, volumes whole lots, turnover in the quote
    coin.
    """

    start: Whole
    open: Whole
    high: Whole
    low: Whole
    close: Whole
    volume: Whole
    turnover: NDArray[np.float64]

    def between(self, first_ms: int, last_ms: int) -> Candles:
        """Return those that start in [first_ms, last_ms]."""
        left, right = np.searchsorted(self.start, [first_ms, last_ms + 1])
        return self.rows(slice(left, right))

    def rows(self, chosen: slice) -> Candles:
        """Return some of the rows."""
        return Candles(
            self.start[chosen],
            self.open[chosen],
            self.high[chosen],
            self.low[chosen],
            self.close[chosen],
            self.volume[chosen],
            self.turnover[chosen],
        )


def no_candles() -> Candles:
    """Return columns without rows."""
    none = np.empty(0, np.int64)
    return Candles(none, none, none, none, none, none, np.empty(0, np.float64))


def joined(parts: Iterable[Candles]) -> Candles:
    """Return the parts one after the other; they must be in order."""
    found = [part for part in parts if len(part.start)]
    if not found:
        return no_candles()
    return Candles(*(np.concatenate(column) for column in zip(*found, strict=True)))


def floor_ms(times: Whole, length_ms: int) -> Whole:
    """Return the starts of the candles that the times fall into; weeks start on Mondays."""
    offset = MONDAY_MS if length_ms == WEEK_MS else 0
    return (times - offset) // length_ms * length_ms + offset


def longer(candles: Candles, length_ms: int) -> Candles:
    """Put candles together to longer ones, in UTC time."""
    if not len(candles.start):
        return candles
    starts = floor_ms(candles.start, length_ms)
    first = np.flatnonzero(np.r_[True, starts[1:] != starts[:-1]])
    last = np.r_[first[1:], len(starts)] - 1
    return Candles(
        starts[first],
        candles.open[first],
        np.maximum.reduceat(candles.high, first),
        np.minimum.reduceat(candles.low, first),
        candles.close[last],
        np.add.reduceat(candles.volume, first),
        np.add.reduceat(candles.turnover, first),
    )


class CandleSource(Protocol):
    """Where a market's finest candles come from; pure in time.

    Attributes
    ----------
    length_ms : int
        Of the finest candles, in wall time; they start at its multiples.
    """

    length_ms: int

    def symbols(self, now_ms: int) -> list[Symbol]:
        """Return every symbol launched by now, sorted, ``Trading`` or ``Closed``."""

    def candles(self, key: Key, first_ms: int, last_ms: int, price: PriceKind) -> Candles:
        """Return the candles that start in [first_ms, last_ms], also those of the future."""

    def latest(self, key: Key, before_ms: int) -> Candles:
        """Return the one candle of last prices that starts at or before the time, or none."""

    def funding(self, key: Key, first_ms: int, last_ms: int) -> list[FundingRate]:
        """Return settlements in [first_ms, last_ms], oldest first, also those of the future."""
