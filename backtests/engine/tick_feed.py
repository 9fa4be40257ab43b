"""Reads a catalog's books or quotes, and its trades, in slices of equal size.

Beside them come the strategies' candles and the funding, as in `backtests.engine.feed`. A slice
holds about `ROWS` rows, whatever time that takes, so that memory stays flat.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from nautilus_trader.core.data import Data
from nautilus_trader.model.data import OrderBookDeltas

from actors.measures import Floats, Integers
from backtests.checks import TICKS_SLACK_NS
from backtests.engine.feed import CatalogFeed, FeedSlice, PriceGrid
from catalog.engine import (
    bars_of,
    book,
    engine_rows,
    funding_rates,
    predicted_rates,
    quotes,
    trades,
)
from catalog.instruments import InstrumentInfo
from catalog.series import AFTER_LOSS, SNAPSHOT
from catalog.storage.manifest import FileFact
from config.durations import DAY_NS, HOUR_NS
from strategies.market_view import ShownBook

if TYPE_CHECKING:
    from catalog.tops import StoredBook

ROWS = 250_000
"""Rows of books, quotes and trades that a slice aims at."""
OLDEST_MARK_NS = HOUR_NS
"""Mark prices are not older than this."""


class TickFeed(CatalogFeed):
    """Reads books (``kind`` book) or quotes slice by slice; see `CatalogFeed`.

    ``valuation`` is the time between two rows of the price grid, nanoseconds. ``levels`` are those
    a side that each message of a book shows, by instrument, with the trades before it.
    """

    settles_live = True

    def __init__(
        self,
        *args: Any,
        kind: str,
        valuation: int,
        levels: Mapping[str, int] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(*args, prints=False, **settings)
        self.kind, self.valuation = kind, valuation
        covered = self.catalog.coverage(kind)
        self.last_bar = {name: covered[name].last for name in self.market.ids if name in covered}
        self._first = {name: span.first for name, span in covered.items()}
        self.untraded = sorted(set(self.market.ids) - set(self.catalog.coverage("trades")))
        """Instruments without trades in the catalog."""
        self.resets: dict[str, int] = {}
        """Snapshots after the first of each instrument."""
        self.losses: dict[str, int] = {}
        """Moments of each instrument's book before which the source lost messages."""
        self.silences: dict[str, int] = {}
        """Longest time without a row of each instrument's book or quotes, ns; above the slack."""
        self._newest: dict[str, int] = {}
        rows = sum(span.rows for name, span in covered.items() if name in self.market.column)
        days = [self._days(kind, name) for name in self.market.ids]
        longest = max((sum(day.last - day.first for day in found) for found in days), default=0)
        self._density = rows / max(longest, 1)
        self._known: set[str] = set()
        self._quotes: dict[str, pa.Table] = {}
        self._levels = levels or {}
        self._books: dict[str, StoredBook] = {}
        self._late: dict[str, pa.Table] = {}

    def slices(self) -> Iterator[FeedSlice]:
        """Yield the window's slices in order."""
        self._known, self._quotes, self._books, self.resets = set(), {}, {}, {}
        self.losses, self.silences, self._newest, self._late = {}, {}, {}, {}
        density, start = self._density, self.start
        while start < self.end:
            step = ROWS / density if density else float(self._step)
            end = self._after(start, step)
            since, known, quoted = start, copy(self._known), dict(self._quotes)
            part, rows = self._ticks(start, end)
            while not part.data and end < self.end:
                # The engine runs no timers without data: what is empty joins what comes.
                self._known, self._quotes = copy(known), dict(quoted)
                since = self._next_ticks(end)
                end = self._after(since, step)
                part, rows = self._ticks(start, end)
            yield part
            seen = rows / max(end - since, 1)
            density = min(max(seen, density / 4), density * 4) if density else seen
            start = end

    def _after(self, start: int, step: float) -> int:
        whole = max(int(min(step, self._step)) // self.valuation, 1) * self.valuation
        return min(start // self.valuation * self.valuation + whole, self.end)

    def _days(self, kind: str, name: str) -> list[FileFact]:
        return [self.catalog.manifest.files[p] for p in self.catalog.paths(kind, "", name)]

    def _next_ticks(self, now: int) -> int:
        """Return now, or when the next day that has ticks begins them."""
        kinds = (self.kind, "trades")
        days = [day for kind in kinds for name in self.market.ids for day in self._days(kind, name)]
        return min((max(day.first, now) for day in days if day.last >= now), default=self.end)

    def _ticks(self, start: int, end: int) -> tuple[FeedSlice, int]:
        is_first = start == self.start
        after = start if is_first else start - 1
        executed: list[Data] = []
        quoted: list[Data] = []
        rows, facts = 0, self.catalog.instruments
        for name, info in ((name, facts[name]) for name in self.market.ids):
            traded = self.catalog.series("trades", "", name, after, end - 1)
            told = self.catalog.series(self.kind, "", name, after, end - 1)
            rows += traded.num_rows + told.num_rows
            self._note_silence(name, told, is_first)
            # At one moment the trade comes before what it leaves of the book.
            executed += trades(traded, info) if traded.num_rows else []
            if self.kind == "book":
                told = self._begun(name, told, is_first)
                messages = self._messages(name, told, traded)
                quoted += messages
                # Eight levels a side take about as much memory as a row.
                rows += len(messages) * self._levels.get(name, 0) // 8
            else:
                told = self._requoted(name, told, traded, is_first)
                quoted += quotes(told, info) if told.num_rows else []
        data = executed + quoted
        for interval in self.signal_intervals:
            data += bars_of(self.catalog, interval, self.market.ids, after, end - 1)
        data += funding_rates(self.catalog.funding(self._rates_of, after, end - 1))
        for name in self._rates_of:
            told = self.catalog.series("tickers", "", name, after, end - 1)
            data += predicted_rates(told, name) if told.num_rows else []
        grid = self._seconds(start, end)
        settlements = []
        if self._funding:
            marks = self._marks(start, end)
            settlements = self._settlements(grid, self._carried, marks, start, end)
        return FeedSlice(start, end, data, grid, settlements), rows

    def _messages(self, name: str, rows: pa.Table, traded: pa.Table) -> Sequence[OrderBookDeltas]:
        info, count = self.catalog.instruments[name], self._levels.get(name, 0)
        if not count:
            return book(rows, info) if rows.num_rows else []
        from catalog.tops import StoredBook  # Loading numba takes half a second.

        traded = traded.filter(pa.array(traded.column("side").to_numpy() != 0))
        if name in self._late:
            traded = pa.concat_tables([self._late[name], traded])
        self._late[name] = traded
        if not rows.num_rows:
            return []
        messages = shown_books(rows, info, self._books.setdefault(name, StoredBook()), count)
        shown = show_trades(messages, engine_rows(traded, info))
        self._late[name] = traded.slice(shown)
        return messages

    def _begun(self, name: str, rows: pa.Table, is_first: bool) -> pa.Table:
        """Return the rows from the first known book on, which begins a window."""
        if is_first:
            standing = self.catalog.book_at(name, self.start)
            if standing.num_rows:
                self._known.add(name)
                return pa.concat_tables([standing, rows]).combine_chunks()
        whole = (rows.column("flags").to_numpy() & SNAPSHOT) != 0
        ts, seq = rows.column("ts").to_numpy(), rows.column("seq").to_numpy()
        heads = np.diff(ts, prepend=0) | np.diff(seq, prepend=-1)
        begins = np.flatnonzero(whole & (heads != 0))
        if name not in self._known:
            if not len(begins):
                return rows.slice(0, 0)
            self._known.add(name)
            rows, begins = rows.slice(int(begins[0])).combine_chunks(), begins[1:]
        self.resets[name] = self.resets.get(name, 0) + len(begins)
        return rows

    def _note_silence(self, name: str, rows: pa.Table, is_first: bool) -> None:
        before = self.start - TICKS_SLACK_NS
        if is_first and self._first.get(name, self.end) <= self.start:
            recent = self.catalog.series(self.kind, "", name, before, self.start).column("ts")
            self._newest[name] = recent[-1].as_py() if len(recent) else before - 1
        if not rows.num_rows:
            return
        ts = rows.column("ts").to_numpy()
        longest = int(np.diff(ts, prepend=self._newest.get(name, ts[0])).max())
        self._newest[name] = int(ts[-1])
        if longest > max(TICKS_SLACK_NS, self.silences.get(name, 0)):
            self.silences[name] = longest
        if self.kind == "book":
            lost = (rows.column("flags").to_numpy() & AFTER_LOSS) != 0
            if lost.any():
                self.losses[name] = self.losses.get(name, 0) + len(np.unique(ts[lost]))

    def _requoted(self, name: str, rows: pa.Table, traded: pa.Table, is_first: bool) -> pa.Table:
        """Return the quotes, and after each trade the standing one once more.

        The engine's book of one level takes a trade's price for both its sides until a quote comes.
        """
        standing = self._quotes.get(name)
        if is_first:
            before = self.catalog.series("quotes", "", name, self.start - DAY_NS, self.start)
            if before.num_rows:
                standing = _at(before.slice(before.num_rows - 1), [0], np.array([self.start]))
                rows = pa.concat_tables([standing, rows])
                standing = None
        known = rows if standing is None else pa.concat_tables([standing, rows])
        known = known.combine_chunks()
        if known.num_rows:
            self._quotes[name] = known.slice(known.num_rows - 1)
        moments = np.unique(traded.column("ts").to_numpy())
        place = np.searchsorted(known.column("ts").to_numpy(), moments, side="left") - 1
        again = _at(known, place[place >= 0], moments[place >= 0])
        joined = pa.concat_tables([again, rows]).combine_chunks()
        order = np.argsort(joined.column("ts").to_numpy(), kind="stable")
        return joined.take(pa.array(order)).combine_chunks()

    def _seconds(self, start: int, end: int) -> PriceGrid:
        ts = self._times(start, end, self.valuation)
        close, low, high, marks = (np.full((len(ts), len(self.market.ids)), np.nan) for _ in "0123")
        tickers = self.catalog.coverage("tickers")
        for column, name in enumerate(self.market.ids):
            if name in tickers:
                found = self.catalog.series("tickers", "", name, start - OLDEST_MARK_NS, end)
                marks[:, column] = _marks_before(found, ts)
        delisted: dict[int, tuple[int, ...]] = {}
        for column, name in enumerate(self.market.ids):
            last = self.last_bar.get(name, end)
            if start <= last < end and last < self.end - TICKS_SLACK_NS:
                row = int(np.searchsorted(ts, last, side="right"))
                delisted[row] = (*delisted.get(row, ()), column)
        real = np.zeros(close.shape, dtype=np.bool_)
        mids = close.copy()
        return PriceGrid(ts, close, low, high, delisted, real, marks=marks, mids=mids)


def shown_books(
    rows: pa.Table, info: InstrumentInfo, standing: StoredBook, count: int
) -> list[ShownBook]:
    """Convert the next rows of a book to messages that show ``count`` levels a side.

    They equal those of the engine's book to the bit.
    """
    messages = book(rows, info, message=ShownBook)
    shown = standing.levels(engine_rows(rows, info), count)
    both = np.stack([shown.bids, shown.asks], axis=1)
    for message, levels in zip(messages, both, strict=True):
        message.levels = levels
    return messages


def show_trades(messages: Sequence[ShownBook], traded: pa.Table) -> int:
    """Give each message the trades since the one before; return how many of them came by the last.

    At one moment trades come before the book.
    """
    ts, *values = (traded.column(name).to_numpy() for name in ("ts", "price", "size", "side"))
    stamps = np.array([message.ts_event for message in messages])
    ends = np.searchsorted(ts, stamps, side="right")
    ages = np.repeat(stamps, np.diff(ends, prepend=0)) - ts[: ends[-1]]
    rows = np.column_stack([ages, *(column[: ends[-1]] for column in values)]).astype(float)
    for message, own in zip(messages, np.split(rows, ends[:-1]), strict=True):
        message.trades = own
    return int(ends[-1])


def _at(rows: pa.Table, place: Any, moments: Integers) -> pa.Table:
    """Return some rows as if they came at other moments."""
    chosen = rows.take(pa.array(place, pa.int64()))
    for name in ("ts", "ts_recv"):
        chosen = chosen.set_column(chosen.column_names.index(name), name, pa.array(moments))
    return chosen


def _marks_before(tickers: pa.Table, ts: Integers) -> Floats:
    """Return the newest mark price before each moment, NaN where it is missing or too old."""
    known = tickers.column("mark").to_numpy()
    stamps = tickers.column("ts").to_numpy()[~np.isnan(known)]
    known = known[~np.isnan(known)]
    if not len(known):
        return np.full(len(ts), np.nan)
    place = np.searchsorted(stamps, ts, side="left") - 1
    fresh = (place >= 0) & (ts - stamps[place] <= OLDEST_MARK_NS)
    return np.where(fresh, known[place], np.nan)
