"""Run a backtest: prepare, feed slice by slice, close the books."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import nautilus_trader
from nautilus_trader.model.identifiers import Venue as VenueId
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Price

from actors.desk.build import guards_of
from backtests.checks import lacking, settled_market
from backtests.engine.build import BacktestDesk, build, show_market, signal_intervals, strategies_of
from backtests.engine.engine_costs import mended
from backtests.engine.feed import CatalogFeed, FeedSlice
from backtests.engine.market import RunMarket, market_of
from backtests.engine.tick_feed import TickFeed
from backtests.results.curves import Benchmarks, EquityCurve
from backtests.results.figures import RunBooks
from backtests.results.interruptions import interruptions
from backtests.results.recorder import RunRecorder
from backtests.results.refusals import Refusals
from backtests.results.summary_text import auto_warnings, how_filled, warnings_of
from catalog.inference import known_at
from catalog.instruments import VENUE, InstrumentInfo
from catalog.panel import panel
from catalog.storage.store import Catalog
from config.documents import Backtest, NoSlippage
from config.durations import DAY_NS, STORED, duration_ns, interval_ns
from config.errors import DeskError, InputError
from config.universe import select
from strategies.base import DeskStrategy
from strategies.exits import no_exits

CENT = Decimal("0.01")
LOOK_BACK_NS = 30 * DAY_NS
"""Candles before the start that tell inferred ticks and lots."""
Progress = Callable[[int, int, int], None]
"""Called each half second: simulated time (UNIX nanoseconds, UTC), events done, events a second."""
EACH_S = 0.5


@dataclass(frozen=True)
class Prepared:
    """All checked inputs of a run; can be run several times."""

    document: Backtest
    catalog: Catalog
    market: RunMarket
    feed: CatalogFeed
    intervals: dict[str, int]
    start: int
    end: int
    of_auto: Sequence[str] = ()
    """Warnings of what ``venue.market: auto`` took."""


@dataclass(frozen=True, kw_only=True)
class RunOutcome(RunBooks):
    """The books after the last event, and the fate of requests."""

    turnover: Decimal
    refusals: int
    liquidated_at: int | None
    guards: tuple[str, ...] = ()
    """Keys of the guards it ran under, in the document's order."""
    refused_by: Mapping[str, int] = field(default_factory=dict)
    """Number of refused requests of each guard that refused any."""


_no_exits = no_exits("; nothing is written")


@_no_exits
def prepare(document: Backtest, catalog: Catalog | None = None) -> Prepared:
    """Open the catalog, choose instruments and candles, and check that they exist.

    Studies pass the document's `catalog`, open: all their trials run on one version of it.

    Raises InputError when the catalog lacks what the document needs; the message lists what it has.
    """
    catalog = catalog or Catalog(document.catalog)
    problems = [f"{'.'.join(path)}: {words}" for path, words in lacking(document, catalog)]
    if problems:
        raise InputError("\n".join(f"{document.name}: {problem}" for problem in problems))
    ids = select(sorted(catalog.instruments), document.universe)
    if not ids:
        raise InputError(f"{document.name}: the universe matches nothing in {document.catalog}")
    strategies = strategies_of(document, ids)
    if not strategies:
        raise InputError(f"{document.name}: no strategy is enabled")
    made = tuple(strategies.values())
    wanted = sorted({name for s in made for name in s.config.instruments})
    _check_funding(document, catalog, strategies)
    intervals = signal_intervals(strategies)
    start, end = document.window.start_ns, document.window.end_ns
    market_taken, why = settled_market(document, catalog, wanted)
    of_auto = auto_warnings(document.venue, market_taken, why)
    no_slippage = {} if market_taken == "candles" else {"slippage": NoSlippage()}
    venue = document.venue.model_copy(update={"market": market_taken, **no_slippage})
    document = document.model_copy(update={"venue": venue})
    if venue.by_candles:
        execution = _execution_interval(document, catalog, wanted, intervals)
        covered = catalog.coverage("bars", execution)
    else:
        execution = min(intervals, key=interval_ns, default=min(STORED, key=interval_ns))
        covered = catalog.coverage(venue.market)
    wanted = [name for name in wanted if name in covered and covered[name].first < end]
    infos = [_looking_back(catalog, catalog.instruments[name], start) for name in wanted]
    market = market_of(infos, venue, catalog.instruments)
    settings: dict[str, Any] = {
        "signal_intervals": tuple(sorted(intervals, key=interval_ns)),
        "execution_interval": execution,
        "start": start,
        "end": end,
        "slice_days": document.slice_days,
        "funding": venue.funding,
        "rates_of": [n for n in wanted if any(s.funding_needed() and n in s.ids for s in made)],
    }
    feed = (
        CatalogFeed(catalog, market, prints=venue.fills == "next_open", **settings)
        if venue.by_candles
        else TickFeed(
            catalog,
            market,
            kind=venue.market,
            valuation=duration_ns(venue.valuation),
            levels={n: max(s.levels_needed() for s in made if n in s.ids) for n in wanted},
            **settings,
        )
    )
    return Prepared(document, catalog, market, feed, intervals, start, end, of_auto)


