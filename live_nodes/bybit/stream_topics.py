"""Topics of Bybit's public stream: what was missed, and a message that stands for all before.

Such a message begins a file of a recording, so that each file can be read alone. Fields:
https://bybit-exchange.github.io/docs/v5/websocket/public/orderbook and its neighbours. Pure.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

Side = dict[str, str]


class StreamMessage(msgspec.Struct):
    """A message of the public stream; `op` and what follows are those of an answer."""

    topic: str = ""
    type: str = ""
    ts: int = 0
    cts: int = 0
    cs: int = 0
    data: msgspec.Raw = msgspec.Raw()
    op: str = ""
    success: bool = True
    ret_msg: str = ""
    req_id: str = ""


class _Levels(msgspec.Struct):
    s: str
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]
    u: int
    seq: int = 0


class MissedUpdates(NamedTuple):
    """Updates of a book that were not received, from one message that was to the next snapshot.

    `after` is the last update before (0 unknown), `upto` that of the snapshot; receive times are
    UNIX nanoseconds.
    """

    topic: str
    began_ns: int
    ended_ns: int
    after: int
    upto: int
    why: str


_decode_levels = msgspec.json.Decoder(_Levels).decode
_decode_trades = msgspec.json.Decoder(list[dict[str, Any]]).decode
_decode_ticker = msgspec.json.Decoder(dict[str, Any]).decode


class StreamTopic:
    """A topic that is being received; `received_ns` is the newest message's receive time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.received_ns = self._ts = 0

    def take(self, received_ns: int, message: StreamMessage) -> MissedUpdates | None:
        """Take the next message; return what it shows to have been missed.

        Raises MsgspecError when it is none of Bybit's.
        """
        missed = self._take(received_ns, message)
        self.received_ns, self._ts = received_ns, message.ts
        return missed

    def line(self) -> bytes:
        """Return the message that stands for all so far, with its receive time before it."""
        message = {"topic": self.name, "type": "snapshot", "ts": self._ts} | self._whole()
        return b"%d %b\n" % (self.received_ns, msgspec.json.encode(message))

    def _take(self, received_ns: int, message: StreamMessage) -> MissedUpdates | None:
        raise NotImplementedError

    def _whole(self) -> dict[str, Any]:
        raise NotImplementedError


class BookTopic(StreamTopic):
    """``orderbook.{depth}.{symbol}``: the update id `u` rises by one a message.

    `missing` is why the book has a hole that a snapshot must end, empty without one. Depth 1 has
    snapshots only, whose ids tell of no hole.
    """

    def __init__(self, name: str, missing: str, since_ns: int) -> None:
        super().__init__(name)
        self._consecutive = not name.startswith("orderbook.1.")
        self.missing = missing
        self._since_ns, self._after = since_ns, 0
        self._newest = _Levels("", [], [], 0)
        self._bids: Side = {}
        self._asks: Side = {}
        self._moment = 0

    def lose(self, why: str) -> None:
        """Note that messages after the newest are lost."""
        if not self.missing:
            self.missing = why
            self._since_ns = self.received_ns or self._since_ns
            self._after = self._newest.u

    def unfinished(self, now_ns: int) -> MissedUpdates | None:
        """Return the hole that no snapshot has ended yet."""
        found = MissedUpdates(self.name, self._since_ns, now_ns, self._after, 0, self.missing)
        return found if self.missing else None

    def _take(self, received_ns: int, message: StreamMessage) -> MissedUpdates | None:
        new, last = _decode_levels(message.data), self._newest.u
        whole = message.type == "snapshot"
        if not whole and new.u <= last:
            return None
        # A snapshot that nobody asked for has u = 1, after a restart of Bybit's service.
        if last and self._consecutive and new.u not in ((last, last + 1) if whole else (last + 1,)):
            self.lose("sequence gap")
        for side, levels in ((self._bids, new.b), (self._asks, new.a)):
            if whole:
                side.clear()
            for price, size in levels:
                if float(size):
                    side[price] = size
                else:
                    side.pop(price, None)
        self._newest, self._moment = new, max(self._moment, message.cts or message.ts)
        if not whole or not self.missing:
            return None
        missed = self.unfinished(received_ns)
        self.missing = ""
        return missed and missed._replace(upto=new.u)

    def _whole(self) -> dict[str, Any]:
        bids = sorted(self._bids.items(), key=lambda level: -float(level[0]))
        asks = sorted(self._asks.items(), key=lambda level: float(level[0]))
        new = self._newest
        data = {"s": new.s, "b": bids, "a": asks, "u": new.u, "seq": new.seq}
        return {"data": data, "cts": self._moment}


class TradesTopic(StreamTopic):
    """``publicTrade.{symbol}``: trades of one time and sequence number may come in parts."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._newest: tuple[Any, Any] = (0, 0)
        self._same: list[dict[str, Any]] = []

    def _take(self, received_ns: int, message: StreamMessage) -> None:
        for trade in _decode_trades(message.data):
            key = (trade["T"], trade.get("seq"))
            if key != self._newest:
                self._newest, self._same = key, []
            self._same.append(trade)

    def _whole(self) -> dict[str, Any]:
        return {"data": self._same}


class TickerTopic(StreamTopic):
    """``tickers.{symbol}``: a snapshot, then what changed."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._known: dict[str, Any] = {}
        self._cs = 0

    def _take(self, received_ns: int, message: StreamMessage) -> None:
        given = {key: value for key, value in _decode_ticker(message.data).items() if value != ""}
        self._known = given if message.type == "snapshot" else self._known | given
        self._cs = message.cs

    def _whole(self) -> dict[str, Any]:
        return {"cs": self._cs, "data": self._known}
