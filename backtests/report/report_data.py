"""Read a result for the report: curves, verdict spans, sums by symbol and side.

A verdict stands until the guard's next one on the same scope, or until the run's end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa

from actors import measures
from actors.measures import Floats, Integers
from backtests.results.figures import Curves, cells, column, curves, money
from backtests.results.result import Result, flows_of

NONE = "none"


@dataclass(frozen=True, slots=True)
class VerdictSpan:
    """A verdict from its beginning to its end, UNIX nanoseconds (UTC).

    The fields of the table `verdicts` are of the verdict that began the span. `end`
    is the run's end where it is still `open`. `until` is the time of the guard's next check.
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

    A verdict that changes only reason, measure or time prolongs the span. `end` is the run's, UNIX
    nanoseconds (UTC).
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
    """Return how often a verdict began on a scope where no other verdict of the guard stood."""
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
"""Longest curve, in points, that is drawn whole."""


def downsample(values: Floats, limit: int = LIMIT) -> Integers:
    """Return the indices of at most ``limit`` points (at least 4) that draw the same picture.

    The first and last points stay, and the lowest and highest of each of equal stretches, so no
    peak or trough is lost.
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
    """Contribution of one symbol, side or strategy, in the settlement currency.

    ``trades`` and ``win_rate`` are of closed trades. The money includes open positions at their
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
    """Closed trades, arrays of shape (n,).

    `net` is after fees and funding, `change` is `net` over the notional at entry, `held` is in
    nanoseconds.
    """

    net: Floats
    change: Floats
    held: Floats


def shares(positions: pa.Table, by: str | Sequence[str]) -> list[Share]:
    """Return the shares, the most profitable first.

    ``by`` is ``instrument``, ``side``, ``strategy``, or a name for each position.
    """
    given = positions.column(by).to_pylist() if isinstance(by, str) else by
    names = np.array(given, dtype=str)
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


def closing_fills(positions: pa.Table, fills: pa.Table) -> list[tuple[str, str]]:
    """Return order id and kind of the fill that closed each position; empty while it is open."""
    held: dict[tuple[str, str], Decimal] = {}
    # Several positions may close inside one candle, all at one stamp.
    closing: dict[tuple[str, str, int], list[tuple[str, str]]] = {}
    for strategy, instrument, ts, side, quantity, order_id, kind in cells(
        fills, *("strategy", "instrument", "ts", "side", "quantity", "client_order_id", "kind")
    ):
        before = held.get((strategy, instrument), Decimal(0))
        after = before + Decimal(quantity) * {"BUY": 1, "SELL": -1}.get(side, 0)
        held[strategy, instrument] = after
        if before and before * after <= 0:
            closing.setdefault((strategy, instrument, ts), []).append((order_id, kind))
    ends = cells(positions, "strategy", "instrument", "ts_closed")
    return [closing[key].pop(0) if closing.get(key) else ("", "") for key in ends]


def exit_reasons(positions: pa.Table, fills: pa.Table, orders: pa.Table) -> list[str]:
    """Return why each position was closed: its last order's reason, or what forced it."""
    sent = cells(orders, "client_order_id", "reason", "type")
    reasons = {order: why or kind.lower().replace("_", " ") for order, why, kind in sent}
    still = positions.column("open").to_pylist()
    return [
        "still open" if open_ else reasons.get(order, "") if kind == "order" else kind
        for open_, (order, kind) in zip(still, closing_fills(positions, fills), strict=True)
    ]


BENCHMARK_NAMES = {"btc": "BTC", "equal_weight": "Equal weight"}


@dataclass(frozen=True)
class ReportData:
    """Everything that the report's sections read from a result.

    `guard_costs` is None when they were not computed. `benchmarks` are indices at
    `curves.day_ends`, 1.0 at the start, by key of `BENCHMARK_NAMES`.
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
    prices: pa.Table
    benchmarks: dict[str, Floats]

    @property
    def summary(self) -> dict[str, Any]:
        """Figures of the run."""
        return self.result.summary


def read_report_data(result: Result) -> ReportData:
    """Read a result folder for the sections."""
    summary = result.summary
    start, end = summary["start_ns"], summary["end_ns"]
    equity = result.table("equity")
    return ReportData(
        result=result,
        curves=curves(equity, summary["starting_equity"], start, end, flows_of(summary)),
        equity=equity,
        fills=result.table("fills"),
        positions=result.table("positions"),
        orders=result.table("orders"),
        decisions=result.table("decisions"),
        verdict_spans=verdict_spans(result.table("verdicts"), end),
        guard_costs=result.table("guard_costs") if result.has("guard_costs") else None,
        prices=result.table("prices"),
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