@_no_exits
def run(
    prepared: Prepared,
    *,
    progress: Progress | None = None,
    prints_to_wait: int = 1,
    slices: Iterator[FeedSlice] | None = None,
    watch: Callable[[EquityCurve], None] | None = None,
) -> RunOutcome:
    """Run a prepared backtest from the first slice to the closed books.

    Orders fill at print number `prints_to_wait` after their decision. Studies and benchmarks pass
    `slices` that they have read before, and `watch`, which gets the curve after each slice, of all
    but that one, and may raise.

    Raises DeskError when the books don't agree with the engine's balance to the cent.
    """
    began = time.perf_counter()
    document, market = prepared.document, prepared.market
    strategies = strategies_of(document, list(market.ids))
    opening = prepared.feed.opening_prices()
    guards = guards_of(document)
    with mended() as forget_snapshots:
        desk = build(
            document, market, strategies, opening, prints_to_wait=prints_to_wait, guards=guards
        )
        show_market(desk, document.venue)
        try:
            for interval, bars in prepared.intervals.items():
                history = panel(
                    prepared.catalog,
                    interval,
                    market.ids,
                    prepared.start - bars * interval_ns(interval),
                    prepared.start,
                )
                prepared.feed.refuse_unsound(history, interval)
                for strategy in strategies.values():
                    if interval in strategy.history_needed():
                        strategy.warm_up(history, interval)
            _warm_up_funding(prepared, strategies)
            refusals = Refusals()
            if guards:
                desk.gate.observers.append(refusals)
            benchmarks = Benchmarks(market, document.report.benchmark, prepared.start, opening)
            recorder = RunRecorder(desk, market, prepared.start, prepared.end)
            recorder.benchmarks = benchmarks
            pace = _Pace(progress, began)
            desk.accountant.on_time = pace.at
            for part in slices if slices is not None else prepared.feed.slices():
                pace.begin(part)
                _step(desk, part)
                recorder.end_slice(part)
                forget_snapshots()
                if watch is not None:
                    watch(recorder.curve)
            desk.engine.end()
            recorder.end_run()
            outcome = _close(prepared, desk, recorder, benchmarks, time.perf_counter() - began)
            return replace(
                outcome, guards=tuple(guards), refused_by=dict(sorted(refusals.by_guard.items()))
            )
        finally:
            desk.engine.dispose()


class _Pace:
    """Reports progress within slices too: one of a heavy run takes minutes."""

    def __init__(self, progress: Progress | None, began: float) -> None:
        self._progress, self._began, self._last = progress, began, 0.0
        self._start = self._end = self._before = self._events = 0

    def begin(self, part: FeedSlice) -> None:
        self._before += self._events
        self._start, self._end, self._events = part.start, part.end, len(part.data)
        self.at(part.start)

    def at(self, now: int) -> None:
        clock = time.perf_counter()
        if self._progress is None or clock - self._last < EACH_S:
            return
        self._last = clock
        part = min(1.0, max(0.0, (now - self._start) / (self._end - self._start)))
        events = self._before + round(self._events * part)
        self._progress(min(now, self._end), events, int(events / (clock - self._began)))


def _looking_back(catalog: Catalog, info: InstrumentInfo, start: int) -> InstrumentInfo:
    """Return facts without what later candles say, where they are inferred from candles.

    They come from the last month before the start, or from the first candle of what begins later;
    the tick becomes finer in the run as prices show it (`backtests.engine.feed`).
    """
    if not info.inferred:
        return info
    spans = {i: catalog.coverage("bars", i).get(info.id) for i in catalog.intervals()}
    until = {interval: max(start, span.first) for interval, span in spans.items() if span}
    if not until:
        return info
    interval = min(until, key=until.__getitem__)
    last = until[interval]
    recent = catalog.series("bars", interval, info.id, last - LOOK_BACK_NS, last)
    return known_at(info, recent or catalog.series("bars", interval, info.id, 0, last))


def engine_version() -> str:
    """Return the versions of the engine and Python, for the summary."""
    return f"nautilus_trader {nautilus_trader.__version__}, Python {platform.python_version()}"


def _warm_up_funding(prepared: Prepared, strategies: dict[str, DeskStrategy]) -> None:
    start = prepared.start
    for strategy in strategies.values():
        back = strategy.funding_needed()
        if back:
            strategy.warm_up_funding(prepared.catalog.funding(strategy.ids, start - back, start))


def _step(desk: BacktestDesk, part: FeedSlice) -> None:
    desk.accountant.begin_slice(part.grid, part.settlements)
    if part.data:
        desk.engine.add_data(part.data, sort=True, validate=False)
    desk.engine.run(start=part.start, end=part.end - 1, streaming=True)
    desk.engine.clear_data()


