"""Tapes of order books for the scalper's signals: the demo's with its plants, and real ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from catalog.demo.order_flow import COINS, EVERY_S, CoinSpec, Planted, simulate
from catalog.tops import StoredBook
from strategies.signals.book_scores import new_board, score_tape
from strategies.signals.scalper_parameters import SIGNALS, ScalperSignals

SECOND = 10**9


class Tape(NamedTuple):
    """Events in order of time, as `score_tape` reads them."""

    ts: np.ndarray
    books: np.ndarray
    bids: np.ndarray
    asks: np.ndarray
    trades: np.ndarray


def tape(book: StoredBook, rows: pa.Table, trades: pa.Table, levels: int) -> Tape:
    """Join the messages of a book and its trades; at the same time a trade comes first."""
    ts, bids, asks = book.levels(rows, levels)
    known = ~np.isnan(bids[:, 0, 0])
    ts, bids, asks = ts[known], bids[known], asks[known]
    times = np.concatenate([trades.column("ts").to_numpy(), ts])
    places = np.concatenate([-1 - np.arange(len(trades)), np.arange(len(ts))])
    order = np.argsort(times, kind="stable")
    columns = [trades.column(name).to_numpy().astype(float) for name in ("price", "size", "side")]
    return Tape(times[order], places[order], bids, asks, np.column_stack(columns))


def demo_tapes(
    spec: CoinSpec, seed: int, seconds: int, every_s: float = EVERY_S, levels: int = 10
) -> tuple[Iterator[Tape], list[Planted]]:
    """Return the tape of a demo coin's perpetual, ten minutes each, prices in ticks, sizes in lots.

    The list of planted events, all of book 0, fills meanwhile.
    """
    chunks, planted = simulate(spec, seed, COINS.index(spec), seconds, every_s)

    def tapes() -> Iterator[Tape]:
        book = StoredBook()
        for chunk in chunks:
            rows, trades = (own[own[:, 2] == 0] for own in (chunk.rows, chunk.trades))
            names = ("ts", "seq", "book", "flags", "side", "price", "size")
            table = pa.table(dict(zip(names, rows.T, strict=True)))
            names = ("ts", "seq", "book", "price", "size", "side")
            yield tape(book, table, pa.table(dict(zip(names, trades.T, strict=True))), levels)

    return tapes(), planted


class Scored(NamedTuple):
    """What all signals said after each event."""

    seconds: np.ndarray
    mid: np.ndarray
    scores: np.ndarray
    regimes: np.ndarray


def scored(tapes: Iterator[Tape], tick: float, parameters: ScalperSignals) -> Scored:
    """Score tapes, one after the other."""
    board, parts, origin = new_board(parameters, tick), [], None
    for part in tapes:
        origin = part.ts[0] if origin is None else origin
        seconds = (part.ts - origin) * 1e-9
        scores = np.empty((len(seconds), len(SIGNALS)))
        regimes = np.empty(len(seconds), np.int64)
        score_tape(board, seconds, part.books, part.bids, part.asks, part.trades, scores, regimes)
        mids = (part.bids[:, 0, 0] + part.asks[:, 0, 0]) / 2
        last = np.maximum.accumulate(np.maximum(part.books, 0))
        parts.append(Scored(part.ts / SECOND, mids[last], scores, regimes))
    return Scored(*(np.concatenate(column) for column in zip(*parts, strict=True)))
