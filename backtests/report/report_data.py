"""Everything that a report draws from, read once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from actors import measures
from actors.measures import Floats
from backtests.report.spans import Span, spans
from backtests.results.figures import Curves, column, curves
from backtests.results.result import Result

BENCHMARK_NAMES = {"btc": "BTC", "equal_weight": "Equal weight"}


@dataclass(frozen=True)
class Material:
    """A result as the sections want it.

    Parameters
    ----------
    result : Result
        The folder.
    curves : Curves
        Equity, whole and by day.
    equity, fills, positions, orders, decisions : pyarrow.Table
        As in `backtests.results.tables`.
    spans : list of Span
        When the guards' verdicts stood.
    guard_costs : pyarrow.Table or None
        As in `backtests.results.tables`; None where they were not worked out.
    benchmarks : dict of str to float64[days + 1]
        Key of `BENCHMARK_NAMES` to its index at `curves.day_ends`, 1.0 at the start.
    """

    result: Result
    curves: Curves
    equity: pa.Table
    fills: pa.Table
    positions: pa.Table
    orders: pa.Table
    decisions: pa.Table
    spans: list[Span]
    guard_costs: pa.Table | None
    benchmarks: dict[str, Floats]

    @property
    def summary(self) -> dict[str, Any]:
        """The figures."""
        return self.result.summary


def gather(result: Result) -> Material:
    """Read what the sections need."""
    summary = result.summary
    start, end = summary["start_ns"], summary["end_ns"]
    equity = result.table("equity")
    return Material(
        result=result,
        curves=curves(equity, summary["starting_equity"], start, end),
        equity=equity,
        fills=result.table("fills"),
        positions=result.table("positions"),
        orders=result.table("orders"),
        decisions=result.table("decisions"),
        # Results of before there were guards have neither file.
        spans=spans(result.table("verdicts"), end) if result.has("verdicts") else [],
        guard_costs=result.table("guard_costs") if result.has("guard_costs") else None,
        benchmarks=_benchmarks(result.table("benchmarks"), start, end),
    )


def _benchmarks(table: pa.Table, start: int, end: int) -> dict[str, Floats]:
    found = {}
    for name in BENCHMARK_NAMES:
        values = column(table, name).astype(np.float64)
        known = ~np.isnan(values)
        if known.any():
            ts = column(table, "ts")[known]
            found[name] = measures.daily_closes(ts, values[known], start, end, 1.0)[1]
    return found
