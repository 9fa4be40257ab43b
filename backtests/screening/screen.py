"""Screen a document's strategies on whole panels, without an engine.

The decisions equal those of the event-driven run bit for bit. The profit is an estimate: trades
are fractions of equity at the close that gave the signal, and pay the taker fee and the configured
slippage. Lots, minimum sizes, bands, stops, verdicts, funding and liquidation are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.table import Table

from actors import measures
from actors.measures import Floats, Integers
from backtests.engine.build import strategy_config
from backtests.results import console
from backtests.screening.path import (
    Earned,
    RegularPanel,
    ScreenStep,
    close_times,
    decisions,
    earn,
    history_start,
    regular,
    targets,
)
from catalog.panel import panel
from catalog.storage.store import Catalog
from config.components import resolve
from config.documents import Backtest, BacktestWindow
from config.durations import interval_ns, minute_text
from config.errors import InputError
from config.universe import select
from strategies.base import DeskStrategy
from strategies.exits import no_exits
from strategies.rebalance.config import PanelRebalancer, PanelRebalancerConfig
from strategies.rebalance.propose import Listings, explain
from strategies.schedule import last_close

COLUMNS = ("ts", "data_ts", "instrument", "price", "score", "rank", "weight", "reason")


@dataclass(frozen=True)
class Screened:
    """One strategy's returns, and how it decides; N sorted ids, T periods.

    `ts` are the T + 1 close times around the periods, UNIX nanoseconds (UTC). `count` is of
    decisions.
    """

    ids: tuple[str, ...]
    rules: PanelRebalancerConfig
    ts: Integers
    earned: Earned
    count: int
    decide: Callable[[], list[ScreenStep]]

    @property
    def key(self) -> str:
        """The strategy's key."""
        return self.rules.key

    @cached_property
    def steps(self) -> list[ScreenStep]:
        """Every decision."""
        return self.decide()

    def figures(self) -> dict[str, float | int | None]:
        """Return Sharpe, growth, drawdown and the rest, from daily returns (UTC days).

        None of them is defined without a period, but for the number of decisions.
        """
        ends, net = self.daily(self.earned.net)
        _, gross = self.daily(self.earned.gross)
        curve = measures.growth(net)
        days = (ends[-1] - ends[0]) / measures.DAY
        periods = measures.periods_a_year(ends)
        growth = measures.cagr(net, periods)
        deepest = measures.max_drawdown(curve)
        figures = {
            "sharpe": measures.sharpe(net, periods),
            "gross_sharpe": measures.sharpe(gross, periods),
            "return_pct": 100.0 * (curve[-1] - 1.0),
            "cagr": growth,
            "volatility": measures.volatility(net, periods),
            "max_drawdown": deepest,
            "calmar": measures.calmar(growth, deepest),
            "turnover_a_day": float(self.earned.turnover.sum() / days) if days else np.nan,
            "cost_pct": 100.0 * float((self.earned.gross - self.earned.net).sum()),
        }
        known = len(self.earned.net) > 0
        defined = {k: float(v) if known and np.isfinite(v) else None for k, v in figures.items()}
        return defined | {"days": float(days), "decisions": self.count}

    def table(self) -> pa.Table:
        """Return one row a decision and instrument: inputs, scores and weights."""
        rules = self.rules
        rows = [
            (
                *(step.ts, step.data_ts, name, seen.price[i], seen.score[i], rank[i]),
                *(seen.weight[i], step.wait or explain(seen, i, rules)),
            )
            for step in self.steps
            for seen, rank in [(step.proposal, step.proposal.rank)]
            for i, name in enumerate(self.ids)
        ]
        return pa.table(list(map(list, zip(*rows, strict=True))), names=COLUMNS)

    def daily(self, returns: Floats) -> tuple[measures.Integers, measures.Floats]:
        """Return the ends of UTC days, the start before them, and what `returns` make of each."""
        equity = np.cumprod(1.0 + returns)
        ends, closes = measures.daily_closes(
            self.ts[1:], equity, int(self.ts[0]), int(self.ts[-1]), opening=1.0
        )
        return ends, measures.returns(closes)


