"""Replay of a real order book: ours against the bare engine, with an imbalance, with one quote.

The recording is Binance's BTCUSDT perpetual, 345 seconds. Where it is not beside the checkout, it
is read from a catalog that `perpdesk catalog import` made of it (``PERPDESK_BENCH_BOOKS`` names the
folder).

While an order rests, Nautilus walks at each trade all levels that its price crosses, 41 on average
here, to note what the trade used up. So one bare order that rests far away and does nothing else
bounds what a quote can reach.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from nautilus_trader.backtest.models import LatencyModel
from nautilus_trader.core import nautilus_pyo3
from nautilus_trader.model.data import OrderBookDeltas, TradeTick
from nautilus_trader.model.enums import BookType, OrderSide, TimeInForce
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.trading.strategy import Strategy

from actors.desk.build import guards_of
from backtests.engine.build import build, show_market
from backtests.engine.engine_costs import mended
from backtests.engine.market import RunMarket, market_of
from backtests.engine.tick_feed import TickFeed
from catalog.providers.base import ImportOptions, read_files
from catalog.storage.store import Catalog
from catalog.storage.writer import CatalogWriter
from config.documents import Latency, NoSlippage, Venue, WayLatency
from config.documents.setup import RiskSettings
from config.durations import duration_ns
from config.load import load
from strategies.base import DeskStrategy
from strategies.desk_config import DeskStrategyConfig
from tests.bench import Row
from tests.bench.guards import BOOKS
from tests.builders import SHARED_DATA
from tests.builders_engine import bare_engine

FOLDER = "PERPDESK_BENCH_BOOKS"
RECORDING = SHARED_DATA.glob("binance/l2_ticks_spot_perp/binance_linear*wsraw*.gz")
BTC = "BTCUSDT-LINEAR.BYBIT"
CONFIG = DeskStrategyConfig(key="bench", instruments=(BTC,))
ROUNDS = 7
ARRAY_ROWS = 3_500_000


def follow(desk: Any) -> None:
    """Keep one post-only quote at the best price; cancel it half a second later if it moved."""
    now = desk.clock.timestamp_ns()
    if now - desk.placed < 5 * 10**8:
        return
    order = None if desk.quote is None else desk.cache.order(desk.quote)
    best = desk.best()
    if best is None or (order is not None and order.is_pending_cancel):
        return
    if order is not None and not order.is_closed:
        if order.price.as_decimal() != best[order.side != OrderSide.BUY]:
            desk.cancel_order(order)
        return
    buy, desk.placed, desk.quote = not desk.held(), now, desk.next_order_id()
    desk.send(
        desk.order_factory.limit(
            desk.name,
            OrderSide.BUY if buy else OrderSide.SELL,
            Quantity(0.001, 3),
            Price(best[not buy], 1),
            time_in_force=TimeInForce.GTC,
            post_only=True,
            client_order_id=desk.quote,
        )
    )


def imbalance_of(bids: list[float], asks: list[float]) -> float:
    """Return how much more the bids' sizes are, a part of all."""
    bid, ask = sum(bids), sum(asks)
    return (bid - ask) / (bid + ask) if bid + ask else 0.0


class Imbalance(DeskStrategy):
    """Adds up the imbalance of the top five at every message, as a signal would.

    At a trade the levels are the same, and so is their imbalance.
    """

    quotes = False
    total = imbalance = 0.0
    seen: Any = None
    quote: ClientOrderId | None = None
    placed = 0

    def on_start(self) -> None:
        """Subscribe to the book and the trades."""
        super().on_start()
        self.name = self.instrument_ids[0]
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
        """Add the imbalance, and follow with the quote."""
        levels = self.market.levels(self.name, 5)
        if levels is not self.seen:
            self.seen, (bids, asks) = levels, levels
            self.imbalance = imbalance_of([size for _, size in bids], [size for _, size in asks])
        self.total += self.imbalance
        if self.quotes:
            follow(self)

    def best(self) -> tuple[Decimal, Decimal] | None:
        """Return the best prices."""
        top = self.market.top_of_book(self.name)
        return None if top is None else (top.bid, top.ask)

    def held(self) -> bool:
        """Whether there is a position."""
        return bool(self.holding(self.name))


class Quoter(Imbalance):
    """Quotes as well."""

    quotes = True


