"""Tapes of order books for the scalper's signals: the demo's with its plants, and real ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from backtests.screening.scalps import Tape, tape_of
from catalog.demo.order_flow import COINS, EVERY_S, CoinSpec, Planted, simulate
from catalog.tops import StoredBook
from strategies.signals.book_scores import new_board, score_tape
from strategies.signals.scalper_parameters import SIGNALS, ScalperSignals

SECOND = 10**9


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
            yield tape_of(book, table, pa.table(dict(zip(names, trades.T, strict=True))), levels)

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


def walk_tape(seed: int, kind: str, hours: int = 2) -> tuple[Tape, list[tuple[float, float, int]]]:
    """Return a random walk of 3 ticks a root second, and what is planted: start, end, side.

    Four books a second and a trade; every five minutes, for ten seconds, a ``tilt`` (sizes of one
    side are four times as large), a ``jump`` (a minute's largest move at once) or, for a minute, a
    ``storm`` (five times the volatility).
    """
    rng, count = np.random.default_rng(seed), hours * 3600 * 4
    seconds = np.arange(count) / 4
    planted = [
        (start, start + 10.0, int(rng.choice([1, -1]))) for start in range(450, hours * 3600, 300)
    ]
    moves, tilt = 1.5 * rng.standard_normal(count), np.zeros(count)
    for start, end, side in planted:
        inside = (seconds >= start) & (seconds < end)
        tilt[inside] = side if kind == "tilt" else 0
        if kind == "jump":
            moves[np.argmax(inside)] += side * 120
        elif kind == "storm":
            moves[(seconds >= start) & (seconds < start + 60)] *= 5
    mid = 100_000 + np.rint(np.cumsum(moves))
    steps, sizes = np.arange(10), rng.lognormal(0, 0.5, (2, count, 10))
    sizes[0][tilt > 0] *= 4
    sizes[1][tilt < 0] *= 4
    bids = np.stack([mid[:, None] - 1 - steps, sizes[0]], axis=-1)
    asks = np.stack([mid[:, None] + 1 + steps, sizes[1]], axis=-1)
    books, side = np.arange(count), rng.choice([1, -1], count // 4)
    trades = np.column_stack([mid[::4] + side, rng.lognormal(0, 1, len(side)), side])
    places = np.insert(books, np.arange(1, count, 4), -1 - np.arange(len(side)))
    times = (np.insert(seconds, np.arange(1, count, 4), seconds[::4]) * SECOND).astype(np.int64)
    return Tape(times, places, bids, asks, trades), planted


QUIET_S = 5.0
"""An alarm that comes back within this time is the same."""


def alarms(seconds: np.ndarray, score: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Return when a score begins to reach a threshold, and its sign then."""
    on = np.flatnonzero(np.abs(np.nan_to_num(score)) >= least)
    times, signs = seconds[on], np.sign(score[on])
    fresh = (np.diff(times, prepend=-np.inf) > QUIET_S) | (np.diff(signs, prepend=0) != 0)
    return times[fresh], signs[fresh]
