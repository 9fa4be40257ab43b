"""Order books of a node's recording: the newest minute, or one to be watched again.

A recording has a whole book only where its subscription began, so it is followed from there; every
minute of it the books are kept, from which any other minute is built.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config.durations import SECOND_NS
from config.errors import InputError
from live_nodes.node.recording import newest
from live_nodes.node.stream import STREAM, Recording, Turn, thawed

LEVELS, FRAMES, TRADES, LONGEST_S = 25, 120, 500, 300
MARKS = 128
"""How often the books of a recording are kept at most: with more, each second one is dropped."""
_MARK_NS = 60 * SECOND_NS
_DATA = ("data at once", "data")
Side = dict[float, tuple[str, str]]


@dataclass
class Book:
    """Both sides of a book by price: price and size as text. Quotes make one of one level."""

    bids: Side = field(default_factory=dict)
    asks: Side = field(default_factory=dict)
    is_whole: bool = False

    def copied(self) -> Book:
        """Return a copy."""
        return Book(dict(self.bids), dict(self.asks), self.is_whole)

    def delta(self, delta: Any) -> None:
        """Apply one change of a level."""
        action, order = delta.action.name, delta.order
        if action == "CLEAR":
            self.is_whole = True
            self.bids.clear()
            self.asks.clear()
            return
        side = self.bids if order.side.name == "BUY" else self.asks
        price = float(order.price)
        if action == "DELETE" or not order.size:
            side.pop(price, None)
        else:
            side[price] = str(order.price), str(order.size)

    def quote(self, quote: Any) -> None:
        """Take the best prices."""
        bid, ask = quote.bid_price, quote.ask_price
        self.is_whole = True
        self.bids = {float(bid): (str(bid), str(quote.bid_size))}
        self.asks = {float(ask): (str(ask), str(quote.ask_size))}

    def frame(self, ts: int) -> dict[str, Any]:
        """Return the best levels at a time."""
        bids = [self.bids[price] for price in sorted(self.bids, reverse=True)[:LEVELS]]
        asks = [self.asks[price] for price in sorted(self.asks)[:LEVELS]]
        return {"ts": ts // 1_000_000, "bids": bids, "asks": asks}


@dataclass
class _Books:
    """Books of all instruments while a recording is read; `deep` have more than quotes."""

    books: dict[str, Book] = field(default_factory=dict)
    deep: set[str] = field(default_factory=set)
    now: int = 0

    def take(self, data: Any) -> None:
        kind = type(data).__name__
        if kind not in ("OrderBookDeltas", "QuoteTick"):
            return
        name, self.now = data.instrument_id.value, max(self.now, data.ts_init)
        if kind == "QuoteTick":
            if name not in self.deep:
                self.books.setdefault(name, Book()).quote(data)
            return
        if name not in self.deep:
            self.deep.add(name)
            self.books[name] = Book()
        for delta in data.deltas:
            self.books[name].delta(delta)

    def copied(self, names: Iterable[str]) -> _Books:
        books = {name: self.books[name].copied() for name in names if name in self.books}
        return _Books(books, set(self.deep), self.now)


class Depth:
    """Follows the newest recording of a node; safe to call from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._followed: _Followed | None = None

    def page(self, instrument: str, at: int | None, seconds: int) -> dict[str, Any]:
        """Return frames and trades of a window that ends at a time, UNIX ms, or with the newest.

        Raises InputError where nothing is recorded. What was recorded before is read in another
        thread the first time; until then the page says how far that is.
        """
        recording = newest(self._folder)
        with self._lock:
            found = self._followed
            if found is None or found.recording != recording:
                found = self._followed = _Followed(recording)
            reads = found.reads_on()
        names = sorted(found.books.books.copy(), key=lambda n: (n not in found.books.deep, n))
        why = found.error if names or found.error else "neither books nor quotes are recorded yet"
        if reads:
            share = found.place / max(1, (recording / STREAM).stat().st_size)
            why = f"reads it: {share:.0%} done"
        if why:
            return {"available": False, "instruments": names, "why": why}
        if instrument and instrument not in names:
            raise InputError(f"no book of {instrument} is recorded; there are {', '.join(names)}")
        name = instrument or names[0]
        end = found.books.now if at is None else at * 1_000_000
        begin = end - min(max(seconds, 1), LONGEST_S) * SECOND_NS
        frames, trades = found.window(name, begin, end)
        return {
            "available": True,
            "instrument": name,
            "instruments": names,
            "recording": recording.name,
            "from": begin // 1_000_000,
            "to": end // 1_000_000,
            "kind": "book" if name in found.books.deep else "quotes",
            "frames": frames,
            "trades": trades,
        }


class _Followed:
    """A recording: the books up to `place`, `marks` of them before, and why no more can be read."""

    def __init__(self, recording: Path) -> None:
        self.recording, self.books = recording, _Books()
        self.place, self.error = 0, ""
        self.marks: list[tuple[int, _Books]] = []
        self._every = _MARK_NS
        self._thread: threading.Thread | None = None

    def reads_on(self) -> bool:
        """Read what is new in another thread; return whether that takes longer than a second."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._follow, daemon=True)
            self._thread.start()
        self._thread.join(1.0)
        return self._thread.is_alive()

    def _follow(self) -> None:
        try:
            for place, turns in Recording(self.recording).blocks(self.place):
                for data in _data_of(turns):
                    self.books.take(data)
                self.place = place
                if not self.marks or self.books.now - self.marks[-1][1].now >= self._every:
                    self.marks.append((place, self.books.copied(self.books.books)))
                if len(self.marks) > MARKS:
                    self.marks = self.marks[::2]
                    self._every *= 2
        except Exception as error:  # noqa: BLE001 - a recording of another version fails anyhow
            self.error = f"{self.recording.name} can't be read: {type(error).__name__}: {error}"

    def window(
        self, name: str, begin: int, end: int
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        marks = self.marks
        mark = bisect_right(marks, begin, key=lambda mark: mark[1].now) - 1
        start, books = marks[mark] if mark >= 0 else (0, _Books())
        books = books.copied([name])
        frames: list[dict[str, Any]] = []
        trades: list[dict[str, Any]] = []
        step = max((end - begin) // FRAMES, SECOND_NS // 2)
        due = begin
        for _, turns in Recording(self.recording).blocks(start):
            for data in _data_of(turns):
                if getattr(getattr(data, "instrument_id", None), "value", "") != name:
                    continue
                ts, book = data.ts_init, books.books.get(name)
                while due <= min(ts, end) and len(frames) < FRAMES:
                    if book is not None and book.is_whole:
                        frames.append(book.frame(due))
                    due += step
                if ts > end:
                    return frames, trades[-TRADES:]
                if type(data).__name__ == "TradeTick" and ts >= begin:
                    trades.append(
                        {
                            "ts": ts // 1_000_000,
                            "price": str(data.price),
                            "quantity": str(data.size),
                            "side": "BUY" if data.aggressor_side.name == "BUYER" else "SELL",
                        }
                    )
                books.take(data)
        if (book := books.books.get(name)) is not None and book.is_whole:
            frames.append(book.frame(min(end, max(books.now, begin))))
        return frames, trades[-TRADES:]


def _data_of(turns: list[Turn]) -> Iterator[Any]:
    for turn in turns:
        if turn.name in _DATA:
            yield from thawed(turn.args)
