"""Replay of a real order book: ours against the bare engine, with an imbalance, with one quote.

The recording is Binance's BTCUSDT perpetual, 345 seconds; it is read from a catalog that
`perpdesk catalog import` made of it (``PERPDESK_BENCH_BOOKS`` names the folder).
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from nautilus_trader.model.data import OrderBookDeltas, TradeTick
from nautilus_trader.model.enums import BookType, OrderSide, TimeInForce
from nautilus_trader.model.identifiers import ClientOrderId
from nautilus_trader.model.objects import Price, Quantity

from backtests.engine.build import build, show_market
from backtests.engine.market import RunMarket, market_of
from backtests.engine.tick_feed import TickFeed
from catalog.storage.store import Catalog
from config.documents import Latency, NoSlippage, Venue, WayLatency
from config.documents.setup import RiskSettings
from config.durations import duration_ns
from strategies.base import DeskStrategy
from strategies.desk_config import DeskStrategyConfig
from tests.bench import Row
from tests.builders_engine import bare_engine

FOLDER = "PERPDESK_BENCH_BOOKS"
BTC = "BTCUSDT-LINEAR.BYBIT"
ROUNDS = 5


class Imbalance(DeskStrategy):
    """Adds up the top five of both sides at every message, as a signal would."""

    def on_start(self) -> None:
        """Subscribe to the book and the trades."""
        super().on_start()
        self.total, self.name = 0.0, self.instrument_ids[0]
        self.market.watch(self.name)
        self.market.watch_trades(self.name)

    def on_order_book_deltas(self, deltas: OrderBookDeltas) -> None:
        """Add the imbalance."""
        super().on_order_book_deltas(deltas)
        self.look()

    def on_trade_tick(self, tick: TradeTick) -> None:
        """Add the imbalance."""
        self.look()

    def look(self) -> None:
        """Add the imbalance."""
        bids, asks = self.market.levels(self.name, 5)
        bid, ask = sum([size for _, size in bids]), sum([size for _, size in asks])
        self.total += (bid - ask) / (bid + ask) if bid + ask else 0.0


class Quoter(Imbalance):
    """Keeps one post-only quote at the best price, and follows it after half a second."""

    quote: ClientOrderId | None = None
    placed = 0

    def look(self) -> None:
        """Place a quote, or cancel the one that is no longer at the best price."""
        super().look()
        now = self.clock.timestamp_ns()
        if now - self.placed < 5 * 10**8:
            return
        order = None if self.quote is None else self.cache.order(self.quote)
        top = self.market.top_of_book(self.name)
        if top is None or (order is not None and order.is_pending_cancel):
            return
        if order is not None and not order.is_closed:
            if order.price.as_decimal() != top.best(order.side == OrderSide.BUY):
                self.cancel_order(order)
            return
        buy, found = not self.holding(self.name), self.instrument(self.name)
        self.quote, self.placed = self.next_order_id(), now
        self.send(
            self.order_factory.limit(
                self.name,
                OrderSide.BUY if buy else OrderSide.SELL,
                Quantity(0.001, found.size_precision),
                Price(top.best(buy), found.price_precision),
                time_in_force=TimeInForce.GTC,
                post_only=True,
                client_order_id=self.quote,
            )
        )


def venue() -> Venue:
    """Return the venue of all runs: 1 ms, the realistic queue."""
    delay = Latency(orders=WayLatency(base=1))
    return Venue(market="book", slippage=NoSlippage(), latency=delay)


def feed_of(catalog: Catalog, market: RunMarket) -> TickFeed:
    """Return the whole recording as a feed."""
    span = catalog.coverage("book")[BTC]
    end = span.last // 10**9 * 10**9 + 10**9
    return TickFeed(
        catalog,
        market,
        kind="book",
        valuation=duration_ns("1s"),
        signal_intervals=(),
        execution_interval="1m",
        start=span.first - 1,
        end=end,
        slice_days=1,
        funding=False,
    )


def ours(market: RunMarket, parts: list[Any], strategy: type[DeskStrategy] | None) -> float:
    """Return the CPU seconds of a replay through the desk."""
    made = {}
    if strategy is not None:
        config = DeskStrategyConfig(key="bench", instruments=(BTC,))
        made = {"bench": strategy(config)}
    document = cast(Any, SimpleNamespace(venue=venue(), risk=RiskSettings()))
    desk = build(document, market, made, np.full(1, np.nan))
    show_market(desk, document.venue)
    spent = 0.0
    for part in parts:
        desk.accountant.begin_slice(part.grid, part.settlements)
        desk.engine.add_data(part.data, sort=True, validate=False)
        spent += timed(partial(desk.engine.run, start=part.start, end=part.end - 1, streaming=True))
        desk.engine.clear_data()
    desk.engine.end()
    desk.engine.dispose()
    return spent


def bare(market: RunMarket, parts: list[Any]) -> float:
    """Return the CPU seconds of Nautilus alone on the same messages."""
    engine = bare_engine(
        *market.instruments,
        book_type=BookType.L2_MBP,
        queue_position=True,
        liquidity_consumption=True,
        trade_execution=True,
    )
    spent = 0.0
    for part in parts:
        engine.add_data(part.data, sort=True, validate=False)
        spent += timed(partial(engine.run, start=part.start, end=part.end - 1, streaming=True))
        engine.clear_data()
    engine.end()
    engine.dispose()
    return spent


def timed(work: Callable[[], Any]) -> float:
    """Return the CPU seconds of a call."""
    gc.collect()
    began = time.process_time()
    work()
    return time.process_time() - began


def run() -> list[Row]:
    """Measure in turns, so that a busy machine slows all alike."""
    folder = os.environ.get(FOLDER)
    if not folder or not Path(folder).exists():
        return [Row("replay of a real book", f"skipped: {FOLDER} names no catalog", "")]
    catalog = Catalog(folder)
    market = market_of([catalog.instruments[BTC]], venue(), catalog.instruments)
    parts = list(feed_of(catalog, market).slices())
    messages = sum(len(part.data) for part in parts)
    found: dict[str, list[float]] = {name: [] for name in ("bare", "own", "imbalance", "quote")}
    for _ in range(ROUNDS):
        found["bare"].append(bare(market, parts))
        found["own"].append(ours(market, parts, None))
        found["imbalance"].append(ours(market, parts, Imbalance))
        found["quote"].append(ours(market, parts, Quoter))
    speed = {name: messages / median(times) for name, times in found.items()}

    def row(what: str, name: str, against: str, least: float) -> Row:
        ratio = speed[name] / speed[against]
        text = f"{speed[name]:,.0f} messages/s, {ratio:.2f} of {against}"
        return Row(what, text, f"at least {least:.2f}", ratio >= least)

    return [
        Row(f"{messages:,} messages, bare Nautilus", f"{speed['bare']:,.0f} messages/s", ""),
        row("replay without a strategy", "own", "bare", 0.95),
        row("top-5 imbalance at every message", "imbalance", "own", 0.75),
        row("one quote", "quote", "own", 0.55),
    ]
