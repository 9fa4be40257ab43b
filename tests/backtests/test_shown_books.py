"""Levels that a backtest reads of stored books before the run, against those of the engine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from nautilus_trader.cache.cache import Cache
from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.enums import BookType

from backtests.engine.tick_feed import show_trades, shown_books
from catalog.series import BOOK, SNAPSHOT, TRADES
from catalog.tops import StoredBook
from strategies.market_view import MarketView, level_rows
from strategies.signals.book_scores import BookScores
from strategies.signals.scalper_parameters import ScalperSignals
from tests.builders_engine import START, info, perpetual

FACTS = info(tick="0.1")
ROW = st.tuples(st.sampled_from((1, -1)), st.integers(0, 12), st.integers(0, 3))
"""Side, price in ticks above 60,000 and size in lots, 0 where the level goes: books may cross."""
MESSAGE = st.tuples(st.booleans(), st.lists(ROW, min_size=1, max_size=8))


def table(messages: list[tuple[bool, list[tuple[int, int, int]]]], first: int) -> pa.Table:
    """Return messages as they are stored, two at a moment."""
    rows = [
        (START + seq // 2, seq, 0, SNAPSHOT * whole, side, 60_000 + ticks / 10, size / 1000)
        for seq, (whole, levels) in enumerate(messages, first)
        for side, ticks, size in levels
    ]
    return pa.table([np.array(column) for column in zip(*rows, strict=True)], BOOK.names).cast(BOOK)


@given(st.lists(MESSAGE, min_size=2, max_size=12), st.integers(1, 11), st.integers(1, 5))
def test_levels_shown_equal_those_of_the_engines_book_to_the_bit(
    messages: list[Any], cut: int, count: int
) -> None:
    """Also where a book crosses, has few levels or none, is sent whole, and over two slices."""
    messages[0] = True, messages[0][1]
    cut, standing = min(cut, len(messages) - 1), StoredBook()
    slices = table(messages[:cut], 0), table(messages[cut:], cut)
    instrument, cache = perpetual(tick="0.1"), Cache()
    own = OrderBook(instrument.id, BookType.L2_MBP)
    cache.add_instrument(instrument)
    cache.add_order_book(own)
    view = MarketView(cast(Any, SimpleNamespace(cache=cache)), (instrument.id,), "USDT")
    view.source = "book"
    made = [message for rows in slices for message in shown_books(rows, FACTS, standing, 3)]
    assert len(made) == len(messages)
    for message in made:
        own.apply_deltas(message)
        expected = level_rows(*view.levels(instrument.id, count), count)
        np.testing.assert_array_equal(view.levels_after(message, count), expected)


def test_a_message_shows_the_trades_since_the_one_before_and_scores_are_those_of_one_by_one() -> (
    None
):
    books = table([(True, [(1, 0, 9), (-1, 1, 9)]), *[(False, [(1, 0, n)]) for n in (8, 7, 6)]], 0)
    messages = shown_books(books, FACTS, StoredBook(), 1)  # Two at a moment, two a nanosecond on.
    rows = [(-5, 1, 1), (-1, 2, -1), (0, 3, 1), (1, 4, -1), (1, 2, 1), (7, 5, 1)]
    ts, size, side = np.array(rows).T
    columns = [ts + START, np.arange(6), ts + START, np.full(6, 60_000.1), size / 1000, side]
    traded = pa.table(columns, TRADES.names).cast(TRADES)
    assert show_trades(messages, traded) == 5
    shown = [[(age, size) for age, _, size, _ in message.trades] for message in messages]
    assert shown == [[(5, 0.001), (1, 0.002), (0, 0.003)], [], [(0, 0.004), (0, 0.002)], []]
    together, alone = (BookScores(ScalperSignals(levels=1), 0.1) for _ in "12")
    for message in messages:
        if len(message.trades):
            together.on_trades(message.ts_event, message.trades)
        for age, *trade, way in message.trades:
            alone.on_trade(message.ts_event - int(age), *trade, int(way))
        for scores in (together, alone):
            scores.on_book(message.ts_event, *message.levels)
    assert together._board.tobytes() == alone._board.tobytes()
