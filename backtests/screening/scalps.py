"""Screen the scalper's scores over whole tapes of books and trades, without an engine.

Scores equal those of the event-driven run bit for bit: they come from the same compiled steps. The
figures are moves of the mid after a score, before any order: no fill, queue or latency is in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from rich.table import Table

from actors.measures import Floats, Integers
from backtests.engine.build import strategy_config
from catalog.engine import engine_rows
from catalog.series import AFTER_LOSS, SNAPSHOT
from catalog.storage.store import Catalog
from catalog.tops import StoredBook
from config.components import resolve
from config.documents import Backtest
from config.durations import HOUR_NS, duration_ns
from config.errors import InputError
from config.universe import select
from strategies.scalper import Scalper, ScalperConfig
from strategies.scalping.decide import cost_bps
from strategies.signals.book_scores import new_board, score_tape
from strategies.signals.fusion import Fusion
from strategies.signals.scalper_parameters import SIGNALS, ScalperSignals

FROM = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
"""Sizes of the fused score from which moves are averaged."""


class Tape(NamedTuple):
    """Events in order of time, as `score_tape` reads them; times are UNIX nanoseconds (UTC).

    Signals begin anew at ``lost``, the places of books after lost messages, and at those of
    ``whole``, books that are sent whole, which differ from the one before.
    """

    ts: Integers
    books: Integers
    bids: Floats
    asks: Floats
    trades: Floats
    whole: Sequence[int] = ()
    lost: Sequence[int] = ()


class Scored(NamedTuple):
    """What all signals say after each event, of E events: scores of shape (E, 8).

    ``books`` are the places of events that change the book; the others are trades.
    """

    ts: Integers
    books: Integers
    bid: Floats
    ask: Floats
    scores: Floats
    regimes: Integers


@dataclass(frozen=True)
class ScalpFigures:
    """What scores were worth on one instrument; moves and costs are basis points of the mid.

    ``signals`` has, by signal, the move at each of ``horizons_s`` in the direction of its score, a
    unit of score. ``fused`` has a row for each size of the fused score, with the weights that were
    learned by then: the least size, samples, and the mean move in its direction at each horizon.
    None where there is no sample.
    """

    instrument: str
    minutes: float
    events: int
    samples: int
    cost_bps: float
    horizons_s: tuple[float, ...]
    signals: dict[str, list[float | None]]
    fused: list[tuple[float, int, list[float | None]]]


def tape_of(book: StoredBook, rows: pa.Table, trades: pa.Table, levels: int) -> Tape:
    """Join the messages of a book and its trades; at the same time a trade comes first."""
    ts, bids, asks = book.levels(rows, levels)
    known = ~np.isnan(bids[:, 0, 0]) & ~np.isnan(asks[:, 0, 0])
    stamps, seq = rows.column("ts").to_numpy(), rows.column("seq").to_numpy()
    begins = np.r_[True, (np.diff(stamps) != 0) | (np.diff(seq) != 0)]
    flags = rows.column("flags").to_numpy()[begins]
    is_whole = ((flags & SNAPSHOT) != 0)[known]
    # A loss before a book of one side counts for the next that has both.
    after_loss = np.searchsorted(np.flatnonzero(known), np.flatnonzero(flags & AFTER_LOSS))
    is_lost = np.isin(np.arange(len(is_whole)), after_loss)
    ts, bids, asks = ts[known], bids[known], asks[known]
    times = np.concatenate([trades.column("ts").to_numpy(), ts])
    places = np.concatenate([-1 - np.arange(len(trades)), np.arange(len(ts))])
    order = np.argsort(times, kind="stable")
    columns = [trades.column(name).to_numpy().astype(float) for name in ("price", "size", "side")]
    books = places[order]
    whole, lost = (
        np.flatnonzero((books >= 0) & chosen[np.maximum(books, 0)]).tolist()
        for chosen in (is_whole, is_lost)
    )
    return Tape(times[order], books, bids, asks, np.column_stack(columns), whole, lost)


def tapes(catalog: Catalog, instrument: str, start: int, end: int, levels: int) -> Iterator[Tape]:
    """Yield an instrument's tape from start to end, an hour each."""
    book, opening = StoredBook(), catalog.book_at(instrument, start)
    info = catalog.instruments[instrument]
    edges = [*range(start, end, HOUR_NS), end]
    for begin, until in pairwise(edges):
        rows, trades = (
            catalog.series(kind, "", instrument, begin, until) for kind in ("book", "trades")
        )
        if begin == start and len(opening):
            rows = pa.concat_tables([opening, rows])
        if len(rows):
            rows, trades = (engine_rows(own, info) for own in (rows, trades))
            yield tape_of(book, rows, trades, levels)


