"""Read recordings of Binance's streams: depth updates with their REST snapshot, trades, tops.

A line is a message of a combined or a raw stream, or the REST answer of the book (``lastUpdateId``)
of the file's only symbol. It may begin with the time of its receipt (UNIX s, ms, us or ns) and a
space. Updates that a snapshot contains are left out, as Binance documents. Tops of book
(bookTicker) become quotes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from catalog.providers.base import Import, ImportOptions
from catalog.providers.symbols import LINEAR, SPOT
from catalog.providers.tick_order import MissingIds
from catalog.providers.ticks import MS, Source, StreamReader, Symbols, each
from catalog.series import AFTER_LOSS, SNAPSHOT
from config.errors import InputError

SUFFIXES = (".jsonl", ".json", ".txt", ".log", ".gz")
RECENT = 1000
"""Updates kept for a snapshot that comes after them."""

Level = tuple[float, float]


class _Envelope(msgspec.Struct):
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw()
    e: str = ""
    lastUpdateId: int | None = None
    B: float | None = None


class _Snapshot(msgspec.Struct):
    lastUpdateId: int
    bids: list[Level]
    asks: list[Level]
    T: int = 0


class _Depth(msgspec.Struct):
    s: str
    E: int
    U: int
    u: int
    b: list[Level]
    a: list[Level]
    T: int = 0
    pu: int | None = None
    """Last update of the message before; only perpetuals have it."""


class _Trade(msgspec.Struct):
    s: str
    t: int
    p: float
    q: float
    T: int
    m: bool
    """Whether the buyer was the maker."""
    E: int = 0
    X: str = ""
    """How it came about; only perpetuals have it."""


class _Top(msgspec.Struct):
    s: str
    u: int
    b: float
    B: float
    a: float
    A: float
    T: int = 0
    """Only perpetuals have it."""


class _Book(msgspec.Struct):
    """Where a book stands."""

    update: int = 0
    lost: bool = False
    snapshot: _Snapshot | None = None
    recent: deque[tuple[int, _Depth]] = msgspec.field(default_factory=lambda: deque(maxlen=RECENT))


_envelope = msgspec.json.Decoder(_Envelope, strict=False)
_snapshot = msgspec.json.Decoder(_Snapshot, strict=False)
_depth = msgspec.json.Decoder(_Depth, strict=False)
_trade = msgspec.json.Decoder(_Trade, strict=False)
_top = msgspec.json.Decoder(_Top, strict=False)


def read(paths: Sequence[Path], options: ImportOptions) -> Iterator[Import]:
    """Read files in the order of their names; a later one continues the books of an earlier one.

    Raises InputError with file and line.
    """
    yield from each(paths, SUFFIXES, _Reader(options).file)


class _Reader(StreamReader):
    def __init__(self, options: ImportOptions) -> None:
        super().__init__(options, "Binance stream", "binance")
        self._books: dict[str, _Book] = {}

    def file(self, path: Path, source: Source) -> Iterator[Import]:
        self._symbols = {p: Symbols(self._options, p) for p in (LINEAR, SPOT)}
        self._early: _Snapshot | None = None
        self._offset: int | None = None
        self._here: set[str] = set()
        self._missing = MissingIds(source.where)
        yield from self._messages(path, source, "Binance", "depth update, trade or bookTicker")
        for instrument in sorted(self._here):
            if not self._books[instrument].update:
                raise InputError(
                    f"{source.where}: no snapshot ({instrument}) to begin from: a REST answer with "
                    "lastUpdateId that is not older than the first update"
                )
        yield from self._rows.rest(path, self._symbols[LINEAR], self._missing.warnings())

    def _message(self, received: int, text: bytes) -> None:
        envelope = _envelope.decode(text)
        if inner := bytes(envelope.data):
            text = inner
            envelope = _envelope.decode(text)
        self._known |= envelope.e in ("depthUpdate", "trade") or envelope.B is not None
        if envelope.lastUpdateId is not None:
            self._rest_answer(_snapshot.decode(text))
        elif envelope.e == "depthUpdate":
            self._depth_update(received, _depth.decode(text))
        elif envelope.e == "trade":
            self._one_trade(received, _trade.decode(text))
        elif envelope.e == "bookTicker" or envelope.B is not None:
            self._top_of_book(received, _top.decode(text))
        else:
            self._rows.note(f"messages of {envelope.e or 'an unknown kind'} left out: not kept")

    def _rest_answer(self, snapshot: _Snapshot) -> None:
        if len(self._here) > 1:
            names = ", ".join(sorted(self._here))
            raise ValueError(f"a snapshot, but whose? there is {names}: record one symbol a file")
        if not self._here:
            self._early = snapshot
        for instrument in self._here:
            self._begin(instrument, self._books[instrument], snapshot)

    def _begin(self, instrument: str, book: _Book, snapshot: _Snapshot) -> None:
        if book.update and not book.lost:
            self._rows.note("snapshots left out: no update was lost before them")
            return
        if book.update:
            snapshot = _brought_up(snapshot, (update for _, update in book.recent))
            if snapshot.lastUpdateId < book.update:
                self._rows.note("snapshots left out: older than the updates before them")
                return
        book.snapshot = snapshot
        for received, update in list(book.recent):
            self._apply(instrument, book, received, update)

    def _depth_update(self, received: int, update: _Depth) -> None:
        instrument = self._symbols[SPOT if update.pu is None else LINEAR].id(update.s)
        if not instrument:
            return
        self._see(received, update.E)
        book = self._books.setdefault(instrument, _Book())
        if update.u < book.update and instrument not in self._here:
            # It begins before the end of the file before, and is read as if alone.
            book = self._books[instrument] = _Book()
        self._here.add(instrument)
        if self._early is not None:
            early, self._early = self._early, None
            self._begin(instrument, book, early)
        if update.u <= book.update:
            self._rows.note(f"repeated depth updates of {instrument} left out")
            return
        book.recent.append((received, update))
        self._apply(instrument, book, received, update)

    def _apply(self, instrument: str, book: _Book, received: int, update: _Depth) -> None:
        ts = (update.T or update.E) * MS
        before = _before(update)
        flags = 0
        if (base := book.snapshot) is not None:
            if update.u <= base.lastUpdateId:
                return
            book.snapshot = None
            if before <= base.lastUpdateId:
                key = (min(base.T * MS or ts, ts), base.lastUpdateId)
                self._rows.book(instrument, key, received, SNAPSHOT, base.bids, base.asks)
                book.lost, before = False, base.lastUpdateId
                book.update = before
            else:
                self._rows.note("snapshots left out: older than the updates before them")
        if not book.update:
            return
        if before != book.update:
            self._rows.note(f"gaps in the depth updates of {instrument}")
            book.lost, flags = True, AFTER_LOSS
        self._rows.book(instrument, (ts, update.u), received, flags, update.b, update.a)
        book.update = update.u

    def _one_trade(self, received: int, trade: _Trade) -> None:
        instrument = self._symbols[LINEAR if trade.X else SPOT].id(trade.s)
        self._see(received, trade.E)
        if instrument:
            self._missing.see(instrument, trade.t, self._rows.line)
        if trade.X not in ("", "MARKET"):
            self._rows.note(f"trades of {trade.X} left out: not of the book")
        elif instrument:
            values = (trade.p, trade.q, -1 if trade.m else 1)
            self._rows.row("trades", instrument, (trade.T * MS, trade.t), received, values)

    def _top_of_book(self, received: int, top: _Top) -> None:
        instrument = self._symbols[LINEAR if top.T else SPOT].id(top.s)
        if not instrument:
            return
        ts = top.T * MS
        if not ts:
            ts = received + (self._offset or 0)
            self._rows.note(
                "tops of book without a time: receipt, moved by the exchange's clock minus ours"
            )
        if not ts:
            raise ValueError("bookTicker has no time, and the line no time of receipt")
        values = (top.b, top.a, top.B, top.A)
        self._rows.row("quotes", instrument, (ts, top.u), received, values)

    def _see(self, received: int, sent_ms: int) -> None:
        if received and sent_ms:
            ahead = sent_ms * MS - received
            self._offset = ahead if self._offset is None else max(self._offset, ahead)


def _before(update: _Depth) -> int:
    return update.U - 1 if update.pu is None else update.pu


def _brought_up(snapshot: _Snapshot, updates: Iterable[_Depth]) -> _Snapshot:
    """Return the book after the updates that follow a snapshot; as it is where one is missing.

    The updates are in the book already, which must not go back to an older state.
    """
    bids, asks = dict(snapshot.bids), dict(snapshot.asks)
    last, moment = snapshot.lastUpdateId, snapshot.T
    for update in updates:
        if update.u <= last:
            continue
        if _before(update) > last:
            return snapshot
        bids.update(update.b)
        asks.update(update.a)
        last, moment = update.u, update.T or update.E
    levels = [[level for level in side.items() if level[1]] for side in (bids, asks)]
    return _Snapshot(last, levels[0], levels[1], moment)
