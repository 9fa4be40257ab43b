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

from backtests.engine.tick_feed import shown_books
from catalog.series import BOOK, SNAPSHOT
from catalog.tops import StoredBook
from strategies.market_view import MarketView, level_rows
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