class Market:
    """What screens read from a catalog; it is kept for the next document."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog, self._panels = catalog, dict[Any, tuple[RegularPanel, int]]()
        self.instruments = catalog.instruments

    def listings(self, ids: tuple[str, ...]) -> Listings:
        """Return when instruments were listed."""
        listed = [self.instruments[name].listed_ns for name in ids]
        return Listings(ids, np.array([np.nan if ns is None else ns for ns in listed], float))

    def candles(
        self,
        rules: PanelRebalancerConfig,
        ids: tuple[str, ...],
        oldest: int,
        window: BacktestWindow,
    ) -> tuple[RegularPanel, int]:
        """Return candles from ``oldest`` or earlier until the window's end, and the newest's time.

        Raises InputError where the window has none, or they do not close on the grid.
        """
        span = window.start_ns, window.end_ns
        key = (rules.interval, ids, span, rules.wants_range, rules.wants_funding)
        known = self._panels.get(key)
        if known is not None and known[0].first <= oldest:
            return known
        catalog, interval, step_ns = self.catalog, rules.interval, interval_ns(rules.interval)
        end = last_close(window.end_ns, step_ns)
        candles = panel(catalog, interval, ids, oldest - 1, end)
        if not len(candles.ts) or candles.ts[-1] <= window.start_ns:
            hint = "" if interval in catalog.intervals() else catalog.resample_hint(interval)
            raise InputError(f"{catalog.name}: no {interval} candles inside the window{hint}")
        off = np.flatnonzero(candles.ts % step_ns)
        if len(off):
            raise InputError(
                f"{catalog.name}: a {interval} candle closes at "
                f"{minute_text(candles.ts[off[0]])}, off the grid from midnight UTC: import "
                "shorter candles and make them with "
                f"`perpdesk catalog resample {interval} --catalog {catalog.name}`"
            )
        funding = catalog.funding(ids, oldest - step_ns, end) if rules.wants_funding else None
        found = regular(candles, step_ns, oldest, end, ranges=rules.wants_range, funding=funding)
        self._panels[key] = found, int(candles.ts[-1])
        return self._panels[key]


@no_exits()
def screen_document(document: Backtest, market: Market | None = None) -> list[Screened]:
    """Screen every enabled strategy of a document over its window.

    Studies pass the market that the last one has read.

    Raises InputError when a strategy does not rank a panel, or the catalog lacks its candles.
    """
    market = market or Market(Catalog(document.catalog))
    names = select(market.instruments, document.universe)
    found = []
    for key, component in document.strategies.items():
        if not component.enabled:
            continue
        named = resolve(component.use, document.allow)
        ranking = getattr(named, "ranking", None) if issubclass(named, DeskStrategy) else named
        if not (isinstance(ranking, type) and issubclass(ranking, PanelRebalancer)):
            raise InputError(
                f"strategies.{key}: {component.use.partition(':')[2]} is no PanelRebalancer, "
                "and screen knows only strategies that rank a panel"
            )
        rules = strategy_config(key, component, document, names)
        assert isinstance(rules, PanelRebalancerConfig)
        found.append(_screen(document, market, ranking, rules))
    if not found:
        raise InputError(f"{document.name}: no strategy is enabled")
    return found


def _screen(
    document: Backtest, market: Market, cls: type[PanelRebalancer], rules: PanelRebalancerConfig
) -> Screened:
    ids, step_ns = tuple(rules.instruments), interval_ns(rules.interval)
    start, end = document.window.start_ns, document.window.end_ns
    candles, newest = market.candles(rules, ids, history_start(rules, cls, start), document.window)
    decide = cls, rules, market.listings(ids), candles, start, end
    data_ts, targeted, to_trade = targets(*decide)
    if not len(data_ts):
        raise InputError(f"{document.name}: the schedule never fires inside the window")
    first = int(data_ts[0])
    ts = close_times(first, min(last_close(end, step_ns), newest), step_ns)
    row = candles.row(first)
    returns = candles.returns[row : row + len(ts) - 1]
    weights, traded = np.zeros(returns.shape), np.zeros(len(returns), dtype=np.bool_)
    place = (data_ts - first) // step_ns
    counts = to_trade & (place < len(traded))
    weights[place[counts]], traded[place[counts]] = targeted[counts], True
    earned = earn(weights, traded, returns, _cost(document, ids))
    return Screened(ids, rules, ts, earned, len(data_ts), partial(decisions, *decide))


def _cost(document: Backtest, ids: tuple[str, ...]) -> Floats:
    """Return the cost of a trade in each instrument, fraction of its value.

    Slippage that grows with the order size counts with its base only: a screen has no order sizes.
    """
    venue = document.venue
    slippage = float(venue.slippage.smallest)
    fees = [venue.fees.spot if "-SPOT." in name else venue.fees.linear for name in ids]
    return np.array([float(fee.taker) + slippage for fee in fees])


def write_weights(found: list[Screened], path: Path) -> None:
    """Write every decision's scores and weights to a Parquet file."""
    tables = []
    for item in found:
        table = item.table()
        tables.append(table.add_column(0, "strategy", pa.array([item.key] * table.num_rows)))
    pq.write_table(pa.concat_tables(tables), path, compression="zstd")


def as_dict(document: Backtest, found: list[Screened]) -> dict[str, Any]:
    """Return figures and periods for ``--json``."""
    strategies = {}
    for item in found:
        columns = {"ts": item.ts[1:], **vars(item.earned)}
        rows = zip(*(values.tolist() for values in columns.values()), strict=True)
        periods = [dict(zip(columns, row, strict=True)) for row in rows]
        strategies[item.key] = {"figures": item.figures(), "periods": periods}
    return {"name": document.name, "strategies": strategies}


def without_period(found: list[Screened]) -> list[str]:
    """Return a line for each strategy whose decisions no candle of the window follows."""
    return [
        f"{one.key}: no whole {one.rules.interval} candle after a decision fits into the "
        "window: there are no figures."
        for one in found
        if not len(one.earned.net)
    ]


ROWS = {key: (label, shape) for key, label, shape in console.ROWS} | {
    "gross_sharpe": ("Sharpe before costs", "{:.2f}"),
    "turnover_a_day": ("turnover (x equity a day)", "{:,.2f}"),
    "cost_pct": ("costs (of equity, summed)", "{:.2f}%"),
    "days": ("days", "{:,.4g}"),
    "decisions": ("decisions", "{:,}"),
}
"""Label and format of each figure, those of a backtest included."""


def figures_table(document: Backtest, found: list[Screened]) -> Table:
    """Return the figures for the terminal."""
    figures = {item.key: item.figures() for item in found}
    rows = [(name, *ROWS[name]) for name in figures[found[0].key]]
    return console.figures_table(figures, f"{document.name}, screened", rows)
