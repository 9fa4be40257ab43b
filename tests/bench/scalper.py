"""What the scalper's signals cost: each one, all eight at an event, a whole tape, the fusion."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
from numba import njit

from catalog.demo.order_flow import COINS
from strategies.signals import (
    book_imbalance,
    iceberg,
    large_trades,
    micro_momentum,
    pull_replace,
    sweep,
    volatility_regime,
    vwap_deviation,
)
from strategies.signals.book_scores import BookScores, new_board, score_tape
from strategies.signals.compiled import packed
from strategies.signals.fusion import Fusion
from strategies.signals.scalper_parameters import SIGNALS, FusionRules, ScalperSignals
from tests.bench import Row
from tests.strategies.signals.tapes import Tape, demo_tapes

AIM_NS = 5_000
ROUNDS = 5
PARAMETERS = ScalperSignals()
VOLATILITY = 3.0


@njit
def _imbalance(state, now, book, bids, asks, price, size, side, rules):
    if book:
        book_imbalance.on_book(state, now, bids, asks, rules)
    return book_imbalance.score(state, now, rules)


@njit
def _momentum(state, now, book, bids, asks, price, size, side, rules):
    if book:
        micro_momentum.on_book(state, now, bids, asks, 1.0, rules)
    else:
        micro_momentum.on_trade(state, now, size, side, rules)
    return micro_momentum.score(state, now, VOLATILITY, VOLATILITY, rules)


@njit
def _pulls(state, now, book, bids, asks, price, size, side, rules):
    if book:
        pull_replace.on_book(state, now, bids, asks, 1.0, rules)
    else:
        pull_replace.on_trade(state, now, price, size, side, 1.0, rules)
    return pull_replace.score(state, now, rules)


@njit
def _large(state, now, book, bids, asks, price, size, side, rules):
    if not book:
        large_trades.on_trade(state, now, size, side, rules)
    return large_trades.score(state, now, rules)


@njit
def _sweep(state, now, book, bids, asks, price, size, side, rules):
    if not book:
        sweep.on_trade(state, now, price, side, 1.0, VOLATILITY, rules)
    return sweep.score(state, now, VOLATILITY, rules)


@njit
def _iceberg(state, now, book, bids, asks, price, size, side, rules):
    if book:
        iceberg.on_book(state, now, bids, asks, 1.0, rules)
    else:
        iceberg.on_trade(state, now, price, size, side, 1.0)
    return iceberg.score(state, now, rules)


@njit
def _vwap(state, now, book, bids, asks, price, size, side, rules):
    if book:
        vwap_deviation.on_book(state, bids, asks, 1.0)
    else:
        vwap_deviation.on_trade(state, now, price, size, 1.0, rules)
    return vwap_deviation.score(state, now, VOLATILITY, rules)


@njit
def _regime(state, now, book, bids, asks, price, size, side, rules):
    if book:
        volatility_regime.on_book(state, now, bids, asks, 1.0, rules)
    return volatility_regime.regime(state, now, rules)


STEPS = (_imbalance, _momentum, _pulls, _large, _sweep, _iceberg, _vwap, _regime)
STATES: tuple[Callable[[], Any], ...] = (
    book_imbalance.new_state,
    micro_momentum.new_state,
    lambda: pull_replace.new_state(PARAMETERS.levels),
    large_trades.new_state,
    sweep.new_state,
    iceberg.new_state,
    vwap_deviation.new_state,
    volatility_regime.new_state,
)


@njit
def _through(step, state, seconds, books, bids, asks, trades, rules):
    total = 0.0
    for event in range(len(seconds)):
        row = max(books[event], 0)
        price, size, side = trades[max(-1 - books[event], 0)]
        book = books[event] >= 0
        total += step(
            state, seconds[event], book, bids[row], asks[row], price, size, int(side), rules
        )
    return total


def ns_of(work: Callable[[], Any], events: int) -> float:
    """Return the least CPU time of some rounds, a single event, after one that compiles."""
    work()
    found = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found) / events * 1e9


def live(tape: Tape, fused: bool) -> None:
    """Show a tape event by event, as a strategy does, and ask for scores each time."""
    scores, fusion = BookScores(PARAMETERS, 1.0), Fusion(FusionRules())
    trades = [(price, size, int(side)) for price, size, side in tape.trades.tolist()]
    for ts, place in zip(tape.ts.tolist(), tape.books.tolist(), strict=True):
        if place >= 0:
            scores.on_book(ts, tape.bids[place], tape.asks[place])
        else:
            scores.on_trade(ts, *trades[-1 - place])
        found = scores.scores(ts)
        if fused:
            fusion.update(ts, 100.0, found, 5.0)


def run() -> list[Row]:
    """Measure ten minutes of the demo's BTC book, ten levels."""
    (tape,) = islice(demo_tapes(COINS[0], 1, 600)[0], 1)
    count = len(tape.ts)
    seconds = (tape.ts - tape.ts[0]) * 1e-9
    arrays = seconds, tape.books, tape.bids, tape.asks, tape.trades
    out, regimes = np.empty((count, len(SIGNALS))), np.empty(count, np.int64)
    rows = []
    for name, step, state in zip(SIGNALS, STEPS, STATES, strict=True):
        rules = packed(getattr(PARAMETERS, name))
        spent = ns_of(lambda: _through(step, state(), *arrays, rules), count)  # noqa: B023
        rows.append(Row(f"{name}: an event and its score, compiled", f"{spent:,.0f} ns"))
    whole = ns_of(lambda: score_tape(new_board(PARAMETERS, 1.0), *arrays, out, regimes), count)
    one = ns_of(lambda: live(tape, False), count)
    with_fusion = ns_of(lambda: live(tape, True), count)
    what = f"all eight, {PARAMETERS.levels} levels, {count:,} events"
    return [
        *rows,
        Row(f"{what}, in one compiled loop", f"{whole:,.0f} ns, {1e9 / whole:,.0f} events/s"),
        Row(f"{what}, event by event", f"{one:,.0f} ns", f"<= {AIM_NS:,} ns", one <= AIM_NS),
        Row(f"{what}, event by event with fusion", f"{with_fusion:,.0f} ns"),
    ]