def _close(
    prepared: Prepared,
    desk: BacktestDesk,
    recorder: RunRecorder,
    benchmarks: Benchmarks,
    elapsed: float,
) -> RunOutcome:
    ledger, accountant, market = desk.accountant.ledger, desk.accountant, prepared.market
    prices = {name: accountant.price(name) for name in ledger.quantities}
    unpriced = [name for name, price in prices.items() if price is None]
    if unpriced:
        raise DeskError(f"positions without any price: {', '.join(unpriced)}")
    known = {name: price for name, price in prices.items() if price is not None}
    ending = ledger.equity(known)
    tables = recorder.tables()
    _check_engine(desk, market, ending, known)
    drawn = Decimal(repr(float(tables["equity"].column("equity")[-1].as_py())))
    if abs(drawn - ending) >= CENT:
        raise DeskError(f"the equity curve ends at {drawn}, the books at {ending}")
    found = interruptions(
        tables, market.infos, accountant.liquidated_at, prepared.start, prepared.end
    )
    return RunOutcome(
        tables=tables,
        benchmarks=benchmarks.table(),
        starting_equity=ledger.starting,
        ending_equity=ending,
        gross_pnl=ledger.gross_pnl(known),
        fees=ledger.fees,
        funding=ledger.funding,
        slippage=ledger.slippage,
        turnover=ledger.turnover,
        refusals=desk.gate.refusals,
        liquidated_at=accountant.liquidated_at,
        elapsed_s=elapsed,
        how_filled=how_filled(prepared.document, prepared.feed, desk.strategies, tables["orders"]),
        interruptions={one.label: one.value for one in found},
        warnings=[one.words for one in found]
        + warnings_of(
            prepared.document,
            prepared.feed,
            desk.strategies,
            tables,
            recorder.curve.highest_leverage,
            accountant.unmarked,
            accountant.overdrawn,
            prepared.of_auto,
        ),
    )


def _check_engine(
    desk: BacktestDesk, market: RunMarket, ending: Decimal, prices: dict[str, Decimal]
) -> None:
    kernel = desk.engine.kernel
    balance = kernel.portfolio.account(VenueId(VENUE)).balance_total(market.currency)
    engine_equity = balance.as_decimal()
    for position in kernel.cache.positions_open():
        name = position.instrument_id.value
        instrument = market.instruments[market.column[name]]
        if isinstance(instrument, CurrencyPair):
            engine_equity += position.signed_decimal_qty() * prices[name]
            continue
        # The mid of a book has one decimal more than a price.
        price = Price(prices[name], instrument.price_precision + 1)
        engine_equity += position.unrealized_pnl(price).as_decimal()
    if abs(engine_equity - ending) >= CENT:
        raise DeskError(
            f"the engine's balance says {engine_equity} and our books say {ending}: "
            "the run is not to be trusted"
        )


def _check_funding(
    document: Backtest, catalog: Catalog, strategies: dict[str, DeskStrategy]
) -> None:
    there = catalog.coverage("funding")
    for key, strategy in strategies.items():
        if strategy.funding_needed() and not there.keys() & set(strategy.ids):
            raise InputError(
                f"{document.catalog}: no funding of any instrument of strategies.{key}, "
                "which it asks for: `perpdesk catalog pull` fetches it by an ingest with "
                "funding: true, `perpdesk catalog import` takes it from files"
            )


def _execution_interval(
    document: Backtest, catalog: Catalog, wanted: list[str], intervals: dict[str, int]
) -> str:
    there = catalog.intervals()
    for interval in intervals:
        if interval not in there:
            raise InputError(
                f"{document.catalog}: no {interval} candles, which a strategy asks for; "
                f"there are {', '.join(there) or 'none'}{catalog.resample_hint(interval)}"
            )
    chosen = document.venue.execution_interval
    if chosen != "auto":
        return chosen
    signal = min(intervals, key=interval_ns)
    if document.venue.fills == "signal_close":
        return signal
    traded = {name for name in wanted if name in catalog.coverage("bars", signal)}
    for interval in sorted(there, key=interval_ns):
        if _serves(document, catalog, interval, signal, traded):
            return interval
    return signal


def _serves(
    document: Backtest, catalog: Catalog, interval: str, signal: str, traded: set[str]
) -> bool:
    """Whether these candles cover the signal's in the window, for all that is traded.

    Without them an order would never fill. One day may be missing at either end: files of finer
    candles seldom start on the same day.
    """
    candles, signals = catalog.coverage("bars", interval), catalog.coverage("bars", signal)
    if not traded <= set(candles):
        return False
    start, end = document.window.start_ns, document.window.end_ns
    return all(
        candles[name].first <= max(signals[name].first, start) + DAY_NS
        and candles[name].last >= min(signals[name].last, end) - DAY_NS
        for name in traded
        if signals[name].first < end and signals[name].last > start
    )
