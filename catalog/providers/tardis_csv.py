"""Read Tardis's CSV files: incremental_book_L2, book_snapshot_5 and _25, trades, quotes.

Columns tell which. Amounts must count coins: files of inverse contracts, and of exchanges that
count in contracts, are refused, or left out of a folder with a warning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from catalog.providers.base import Import, ImportOptions
from catalog.providers.files import there_is
from catalog.providers.symbols import LINEAR, SPOT
from catalog.providers.tick_order import RunningNumbers
from catalog.providers.ticks import (
    AnotherKind,
    Batch,
    Source,
    Symbols,
    batches,
    each,
    header,
    tick_table,
)
from catalog.series import SNAPSHOT

IN_CONTRACTS = ("okex-swap", "huobi-dm-linear-swap", "gate-io-futures", "kucoin-futures", "bitmex")
_PERPETUALS = ("bybit", "deribit", "bitmex", "dydx", "dydx-v4", "hyperliquid", "phemex")
_TEXT, _FLOAT = pa.string(), pa.float64()
# Microseconds are whole numbers in a float, too.
_SHARED = {"exchange": _TEXT, "symbol": _TEXT, "timestamp": _FLOAT, "local_timestamp": _FLOAT}
_UPDATES = {"is_snapshot": pa.bool_(), "side": _TEXT, "price": _FLOAT, "amount": _FLOAT}
_TRADES = {"id": _TEXT, "side": _TEXT, "price": _FLOAT, "amount": _FLOAT}
_QUOTES = dict.fromkeys(("bid_price", "ask_price", "bid_amount", "ask_amount"), _FLOAT)
_AGGRESSOR = {"buy": 1, "sell": -1, "unknown": 0}
_BOOK_SIDE = {"bid": 1, "ask": -1}

_DERIVATIVES = re.compile("futures|swap|perp|linear|derivatives")

Columns = list[NDArray]
Rows = NDArray[np.int64]
_Reader = Callable[[Batch, dict[str, Rows]], dict[str, Columns]]


def read(paths: Sequence[Path], options: ImportOptions) -> Iterator[Import]:
    """Read each file in parts of up to 64 MB; raise InputError with file and line."""
    yield from each(paths, (".csv",), lambda path, source: _File(path, source, options).parts())


class _Messages:
    """Joins rows of a book to messages; the last one waits for the next part.

    A message is what was received at once, or a run of rows of a snapshot.
    """

    def __init__(self, number: Callable[[Rows, Rows], list[Rows]]) -> None:
        self._number = number
        self.early = 0
        self._held: Columns = []
        self._begun = False

    def add(self, columns: Columns) -> Columns:
        """Take ts, received, flags, side, price, size and line; return those of whole messages."""
        if self._held:
            columns = [np.concatenate(pair) for pair in zip(self._held, columns, strict=True)]
        begins = _beginnings(*columns[1:3])
        self._held = [column[begins[-1] :] for column in columns]
        return self._numbered([column[: begins[-1]] for column in columns], begins[:-1])

    def rest(self) -> Columns:
        """Return the columns of the last message."""
        return self._numbered(self._held, np.zeros(1, np.int64))

    def _numbered(self, columns: Columns, begins: NDArray[np.int64]) -> Columns:
        if not len(begins):
            return []
        counts = np.diff(np.append(begins, len(columns[0])))
        ts, seq = self._number(columns[0][begins], columns[-1][begins])
        found = [np.repeat(ts, counts), np.repeat(seq, counts), *columns[1:-1]]
        if not self._begun:
            self._begun = bool(found[3].any())
            first = int(np.argmax(found[3] > 0)) if self._begun else len(found[0])
            self.early += first
            found = [column[first:] for column in found]
        return found


def _beginnings(received: NDArray[np.int64], flags: NDArray[np.int8]) -> NDArray[np.int64]:
    another = (np.diff(received) != 0) & ((flags[1:] == 0) | (flags[:-1] == 0))
    return np.flatnonzero(np.concatenate(([True], another | (np.diff(flags) != 0))))


class _File:
    """One file; parts of books of several symbols wait for their messages to end."""

    def __init__(self, path: Path, source: Source, options: ImportOptions) -> None:
        self._path, self._source, self._options = path, source, options
        self._books: dict[str, _Messages] = {}
        self._numbers = RunningNumbers(source.where, "rows or messages")
        self._empty = 0

    def parts(self) -> Iterator[Import]:
        names = header(self._source)
        levels = range(sum(re.fullmatch(r"asks\[\d+\]\.price", name) is not None for name in names))
        self._levels = [f"{side}[{level}]" for side in ("bids", "asks") for level in levels]
        snapshots = {f"{n}.{what}": _FLOAT for what in ("price", "amount") for n in self._levels}
        readers: tuple[tuple[str, dict[str, pa.DataType], _Reader], ...] = (
            ("book", _UPDATES, self._updates),
            ("book", snapshots, self._snapshots),
            ("trades", _TRADES, self._trades),
            ("quotes", _QUOTES, self._quotes),
        )
        fit = (r for r in readers if r[1] and {*_SHARED, *r[1]} <= set(names))
        kind, columns, read_rows = next(fit, ("", {}, None))
        if read_rows is None:
            raise AnotherKind(
                f"{self._source.where}: not incremental_book_L2, book_snapshot, trades or quotes "
                f"of Tardis: {there_is(names)}"
            )
        venue = "unknown"
        for batch in batches(self._source, names, {**_SHARED, **columns}):
            exchange = str(batch.table.column("exchange")[0].as_py())
            venue = exchange.partition("-")[0]
            own = self._own(batch, exchange)
            found = read_rows(batch, own)
            yield self._part(venue, kind, {i: c for i, c in found.items() if c})
        last = {instrument: book.rest() for instrument, book in self._books.items()}
        yield self._part(venue, "book", {i: c for i, c in last.items() if c}, self._warnings())

    def _part(
        self, venue: str, kind: str, found: dict[str, Columns], warnings: Sequence[str] = ()
    ) -> Import:
        tables = {(kind, "", i): tick_table(kind, columns) for i, columns in found.items()}
        given = {"tables": tables, "warnings": list(warnings)}
        return self._options.part("Tardis CSV", venue, self._path, **given)

    def _warnings(self) -> list[str]:
        early = sum(book.early for book in self._books.values())
        counts = {
            "updates before the first snapshot left out": early,
            "quotes without a bid or an ask left out": self._empty,
        }
        found = [f"{self._source.where}: {n:,} {words}" for words, n in counts.items() if n]
        return [*self._numbers.warnings(), *found]

    def _own(self, batch: Batch, exchange: str) -> dict[str, Rows]:
        if exchange in IN_CONTRACTS:
            raise AnotherKind(
                f"{batch.where}: {exchange} counts amounts in contracts, not in coins"
            )
        derivative = exchange in _PERPETUALS or _DERIVATIVES.search(exchange)
        symbols = Symbols(self._options, LINEAR if derivative else SPOT)
        return symbols.rows(batch, "symbol", self._source)

    def _updates(self, batch: Batch, own: dict[str, Rows]) -> dict[str, Columns]:
        ts, received = _times(batch)
        flags = batch.table.column("is_snapshot").to_numpy().astype(np.int8) * SNAPSHOT
        side = batch.choices("side", _BOOK_SIDE)
        amounts = [batch.floats("price"), batch.floats("amount")]
        columns = [ts, received, flags, side, *amounts, batch.line + np.arange(len(ts))]
        found = {}
        for instrument, rows in own.items():
            if instrument not in self._books:
                self._books[instrument] = _Messages(partial(self._numbers.number, instrument))
            found[instrument] = self._books[instrument].add([column[rows] for column in columns])
        return found

    def _snapshots(self, batch: Batch, own: dict[str, Rows]) -> dict[str, Columns]:
        prices, sizes = (
            np.column_stack([batch.floats(f"{name}.{what}", empty=True) for name in self._levels])
            for what in ("price", "amount")
        )
        width = len(self._levels)
        sides = np.repeat([1, -1], width // 2)
        found = {}
        for instrument, rows in own.items():
            places, own_keys = self._keys(batch, instrument, rows, [])
            rows, keys = rows[places], [np.repeat(column, width) for column in own_keys]
            flags = np.full(len(rows) * width, SNAPSHOT)
            levels = [np.tile(sides, len(rows)), prices[rows].ravel(), sizes[rows].ravel()]
            there = ~np.isnan(levels[1])
            found[instrument] = [column[there] for column in (*keys, flags, *levels)]
        return found

    def _trades(self, batch: Batch, own: dict[str, Rows]) -> dict[str, Columns]:
        price, size = batch.floats("price"), batch.floats("amount")
        side = batch.choices("side", _AGGRESSOR)
        try:
            ids = batch.table.column("id").cast(pa.int64()).to_numpy()
        except pa.ArrowInvalid:
            ids = None
        found = {}
        for instrument, rows in own.items():
            own_values = [column[rows] for column in (price, size, side)]
            if ids is not None:
                ts, received = _times(batch)
                found[instrument] = [ts[rows], ids[rows], received[rows], *own_values]
                continue
            places, keys = self._keys(batch, instrument, rows, [])
            found[instrument] = [*keys, *(column[places] for column in own_values)]
        return found

    def _quotes(self, batch: Batch, own: dict[str, Rows]) -> dict[str, Columns]:
        values = [batch.floats(name, empty=True) for name in _QUOTES]
        there = ~np.isnan(np.sum(values, axis=0))
        self._empty += int((~there).sum())
        found = {}
        for instrument, rows in own.items():
            kept = rows[there[rows]]
            if len(kept):
                own_values = [column[kept] for column in values]
                places, keys = self._keys(batch, instrument, kept, own_values)
                found[instrument] = [*keys, *(column[places] for column in own_values)]
        return found

    def _keys(
        self, batch: Batch, instrument: str, rows: Rows, values: Columns
    ) -> tuple[Rows, Columns]:
        ts, received = _times(batch)
        lines = batch.line + rows
        places, keys = self._numbers.sort(instrument, ts[rows], lines, values)
        return places, [*keys, received[rows][places]]


def _times(batch: Batch) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return batch.stamps("timestamp"), batch.stamps("local_timestamp")
