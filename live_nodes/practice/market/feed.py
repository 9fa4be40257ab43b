"""Market data types of the practice exchange; times are UTC milliseconds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from live_nodes.practice.exchange.model import DAY_MS, MINUTE_MS, WEEK_MS, Key, PracticeSymbol

PriceKind = Literal["last", "mark", "index"]
Whole = NDArray[np.int64]
MONDAY_MS = 4 * DAY_MS
"""1970-01-05, the first Monday since the epoch."""

INTERVAL_MS: dict[str, int] = {
    **{str(n): n * MINUTE_MS for n in (1, 3, 5, 15, 30, 60, 120, 240, 360, 720)},
    "D": DAY_MS,
    "W": WEEK_MS,
}
"""Bybit's candle intervals and their lengths; weeks start on Mondays. Months are not served."""
HOUR_MS = 3_600_000
OPEN_INTEREST_HOURS = 12
"""Open interest in hours of volume; only tickers show it."""


@dataclass(frozen=True, slots=True)
class Candle:
    """One candle; turnover is in the quote coin. Mark and index candles have no volume (0)."""

    start_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    turnover: Decimal


@dataclass(frozen=True, slots=True)
class FundingRate:
    """One settlement: a fraction of the position's value; longs pay it when positive."""

    time_ms: int
    rate: Decimal


@dataclass(frozen=True, slots=True)
class Prices:
    """A ticker's figures without the top of book, which comes from the exchange.

    For spot `mark` is `last`, and funding is 0. `open_interest` is in the base coin.
    """

    last: Decimal
    mark: Decimal
    index: Decimal
    previous_24h: Decimal
    high_24h: Decimal
    low_24h: Decimal
    volume_24h: Decimal
    turnover_24h: Decimal
    previous_1h: Decimal
    open_interest: Decimal
    funding_rate: Decimal
    next_funding_ms: int
    funding_minutes: int


class CandleColumns(NamedTuple):
    """Candles sorted by start (UTC ms); in ticks and lots, turnover in quote coin."""

    start: Whole
    open: Whole
    high: Whole
    low: Whole
    close: Whole
    volume: Whole
    turnover: NDArray[np.float64]

    def between(self, first_ms: int, last_ms: int) -> CandleColumns:
        """Return the candles that start in [first_ms, last_ms]."""
        left, right = np.searchsorted(self.start, [first_ms, last_ms + 1])
        return self.rows(slice(left, right))

    def rows(self, chosen: slice) -> CandleColumns:
        """Return a slice of the rows."""
        return CandleColumns._make(column[chosen] for column in self)


def joined(parts: Iterable[CandleColumns]) -> CandleColumns:
    """Concatenate the parts, which must be in order; none give columns without rows."""
    found = [part for part in parts if len(part.start)]
    if not found:
        none = np.empty(0, np.int64)
        return CandleColumns(none, none, none, none, none, none, np.empty(0, np.float64))
    return CandleColumns(*(np.concatenate(column) for column in zip(*found, strict=True)))


def floor_ms[T: (int, Whole)](times: T, length_ms: int) -> T:
    """Return the starts of the candles that contain the times; weeks start on Mondays."""
    offset = MONDAY_MS if length_ms == WEEK_MS else 0
    return (times - offset) // length_ms * length_ms + offset


def longer(candles: CandleColumns, length_ms: int) -> CandleColumns:
    """Combine candles into longer ones, in UTC time."""
    if not len(candles.start):
        return candles
    starts = floor_ms(candles.start, length_ms)
    first = np.flatnonzero(np.r_[True, starts[1:] != starts[:-1]])
    last = np.r_[first[1:], len(starts)] - 1
    return CandleColumns(
        starts[first],
        candles.open[first],
        np.maximum.reduceat(candles.high, first),
        np.minimum.reduceat(candles.low, first),
        candles.close[last],
        np.add.reduceat(candles.volume, first),
        np.add.reduceat(candles.turnover, first),
    )


class CandleSource(Protocol):
    """Source of a market's candles, which start at multiples of `length_ms` in wall time."""

    length_ms: int

    def symbols(self, now_ms: int) -> list[PracticeSymbol]:
        """Return all symbols launched by now, sorted, ``Trading`` or ``Closed``."""

    def candles(self, key: Key, first_ms: int, last_ms: int, price: PriceKind) -> CandleColumns:
        """Return the candles that start in [first_ms, last_ms], also future ones."""

    def latest(self, key: Key, before_ms: int) -> CandleColumns:
        """Return the one candle of last prices that starts at or before the time, or none."""

    def funding(self, key: Key, first_ms: int, last_ms: int) -> list[FundingRate]:
        """Return settlements in [first_ms, last_ms], oldest first, also future ones."""


def figures(
    symbol: PracticeSymbol,
    prices: tuple[Decimal, Decimal, Decimal],
    day: CandleColumns,
    length_ms: int,
    now_ms: int,
    funding: tuple[Decimal, int],
) -> Prices:
    """Return a ticker's figures.

    `prices`: last, mark, index; `day`: candles of the last 24 hours; `funding`: next rate and time.
    """
    last, mark, index = prices
    none = Decimal(0)
    if not len(day.start):
        return Prices(
            last, mark, index, last, last, last, none, none, last, none, *funding,
            symbol.funding_minutes,
        )  # fmt: skip
    tick, lot = symbol.tick, symbol.lot
    lots = int(day.volume.sum())
    hours = max(1, min(len(day.start) * length_ms, DAY_MS) // HOUR_MS)
    hour_ago = min(int(np.searchsorted(day.start, now_ms - HOUR_MS)), len(day.start) - 1)
    return Prices(
        last=last, mark=mark, index=index, previous_24h=int(day.open[0]) * tick,
        high_24h=int(day.high.max()) * tick, low_24h=int(day.low.min()) * tick,
        volume_24h=lots * lot, turnover_24h=_money(float(day.turnover.sum())),
        previous_1h=int(day.open[hour_ago]) * tick,
        open_interest=round(lots * OPEN_INTEREST_HOURS / hours) * lot, funding_rate=funding[0],
        next_funding_ms=funding[1], funding_minutes=symbol.funding_minutes,
    )  # fmt: skip


def rows(symbol: PracticeSymbol, candles: CandleColumns) -> list[Candle]:
    """Return candles with Decimal prices and quantities."""
    tick, lot = symbol.tick, symbol.lot
    columns = [column.tolist() for column in candles]
    return [
        Candle(start, o * tick, h * tick, low * tick, c * tick, v * lot, _money(worth))
        for start, o, h, low, c, v, worth in zip(*columns, strict=True)
    ]


def _money(value: float) -> Decimal:
    return Decimal(f"{value:.4f}")
