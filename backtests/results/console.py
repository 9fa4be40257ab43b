"""The figures of results as a table for the terminal, one column a result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table

ROWS = (
    ("net_profit", "net profit (USDT)", "{:,.2f}"),
    ("return_pct", "return", "{:.2f}%"),
    ("cagr", "yearly growth", "{:.2%}"),
    ("sharpe", "Sharpe (365 days)", "{:.2f}"),
    ("sortino", "Sortino", "{:.2f}"),
    ("calmar", "Calmar", "{:.2f}"),
    ("max_drawdown", "max drawdown", "{:.2%}"),
    ("volatility", "volatility", "{:.2%}"),
    ("trades", "trades", "{:,}"),
    ("win_rate", "win rate", "{:.2%}"),
    ("profit_factor", "profit factor", "{:.2f}"),
    ("turnover", "turnover (x equity a year)", "{:,.1f}"),
    ("fees", "fees", "{:,.2f}"),
    ("funding", "funding received", "{:,.2f}"),
    ("slippage", "slippage", "{:,.2f}"),
)
"""Key in `summary.json`, label and format of each figure."""


def shown(summary: Mapping[str, Any], key: str, shape: str) -> str:
    """Return a figure as text, ``–`` where the data define none."""
    value = summary.get(key)
    return "–" if value is None else shape.format(float(value) if isinstance(value, str) else value)


def figures_table(
    columns: Mapping[str, Mapping[str, Any]],
    title: str | None = None,
    rows: Iterable[tuple[str, str, str]] = ROWS,
) -> Table:
    """Return the figures of each summary by heading; first what ended its trading early."""
    table = Table(title=title)
    table.add_column("figure")
    for heading in columns:
        table.add_column(heading, justify="right")
    early = [summary.get("interruptions", {}) for summary in columns.values()]
    for label in dict.fromkeys(label for each in early for label in each):
        table.add_row(label, *(each.get(label, "") for each in early), style="bold yellow")
    for key, label, shape in rows:
        table.add_row(label, *(shown(summary, key, shape) for summary in columns.values()))
    return table


def variants_table(title: str, rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> Table:
    """Return runs of a document with one thing changed, by name, with some of their figures."""
    known = {key: (label, shape) for key, label, shape in (*ROWS, ("fills", "fills", "{:,}"))}
    table = Table(title=title)
    table.add_column("")
    for key in keys:
        table.add_column(known[key][0], justify="right")
    for row in rows:
        table.add_row(row["name"], *(shown(row, key, known[key][1]) for key in keys))
    return table