def score(parts: Iterator[Tape], tick: float, parameters: ScalperSignals) -> Scored:
    """Score tapes that follow each other."""
    board, found, origin = new_board(parameters, tick), [], None
    best, last, events = np.full((1, 2), np.nan), np.empty((0, 0, 0)), 0
    for tape in parts:
        scores = np.empty((len(tape.ts), len(SIGNALS)))
        regimes = np.empty(len(tape.ts), np.int64)
        shown = np.stack([tape.bids, tape.asks], axis=1)
        for first, after in pairwise(sorted({0, *tape.whole, *tape.lost, len(tape.ts)})):
            own = slice(first, after)
            anew = first in tape.lost
            if not anew and first in tape.whole:
                row = tape.books[first]
                before = shown[row - 1] if row else last
                anew = len(before) > 0 and not np.array_equal(before, shown[row], equal_nan=True)
            if anew:
                board, origin = new_board(parameters, tick), None
            origin = int(tape.ts[first]) if origin is None else origin
            seconds = np.multiply(tape.ts[own] - origin, 1e-9, dtype=np.float64)
            given = tape.books[own], tape.bids, tape.asks, tape.trades
            score_tape(board, seconds, *given, scores[own], regimes[own])
        last = shown[-1] if len(shown) else last
        # Row 0 is the last book of the tape before.
        best = np.concatenate([best[-1:], shown[:, :, 0, 0]])
        bid, ask = best[np.maximum.accumulate(np.maximum(tape.books + 1, 0))].T
        events += len(tape.ts)
        books = np.flatnonzero(tape.books >= 0) + events - len(tape.ts)
        found.append(Scored(tape.ts, books, bid, ask, scores, regimes))
    if not found:
        none, nothing = np.empty(0, np.int64), np.empty(0)
        return Scored(none, none, nothing, nothing, np.empty((0, len(SIGNALS))), none)
    return Scored(*(np.concatenate(column) for column in zip(*found, strict=True)))


def fused(
    instrument: str, found: Scored, rules: ScalperConfig, maker: float, taker: float
) -> tuple[Integers, Floats]:
    """Return the events at which the strategy looks, where data come without delay, and its score.

    Weights are learned as it learns them; fees are fractions of value.
    """
    fusion = Fusion(rules.fusion, instrument.partition("-")[0])
    look, looked = duration_ns(rules.look), 0
    rows, values = [], []
    columns = (array[found.books].tolist() for array in (found.ts, found.bid, found.ask))
    for row, now, bid, ask in zip(found.books.tolist(), *columns, strict=True):
        if now < looked + look or not bid < ask:
            continue
        looked, mid = now, (bid + ask) / 2
        cost = cost_bps(rules, maker, taker, (ask - bid) / mid * 1e4)
        rows.append(row)
        values.append(fusion.update(now, mid, found.scores[row], cost).value)
    return np.array(rows, np.int64), np.array(values)


