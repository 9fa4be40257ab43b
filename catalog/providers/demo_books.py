"""The demo's books as parts of an `Import`; `catalog.demo.order_flow` has the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from catalog.demo.candles import of_steps
from catalog.demo.order_flow import COINS, GRID, USUAL_FUNDING, CoinSpec, Planted, simulate
from catalog.demo.parameters import FUNDING_NS, TickParams
from catalog.demo.universe import Purpose, stream
from catalog.instruments import InstrumentInfo, instrument_id
from catalog.providers.base import Import
from catalog.providers.ticks import tick_table
from catalog.resampling import tick_candles
from catalog.series import BARS, FUNDING, MARKS
from config.durations import DAY_NS, MINUTE_NS, SECOND_NS

_INNER_STEPS = 10
"""Prices within a minute of the candles before the books."""

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class BookParams(TickParams):
    """Choices of the demo's books; candles of a minute begin a day before."""

    name: ClassVar[str] = "books"
    longest_h: ClassVar[int] = 48
    hours: float = 2.0
    start: datetime = datetime(2025, 3, 3, 7, tzinfo=UTC)


@dataclass
class _Market:
    """One instrument: its book's number, and what its candles are made of."""

    spec: CoinSpec
    book: int
    trades: list[Integers] = field(default_factory=list)

    @property
    def id(self) -> str:
        return instrument_id(f"{self.spec.name}USDT", "SPOT" if self.book else "LINEAR")

    def price(self, ticks: NDArray[Any]) -> Floats:
        """Return places in a book's array as the floats nearest to decimal prices."""
        return _decimal(ticks - GRID // 2 + self.spec.first_tick, self.spec.tick)

    def size(self, lots: Integers) -> Floats:
        return _decimal(lots, self.spec.lot)

    def info(self, params: BookParams) -> InstrumentInfo:
        symbol, product = f"{self.spec.name}USDT", "SPOT" if self.book else "LINEAR"
        return params.instrument(symbol, product, self.spec.tick, self.spec.lot)


def generate(params: BookParams) -> tuple[Iterator[Import], list[dict[str, Any]]]:
    """Make the demo's books part by part; the list of planted events fills meanwhile.

    Five instruments: books, trades, candles of a minute, and for perpetuals tickers, mark candles
    and funding. The same bytes each time.
    """
    labels: list[dict[str, Any]] = []
    return _parts(params, labels), labels


def _parts(params: BookParams, labels: list[dict[str, Any]]) -> Iterator[Import]:
    for index, spec in enumerate(COINS):
        markets = [_Market(spec, book) for book in range(1 + spec.spot)]
        yield _part(params, {}, [market.info(params) for market in markets])
        seconds = []
        chunks, planted = simulate(spec, params.seed, index, params.seconds)
        for chunk in chunks:
            seconds.append(chunk.seconds)
            tables: dict[tuple[str, str, str], pa.Table] = {}
            for market in markets:
                rows = chunk.rows[chunk.rows[:, 2] == market.book]
                ts, seq, _, flags, side, ticks, lots = rows.T
                at = ts + params.start_ns
                prices = [flags, side, market.price(ticks), market.size(lots)]
                tables["book", "", market.id] = tick_table("book", [at, seq, at, *prices])
                trades = chunk.trades[chunk.trades[:, 2] == market.book]
                market.trades.append(trades)
                ts, seq, _, ticks, lots, side = trades.T
                at = ts + params.start_ns
                sizes = [market.price(ticks), market.size(lots), side]
                tables["trades", "", market.id] = tick_table("trades", [at, seq, at, *sizes])
            yield _part(params, tables)
        labels += [_label(event, markets, params) for event in planted]
        yield _part(params, _candles(index, markets, np.concatenate(seconds), params))


def _part(
    params: BookParams,
    tables: dict[tuple[str, str, str], pa.Table],
    instruments: Sequence[InstrumentInfo] = (),
) -> Import:
    return Import(
        source=f"demo books seed {params.seed}",
        source_venue="simulated",
        instruments=list(instruments),
        tables=tables,
        note=(
            "Invented books and prices; names of real coins are labels only. "
            f"{params.hours:g} h of order flow from {params.start:%Y-%m-%d %H:%M} "
            "(catalog/demo/order_flow.py has the model; planted.json what is planted)."
        ),
    )


def _decimal(counts: NDArray[Any], step: str) -> Floats:
    ratio = Fraction(step)
    found: Floats = counts * ratio.numerator / ratio.denominator
    return found


def _candles(
    index: int, markets: list[_Market], seconds: Floats, params: BookParams
) -> dict[tuple[str, str, str], pa.Table]:
    """Return candles of a day before the books and of their trades, marks, funding, tickers."""
    rng = stream(params.seed, Purpose.ORDER_FLOW_PAST, index)
    spec, minutes = markets[0].spec, DAY_NS // MINUTE_NS
    step = spec.volatility * spec.first_tick / np.sqrt(minutes * _INNER_STEPS)
    walk = np.cumsum(rng.standard_normal(minutes * _INNER_STEPS + 1)) * step
    walk += GRID // 2 - walk[-1]
    before = of_steps(np.rint(walk).astype(np.int64), _INNER_STEPS)
    closes = params.start_ns + MINUTE_NS * np.arange(1 - minutes, params.seconds // 60 + 1)
    tables: dict[tuple[str, str, str], pa.Table] = {}
    # What this market does at a full minute closes the candle before it.
    edges = np.r_[0, np.arange(60, params.seconds + 1, 60) * SECOND_NS + 1]
    for market in markets:
        trades = np.concatenate(market.trades)
        *after, lots = tick_candles(trades[:, 0], trades[:, 3], edges, GRID // 2, trades[:, 4])
        mean = lots.mean()
        old_lots = np.maximum(np.rint(mean * rng.lognormal(-0.125, 0.5, minutes)), 1)
        candles = [market.price(np.r_[o, n]) for o, n in zip(before, after, strict=True)]
        volume = market.size(np.r_[old_lots, lots].astype(np.int64))
        turnover = np.round(volume * candles[3], 4)
        tables["bars", "1m", market.id] = pa.table(
            [closes, *candles, volume, turnover], schema=BARS
        )
    perp = markets[0]
    at = (seconds[:, 0] * SECOND_NS).astype(np.int64)
    after = tick_candles(at, seconds[:, -2], edges, GRID // 2)
    marks = [_mark(perp, np.r_[o, n]) for o, n in zip(before, after, strict=True)]
    tables["mark", "1m", perp.id] = pa.table([closes, *marks], schema=MARKS)
    first = params.start_ns
    end = first + params.seconds * SECOND_NS
    settled = np.arange(-(-(first - DAY_NS) // FUNDING_NS), end // FUNDING_NS + 1) * FUNDING_NS
    places = np.searchsorted(at + first, settled, side="right") - 1
    rates = np.where(places < 0, USUAL_FUNDING, np.round(seconds[places, -1], 8))
    tables["funding", "", perp.id] = pa.table([settled, rates], schema=FUNDING)
    stamps = at + first
    last, index_price = seconds[:, len(markets) + 1], seconds[:, -3]
    last = np.where(last > 0, last, GRID // 2)
    following = (stamps // FUNDING_NS + 1) * FUNDING_NS
    columns = [stamps, np.arange(len(stamps)), stamps, perp.price(last)]
    columns += [_mark(perp, seconds[:, -2]), _mark(perp, index_price)]
    columns += [np.round(seconds[:, -1], 8), following]
    tables["tickers", "", perp.id] = tick_table("tickers", columns)
    return tables


def _mark(market: _Market, ticks: Floats) -> Floats:
    """Return prices on the tick: marks and indices are averages."""
    return market.price(np.rint(ticks).astype(np.int64))


def _label(event: Planted, markets: list[_Market], params: BookParams) -> dict[str, Any]:
    market = markets[event.book]
    found: dict[str, Any] = {
        "instrument": market.id,
        "kind": event.kind,
        "side": event.side,
        "start": event.start_ns + params.start_ns,
        "end": event.end_ns + params.start_ns,
        "size": float(market.size(np.array([event.size]))[0]),
    }
    if event.price:
        found["price"] = float(market.price(np.array([event.price]))[0])
    return found
