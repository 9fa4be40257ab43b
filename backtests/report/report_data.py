"""Everything that a report shows, read once: curves, when verdicts stood, sums by symbol and side.

A verdict stands from a guard's word on a scope to its next one there, or to the run's end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa

from actors import measures
from actors.measures import Floats, Integers
from backtests.results.figures import Curves, column, curves, money
from backtests.results.result import Result

NONE = "none"


@dataclass(frozen=True, slots=True)
class VerdictSpan:
    """A verdict from its beginning to its end, UNIX nanoseconds (UTC).

    Parameters
    ----------
    guard, scope, action, multiplier, measured, limit, reason
        As in `backtests.results.tables.VERDICTS`, of the word that began it.
    begin, end : int
        From its first word to the one that changed it or took it back; ``end`` is the run's where
        it still stood.
    until : int or None
        When its guard would look whether it goes on, as it said last.
    open : bool
        Whether it still stood at the end of the run.
    """

    guard: str
    scope: str
    action: str
    multiplier: float
    begin: int
    end: int
    until: int | None
    measured: float | None
    limit: float | None
    reason: str
    open: bool


def verdict_spans(verdicts: pa.Table, end: int) -> list[VerdictSpan]:
    """Return all spans, sorted by beginning, then guard and scope.

    A word that changes no more than reason, measure or time prolongs the span.

    Parameters
    ----------
    end : int
        Of the run, UNIX nanoseconds (UTC).
    """
    standing: dict[tuple[str, str], VerdictSpan] = {}
    found: list[VerdictSpan] = []
    for row in verdicts.to_pylist():
        name = row["guard"], row["scope"]
        stood = standing.get(name)
        if stood is not None and (stood.action, stood.multiplier) == (
            row["action"],
            row["multiplier"],
        ):
            standing[name] = replace(stood, until=row["until"])
            continue
        if stood is not None:
            found.append(replace(standing.pop(name), end=row["ts"], open=False))
        if row["action"] != NONE:
            standing[name] = _begun(row, end)
    found += standing.values()
    return sorted(found, key=attrgetter("begin", "guard", "scope", "end"))


def stood_for(found: Iterable[VerdictSpan]) -> int:
    """Return how long at least one of the spans stood, nanoseconds."""
    total, reached = 0, None
    for begin, end in sorted((span.begin, span.end) for span in found):
        first = begin if reached is None else max(begin, reached)
        total += max(end - first, 0)
        reached = max(end, first)
    return total


def tripped(found: Iterable[VerdictSpan]) -> int:
    """Return how often something began to stand on a scope where nothing of the guard's stood."""
    count = 0
    ended: dict[tuple[str, str], int] = {}
    for span in found:
        name = span.guard, span.scope
        count += ended.get(name) != span.begin
        ended[name] = span.end
    return count


def _begun(row: dict[str, Any], end: int) -> VerdictSpan:
    words = {k: row[k] for k in ("guard", "scope", "action", "multiplier", "until")}
    measures = {k: row[k] for k in ("measured", "limit", "reason")}
    return VerdictSpan(**words, **measures, begin=row["ts"], end=max(end, row["ts"]), open=True)


LIMIT = 5_000
"""Points of a curve beyond which it is thinned for drawing."""


def downsample(values: Floats, limit: int = LIMIT) -> Integers:
    """Return the indices of at most ``limit`` points that draw the same picture.

    The curve is cut into equal stretches, of which the lowest and the highest point stay, so no
    peak or trough is lost; first and last stay too. A curve that is short enough keeps all.

    Parameters
    ----------
    limit : int
        At least 4.
    """
    if len(values) <= limit:
        return np.arange(len(values))
    stretches = (limit - 2) // 2
    edges = np.linspace(0, len(values), stretches + 1).astype(np.int64)
    kept = {0, len(values) - 1}
    for first, after in pairwise(edges.tolist()):
        part = values[first:after]
        kept.add(int(first + np.argmin(part)))
        kept.add(int(first + np.argmax(part)))
    return np.array(sorted(kept), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Share:
    """What one symbol, side or strategy contributed, in the settlement currency.

    ``trades`` and ``win_rate`` are of closed trades; the money includes open positions at their
    last price, so that the shares add up to the run's net profit.
    """

    name: str
    trades: int
    win_rate: float
    gross: float
    fees: float
    funding: float
    net: float


@dataclass(frozen=True, slots=True)
class ClosedTrades:
    """Closed trades, one entry each.

    Parameters
    ----------
    net : float64[n]
        Profit after fees and funding.
    change : float64[n]
        ``net`` over the notional at entry.
    held : float64[n]
        How long, nanoseconds.
    """

    net: Floats
    change: Floats
    held: Floats


def shares(positions: pa.Table, by: str) -> list[Share]:
    """Return the shares of a column's values, the most profitable first.

    Parameters
    ----------
    by : str
        ``instrument``, ``side`` or ``strategy``.
    """
    names = column(positions, by).astype(str) if len(positions) else np.array([], dtype=str)
    parts = {part: money(positions, part) for part in ("gross", "fees", "funding", "net")}
    closed = ~column(positions, "open").astype(bool)
    found = []
    for name in np.unique(names):
        mine = names == name
        done = parts["net"][mine & closed]
        found.append(
            Share(
                name=str(name),
                trades=len(done),
                win_rate=measures.win_rate(done),
                **{part: float(values[mine].sum()) for part, values in parts.items()},
            )
        )
    return sorted(found, key=lambda share: (-share.net, share.name))


def trades(positions: pa.Table) -> ClosedTrades:
    """Return the closed trades."""
    closed = ~column(positions, "open").astype(bool)
    net = money(positions, "net")[closed]
    entered = (column(positions, "entry_px") * money(positions, "quantity"))[closed]
    held = (column(positions, "ts_closed") - column(positions, "ts_opened"))[closed]
    return ClosedTrades(net=net, change=net / entered, held=held.astype(np.float64))


BENCHMARK_NAMES = {"btc": "BTC", "equal_weight": "Equal weight"}


@dataclass(frozen=True)
class ReportData:
    """A result as the sections want it.

    Parameters
    ----------
    curves : Curves
        Equity, whole and by day.
    equity, fills, positions, orders, decisions : pyarrow.Table
        As in `backtests.results.tables`.
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
    verdict_spans: list[VerdictSpan]
    guard_costs: pa.Table | None
    benchmarks: dict[str, Floats]

    @property
    def summary(self) -> dict[str, Any]:
        """The figures."""
        return self.result.summary


def read_report_data(result: Result) -> ReportData:
    """Read what the sections need."""
    summary = result.summary
    start, end = summary["start_ns"], summary["end_ns"]
    equity = result.table("equity")
    return ReportData(
        result=result,
        curves=curves(equity, summary["starting_equity"], start, end),
        equity=equity,
        fills=result.table("fills"),
        positions=result.table("positions"),
        orders=result.table("orders"),
        decisions=result.table("decisions"),
        # Results of before there were guards have neither file.
        verdict_spans=verdict_spans(result.table("verdicts"), end)
        if result.has("verdicts")
        else [],
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
