"""Screen a document's strategies on whole panels, without an engine.

The decisions equal those of the event-driven run bit for bit. The profit is an estimate: trades
are fractions of equity at the close that gave the signal, and pay the taker fee and the configured
slippage. Lots, minimum sizes, bands, stops, verdicts, funding and liquidation are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.table import Table

from actors import measures
from backtests.engine.build import strategies_of
from backtests.results import console
from backtests.screening.path import (
    Earned,
    ScreenStep,
    close_returns,
    close_times,
    decisions,
    earn,
    history_start,
    regular,
)
from catalog.panel import Panel, panel
from catalog.storage.store import Catalog
from config.documents import Backtest
from config.durations import interval_ns, minute_text
from config.errors import InputError
from config.universe import select
from strategies.rebalance.propose import Listings, explain
from strategies.rebalance.rebalancer import Rebalancer
from strategies.schedule import last_close

COLUMNS = ("ts", "data_ts", "instrument", "price", "score", "rank", "weight", "reason")


@dataclass(frozen=True)
class Screened:
    """One strategy's decisions and their returns; N sorted ids, T periods.

    `strategy` never runs: its class and config gave the decisions. `ts` are the T + 1 close times
    around the periods, UNIX nanoseconds (UTC).
    """

    key: str
    ids: tuple[str, ...]
    strategy: Rebalancer
    steps: list[ScreenStep]
    ts: NDArray[np.int64]
    earned: Earned

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
        return defined | {"days": float(days), "decisions": len(self.steps)}

    def table(self) -> pa.Table:
        """Return one row a decision and instrument: inputs, scores and weights."""
        rules = self.strategy.config
        rows = [
            (
                *(step.ts, step.data_ts, name, seen.price[i], seen.score[i], seen.rank[i]),
                *(seen.weight[i], step.wait or explain(seen, i, rules)),
            )
            for step in self.steps
            for seen in [step.proposal]
            for i, name in enumerate(self.ids)
        ]
        return pa.table(list(map(list, zip(*rows, strict=True))), names=COLUMNS)

    def daily(self, returns: NDArray[np.float64]) -> tuple[measures.Integers, measures.Floats]:
        """Return the ends of UTC days, the start before them, and what `returns` make of each."""
        equity = np.cumprod(1.0 + returns)
        ends, closes = measures.daily_closes(
            self.ts[1:], equity, int(self.ts[0]), int(self.ts[-1]), opening=1.0
        )
        return ends, measures.returns(closes)


Read = Callable[[Catalog, str, tuple[str, ...], int, int], Panel]


def screen_document(document: Backtest, read: Read = panel) -> list[Screened]:
    """Screen every enabled strategy of a document over its window.

    Studies pass a `read` that keeps what it has read.

    Raises InputError when a strategy does not rank a panel, or the catalog lacks its candles.
    """
    catalog = Catalog(Path(document.catalog))
    ids = select(sorted(catalog.instruments), document.universe)
    found = []
    for key, strategy in strategies_of(document, ids).items():
        if not isinstance(strategy, Rebalancer):
            raise InputError(
                f"strategies.{key}: {type(strategy).__name__} is no PanelRebalancer, "
                "and screen knows only strategies that rank a panel"
            )
        found.append(_screen(document, catalog, key, strategy, read))
    if not found:
        raise InputError(f"{document.name}: no strategy is enabled")
    return found


def _screen(
    document: Backtest, catalog: Catalog, key: str, strategy: Rebalancer, read: Read
) -> Screened:
    rules, cls, ids = strategy.config, strategy.ranking, strategy.ids
    step_ns = interval_ns(rules.interval)
    start, end = document.window.start_ns, document.window.end_ns
    oldest = history_start(rules, cls, start)
    candles = read(catalog, rules.interval, ids, oldest - 1, last_close(end, step_ns))
    if not len(candles.ts) or candles.ts[-1] <= start:
        hint = (
            "" if rules.interval in catalog.intervals() else catalog.resample_hint(rules.interval)
        )
        raise InputError(f"{document.catalog}: no {rules.interval} candles inside the window{hint}")
    off = np.flatnonzero(candles.ts % step_ns)
    if len(off):
        raise InputError(
            f"{document.catalog}: a {rules.interval} candle closes at "
            f"{minute_text(candles.ts[off[0]])}, off the grid from midnight UTC: import shorter "
            "candles and make them with "
            f"`perpdesk catalog resample {rules.interval} --catalog {document.catalog}`"
        )
    listed = [catalog.instruments[name].listed_ns for name in ids]
    listings = Listings(ids, np.array([np.nan if ns is None else ns for ns in listed], float))
    funding = None
    if rules.wants_funding:
        funding = catalog.funding(ids, oldest - step_ns, last_close(end, step_ns))
    steps = decisions(cls, rules, listings, candles, start, end, funding)
    if not steps:
        raise InputError(f"{document.name}: the schedule never fires inside the window")
    first = steps[0].data_ts
    last = min(last_close(end, step_ns), int(candles.ts[-1]))
    ts = close_times(first, last, step_ns)
    close = regular(candles, step_ns, oldest, last).close
    returns = close_returns(close)[(first - oldest) // step_ns :]
    weights = np.zeros((len(ts) - 1, len(ids)))
    traded = np.zeros(len(ts) - 1, dtype=np.bool_)
    for step in steps:
        row = (step.data_ts - first) // step_ns
        if row < len(traded) and not step.wait:
            weights[row], traded[row] = step.proposal.weight, True
    return Screened(
        key, ids, strategy, steps, ts, earn(weights, traded, returns, _cost(document, ids))
    )


def _cost(document: Backtest, ids: tuple[str, ...]) -> NDArray[np.float64]:
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
        f"{one.key}: no whole {one.strategy.config.interval} candle after a decision fits into the "
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
    table = Table(title=f"{document.name}, screened")
    table.add_column("figure")
    for item in found:
        table.add_column(item.key, justify="right")
    figures = [item.figures() for item in found]
    for name in figures[0]:
        label, shape = ROWS[name]
        table.add_row(label, *(console.shown(each, name, shape) for each in figures))
    return table
