"""A catalog's window as a market, moved to the present; it can run faster than real time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path

import numpy as np

from catalog.instruments import InstrumentInfo
from catalog.storage.store import Catalog
from config.catalogs import folder_only
from config.documents.exchange import SPEEDS, BooksMarket, ReplayMarket
from config.durations import interval_ns, nanoseconds
from config.errors import InputError
from live_nodes.practice.exchange.model import DAY_MS, MINUTE_MS, Key, PracticeSymbol
from live_nodes.practice.market.feed import (
    CandleColumns,
    FundingRate,
    PriceKind,
)

MS = 1_000_000
AHEAD = 4
"""Without a start in the document, this part (1 / AHEAD) of the window is in the future."""
UNBOUNDED_LOTS = 1_000_000_000
NO_NS = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Anchor:
    """A moment of the catalog and its moment of the wall clock, UTC milliseconds."""

    wall_ms: int
    catalog_ms: int
    speed: int

    def to_wall(self, catalog_ms: int) -> int:
        """Convert a catalog time to wall time."""
        return self.wall_ms + (catalog_ms - self.catalog_ms) // self.speed

    def to_catalog(self, wall_ms: int) -> int:
        """Convert a wall time to catalog time."""
        return self.catalog_ms + (wall_ms - self.wall_ms) * self.speed


def open_catalog(document: ReplayMarket | BooksMarket) -> Catalog:
    """Open the document's catalog. The InputError says how to make one."""
    folder_only(document.catalog)
    if not Path(document.catalog).exists():
        books = " --books" * isinstance(document, BooksMarket)
        raise InputError(
            f"market.catalog: there is no catalog in {document.catalog}; "
            f"`perpdesk catalog demo{books} --catalog {document.catalog}` makes one"
        )
    return Catalog(document.catalog)


