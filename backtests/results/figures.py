"""Figures of a run from its tables, for `summary.json` and the stress rows.

Fractions are fractions (0.2 is 20 %), only ``return_pct`` is in percent. Money is in the settlement
currency. An undefined figure is None.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from actors import measures
from actors.measures import DAY, Floats, Integers

HOUR = DAY // 24


@dataclass(frozen=True, slots=True)
class Curves:
    """A run's equity, whole and by day.

    ``ts`` and ``equity`` hold every sample, the opening first; UNIX nanoseconds (UTC). ``day_ends``
    and ``day_equity`` (shape (days + 1,)) are from `measures.daily_closes`; ``day_returns`` has
    shape (days,).
    """

    ts: Integers
    equity: Floats
    day_ends: Integers
    day_equity: Floats
    day_returns: Floats


LATE_NS = 5_000_000_000
"""So much later than the venue an account's books may have a flow."""
Flows = Sequence[tuple[int, Decimal]]
"""Times (UNIX nanoseconds, UTC), rising, and what was paid in then; negative is taken out."""


def curves(
    equity: pa.Table, opening: float, start_ns: int, end_ns: int, flows: Flows = ()
) -> Curves:
    """Return the curves of an equity table; `measures.without_flows` of an account with flows."""
    ts = column(equity, "ts")
    values = without_flows(ts, column(equity, "equity"), opening, flows)
    ends, closes = measures.daily_closes(ts, values, start_ns, end_ns, opening)
    later = ts > start_ns
    return Curves(
        ts=np.concatenate(([start_ns], ts[later])),
        equity=np.concatenate(([opening], values[later])),
        day_ends=ends,
        day_equity=closes,
        day_returns=measures.returns(closes),
    )


def without_flows(ts: Integers, equity: Floats, opening: float, flows: Flows) -> Floats:
    """Return the curve of an account as if nothing had been paid in or taken out."""
    # The first sample has what was paid in before.
    flows = [flow for flow in flows if len(ts) and flow[0] > ts[0]]
    if not flows:
        return equity
    values, moved = np.concatenate(([opening], equity)), np.zeros(len(ts))
    rises = np.diff(values)
    # The largest first: of two in one sample it says which that is.
    for at, amount in sorted(flows, key=lambda flow: -abs(flow[1])):
        # The books learn of it a moment later, so that a sample may come between; what came after
        # the last one is in none.
        first, last = (int(np.searchsorted(ts, moment)) for moment in (at, at + LATE_NS))
        near = range(first, min(last + 1, len(ts)))
        if near:
            moved[min(near, key=lambda n: abs(rises[n] - moved[n] - float(amount)))] += float(
                amount
            )
    return measures.without_flows(values, moved)[1:]


@dataclass(frozen=True, kw_only=True)
class RunBooks:
    """The books of a run after its last event, in the settlement currency.

    `funding` is what was received, fees and slippage are costs when positive; `gross_pnl` is at the
    prices of the fills, so slippage is inside it.
    """

    tables: Mapping[str, pa.Table]
    """By name, as in `backtests.results.tables`."""
    benchmarks: pa.Table
    starting_equity: Decimal
    ending_equity: Decimal
    gross_pnl: Decimal
    fees: Decimal
    funding: Decimal
    slippage: Decimal
    elapsed_s: float
    how_filled: dict[str, Any]
    """``mode``, ``interval``, ``slippage`` and ``words``."""
    warnings: list[str]
    """The most serious first."""
    interruptions: dict[str, str] = field(default_factory=dict)
    """What ended trading before the window's end, for the first lines of tables."""
    flows: Flows = ()
    """Deposits and withdrawals of an account at a venue: neither is profit or loss."""
    beside: Decimal = Decimal(0)
    """What an account at a venue has more than its fills, fees and funding make: interest, say."""

    @property
    def paid_in(self) -> Decimal:
        """Deposits less withdrawals."""
        return sum((amount for _, amount in self.flows), Decimal(0))


