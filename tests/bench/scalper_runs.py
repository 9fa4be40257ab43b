"""The whole scalper: its share of a replay, its screen's pace, its memory over ten million updates.

The replay is that of `tests.bench.books`. One scalper scores every book and enters nothing; one
trades; one always has orders at the venue. While any order rests Nautilus takes longer with each
trade, whatever the strategy does: one bare order that rests bounds what the last one can reach.
"""

from __future__ import annotations

import time
from itertools import count, islice
from typing import Any

import msgspec

from backtests.engine.market import market_of
from backtests.screening.scalps import Tape, judge, score, tapes
from catalog.demo.order_flow import COINS
from catalog.storage.store import Catalog
from strategies.scalper import ScalperConfig
from strategies.scalping.trader import ScalpTrader
from strategies.signals.book_scores import BookScores
from strategies.signals.fusion import Fusion
from strategies.signals.scalper_parameters import FusionRules, ScalperSignals
from tests.bench import Row, books, resident_mb
from tests.bench.books import BTC, BareOrder, bare, feed_of, ours, paces, venue
from tests.strategies.signals.tapes import demo_tapes

UPDATES = 10_000_000
WARM = 1_000_000
SPAN_S = 600
MEMORY_MB = 2.0
SILENT, TRADING, QUOTING = (1.0, -1.0), (0.1, 0.0), (0.0, -1.0)
"""Thresholds of entries and exits."""


def scalper(thresholds: tuple[float, float]) -> ScalperConfig:
    """Return a scalper that expects enough of every score from the threshold on."""
    levels = dict(zip(("entry", "exit"), thresholds, strict=True))
    fusion = {"thresholds": dict.fromkeys(("low", "normal", "high"), levels)}
    given: dict[str, Any] = {"key": "bench", "instruments": [BTC], "fusion": fusion}
    return msgspec.convert(given | {"calibration": [(0.0, 100.0)]}, ScalperConfig)


def replays(catalog: Catalog) -> list[Row]:
    """Return the rows of the scalper on the recording."""
    market = market_of([catalog.instruments[BTC]], venue(), catalog.instruments)
    levels = scalper(SILENT).signals.levels
    parts = list(feed_of(catalog, market, levels).slices())
    messages = sum(len(part.data) for part in parts)
    best = paces(
        {
            "bare": lambda: bare(market, parts, None),
            "bare order": lambda: bare(market, parts, BareOrder),
            "own": lambda: ours(market, parts, None),
            "silent": lambda: ours(market, parts, ScalpTrader(scalper(SILENT))),
            "trading": lambda: ours(market, parts, ScalpTrader(scalper(TRADING))),
            "quoting": lambda: ours(market, parts, ScalpTrader(scalper(QUOTING))),
        },
        messages,
    )

    def row(what: str, name: str, least: float) -> Row:
        share = best[name] / best["own"]
        text = f"{best[name]:,.0f} messages/s, {share:.2f} of own"
        return Row(what, text, f"at least {least:.2f}", share >= least)

    reach = best["bare order"] / best["bare"]
    return [
        Row(f"{messages:,} messages, own replay", f"{best['own']:,.0f} messages/s"),
        row("scalper, eight signals, no orders", "silent", 0.60),
        row("scalper that trades, with brackets", "trading", 0.45),
        row("scalper that always has orders at the venue", "quoting", 0.45),
        Row("one resting order, bare Nautilus", f"{reach:.2f} of its replay"),
        *screens(catalog, best["silent"]),
    ]


def screens(catalog: Catalog, driven: float) -> list[Row]:
    """Return the row of the screen, beside the event-driven messages a second."""
    rules, span = scalper(TRADING), catalog.coverage("book")[BTC]
    spent = []
    for _ in range(1 + books.ROUNDS):  # The first compiles.
        began = time.process_time()
        whole = tapes(catalog, BTC, span.first, span.last + 1, rules.signals.levels)
        found = score(whole, float(catalog.instruments[BTC].tick), rules.signals)
        judge(BTC, found, rules, 0.0002, 0.00055)
        spent.append(time.process_time() - began)
    pace = len(found.ts) / min(spent)
    text = f"{pace:,.0f} updates/s, {pace / driven:.1f} x event-driven"
    return [Row("screen of a scalper on the recording, read from the catalog", text)]


def through(ts: list[int], later: int, tape: Tape, scores: BookScores, fusion: Fusion) -> None:
    """Show a tape's events, some nanoseconds later, and fuse at each."""
    trades = [(price, size, int(side)) for price, size, side in tape.trades.tolist()]
    bid = float(tape.bids[0, 0, 0])
    for at, place in zip(ts, tape.books.tolist(), strict=True):
        now = at + later
        if place >= 0:
            bid = float(tape.bids[place, 0, 0])
            scores.on_book(now, tape.bids[place], tape.asks[place])
        else:
            scores.on_trade(now, *trades[-1 - place])
        fusion.update(now, bid, scores.scores(now), 5.0)


def memory() -> Row:
    """Return the row of what signals and fusion of all demo coins hold after many updates."""
    made = [
        (tape, tape.ts.tolist(), BookScores(ScalperSignals(), 1.0), Fusion(FusionRules()))
        for coin in COINS
        for tape in islice(demo_tapes(coin, 1, SPAN_S)[0], 1)
    ]
    done, warm = 0, 0.0
    for later in count(0, SPAN_S * 10**9):
        for tape, ts, scores, fusion in made:
            through(ts, later, tape, scores, fusion)
            done += len(ts)
        if not warm and done >= WARM:
            warm = resident_mb()
        if done >= UPDATES:
            break
    grown = resident_mb() - warm
    what = f"memory after {done:,} updates of {len(made)} instruments, since the first million"
    return Row(what, f"{grown:+.1f} MB", f"at most {MEMORY_MB:g} MB", grown <= MEMORY_MB)


def run() -> list[Row]:
    """Return the rows of all."""
    return [*books.run(replays), memory()]
