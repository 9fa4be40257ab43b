"""Reads the catalog in time slices: candles, prints, closes and funding of a backtest.

A slice [start, end) holds the strategies' candles that close in it, a print (a trade at the open)
for every execution candle that opens in it, and, for the accountant, the grid of execution closes
and the funding settlements. Only one slice is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
from nautilus_trader.core.data import Data
from nautilus_trader.model.data import TradeTick
from nautilus_trader.model.enums import AggressorSide
from numpy.typing import NDArray

from actors.measures import Floats, Integers
from backtests.engine.market import RunMarket
from catalog.engine import bars_of, funding_rates
from catalog.inference import decimals_of_each
from catalog.panel import Panel, panel
from catalog.storage.store import Catalog
from config.durations import DAY_NS, interval_ns
from config.errors import DeskError
from strategies.signals.trend import filled

PRINT_DELAY_NS = 1_000_000_000
"""Prints come 1 s after the open, so that an order decided at T fills at the open at T."""


@dataclass(frozen=True)
class PriceGrid:
    """Prices of N instruments at each of T execution closes of a slice; arrays are (T, N)."""

    ts: Integers
    """Close times, UNIX nanoseconds (UTC), within (start, end], and the window's end, which values
    fills after the last close; shape (T,)."""
    close: Floats
    """Newest close, carried over gaps; NaN before the first."""
    low: Floats
    high: Floats
    """Extremes of the mark price in the candle where the catalog has them (coarser mark candles
    bound the execution candle's own extremes), else of the execution candle."""
    delisted: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """Columns of instruments whose data end with a row, by row."""
    real: NDArray[np.bool_] | None = None
    """Whether a candle closed there, rather than a carried one; None means always."""
    traded: Floats | None = None
    """Open, high and low of the execution candles themselves, which resting orders walk; shape
    (3, T, N)."""
    decimals: Integers | None = None
    """Most decimals of an inferred instrument's prices until then; None when none is inferred."""
    marks: Floats | None = None
    """Newest mark prices, NaN where there are none, of a run on quotes or books: its closes, lows
    and highs are filled from these or the venue's books when their time has come."""
    mids: Floats | None = None
    """Mids of the venue's books, filled then, too; NaN where bid and ask do not stand apart."""
    ends_within: bool = False
    """Whether the last row is the window's end within a candle, at which none could close."""


@dataclass(frozen=True)
class Settlement:
    """A funding settlement: stamp (UNIX nanoseconds, UTC), rate, mark price at the stamp.

    Not ``is_marked``, the price is a close, because the mark prices have a hole there. Without a
    price it is settled at the price that then values the account.
    """

    ts: int
    instrument: str
    rate: Decimal
    mark_price: Decimal | None
    is_marked: bool = True


@dataclass(frozen=True)
class FeedSlice:
    """The data of one slice [start, end) of the window."""

    start: int
    end: int
    data: list[Data]
    grid: PriceGrid
    settlements: list[Settlement]


class CatalogFeed:
    """Reads a catalog slice by slice.

    Times are UNIX nanoseconds (UTC), ``end`` exclusive. Orders fill at the opens of
    ``execution_interval`` candles, whose closes value the account. ``prints`` feeds these opens as
    trades (``next_open``); otherwise orders fill at candle closes. Strategies get the funding
    rates of ``rates_of``, each at its settlement.
    """

    settles_live = False
    """Whether funding without a mark price is settled at the price that then values the account."""

    def __init__(
        self,
        catalog: Catalog,
        market: RunMarket,
        *,
        signal_intervals: tuple[str, ...],
        execution_interval: str,
        start: int,
        end: int,
        slice_days: int,
        prints: bool,
        funding: bool,
        rates_of: Iterable[str] = (),
    ) -> None:
        self.catalog, self.market = catalog, market
        self.signal_intervals = signal_intervals
        self.execution_interval = execution_interval
        self.start, self.end = start, end
        self._step = slice_days * DAY_NS
        self._prints, self._funding = prints, funding
        self._rates_of = tuple(rates_of)
        self._interval_ns = interval_ns(execution_interval)
        self._carried = np.full(len(market.ids), np.nan)
        self._seen: Integers | None = None
        self.coarsest: dict[str, float] = {}
        """Largest part of a price that an inferred tick was, by instrument id."""
        self.dearest_lots: dict[str, float] = {}
        """Largest worth of an inferred lot, quote coin, by instrument id."""
        coverage = catalog.coverage("bars", execution_interval)
        self.last_bar = {name: coverage[name].last for name in market.ids if name in coverage}
        marks = catalog.intervals("mark")
        fine = [name for name in marks if interval_ns(name) <= self._interval_ns]
        self.mark_interval = fine[-1] if fine else (marks[0] if marks else None)

    def with_market(self, market: RunMarket) -> CatalogFeed:
        """Return the same feed for a market with other fees."""
        other = copy(self)
        other.market = market
        return other

    def slices(self) -> Iterator[FeedSlice]:
        """Yield the window's slices in order."""
        self._carried = self.opening_prices()
        self._seen, self.coarsest, self.dearest_lots = None, {}, {}
        start = self.start
        while start < self.end:
            end = min(start + self._step, self.end)
            yield self._slice(start, end)
            start = end

    def opening_prices(self) -> Floats:
        """Return each instrument's newest close at the window's start, at most a week old."""
        before = panel(
            self.catalog,
            self.execution_interval,
            self.market.ids,
            self.start - 7 * DAY_NS,
            self.start,
        )
        return filled(np.vstack([np.full(len(self.market.ids), np.nan), before.close]))[-1]

    def _slice(self, start: int, end: int) -> FeedSlice:
        market = self.market
        candles = panel(
            self.catalog, self.execution_interval, market.ids, start, end + self._interval_ns - 1
        )
        self.refuse_unsound(candles, self.execution_interval)
        marks = self._marks(start, end)
        before = self._carried
        grid = self._grid(candles, marks, start, end)
        data: list[Data] = []
        for interval in self.signal_intervals:
            # Without prints, orders need the candle that closes at the start.
            after = start if start == self.start and self._prints else start - 1
            data += bars_of(self.catalog, interval, market.ids, after, end - 1)
        rates_after = start if start == self.start else start - 1
        data += funding_rates(self.catalog.funding(self._rates_of, rates_after, end - 1))
        if self._prints:
            data += self._open_prints(candles, start, end)
        settlements = []
        if self._funding:
            settlements = self._settlements(grid, before, marks, start, end)
        return FeedSlice(start, end, data, grid, settlements)

    def _marks(self, start: int, end: int) -> Panel | None:
        if self.mark_interval is None:
            return None
        ids, since = self.market.ids, start - DAY_NS - 1
        return panel(self.catalog, self.mark_interval, ids, since, end, kind="mark")

    def refuse_unsound(self, candles: Panel, interval: str) -> None:
        """Refuse candles that would corrupt the books.

        Raises DeskError that names the first instrument, the time and where to look further.
        """
        with np.errstate(invalid="ignore"):
            bad = (candles.close <= 0) | (candles.open <= 0) | (candles.low > candles.high)
        off = candles.ts % interval_ns(interval) != 0
        there = off[:, None] & ~np.isnan(candles.close)
        for wrong, what in (
            (there, f"closes at no multiple of {interval}"),
            (bad, "has a price that is not above 0, or a low above its high"),
        ):
            if wrong.any():
                row, column = (int(place[0]) for place in np.nonzero(wrong))
                moment = np.datetime64(int(candles.ts[row]), "ns").astype("datetime64[s]")
                raise DeskError(
                    f"{candles.ids[column]}: the {interval} candle of {moment} UTC {what}; "
                    f"`perpdesk catalog check --catalog {self.catalog.name}` lists all of them"
                )

    def _open_prints(self, candles: Panel, start: int, end: int) -> list[Data]:
        opens_at = candles.ts - self._interval_ns
        rows = np.flatnonzero((opens_at >= start) & (opens_at < end))
        prints: list[Data] = []
        for column, instrument in enumerate(self.market.instruments):
            price = candles.open[rows, column]
            known = ~np.isnan(price)
            count = int(known.sum())
            if not count:
                continue
            stamps = (opens_at[rows][known] + PRINT_DELAY_NS).astype(np.uint64)
            prints += TradeTick.from_raw_arrays_to_list(
                instrument.id,
                instrument.price_precision,
                instrument.size_precision,
                np.ascontiguousarray(price[known]),
                np.ones(count),
                np.full(count, AggressorSide.NO_AGGRESSOR.value, dtype=np.uint8),
                ["OPEN"] * count,
                stamps,
                stamps,
            )
        return prints

    def _grid(self, candles: Panel, marks: Panel | None, start: int, end: int) -> PriceGrid:
        ts = self._times(start, end, self._interval_ns)
        shape = (len(ts), len(self.market.ids))
        close, traded = np.full(shape, np.nan), np.full((3, *shape), np.nan)
        inside = candles.ts <= end
        rows = np.searchsorted(ts, candles.ts[inside])
        close[rows] = candles.close[inside]
        for place, found in enumerate((candles.open, candles.high, candles.low)):
            traded[place][rows] = found[inside]
        _, high, low = traded
        real = ~np.isnan(close)
        close = filled(np.vstack([self._carried, close]))[1:]
        self._carried = close[-1].copy()
        decimals = self._decimals(traded, close)
        low, high = np.where(np.isnan(low), close, low), np.where(np.isnan(high), close, high)
        if marks is not None and len(marks.ts):
            low, high = self._marked(ts, low, high, marks, start)
        delisted: dict[int, tuple[int, ...]] = {}
        for column, name in enumerate(self.market.ids):
            last = self.last_bar.get(name)
            if last is not None and start < last <= end and last < self.end:
                row = int(np.searchsorted(ts, last))
                delisted[row] = (*delisted.get(row, ()), column)
        within = end == self.end and end % self._interval_ns > 0
        return PriceGrid(ts, close, low, high, delisted, real, traded, decimals, ends_within=within)

    def _times(self, start: int, end: int, step: int) -> Integers:
        """Return the times of a slice's grid, and the window's end."""
        # Whole steps: arange over nanoseconds loses the last one to float rounding.
        ts = (np.arange(end // step - start // step, dtype=np.int64) + 1 + start // step) * step
        return np.append(ts, end) if end == self.end and end % step else ts

    def _decimals(self, traded: Floats, close: Floats) -> Integers | None:
        """Return the decimals seen until each row; note how coarse inferred ticks and lots are."""
        market = self.market
        columns = [column for column, info in enumerate(market.infos) if info.inferred]
        if not columns:
            return None
        if self._seen is None:
            self._seen = np.array([info.price_precision for info in market.infos])
        found = np.zeros(close.shape, dtype=np.int64)
        for column in columns:
            most = market.instruments[column].price_precision
            values = np.vstack([traded[:, :, column], close[:, column]])
            found[:, column] = decimals_of_each(values, most).max(axis=0)
        found = np.maximum.accumulate(np.vstack([self._seen, found]))[1:]
        self._seen = found[-1]
        with np.errstate(invalid="ignore"):
            part = 10.0 ** -found[:, columns] / close[:, columns]
        largest_parts = np.nan_to_num(part).max(axis=0, initial=0.0)
        for column, largest in zip(columns, largest_parts, strict=True):
            name = market.ids[column]
            self.coarsest[name] = max(float(largest), self.coarsest.get(name, 0.0))
            lot = float(np.nanmax(close[:, column], initial=0.0)) * float(market.infos[column].lot)
            self.dearest_lots[name] = max(lot, self.dearest_lots.get(name, 0.0))
        return found

    def _marked(
        self, ts: Integers, low: Floats, high: Floats, marks: Panel, start: int
    ) -> tuple[Floats, Floats]:
        assert self.mark_interval is not None
        mark_ns = interval_ns(self.mark_interval)
        if mark_ns <= self._interval_ns:
            rows = np.searchsorted(ts, marks.ts)
            keep = (rows < len(ts)) & (marks.ts > start)
            lowest, highest = np.full_like(low, np.inf), np.full_like(high, -np.inf)
            known = np.nan_to_num(marks.low[keep], nan=np.inf)
            np.minimum.at(lowest, rows[keep], known)
            known = np.nan_to_num(marks.high[keep], nan=-np.inf)
            np.maximum.at(highest, rows[keep], known)
            return (
                np.where(np.isinf(lowest), low, lowest),
                np.where(np.isinf(highest), high, highest),
            )
        rows = np.searchsorted(marks.ts, ts)
        exists = rows < len(marks.ts)
        rows = np.minimum(rows, len(marks.ts) - 1)
        exists &= marks.ts[rows] - mark_ns < ts
        floor = np.where(exists[:, None], marks.low[rows], np.nan)
        ceiling = np.where(exists[:, None], marks.high[rows], np.nan)
        return np.fmax(low, floor), np.fmin(high, ceiling)

    def _settlements(
        self, grid: PriceGrid, before: Floats, marks: Panel | None, start: int, end: int
    ) -> list[Settlement]:
        table = self.catalog.funding(self.market.ids, start, end)
        found = []
        for ts, name, rate in zip(
            table.column("ts").to_pylist(),
            table.column("instrument").to_pylist(),
            table.column("rate").to_pylist(),
            strict=True,
        ):
            column = self.market.column[name]
            mark = None if marks is None else _newest_mark(marks, ts, column)
            price = mark
            if mark is None and not self.settles_live:
                price = _close_at(ts, column, grid, before)
            if price is not None or self.settles_live:
                is_marked = marks is None or mark is not None
                exact = None if price is None else Decimal(repr(price))
                found.append(Settlement(ts, name, Decimal(repr(rate)), exact, is_marked))
        return sorted(found, key=lambda s: (s.ts, s.instrument))


def _newest_mark(marks: Panel, ts: int, column: int) -> float | None:
    """Return the mark price of the newest row at a stamp, at most a day old, and none after it.

    It is None where the instrument is missing from that row.
    """
    row = int(np.searchsorted(marks.ts, ts, side="right")) - 1
    if row < 0 or marks.ts[row] < ts - DAY_NS or np.isnan(marks.close[row, column]):
        return None
    return float(marks.close[row, column])


def _close_at(ts: int, column: int, grid: PriceGrid, before: Floats) -> float | None:
    """Return the newest execution close at a stamp; ``before`` are those of the slice before."""
    row = int(np.searchsorted(grid.ts, ts, side="right")) - 1
    price = grid.close[row, column] if row >= 0 else before[column]
    return None if np.isnan(price) else float(price)