def figures(books: RunBooks, start_ns: int, end_ns: int) -> dict[str, Any]:
    """Return a run's figures by name, not rounded; the window is in UNIX nanoseconds.

    Sharpe, Sortino, volatility and growth come from returns of UTC days and 365 days a year, by the
    window's real length, and like ``calmar`` and ``turnover`` from 30 days on; the drawdown comes
    from every sample. ``turnover`` is notional traded in a year over average equity.
    ``win_rate``, ``profit_factor`` and ``average_trade`` are of closed trades (flat to flat) after
    fees and funding. ``exposure`` is the time-weighted average of gross notional over equity.
    """
    tables = books.tables
    profit = books.ending_equity - books.starting_equity - books.paid_in
    opening = float(books.starting_equity)
    lines = curves(tables["equity"], opening, start_ns, end_ns, books.flows)
    daily = lines.day_returns
    ts, equity = column(tables["equity"], "ts"), column(tables["equity"], "equity")
    gross, net = column(tables["equity"], "gross"), column(tables["equity"], "net")
    days = (end_ns - start_ns) / DAY
    periods = measures.periods_a_year(lines.day_ends)
    growth, deepest = measures.cagr(daily, periods), measures.max_drawdown(lines.equity)
    positions = tables["positions"]
    closed = ~column(positions, "open").astype(bool)
    profits = money(positions, "net")[closed]
    held = column(positions, "ts_closed")[closed] - column(positions, "ts_opened")[closed]
    traded = float(money(tables["fills"], "notional").sum())
    average_equity = measures.time_weighted(ts, equity, end_ns)
    return finite(
        {
            "days": days,
            "starting_equity": opening,
            "ending_equity": float(books.ending_equity),
            "net_profit": float(profit),
            "return_pct": float((lines.equity[-1] / opening - 1) * 100)
            if books.flows
            else float((books.ending_equity / books.starting_equity - 1) * 100),
            "gross_pnl": float(books.gross_pnl),
            "gross_before_slippage": float(books.gross_pnl + books.slippage),
            "fees": float(books.fees),
            "funding": float(books.funding),
            "slippage": float(books.slippage),
            "cagr": growth,
            "volatility": measures.volatility(daily, periods),
            "sharpe": measures.sharpe(daily, periods),
            "sortino": measures.sortino(daily, periods),
            "calmar": measures.calmar(growth, deepest),
            "max_drawdown": deepest,
            "best_day": daily.max() if len(daily) else math.nan,
            "worst_day": daily.min() if len(daily) else math.nan,
            "traded_notional": traded,
            "turnover": measures.turnover(traded, average_equity, days),
            "exposure": measures.exposure(ts, gross, equity, end_ns),
            "net_exposure": measures.exposure(ts, net, equity, end_ns),
            "time_in_market": measures.time_weighted(ts, (gross > 0).astype(np.float64), end_ns),
            "orders": len(tables["orders"]),
            "fills": len(tables["fills"]),
            "trades": int(closed.sum()),
            "trades_open": int((~closed).sum()),
            "win_rate": measures.win_rate(profits),
            "profit_factor": measures.profit_factor(profits),
            "average_trade": profits.mean() if len(profits) else math.nan,
            "average_holding_hours": held.mean() / HOUR if len(held) else math.nan,
        }
    )


def column(table: pa.Table, name: str) -> NDArray[Any]:
    """Return a column as an array; empty rows of an int64 column become -1."""
    values = table.column(name).combine_chunks()
    if values.null_count and pa.types.is_integer(values.type):
        values = values.fill_null(-1)
    array: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return array


def cells(table: pa.Table, *names: str) -> Iterator[tuple[Any, ...]]:
    """Return the values of some columns row by row."""
    return zip(*(table.column(name).to_pylist() for name in names), strict=True)


def money(table: pa.Table, name: str) -> Floats:
    """Return a column of decimal strings as float64, for drawing and averages."""
    return np.array(table.column(name).to_pylist(), dtype=np.float64)


def booked(table: pa.Table, name: str) -> Decimal:
    """Return the exact sum of a column of decimal strings; empty ones are nothing."""
    known = (value for value in table.column(name).to_pylist() if value is not None)
    return sum(map(Decimal, known), Decimal(0))


def finite(values: dict[str, Any]) -> dict[str, Any]:
    """Return plain Python numbers, with None where a figure is not finite."""
    plain = {}
    for name, value in values.items():
        number = value.item() if isinstance(value, np.generic) else value
        plain[name] = None if isinstance(number, float) and not math.isfinite(number) else number
    return plain