def judge(
    instrument: str, found: Scored, rules: ScalperConfig, maker: float, taker: float
) -> ScalpFigures:
    """Compare scores with the moves that followed, at one moment each ``fusion.sample_s``.

    Fees are fractions of value. A moment counts when all scores are known and the longest horizon
    ends within the tape.
    """
    fusion, ts = rules.fusion, found.ts
    mid = (found.bid + found.ask) / 2
    longest = int(max(fusion.horizons_s) * 1e9)
    rows, value = fused(instrument, found, rules, maker, taker)
    known = ~np.isnan(value) & (ts[rows] <= (ts[-1] - longest if len(ts) else 0))
    rows, value = rows[known], value[known]
    _, first = np.unique(ts[rows] // int(fusion.sample_s * 1e9), return_index=True)
    rows, value = rows[first], value[first]
    scores = found.scores[rows]
    moves = np.array(
        [
            (mid[np.searchsorted(ts, ts[rows] + int(horizon * 1e9), "right") - 1] / mid[rows] - 1.0)
            * 1e4
            for horizon in fusion.horizons_s
        ]
    )
    spread = float(np.mean((found.ask - found.bid)[rows] / mid[rows]) * 1e4) if len(rows) else 0.0
    each = {}
    for number, name in enumerate(SIGNALS):
        own = np.nan_to_num(scores[:, number])
        size = float(np.abs(own).sum())
        each[name] = [float((own * move).sum() / size) if size else None for move in moves]
    sizes = []
    for least in FROM:
        chosen = (np.abs(value) >= least) & (value != 0.0)
        count = int(chosen.sum())
        along = [float((np.sign(value) * move)[chosen].mean()) if count else None for move in moves]
        sizes.append((least, count, along))
    return ScalpFigures(
        instrument,
        (int(ts[-1]) - int(ts[0])) / 60e9 if len(ts) else 0.0,
        len(ts),
        len(rows),
        cost_bps(rules, maker, taker, spread),
        fusion.horizons_s,
        each,
        sizes,
    )


def scalpers_of(document: Backtest) -> dict[str, type[Scalper]]:
    """Return the document's enabled scalpers by key."""
    made = {
        key: resolve(component.use, document.allow)
        for key, component in document.strategies.items()
        if component.enabled
    }
    return {key: cls for key, cls in made.items() if issubclass(cls, Scalper)}


def scored(document: Backtest, key: str) -> Iterator[tuple[str, ScalperConfig, Scored]]:
    """Yield each instrument of a document's scalper, its parameters and all scores of the window.

    Raises InputError where the catalog has no books in it.
    """
    catalog = Catalog(Path(document.catalog))
    ids = select(sorted(catalog.instruments), document.universe)
    rules = strategy_config(key, document.strategies[key], document, ids)
    assert isinstance(rules, ScalperConfig)
    start, end = document.window.start_ns, document.window.end_ns
    for name in rules.instruments:
        parts = tapes(catalog, name, start, end, rules.signals.levels)
        found = score(parts, float(catalog.instruments[name].tick), rules.signals)
        if not len(found.ts):
            raise InputError(f"{document.catalog}: no books of {name} inside the window")
        yield name, rules, found


def screen_scalper(document: Backtest, key: str) -> list[ScalpFigures]:
    """Screen a document's scalper on the books and trades of its window; errors as in `scored`."""
    fees = document.venue.fees.linear
    maker, taker = float(fees.maker), float(fees.taker)
    return [judge(name, found, rules, maker, taker) for name, rules, found in scored(document, key)]


def scalp_tables(found: Sequence[ScalpFigures], title: str = "") -> Iterator[Table]:
    """Yield a table for each instrument: sizes of the fused score, then signals alone."""
    for one in found:
        table = Table(
            title=f"{one.instrument}{title}: {one.minutes:.0f} minutes, "
            f"a round trip costs {one.cost_bps:.1f} bps",
            caption="Moves of the mid in the direction of the score; of a signal, a unit of score.",
        )
        table.add_column("mean move, bps")
        for heading in ("samples", *(f"after {span:g} s" for span in one.horizons_s)):
            table.add_column(heading, justify="right")
        for least, count, moves in one.fused:
            table.add_row(f"score from {least:g}", f"{count:,}", *map(_bps, moves))
        table.add_section()
        for name, moves in one.signals.items():
            table.add_row(name.replace("_", " "), f"{one.samples:,}", *map(_bps, moves))
        yield table


def _bps(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}"