def choose_anchor(document: ReplayMarket, catalog: Catalog, now_ms: int) -> Anchor:
    """Choose the catalog's moment of the first start.

    At real pace, the document's start day is the day of `now_ms`, otherwise its minute. Raises
    InputError when the start is not a day within the window.
    """
    speed = SPEEDS[document.pace]
    first, last = _window(catalog)
    if document.start is None:
        start = (last - (last - first) // AHEAD) // DAY_MS * DAY_MS
    else:
        start = nanoseconds(document.start) // MS
        if start % DAY_MS:
            raise InputError("market.start must be a day without a time: days move by whole days")
        if not first <= start < last:
            raise InputError(
                f"market.start must be in the catalog's window, {_day(first)} to {_day(last)}"
            )
    step = DAY_MS if speed == 1 else MINUTE_MS
    return Anchor(now_ms // step * step, start, speed)


def _window(catalog: Catalog) -> tuple[int, int]:
    interval = _finest(catalog)
    coverage = catalog.coverage("bars", interval).values()
    length = interval_ns(interval)
    return (
        (min(series.first for series in coverage) - length) // MS,
        max(series.last for series in coverage) // MS,
    )


def _finest(catalog: Catalog) -> str:
    intervals = catalog.intervals("bars")
    if not intervals:
        raise InputError(f"market.catalog: there are no candles in {catalog.path}")
    return intervals[0]


def _day(ms: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(ms / 1_000))


class ReplaySource:
    """A `live_nodes.practice.market.feed.CandleSource` over a catalog, moved by `anchor`."""

    def __init__(self, catalog: Catalog, anchor: Anchor) -> None:
        self._catalog = catalog
        self._anchor = anchor
        self._interval = _finest(catalog)
        self._own_ms = interval_ns(self._interval) // MS
        self.length_ms = self._own_ms // anchor.speed
        self._infos = {_key(info): info for info in catalog.instruments.values()}
        self._covered = catalog.coverage("bars", self._interval)
        self._has_marks = catalog.coverage("mark", self._interval)
        self._series = cache(self._read)
        self._rates = cache(self._read_funding)
        self._symbols: list[PracticeSymbol] = []
        self._stale_ms = 0

    @property
    def end_ms(self) -> int:
        """End of the catalog's window, wall clock."""
        return self._anchor.to_wall(max(span.last for span in self._covered.values()) // MS)

    def symbols(self, now_ms: int) -> list[PracticeSymbol]:
        """Return all symbols launched by now, sorted, ``Trading`` or ``Closed``."""
        if now_ms >= self._stale_ms or not self._symbols:
            now = self._anchor.to_catalog(now_ms)
            changes = []
            self._symbols = []
            for key, info in sorted(self._infos.items()):
                covered = self._covered.get(info.id)
                if covered is None:
                    continue
                begins = max(info.listed_ns, covered.first - self._own_ms * MS) // MS
                ends = min(info.delisted_ns or NO_NS, covered.last) // MS
                changes += [stamp for stamp in (begins, ends) if stamp > now]
                if begins <= now:
                    self._symbols.append(self._symbol(key, info, closed=now >= ends))
            self._stale_ms = self._anchor.to_wall(min(changes)) if changes else NO_NS
        return list(self._symbols)

    def candles(self, key: Key, first_ms: int, last_ms: int, price: PriceKind) -> CandleColumns:
        """Return the candles that start in [first_ms, last_ms], also future ones."""
        marked = price != "last" and self._infos[key].id in self._has_marks
        return self._series(key, "mark" if marked else "bars").between(first_ms, last_ms)

    def latest(self, key: Key, before_ms: int) -> CandleColumns:
        """Return the one candle of last prices that starts at or before the time, or none."""
        series = self._series(key, "bars")
        row = int(np.searchsorted(series.start, before_ms, side="right")) - 1
        return series.rows(slice(max(row, 0), row + 1))

    def funding(self, key: Key, first_ms: int, last_ms: int) -> list[FundingRate]:
        """Return settlements in [first_ms, last_ms], oldest first, also future ones."""
        stamps, rates = self._rates(key)
        left, right = np.searchsorted(stamps, [first_ms, last_ms + 1])
        return [
            FundingRate(int(stamp), Decimal(repr(rate)))
            for stamp, rate in zip(stamps[left:right], rates[left:right].tolist(), strict=True)
        ]

    def _read(self, key: Key, kind: str) -> CandleColumns:
        info = self._infos[key]
        table = self._catalog.series(kind, self._interval, info.id, 0, NO_NS)
        closes = table.column("ts").to_numpy() // MS
        starts = self._anchor.wall_ms + (
            (closes - self._own_ms - self._anchor.catalog_ms) // self._anchor.speed
        )
        open_, high, low, close = (
            np.rint(table.column(name).to_numpy() / float(info.tick)).astype(np.int64)
            for name in ("open", "high", "low", "close")
        )
        nothing = np.zeros(len(starts))
        volume, turnover = (
            table.column(name).to_numpy() if name in table.column_names else nothing
            for name in ("volume", "turnover")
        )
        lots = np.rint(volume / float(info.lot)).astype(np.int64)
        worth = np.asarray(turnover, np.float64)
        return CandleColumns(starts.astype(np.int64), open_, high, low, close, lots, worth)

    def _read_funding(self, key: Key) -> tuple[np.ndarray, np.ndarray]:
        table = self._catalog.series("funding", "", self._infos[key].id, 0, NO_NS)
        stamps = table.column("ts").to_numpy() // MS
        # Settlements are on the minute; recorded times may be slightly off.
        minutes = np.rint(stamps / MINUTE_MS).astype(np.int64) * MINUTE_MS
        walls = self._anchor.wall_ms + (minutes - self._anchor.catalog_ms) // self._anchor.speed
        return walls, table.column("rate").to_numpy()

    def _symbol(self, key: Key, info: InstrumentInfo, *, closed: bool) -> PracticeSymbol:
        lot = Decimal(info.lot)
        most = Decimal(info.max_qty) if info.max_qty else lot * UNBOUNDED_LOTS
        minutes = info.funding_minutes
        return PracticeSymbol(
            category="spot" if key[0] == "spot" else "linear", name=info.symbol, base=info.base,
            quote=info.quote, settle=info.settle, tick=Decimal(info.tick), lot=lot,
            min_qty=Decimal(info.min_qty), max_qty=most, max_market_qty=most,
            min_notional=Decimal(info.min_notional), max_leverage=Decimal(info.max_leverage),
            maintenance_margin=Decimal(info.maintenance_margin),
            funding_minutes=max(1, minutes // self._anchor.speed) if minutes else 0,
            launch_ms=max(0, self._anchor.to_wall(info.listed_ns // MS)),
            status="Closed" if closed else "Trading",
        )  # fmt: skip


def _key(info: InstrumentInfo) -> Key:
    return ("spot" if info.product == "SPOT" else "linear", info.symbol)
