"""What a recorder knows of each topic: gaps, and the message that stands for all before."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from live_nodes.bybit.stream_link import shared_out
from live_nodes.bybit.stream_topics import (
    BookTopic,
    MissedUpdates,
    StreamMessage,
    StreamTopic,
    TickerTopic,
    TradesTopic,
)

NAME = "orderbook.50.BTCUSDT"
Levels = list[tuple[str, str]]


def told(topic: StreamTopic, at: int, kind: str, data: Any, **more: Any) -> MissedUpdates | None:
    text = msgspec.json.encode({"topic": topic.name, "type": kind, "ts": at, "data": data} | more)
    return topic.take(at, msgspec.json.decode(text, type=StreamMessage))


def push(book: BookTopic, at: int, u: int, bids: Levels, asks: Levels = [], kind: str = "delta"):  # noqa: B006
    data = {"s": "BTCUSDT", "b": bids, "a": asks, "u": u, "seq": 70 + u}
    return told(book, at, kind, data, cts=at)


def whole(topic: StreamTopic) -> dict[str, Any]:
    stamp, _, text = topic.line().partition(b" ")
    assert int(stamp) == topic.received_ns
    return dict(json.loads(text))


def book_at_7() -> BookTopic:
    book = BookTopic(NAME, "", 0)
    push(book, 1, 6, [("9", "1"), ("10", "2")], [("12", "3"), ("11", "4")], "snapshot")
    push(book, 2, 7, [("10", "0"), ("8.5", "5")])
    return book


def test_a_book_is_told_in_one_message() -> None:
    expected = {
        "s": "BTCUSDT", "b": [["9", "1"], ["8.5", "5"]], "a": [["11", "4"], ["12", "3"]],
        "u": 7, "seq": 77,
    }  # fmt: skip
    found = whole(book_at_7())
    assert found == {
        "topic": NAME, "type": "snapshot", "ts": 2, "cts": 2, "data": expected
    }  # fmt: skip


def test_a_gap_lasts_until_the_next_snapshot() -> None:
    book = book_at_7()
    assert push(book, 3, 9, [("9", "2")]) is None
    assert book.missing == "sequence gap"
    assert push(book, 4, 10, []) is None
    missed = push(book, 5, 12, [("7", "1")], [], "snapshot")
    assert missed == MissedUpdates(NAME, 2, 5, 7, 12, "sequence gap")
    assert whole(book)["data"]["b"] == [["7", "1"]]
    assert not book.missing
    assert push(book, 6, 13, []) is None


def test_a_repeated_update_is_no_gap_and_changes_nothing() -> None:
    book = book_at_7()
    push(book, 3, 7, [("9", "0")])
    push(book, 4, 6, [("9", "0")])
    assert not book.missing
    assert whole(book)["data"]["b"] == [["9", "1"], ["8.5", "5"]]


def test_a_snapshot_out_of_turn_is_a_gap_and_one_that_repeats_is_none() -> None:
    book = book_at_7()
    assert push(book, 3, 7, [("9", "1")], [], "snapshot") is None
    assert push(book, 4, 8, [("9", "1")], [], "snapshot") is None
    restarted = push(book, 5, 1, [("9", "1")], [], "snapshot")
    assert restarted == MissedUpdates(NAME, 4, 5, 8, 1, "sequence gap")


def test_depth_1_has_no_sequence() -> None:
    quotes = BookTopic("orderbook.1.BTCUSDT", "", 0)
    assert push(quotes, 1, 6, [("9", "1")], [], "snapshot") is None
    assert push(quotes, 2, 60, [("9", "2")], [], "snapshot") is None


def test_a_lost_connection_is_a_gap_from_the_last_message_on() -> None:
    book = book_at_7()
    book.lose("connection lost")
    book.lose("connection lost again")
    assert book.unfinished(9) == MissedUpdates(NAME, 2, 9, 7, 0, "connection lost")
    missed = push(book, 8, 30, [], [], "snapshot")
    assert missed == MissedUpdates(NAME, 2, 8, 7, 30, "connection lost")
    assert book.unfinished(9) is None


def test_trades_of_one_sequence_number_stay_together() -> None:
    topic = TradesTopic("publicTrade.BTCUSDT")
    told(topic, 1, "snapshot", [])
    assert whole(topic)["data"] == []
    told(topic, 1, "snapshot", [{"T": 1, "seq": 4, "i": "a"}, {"T": 1, "seq": 5, "i": "b"}])
    told(topic, 2, "snapshot", [{"T": 1, "seq": 5, "i": "c"}])
    assert [trade["i"] for trade in whole(topic)["data"]] == ["b", "c"]


def test_a_ticker_is_told_whole() -> None:
    topic = TickerTopic("tickers.BTCUSDT")
    told(topic, 1, "snapshot", {"lastPrice": "9", "markPrice": "8", "fundingRate": "1"}, cs=3)
    told(topic, 2, "delta", {"markPrice": "7", "fundingRate": ""}, cs=4)
    found = whole(topic)
    assert found["data"] == {"lastPrice": "9", "markPrice": "7", "fundingRate": "1"}
    assert (found["cs"], found["ts"]) == (4, 2)


def test_topics_are_shared_out_by_their_length() -> None:
    names = [f"orderbook.50.COIN{n:04}USDT" for n in range(2_000)]
    parts = list(shared_out(names))
    assert [name for part in parts for name in part] == names
    assert max(len(json.dumps(part, separators=(",", ":"))) for part in parts) <= 21_000
    assert len(parts) == 3
