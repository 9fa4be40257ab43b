"""Read Bybit v5 streams: archived books (ob500, ob200) and WebSocket recordings, JSON a line.

Topics kept are orderbook, publicTrade and tickers; orderbook.1 becomes quotes. Of several depths of
one instrument the deepest becomes its book, for each depth is a book of its own. A line may begin
with the time of its receipt (UNIX s, ms, us or ns) and a space.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from math import nan
from pathlib import Path

import msgspec

from catalog.providers.base import Import, ImportOptions
from catalog.providers.ticks import (
    MS,
    Source,
    StreamReader,
    Symbols,
    each,
    lines,
    product_hint,
    sources,
)
from catalog.series import AFTER_LOSS, SNAPSHOT
from config.errors import InputError

SUFFIXES = (".data", ".jsonl", ".json", ".txt", ".log")
_BOOK_TOPIC = re.compile(rb'"topic": ?"orderbook\.(\d+)\.([^"]+)"')
_NAMED = re.compile(r"ob\d+\.data")
_SIDES = {"Buy": 1, "Sell": -1}
_TICKER = ("lastPrice", "markPrice", "indexPrice", "fundingRate")

Level = tuple[float, float]


class _Message(msgspec.Struct):
    topic: str = ""
    type: str = ""
    ts: int = 0
    cts: int = 0
    cs: int = 0
    op: str = ""
    data: msgspec.Raw = msgspec.Raw()


class _Book(msgspec.Struct):
    b: list[Level]
    a: list[Level]
    u: int
    seq: int = 0


class _Trade(msgspec.Struct):
    T: int
    s: str
    S: str
    v: float
    p: float
    i: str = ""
    """Its id."""
    seq: int | None = None
    BT: bool = False
    """Whether it is a block trade, which two parties agreed on beside the book."""


class _Instant(msgspec.Struct):
    """The latest trades of one time and sequence number, which the end of a file may part."""

    key: tuple[int, int] = (0, 0)
    where: str = ""
    trades: list[tuple[str, int, tuple[float, ...]]] = []
    """Id, time of receipt and values of each."""
    earlier: set[str] = set()
    """Ids of those of the files before."""


class _Place(msgspec.Struct):
    """Where a book stands: its last update, its latest time, and the levels of a top of book."""

    update: int = 0
    moment: int = 0
    bids: dict[float, float] = {}
    asks: dict[float, float] = {}


_message = msgspec.json.Decoder(_Message)
_book = msgspec.json.Decoder(_Book, strict=False)
_trades = msgspec.json.Decoder(list[_Trade], strict=False)
_ticker = msgspec.json.Decoder(dict[str, object])


def read(paths: Sequence[Path], options: ImportOptions) -> Iterator[Import]:
    """Read files in the order of their names; a later one continues the books of an earlier one.

    Raises InputError with file and line.
    """
    yield from each(paths, SUFFIXES, _Reader(options).file)


def _deepest(path: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for source in sources(path, SUFFIXES):
        for _, line in lines(source):
            if topic := _BOOK_TOPIC.search(line[:100]):
                symbol, depth = topic[2].decode(), int(topic[1])
                found[symbol] = max(depth, found.get(symbol, 0))
    return found


class _Reader(StreamReader):
    def __init__(self, options: ImportOptions) -> None:
        super().__init__(options, "Bybit v5 stream", "bybit")
        self._places: dict[tuple[str, int], _Place] = {}
        self._tickers: dict[str, list[float]] = {}
        self._ticker_times: dict[str, int] = {}
        self._depths: dict[str, tuple[int, Path]] = {}
        """Depth of each instrument's book, and the file that gave it."""
        self._trade_numbers: dict[str, tuple[int, int]] = {}
        self._instants: dict[str, _Instant] = {}

    def file(self, path: Path, source: Source) -> Iterator[Import]:
        self._symbols = Symbols(self._options, product_hint(path, source))
        self._path, self._deepest = path, _deepest(path) if not _NAMED.search(path.name) else {}
        self._behind: dict[str, bool] = {}
        kept = "message of orderbook, publicTrade or tickers"
        yield from self._messages(path, source, "Bybit v5", kept)
        yield from self._rows.rest(path, self._symbols)

    def _message(self, received: int, text: bytes) -> None:
        message = _message.decode(text)
        kind, _, rest = message.topic.partition(".")
        self._known |= kind in ("orderbook", "publicTrade", "tickers")
        if kind == "orderbook":
            depth, _, symbol = rest.partition(".")
            self._orderbook(received, message, int(depth), symbol)
        elif kind == "publicTrade":
            self._public_trades(received, message)
        elif kind == "tickers":
            self._tickers_of(received, message, rest)
        elif kind:
            self._rows.note(f"messages of {kind} left out: not kept")

    def _orderbook(self, received: int, message: _Message, depth: int, symbol: str) -> None:
        instrument = self._symbols.id(symbol)
        if not instrument:
            return
        if 1 < depth < self._deepest.get(symbol, 0):
            self._rows.note(f"messages of {message.topic} left out: there is a deeper book")
            return
        if depth > 1:
            self._refuse_another_depth(instrument, depth, message.topic)
        book = _book.decode(message.data)
        place = self._places.setdefault((instrument, depth), _Place())
        whole = message.type == "snapshot"
        if not whole and not place.update:
            self._rows.note(f"updates of {message.topic} before its first snapshot left out")
            return
        moment = (message.cts or message.ts) * MS
        goes_on = message.topic not in self._behind and book.u == place.update + 1
        repeated = self._repeats(message, moment, 0 if goes_on else place.moment)
        if not whole and (repeated or book.u <= place.update):
            self._rows.note(f"repeated updates of {message.topic} left out")
            return
        if whole and depth > 1 and (moment, book.u) == (place.moment, place.update):
            # A recording's next file begins with the book as it is.
            return
        lost = not whole and book.u != place.update + 1
        if lost:
            self._rows.note(f"gaps in the updates of {message.topic}")
        place.update, place.moment = book.u, max(moment, place.moment)
        key = (moment, book.u)
        if depth == 1:
            self._top(instrument, key, received, whole, book, place)
            return
        flags = SNAPSHOT if whole else AFTER_LOSS if lost else 0
        self._rows.book(instrument, key, received, flags, book.b, book.a)

    def _repeats(self, message: _Message, moment: int, last: int) -> bool:
        """Whether a file begins with changes of a time that the file before has already."""
        behind = self._behind.get(message.topic, True)
        behind = behind and message.type != "snapshot" and moment < last
        self._behind[message.topic] = behind
        return behind

    def _refuse_another_depth(self, instrument: str, depth: int, topic: str) -> None:
        before, other = self._depths.setdefault(instrument, (depth, self._path))
        if depth != before:
            raise InputError(
                f"{self._path}: {topic}, but {other} has orderbook.{before}: two books of one "
                "instrument; import one of them"
            )

    def _top(
        self,
        instrument: str,
        key: tuple[int, int],
        received: int,
        whole: bool,
        book: _Book,
        place: _Place,
    ) -> None:
        for levels, changes in ((place.bids, book.b), (place.asks, book.a)):
            if whole:
                levels.clear()
            for price, size in changes:
                levels[price] = size
                if not size:
                    del levels[price]
        if place.bids and place.asks:
            bid, ask = max(place.bids), min(place.asks)
            values = (bid, ask, place.bids[bid], place.asks[ask])
            self._rows.row("quotes", instrument, key, received, values)

    def _public_trades(self, received: int, message: _Message) -> None:
        for trade in _trades.decode(message.data):
            instrument = self._symbols.id(trade.s)
            if not instrument:
                continue
            if trade.BT:
                self._rows.note("block trades left out: not of the book")
                continue
            ts, seq = trade.T * MS, trade.seq
            if seq is None:
                before, number = self._trade_numbers.get(instrument, (0, 0))
                seq = number + 1 if ts == before else 0
                self._trade_numbers[instrument] = (ts, seq)
            if trade.S not in _SIDES:
                raise ValueError(f"side S {trade.S!r} is neither Buy nor Sell")
            values = (trade.p, trade.v, _SIDES[trade.S])
            instant = self._instants.setdefault(instrument, _Instant())
            if instant.key != (ts, seq):
                instant.key, instant.trades, instant.earlier = (ts, seq), [], set()
            elif instant.where != self._rows.where:
                # The rows of this file replace those of the one before.
                instant.trades = [old for old in instant.trades if old[0]]
                instant.earlier = {old[0] for old in instant.trades}
                for _, then, old in instant.trades:
                    self._rows.row("trades", instrument, instant.key, then, old)
            instant.where = self._rows.where
            if trade.i in instant.earlier:
                continue
            instant.trades.append((trade.i, received, values))
            self._rows.row("trades", instrument, instant.key, received, values)

    def _tickers_of(self, received: int, message: _Message, symbol: str) -> None:
        instrument = self._symbols.id(symbol)
        if not instrument:
            return
        if self._repeats(message, message.ts, self._ticker_times.get(instrument, 0)):
            self._rows.note(f"repeated messages of {message.topic} left out")
            return
        self._ticker_times[instrument] = message.ts
        given = _ticker.decode(message.data)
        known = self._tickers.get(instrument)
        if known is None or message.type == "snapshot":
            known = self._tickers[instrument] = [nan, nan, nan, nan, 0]
        for place, name in enumerate((*_TICKER, "nextFundingTime")):
            if value := given.get(name):
                known[place] = float(str(value)) * (MS if name == "nextFundingTime" else 1)
        key = (message.ts * MS, message.cs)
        self._rows.row("tickers", instrument, key, received, known)