class BareImbalance(Strategy):
    """The same with Nautilus alone, on the fastest book that it has for strategies."""

    quotes = False
    total = imbalance = 0.0
    quote: ClientOrderId | None = None
    placed = 0

    def on_start(self) -> None:
        """Subscribe to the book and the trades."""
        self.name = InstrumentId.from_str(BTC)
        kind = nautilus_pyo3.BookType.L2_MBP
        self.book = nautilus_pyo3.OrderBook(nautilus_pyo3.InstrumentId.from_str(BTC), kind)
        self.next_order_id = self.order_factory.generate_client_order_id
        self.send = self.submit_order
        self.subscribe_order_book_deltas(self.name, BookType.L2_MBP, managed=False)
        self.subscribe_trade_ticks(self.name)

    def on_order_book_deltas(self, deltas: OrderBookDeltas) -> None:
        """Update the book, and add the imbalance."""
        self.book.apply_deltas(deltas.to_pyo3())
        bids, asks = self.book.bids(5), self.book.asks(5)
        self.imbalance = imbalance_of([x.size() for x in bids], [x.size() for x in asks])
        self.look()

    def on_trade_tick(self, tick: TradeTick) -> None:
        """Add the imbalance."""
        self.look()

    def look(self) -> None:
        """Add the imbalance, and follow with the quote."""
        self.total += self.imbalance
        if self.quotes:
            follow(self)

    def best(self) -> tuple[Decimal, Decimal] | None:
        """Return the best prices."""
        bid, ask = self.book.best_bid_price(), self.book.best_ask_price()
        return None if bid is None or ask is None else (bid.as_decimal(), ask.as_decimal())

    def held(self) -> bool:
        """Whether there is a position."""
        return not self.portfolio.is_flat(self.name)


class BareQuoter(BareImbalance):
    """Quotes as well."""

    quotes = True


class BareOrder(Strategy):
    """Lets one order rest far away, and sees no market."""

    def on_start(self) -> None:
        """Wait until there is a book."""
        self.clock.set_time_alert("send", self.clock.utc_now() + timedelta(seconds=2), self.send)

    def send(self, _: Any) -> None:
        """Send the order."""
        name, price = InstrumentId.from_str(BTC), Price(30_000, 1)
        self.submit_order(self.order_factory.limit(name, OrderSide.BUY, Quantity(0.001, 3), price))


def venue() -> Venue:
    """Return the venue of all runs: 1 ms, the realistic queue."""
    delay = Latency(orders=WayLatency(base=1))
    return Venue(market="book", slippage=NoSlippage(), latency=delay)


def feed_of(catalog: Catalog, market: RunMarket, levels: int = 0) -> TickFeed:
    """Return the whole recording as a feed, whose messages show so many levels a side."""
    span = catalog.coverage("book")[BTC]
    end = span.last // 10**9 * 10**9 + 10**9
    return TickFeed(
        catalog,
        market,
        kind="book",
        valuation=duration_ns("1s"),
        levels={BTC: levels},
        signal_intervals=(),
        execution_interval="1m",
        start=span.first - 1,
        end=end,
        slice_days=1,
        funding=False,
    )


def ours(
    market: RunMarket, parts: list[Any], strategy: DeskStrategy | None, *, guarded: bool = False
) -> float:
    """Return the CPU seconds of a replay through the desk, with the preset's guards or without."""
    made = {} if strategy is None else {"bench": strategy}
    document = cast(Any, SimpleNamespace(venue=venue(), risk=RiskSettings()))
    guards = guards_of(load(BOOKS).document) if guarded else {}
    # The quote loses many times in a row: this one would end its orders, and the work with them.
    guards.pop("losses", None)
    desk = build(document, market, made, np.full(1, np.nan), guards=guards)
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


def bare(market: RunMarket, parts: list[Any], strategy: type[Strategy] | None) -> float:
    """Return the CPU seconds of Nautilus alone on the same messages."""
    engine = bare_engine(
        *market.instruments,
        book_type=BookType.L2_MBP,
        queue_position=True,
        liquidity_consumption=True,
        trade_execution=True,
        latency_model=LatencyModel(base_latency_nanos=10**6),
    )
    if strategy is not None:
        engine.add_strategy(strategy())
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


