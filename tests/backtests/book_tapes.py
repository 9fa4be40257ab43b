"""Order books and trades by hand: raw rows as the catalog has them, and a desk that trades on them.

Times are seconds from ``START``. Prices have one tick of 0.01, sizes three decimals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from nautilus_trader.core.data import Data
from nautilus_trader.model.data import (
    BookOrder,
    OrderBookDelta,
    OrderBookDeltas,
    QuoteTick,
    TradeTick,
)
from nautilus_trader.model.enums import AggressorSide, BookAction, OrderSide
from nautilus_trader.model.identifiers import TradeId
from nautilus_trader.model.instruments import Instrument

from backtests.engine.build import BacktestDesk
from backtests.engine.engine_costs import mended
from backtests.engine.feed import FeedSlice, PriceGrid, Settlement
from backtests.engine.market import market_of
from config.documents import Venue
from tests.builders_engine import SECOND, START, A, Script, desk_of, feed, info, venue

Levels = Sequence[tuple[int, float, float]]
"""(side, price, size): side 1 for bids, -1 for asks; size 0 removes the level."""


class Book(NamedTuple):
    """A message of a book."""

    at: float
    levels: Levels
    snapshot: bool = False


class Trade(NamedTuple):
    """A trade; side 1 when a buyer was the aggressor, -1 a seller."""

    at: float
    price: float
    size: float
    side: int


class Quote(NamedTuple):
    """Best prices and sizes."""

    at: float
    bid: float
    ask: float
    bid_size: float
    ask_size: float


Row = Book | Trade | Quote


def opening(bid: float = 100.0, ask: float = 100.1, size: float = 1.0, levels: int = 3) -> Book:
    """Return a snapshot at second 0 of equal levels a tenth apart."""
    bids = [(1, round(bid - 0.1 * n, 2), size) for n in range(levels)]
    asks = [(-1, round(ask + 0.1 * n, 2), size) for n in range(levels)]
    return Book(0.0, [*bids, *asks], snapshot=True)


def second(seconds: float) -> int:
    return START + round(seconds * SECOND)


def engine_data(instrument: Instrument, rows: Sequence[Row]) -> list[Data]:
    """Convert rows as `catalog.engine` does."""
    made: list[Data] = []
    name, price, size = instrument.id, instrument.make_price, instrument.make_qty
    for number, row in enumerate(rows):
        ts = second(row.at)
        if isinstance(row, Trade):
            side = AggressorSide.BUYER if row.side > 0 else AggressorSide.SELLER
            tick = (name, price(row.price), size(row.size), side, TradeId(str(number)), ts, ts)
            made.append(TradeTick(*tick))
        elif isinstance(row, Quote):
            prices = price(row.bid), price(row.ask), size(row.bid_size), size(row.ask_size)
            made.append(QuoteTick(name, *prices, ts, ts))
        else:
            flags = 32 if row.snapshot else 0
            deltas = [OrderBookDelta.clear(name, number, ts, ts)] if row.snapshot else []
            for place, (side, at_price, amount) in enumerate(row.levels):
                action = BookAction.UPDATE if amount else BookAction.DELETE
                level = BookOrder(
                    OrderSide.BUY if side > 0 else OrderSide.SELL, price(at_price), size(amount), 0
                )
                last = 128 if place == len(row.levels) - 1 else 0
                deltas.append(OrderBookDelta(name, action, level, flags | last, number, ts, ts))
            made.append(OrderBookDeltas(name, deltas))
    return made


def tick_slices(
    instruments: Sequence[Instrument],
    tape: Sequence[Sequence[Row]],
    seconds: int,
    *,
    cuts: Sequence[int] = (),
    settlements: Sequence[Settlement] = (),
    delisted: dict[int, tuple[int, ...]] | None = None,
    marks: Callable[[int], float] | None = None,
) -> list[FeedSlice]:
    """Cut a tape of whole seconds into slices with a grid of seconds, whose closes are unknown.

    ``delisted`` has the columns that end at a second, ``marks`` the mark price of a second.
    """
    found = []
    edges = [0, *cuts, seconds]
    for first, last in pairwise(edges):
        ts = np.array([second(n) for n in range(first + 1, last + 1)])
        shape = len(ts), len(instruments)
        blank = [np.full(shape, np.nan) for _ in range(5)]
        if marks is not None:
            blank[3][:] = [[marks(n)] * shape[1] for n in range(first + 1, last + 1)]
        gone = {n - first - 1: c for n, c in (delisted or {}).items() if first < n <= last}
        real = np.zeros(shape, dtype=bool)
        grid = PriceGrid(ts, *blank[:3], gone, real, marks=blank[3], mids=blank[4])
        data = [
            event
            for instrument, rows in zip(instruments, tape, strict=True)
            for event in engine_data(instrument, [r for r in rows if first <= r.at < last])
        ]
        due = [s for s in settlements if second(first) < s.ts <= second(last)]
        found.append(FeedSlice(second(first), second(last), data, grid, due))
    return found


def book_venue(market: str = "book", **settings: Any) -> Venue:
    """Return a venue on books (or quotes), without fees and delay."""
    return venue(market=market, **settings)


@dataclass
class Played:
    """A desk after a run on books, and its slices."""

    desk: BacktestDesk
    slices: list[FeedSlice]

    @property
    def equity(self) -> list[float]:
        """Closes of the first instrument at each second."""
        return [float(v) for part in self.slices for v in part.grid.close[:, 0]]


def play_book(
    rows: Sequence[Row],
    *scripts: Script,
    seconds: int = 20,
    document: Venue | None = None,
    cuts: Sequence[int] = (),
    settlements: Sequence[Settlement] = (),
    delisted: dict[int, tuple[int, ...]] | None = None,
    marks: Callable[[int], float] | None = None,
    then: Callable[[FeedSlice], None] | None = None,
    name: str = A,
    **settings: Any,
) -> Played:
    """Run scripts on one instrument's tape. The last row of the data should be near the end."""
    document = document or book_venue()
    market = market_of([info(name)], document)
    with mended():
        desk = desk_of(market, document, *scripts, **settings)
        parts = tick_slices(
            market.instruments,
            [rows],
            seconds,
            cuts=cuts,
            settlements=settlements,
            delisted=delisted,
            marks=marks,
        )
        feed(desk, parts, then)
    return Played(desk, parts)
