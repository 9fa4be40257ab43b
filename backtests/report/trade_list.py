"""The report's list of all trades and its price charts, both drawn by `page.js` on demand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from backtests.report.charts import Drawings
from backtests.report.formats import symbol, text
from backtests.report.report_data import ReportData, exit_reasons
from backtests.results.figures import column, money
from strategies.account_value import is_spot

COLUMNS = {
    "symbol": "Symbol",
    "side": "Side",
    "opened": "Opened, UTC",
    "closed": "Closed",
    "quantity": "Quantity",
    "entry": "Entry",
    "exit": "Exit",
    "gross": "Gross",
    "fees": "Fees",
    "funding": "Funding",
    "net": "Net, USDT",
    "reason": "Exit reason",
    "strategy": "Strategy",
}
"""Column of the list, and of its CSV, to its heading; the strategy only where there are several."""

TEXTS = ("symbol", "side", "reason", "strategy")


def trade_list(report: ReportData, drawings: Drawings) -> str:
    """All round trips, to filter, sort and save as CSV."""
    if not len(report.positions):
        return "<p>No position was held.</p>"
    drawings.tables["trades"] = columns = trade_columns(report)
    several = len(columns["strategy"]["names"]) > 1
    head = "".join(
        f'<th scope=col{"" if key in TEXTS else " class=n"}><a role=button data-sort="{key}">'
        f"{title}</a></th>"
        for key, title in COLUMNS.items()
        if several or key != "strategy"
    )
    is_coin = any(map(is_spot, report.positions.column("instrument").to_pylist()))
    coins = " Of coins, quantity is the whole lots that the fees of buys left." if is_coin else ""
    return (
        '<p class="hint">One row a position from flat to flat. Quantity is its peak, entry and '
        "exit are averages. Gross is at the prices of the fills, net after fees and funding; open "
        f"ones are at their last price.{coins} A symbol opens its price chart.</p>"
        '<div class="bar"><input type="search" id="trade-filter" aria-label="Filter trades" '
        'placeholder="Filter: BTC short loss 2024-03"><span id="trade-count" class="hint"></span>'
        '<button type="button" id="trade-csv">Save as CSV</button></div>'
        f'<div class="scroll"><table id="trade-list"><thead><tr>{head}</tr></thead><tbody></tbody>'
        '</table></div><button type="button" id="trade-more">Show more</button>'
    )


def trade_columns(report: ReportData) -> dict[str, Any]:
    """Return the columns of the list: texts as names and indices, times in seconds."""
    trips = report.positions
    names = [symbol(name) for name in trips.column("instrument").to_pylist()]
    texts = {
        "symbol": names,
        "side": [side.capitalize() for side in trips.column("side").to_pylist()],
        "reason": exit_reasons(trips, report.fills, report.orders),
        "strategy": trips.column("strategy").to_pylist(),
    }
    numbers = {
        "opened": _seconds(trips, "ts_opened"),
        "closed": _seconds(trips, "ts_closed"),
        "entry": _short(trips.column("entry_px").to_pylist()),
        "exit": _short(trips.column("exit_px").to_pylist()),
        **{key: _short(money(trips, key).tolist()) for key in ("quantity", "gross", "fees")},
        **{key: _short(money(trips, key).tolist()) for key in ("funding", "net")},
    }
    return {key: _indexed(values) for key, values in texts.items()} | numbers


def price_charts(report: ReportData, drawings: Drawings) -> str:
    """A price chart of each traded symbol with its entries and exits, drawn when it is chosen."""
    if not len(report.prices):
        return "<p>This result keeps no prices: nothing was traded.</p>"
    names = [symbol(name) for name in report.prices.column("instrument").to_pylist()]
    ts, found = curves_by_name(report.prices, names, ("close", "low", "high"))
    drawings.tables["prices"] = {"ts": ts, "symbols": found}
    options = "".join(f"<option>{text(name)}</option>" for name in sorted(found))
    return (
        '<div class="bar"><select id="price-symbol" aria-label="Symbol"><option value="">Choose a '
        f'symbol</option>{options}</select></div><div id="price-chart"></div>'
        '<p class="hint">Execution closes: the last of each stretch of the window, in the band of '
        "its lowest and highest. ▲ opened long, ▼ opened short, × closed, at the average price of "
        "the fills; the line between them is green for a profit.</p>"
    )


def curves_by_name(
    table: pa.Table, of: Sequence[str], keys: Sequence[str]
) -> tuple[list[int], dict[str, dict[str, list[float | None]]]]:
    """Return all times, in seconds, and columns by the name ``of`` each row, None where missing."""
    ts, row = np.unique(column(table, "ts"), return_inverse=True)
    names = np.array(of, dtype=str)
    found: dict[str, dict[str, list[float | None]]] = {}
    for name in np.unique(names):
        mine = names == name
        curves = found[str(name)] = {}
        for key in keys:
            values = np.full(len(ts), np.nan)
            values[row[mine]] = column(table, key)[mine]
            curves[key] = _short(values.tolist(), digits=6)
    return (ts // 1_000_000_000).tolist(), found


def _seconds(trips: pa.Table, name: str) -> list[int | None]:
    return [None if ts is None else ts // 1_000_000_000 for ts in trips.column(name).to_pylist()]


def _short(values: Sequence[float | None], digits: int = 12) -> list[float | None]:
    return [
        None if value is None or value != value else float(f"{value:.{digits}g}")
        for value in values
    ]


def _indexed(values: list[str]) -> dict[str, list[Any]]:
    names = sorted(set(values))
    place = {name: index for index, name in enumerate(names)}
    return {"names": names, "index": [place[value] for value in values]}
