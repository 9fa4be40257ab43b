"""Order books of a node's recording: the newest minute, or one to be watched again.

A recording has a whole book only where its subscription began, so it is followed from there; every
minute of it the books are kept, from which any other minute is built.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from config.durations import SECOND_NS
from config.errors import InputError
from live_nodes.node.recording import newest
from live_nodes.node.stream import Recording, Turn, thawed

LEVELS, FRAMES, TRADES, LONGEST_S = 25, 120, 500, 300
_MARK_NS = 60 * SECOND_NS
_DATA = ("data at once", "data")
Side = dict[float, tuple[str, str]]


class Book:
    """Both sides of a book by price: price and size as text. Quotes make one of one level."""

    def __init__(self, sides: tuple[Side, Side] | None = None) -> None:
        self.bids, self.asks = sides or ({}, {})
        self.is_whole = sides is not None

    def copied(self) -> tuple[Side, Side]:
        """Return copies of both sides."""
        return dict(self.bids), dict(self.asks)

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


class _Books:
    """Books of all instruments while a recording is read; `deep` have more than quotes."""

    def __init__(self) -> None:
        self.books: dict[str, Book] = {}
        self.deep: set[str] = set()
        self.now = 0

    def take(self, data: Any) -> str:
        """Take a message; return its instrument where it changed a book."""
        kind = type(data).__name__
        if kind not in ("OrderBookDeltas", "QuoteTick"):
            return ""
        name, self.now = data.instrument_id.value, max(self.now, data.ts_init)
        if kind == "QuoteTick":
            if name in self.deep:
                return ""
            self.books.setdefault(name, Book()).quote(data)
            return str(name)
        if name not in self.deep:
            self.deep.add(name)
            self.books[name] = Book()
        for delta in data.deltas:
            self.books[name].delta(delta)
        return str(name)


class Depth:
    """Follows the newest recording of a node; safe to call from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._recording: Path | None = None
        self._follower: threading.Thread | None = None
        self._begin(None)

    def _begin(self, recording: Path | None) -> None:
        self._recording, self._place, self._state = recording, 0, _Books()
        self._marks: list[tuple[int, int, dict[str, tuple[Side, Side]], set[str]]] = []
        self._error = ""

    def page(self, instrument: str, at: int | None, seconds: int) -> dict[str, Any]:
        """Return frames and trades of a window that ends at a time, UNIX ms, or with the newest.

        Raises InputError where nothing is recorded. What was recorded before is read in another
        thread the first time; until then the page says how far that is.
        """
        recording = newest(self._folder)
        with self._lock:
            if recording != self._recording:
                self._begin(recording)
            if self._follower is None or not self._follower.is_alive():
                self._follower = threading.Thread(target=self._follow, daemon=True)
                self._follower.start()
            follower = self._follower
        follower.join(1.0)
        names = sorted([*self._state.books], key=lambda name: (name not in self._state.deep, name))
        if follower.is_alive():
            share = self._place / max(1, (recording / "stream").stat().st_size)
            return {"available": False, "instruments": names, "why": f"reads it: {share:.0%} done"}
        if self._error or not names:
            why = self._error or "neither books nor quotes are recorded yet"
            return {"available": False, "instruments": names, "why": why}
        if instrument and instrument not in names:
            raise InputError(f"no book of {instrument} is recorded; there are {', '.join(names)}")
        name = instrument or names[0]
        end = self._state.now if at is None else at * 1_000_000
        begin = end - min(max(seconds, 1), LONGEST_S) * SECOND_NS
        frames, trades = self._window(name, begin, end)
        return {
            "available": True,
            "instrument": name,
            "instruments": names,
            "recording": recording.name,
            "from": begin // 1_000_000,
            "to": end // 1_000_000,
            "kind": "book" if name in self._state.deep else "quotes",
            "frames": frames,
            "trades": trades,
        }

    def _follow(self) -> None:
        state, recording = self._state, self._recording
        assert recording is not None
        try:
            for place, turns in Recording(recording).blocks(self._place):
                for data in _data_of(turns):
                    state.take(data)
                self._place = place
                if not self._marks or state.now - self._marks[-1][0] >= _MARK_NS:
                    kept = {name: book.copied() for name, book in state.books.items()}
                    self._marks.append((state.now, place, kept, set(state.deep)))
        except Exception as error:  # noqa: BLE001 - a recording of another version fails anyhow
            self._error = f"{recording.name} can't be read: {type(error).__name__}: {error}"

    def _window(
        self, name: str, begin: int, end: int
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        state, start = _Books(), 0
        mark = bisect_right(self._marks, begin, key=lambda mark: mark[0]) - 1
        if mark >= 0:
            _, start, kept, deep = self._marks[mark]
            state.deep = set(deep)
            if name in kept:
                bids, asks = kept[name]
                state.books[name] = Book((dict(bids), dict(asks)))
        assert self._recording is not None
        frames: list[dict[str, Any]] = []
        trades: list[dict[str, Any]] = []
        step = max((end - begin) // FRAMES, SECOND_NS // 2)
        due = begin
        for _, turns in Recording(self._recording).blocks(start):
            for data in _data_of(turns):
                if getattr(getattr(data, "instrument_id", None), "value", "") != name:
                    continue
                ts, book = data.ts_init, state.books.get(name)
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
                state.take(data)
        if (book := state.books.get(name)) is not None and book.is_whole:
            frames.append(book.frame(min(end, max(state.now, begin))))
        return frames, trades[-TRADES:]


def _data_of(turns: list[Turn]) -> Iterator[Any]:
    for turn in turns:
        if turn.name in _DATA:
            yield from thawed(turn.args)