def imported(folder: Path) -> tuple[Catalog | None, list[Row]]:
    """Import the recording, from its file and from arrays; return the catalog and the speeds."""
    file = next(iter(RECORDING), None)
    if file is None:
        kept = os.environ.get(FOLDER)
        return (Catalog(kept) if kept and Path(kept).exists() else None), []

    def by_file() -> None:
        with CatalogWriter(folder / "file") as writer:
            for part in read_files("binance_stream", [file], ImportOptions()):
                writer.add(part)

    def by_arrays() -> None:
        with CatalogWriter(folder / "arrays") as writer:
            writer.add_instruments([catalog.instruments[BTC]])
            writer.add_rows("book", "", BTC, book)

    seconds = timed(by_file)
    catalog = Catalog(folder / "file")
    rows = sum(catalog.coverage(kind)[BTC].rows for kind in ("book", "quotes", "trades"))
    book = catalog.series("book", "", BTC, 0, 2**62)
    pace = book.num_rows / timed(by_arrays)
    return catalog, [
        Row(f"the recording, {rows:,} rows, file to catalog", f"{rows / seconds:,.0f} rows/s"),
        Row(
            f"its {book.num_rows:,} rows of books, arrays to catalog",
            f"{pace:,.0f} rows/s",
            f"at least {ARRAY_ROWS:,}",
            pace >= ARRAY_ROWS,
        ),
    ]


def peer(catalog: Catalog, messages: int) -> list[Row]:
    """Measure hftbacktest on the same rows, where it is installed."""
    what = "hftbacktest (compiled)"
    try:
        from tests.bench import hft
    except ImportError:
        return [Row(what, "not installed: pip install --no-deps hftbacktest")]
    tables = (catalog.series(kind, "", BTC, 0, 2**62) for kind in ("book", "trades"))
    events, found = hft.events(*tables), {}
    for name, work in hft.WORK.items():
        work(hft.market(events))  # Compiles it.
        found[name] = messages / min(timed(partial(work, hft.market(events))) for _ in range(3))
    return [
        Row(f"{what}: {name}", f"{speed:,.0f} messages/s, {speed / found['own']:.2f} of own")
        for name, speed in found.items()
    ]


def run(rows_of: Callable[[Catalog], list[Row]] | None = None) -> list[Row]:
    """Measure in turns, and compare the fastest of each, which a busy machine disturbed least.

    With ``rows_of`` other replays of the recording, and not what its import costs.
    """
    with TemporaryDirectory() as folder:
        catalog, rows = imported(Path(folder))
        if catalog is None:
            why = f"skipped: no ../shared/data beside the checkout, and {FOLDER} names no catalog"
            return [Row("replay of a real book", why)]
        return rows + replays(catalog) if rows_of is None else rows_of(catalog)


def paces(contestants: dict[str, Callable[[], float]], messages: int) -> dict[str, float]:
    """Let contestants replay in turns; return the most messages a second of each."""
    with mended():
        rounds = [{name: work() for name, work in contestants.items()} for _ in range(ROUNDS)]
    return {name: messages / min(turn[name] for turn in rounds) for name in contestants}


def replays(catalog: Catalog) -> list[Row]:
    """Return the rows of the replays, ours and the bare ones."""
    market = market_of([catalog.instruments[BTC]], venue(), catalog.instruments)
    parts = list(feed_of(catalog, market).slices())
    messages = sum(len(part.data) for part in parts)
    contestants: dict[str, Callable[[], float]] = {
        "bare": lambda: bare(market, parts, None),
        "own": lambda: ours(market, parts, None),
        "imbalance": lambda: ours(market, parts, Imbalance(CONFIG)),
        "bare imbalance": lambda: bare(market, parts, BareImbalance),
        "quote": lambda: ours(market, parts, Quoter(CONFIG)),
        "guarded": lambda: ours(market, parts, Quoter(CONFIG), guarded=True),
        "bare quote": lambda: bare(market, parts, BareQuoter),
        "bare order": lambda: bare(market, parts, BareOrder),
    }
    best = paces(contestants, messages)
    reach = best["bare order"] / best["bare"]

    def row(what: str, name: str, against: str, least: float) -> Row:
        found = best[name] / best[against]
        text = f"{best[name]:,.0f} messages/s, {found:.2f} of {against}"
        if (bare := best.get(f"bare {name}")) is not None:
            text += f"; bare Nautilus {bare:,.0f}, {bare / best['bare']:.2f} of its replay"
        return Row(what, text, f"at least {least:.2f}", found >= least)

    return [
        Row(f"{messages:,} messages, bare Nautilus", f"{best['bare']:,.0f} messages/s"),
        row("replay without a strategy", "own", "bare", 0.95),
        row("top-5 imbalance at every message", "imbalance", "own", 0.75),
        row("one quote", "quote", "own", 0.55),
        Row(
            "the most a quote can reach: one resting order, bare",
            f"{best['bare order']:,.0f} messages/s, {reach:.2f} of bare",
        ),
        row("the quote with guards of risk_aggressive each second", "guarded", "quote", 1 / 1.1),
        row("one quote against Nautilus alone", "quote", "bare quote", 1.0),
        *peer(catalog, messages),
    ]
