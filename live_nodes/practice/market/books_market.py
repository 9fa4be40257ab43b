"""A catalog's order books and trades as a market: what was recorded is played again, now."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa

from catalog.series import SNAPSHOT
from catalog.storage.store import Catalog
from config.documents.exchange import BooksMarket
from config.durations import HOUR_NS, MINUTE_NS, minute_text, nanoseconds
from config.errors import InputError
from live_nodes.practice.exchange.exchange import Exchange
from live_nodes.practice.exchange.model import MINUTE_MS, BybitRefusal, Key, Level, Side
from live_nodes.practice.exchange.records import Printed
from live_nodes.practice.market.feed import PriceKind
from live_nodes.practice.market.path_market import PathMarket
from live_nodes.practice.market.replay_market import MS, Anchor, ReplaySource

Row = tuple[Any, ...]
"""Time (catalog's, ns), place of its kind in `KINDS`, number, and the kind's columns."""
PRICES: tuple[PriceKind, ...] = ("last", "mark", "index")
COLUMNS: dict[str, tuple[str, ...]] = {
    "trades": ("seq", "side", "price", "size"),
    "book": ("seq", "side", "price", "size", "flags"),
    "tickers": PRICES,
}
KINDS = tuple(COLUMNS)
"""At one moment the trade comes before what it leaves of the book."""


TAKERS: dict[int, Side] = {1: "Buy", 0: "Buy", -1: "Sell"}
"""By the aggressor's side; who is unknown counts as a buyer."""


def choose_minute(document: BooksMarket, catalog: Catalog, now_ms: int) -> Anchor:
    """Choose the catalog's minute of the first start.

    Raises InputError when the start is not a minute within the books.
    """
    spans = catalog.coverage("book").values()
    if not spans:
        raise InputError(
            f"market.catalog: there are no order books in {catalog.path}; "
            "`perpdesk catalog demo --books` makes some, `perpdesk record` records them"
        )
    first = -(-max(span.first for span in spans) // MINUTE_NS) * MINUTE_NS
    last = max(span.last for span in spans)
    start = first if document.start is None else nanoseconds(document.start)
    if start % MINUTE_NS or not first <= start < last:
        raise InputError(
            "market.start must be a full minute within the catalog's books, "
            f"{minute_text(first)} to {minute_text(last)}"
        )
    return Anchor(now_ms // MINUTE_MS * MINUTE_MS, start // MS, 1)


class TickSource(ReplaySource):
    """Candles as of any replay, of the instruments that have books and trades."""

    def __init__(self, catalog: Catalog, anchor: Anchor) -> None:
        super().__init__(catalog, anchor)
        books, trades = catalog.coverage("book"), catalog.coverage("trades")
        self._covered = {
            name: span._replace(last=min(span.last, books[name].last))
            for name, span in self._covered.items()
            if name in books and name in trades
        }
        if not self._covered:
            raise InputError(
                f"market.catalog: no instrument of {catalog.path} has books, trades and candles"
            )

    def tape(self, key: Key, wall_ms: int) -> Tape:
        """Return the instrument's tape, played to a time."""
        return Tape(self._catalog, key, self._infos[key].id, self._anchor, wall_ms)


class Tape:
    """One instrument's recorded messages, played up to a wall time (UTC ms).

    ``prices`` are the newest that are known, by kind.
    """

    def __init__(self, catalog: Catalog, key: Key, name: str, anchor: Anchor, wall_ms: int) -> None:
        self._catalog, self._key, self._name, self._anchor = catalog, key, name, anchor
        info = catalog.instruments[name]
        self._tick, self._lot = Decimal(info.tick), Decimal(info.lot)
        self._sides: dict[int, dict[int, int]] = {1: {}, -1: {}}
        self._message: tuple[int, int] | None = None
        self._levels: list[list[Level]] | None = None
        self.prices: dict[PriceKind, float] = {}
        begin = self._loaded = self._ns(wall_ms)
        standing = _rows("book", catalog.book_at(name, begin))
        told = [
            row
            for kind in ("trades", "tickers")
            for row in self._read(kind, begin - HOUR_NS, begin)
        ]
        taken = [self._take(row) for row in sorted([*told, *standing])]
        self.before = [trade for trade in taken if trade is not None]
        """Trades of the hour before."""
        self._waiting: deque[Row] = deque()

    def play(self, wall_ms: int) -> Iterator[Printed]:
        """Play what comes until a time; stop at each trade, before what it leaves of the book."""
        until = self._ns(wall_ms)
        while True:
            if not self._waiting and self._loaded < until:
                start, self._loaded = self._loaded, self._loaded + MINUTE_NS
                rows = [self._read(kind, start, self._loaded) for kind in COLUMNS]
                self._waiting.extend(sorted(row for part in rows for row in part))
            elif not self._waiting or self._waiting[0][0] > until:
                return
            else:
                trade = self._take(self._waiting.popleft())
                if trade is not None:
                    yield trade

    def levels(self) -> list[list[Level]]:
        """Return bids and asks, best first."""
        if self._levels is None:
            self._levels = [
                [
                    (price * self._tick, own[price] * self._lot)
                    for price in sorted(own, reverse=down)
                ]
                for own, down in ((self._sides[1], True), (self._sides[-1], False))
            ]
        return self._levels

    def _ns(self, wall_ms: int) -> int:
        return self._anchor.to_catalog(wall_ms) * MS

    def _read(self, kind: str, start: int, end: int) -> list[Row]:
        return _rows(kind, self._catalog.series(kind, "", self._name, start, end))

    def _take(self, row: Row) -> Printed | None:
        ts, kind, place, *values = row
        if kind == KINDS.index("tickers"):
            known = zip(PRICES, values, strict=True)
            self.prices |= {name: value for name, value in known if value == value}
            return None
        seq, side, price, size = values[:4]
        ticks, lots = round(price / float(self._tick)), round(size / float(self._lot))
        if kind == KINDS.index("trades"):
            self.prices["last"] = price
            id_, taker = f"{ts}-{seq}-{place}", TAKERS[side]
            at = self._anchor.to_wall(ts // MS)
            return Printed(self._key, id_, taker, ticks * self._tick, max(lots, 1) * self._lot, at)
        if values[4] & SNAPSHOT and self._message != (ts, seq):
            self._sides = {1: {}, -1: {}}
        self._message, self._levels = (ts, seq), None
        self._sides[side][ticks] = max(lots, 1)
        if not size:
            del self._sides[side][ticks]
        return None


class ReplayedBooks(PathMarket):
    """Books and trades of a catalog, with its candles as history."""

    source: TickSource

    def __post_init__(self) -> None:
        super().__post_init__()
        self._tapes: dict[Key, Tape] = {}

    def book(self, key: Key, now_ms: int) -> tuple[list[Level], list[Level]]:
        """Return the recorded bids and asks, best first; empty where nothing trades."""
        symbol = self._symbol(key, now_ms)
        if symbol.status != "Trading":
            return [], []
        bids, asks = (side[: self.depth] for side in self._tape(key, now_ms).levels())
        return self.controls.shown(symbol, bids, asks, now_ms)

    def trades(self, key: Key, now_ms: int, limit: int) -> list[Printed]:
        """Return the recorded trades of the hour before the start, newest first."""
        return self._tape(key, now_ms).before[: -limit - 1 : -1]

    def move(self, key: Key, price: Decimal, now_ms: int) -> None:
        """Refuse: the books are what was recorded."""
        raise BybitRefusal(400, "prices of replayed books can't be moved")

    def _tape(self, key: Key, now_ms: int) -> Tape:
        if key not in self._tapes:
            self._tapes[key] = self.source.tape(key, self._market_ms(now_ms))
        return self._tapes[key]

    def _new_trades(
        self, exchange: Exchange, key: Key, before_ms: int | None, now_ms: int
    ) -> Iterator[Printed]:
        for trade in self._tape(key, now_ms).play(self._market_ms(now_ms)):
            exchange.quote(key, *self.book(key, now_ms), now_ms)
            yield trade

    def _ticks(self, key: Key, time_ms: int, price: PriceKind) -> int | None:
        known = self._tape(key, time_ms).prices
        found = known.get(price, known.get("last"))
        if found is None:
            return super()._ticks(key, time_ms, price)
        return max(1, round(found / float(self._symbols[key].tick)))


def _rows(kind: str, table: pa.Table) -> list[Row]:
    columns = (table[name].to_pylist() for name in ("ts", *COLUMNS[kind]))
    order = KINDS.index(kind)
    return [
        (ts, order, place, *rest) for place, (ts, *rest) in enumerate(zip(*columns, strict=True))
    ]
