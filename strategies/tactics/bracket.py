"""Bracket of a scalped position: take-profit and stop sized by the volatility of the mid. Pure.

Its orders are those of `protective`: a take-profit and a stop, each for no more than what is held,
whichever fills first; the stop follows in profit, and time closes. What it is measured in differs:
the average true range of short candles of the mid, which `MidCandles` makes of order books.
"""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from config.parameter_types import AtrMultiple, BasisPoints, RangeLength, TimeSpan, about
from strategies.tactics.protective import Protection, RProfit, Target


class Bracket(Protection, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The bracket of each position, in candles of the mid; ATR is their average true range."""

    atr: Annotated[RangeLength, about("True ranges averaged.")] = 60
    stop: Annotated[AtrMultiple, about("First stop, in ATR from the entry: it sizes a trade.")] = (
        8.0
    )
    catastrophic: Annotated[
        AtrMultiple,
        about("Stop that the exchange attaches to the entry, from its first fill on; in ATR."),
    ] = 16.0
    least_bps: Annotated[
        BasisPoints, about("Least distance of the first stop; what is in ATR grows alike.")
    ] = 6.0
    take: Annotated[tuple[Target, ...], about("Take-profits, the nearest first.")] = (
        Target(at=1.5, fraction=1.0),
    )
    trail_after: Annotated[
        RProfit, about("Profit in R from which the stop follows the price …")
    ] = 1.0
    trail_atr: Annotated[AtrMultiple | None, about("… by so many ATR.")] = 6.0
    time_stop: Annotated[TimeSpan | None, about("Close at market after so long.")] = "2m"


class MidCandle(NamedTuple):
    """A candle of mid prices; times are UNIX nanoseconds (UTC)."""

    opened: int
    closed: int
    high: float
    low: float
    close: float


class MidCandles:
    """Candles of one instrument's mid, closed by the clock: while books are silent, time passes."""

    def __init__(self) -> None:
        self._high, self._low, self._mid = -math.inf, math.inf, math.nan
        self._opened: int | None = None

    def see(self, mid: float) -> None:
        """Add a mid price."""
        self._mid = mid
        self._high, self._low = max(self._high, mid), min(self._low, mid)

    def end(self, now: int) -> MidCandle | None:
        """Return the candle since the last end, and begin the next; None before there is one."""
        opened, self._opened = self._opened, now
        if math.isnan(self._mid):  # Before the first book: the next mid begins high and low.
            return None
        high, low, self._high, self._low = self._high, self._low, self._mid, self._mid
        return None if opened is None else MidCandle(opened, now, high, low, self._mid)
