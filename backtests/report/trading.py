"""The report's sections on trading: costs, profit by symbol and side, trades and orders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from backtests.report import charts
from backtests.report.charts import Drawings
from backtests.report.formats import (
    UNDEFINED,
    facts,
    moment,
    money,
    number,
    percent,
    span,
    symbol,
    table,
    text,
    tone,
)
from backtests.report.report_data import (
    ClosedTrades,
    ReportData,
    Share,
    exit_reasons,
    shares,
    trades,
)
from backtests.results.figures import column

BEST = 5
"""Number of best trades that the report lists, and leaves out for comparison."""


def costs(report: ReportData, drawings: Drawings) -> str:
    """From the profit before costs to net profit, in money, per notional and starting equity."""
    summary = report.summary
    traded, opening = summary["traded_notional"], summary["starting_equity"]
    rows = []
    for name, value in charts.cost_steps(summary).items():
        per_traded = value / traded * 1e4 if traded else None
        rows.append(
            [
                "Net profit" if name == "Net" else name,
                money(value),
                f'<td class="n {tone(value)}">{percent(value / opening, 2, signed=True)}</td>',
                f"{number(per_traded, 2, signed=True)}",
            ]
        )
    head = ["", "USDT", "of starting equity", "bps of traded"]
    turnover = summary["turnover"]
    yearly = "" if turnover is None else f", {number(turnover, 1)} times the average equity a year"
    words = (
        f"<p>{number(traded, 0)} USDT were traded{yearly}. Gross is at the prices of the fills, "
        "before fees and funding; positive funding was received, negative paid.</p>"
        if traded
        else "<p>Nothing was traded.</p>"
    )
    return words + _beside(drawings.place(charts.costs(summary)), table(head, rows, kind="total"))


def by_symbol(report: ReportData, drawings: Drawings) -> str:
    """Profit by symbol: the best and worst drawn, all in a table."""
    found = shares(report.positions, "instrument")
    if not found:
        return "<p>No position was held.</p>"
    drawn = charts.SYMBOLS_DRAWN
    partly = len(found) > 2 * drawn
    words = f"<p>The {drawn} best and {drawn} worst of {len(found)} symbols.</p>" if partly else ""
    return (
        words
        + drawings.place(charts.by_symbol(found))
        + f"<details><summary>All {len(found)} symbols</summary>"
        + _shares(found, "Symbol", symbol)
        + "</details>"
    )


def by_side(report: ReportData, _: Drawings) -> str:
    """Profit of longs and shorts, and of each strategy where there are several."""
    sides = shares(report.positions, "side")
    if not sides:
        return "<p>No position was held.</p>"
    html = _shares(sides, "Side", str.capitalize)
    strategies = shares(report.positions, "strategy")
    return html + (_shares(strategies, "Strategy", str) if len(strategies) > 1 else "")


def by_exit(report: ReportData, _: Drawings) -> str:
    """Profit by what closed the position: a rebalance, a stop, a guard, the venue."""
    reasons = exit_reasons(report.positions, report.fills, report.orders)
    found = shares(report.positions, reasons)
    if not found:
        return "<p>No position was held.</p>"
    html = _shares(found, "Closed by", lambda reason: reason[:1].upper() + reason[1:] or "Unknown")
    if report.result.has("pair_events"):
        html += (
            '<p class="hint">Trades are of instruments, from flat to flat, and count for the pair '
            "that closed or turned them. Several pairs may share one: what each earned stands "
            "under Pairs.</p>"
        )
    return html


def distribution(report: ReportData, drawings: Drawings) -> str:
    """How closed trades ended: returns, holding times, the best and the worst."""
    done, summary = trades(report.positions), report.summary
    if not len(done.net):
        return "<p>No trade was closed.</p>" + _orders(report)
    drawn = map(drawings.place, (charts.trade_returns(done), charts.holding_times(done)))
    rows = [
        ["Closed trades", number(summary["trades"], 0)],
        ["Still open", number(summary["trades_open"], 0)],
        ["Winners", percent(summary["win_rate"])],
        ["Profit factor", number(summary["profit_factor"])],
        ["Average", f"{number(summary['average_trade'], signed=True)} USDT"],
        ["Median return", percent(float(np.median(done.change)), 2, signed=True)],
        ["Average holding", span(float(done.held.mean()))],
    ]
    tails = (
        "<p>The outermost bars hold the tails, a hundredth of the trades on each side.</p>"
        if len(done.net) >= 100
        else ""
    )
    return (
        _concentration(done, summary["net_profit"])
        + _beside(*drawn)
        + tails
        + _beside(facts(rows), _orders(report))
        + _extremes(report)
    )


def _concentration(done: ClosedTrades, profit: float) -> str:
    best = float(np.sort(done.net)[-BEST:].sum())
    if len(done.net) <= BEST or profit <= 0:
        return ""
    return (
        f"<p>Without its {BEST} best closed trades the run would have made "
        f"{number(profit - best, 2, signed=True)} instead of "
        f"{number(profit, 2, signed=True)} USDT.</p>"
    )


def _extremes(report: ReportData) -> str:
    rows = [row for row in report.positions.to_pylist() if not row["open"]]
    rows.sort(key=lambda row: float(row["net"]), reverse=True)
    shown = rows if len(rows) <= 2 * BEST else rows[:BEST] + rows[-BEST:]
    lines = [
        [
            text(symbol(row["instrument"])),
            money(float(row["net"])),
            row["side"].capitalize(),
            moment(row["ts_opened"]),
            span(row["ts_closed"] - row["ts_opened"]),
            f"{row['entry_px']:,.6g}",
            UNDEFINED if row["exit_px"] is None else f"{row['exit_px']:,.6g}",
        ]
        for row in shown
    ]
    head = ["Symbol", "Net, USDT", "Side", "Opened, UTC", "Held", "Entry", "Exit"]
    title = f"The {BEST} best and {BEST} worst trades" if len(rows) > 2 * BEST else "All trades"
    return table(head, lines, words=(0, 2, 3), caption=title)


def _orders(report: ReportData) -> str:
    statuses = [s.lower().replace("_", " ") for s in column(report.orders, "status").tolist()]
    kinds = column(report.decisions, "kind").tolist()
    rows = [
        [f"{label} {text(name)}", f"{count:,}"]
        for label, names in (("Orders", statuses), ("Decisions:", kinds))
        for name, count in sorted(Counter(names).items(), key=lambda item: (-item[1], item[0]))
    ]
    forced = Counter(column(report.fills, "kind").tolist())
    rows += [
        [f"Fills by {text(kind)}", f"{forced[kind]:,}"]
        for kind in sorted(forced)
        if kind != "order"
    ]
    return facts(rows) if rows else ""


def _shares(found: list[Share], title: str, name_of: Callable[[str], str]) -> str:
    rows = [
        [
            text(name_of(share.name)),
            money(share.net),
            f"{share.trades:,}",
            percent(share.win_rate, 0),
            money(share.gross),
            number(-share.fees),
            number(share.funding, signed=True),
        ]
        for share in found
    ]
    head = [title, "Net, USDT", "Trades", "Winners", "Gross", "Fees", "Funding"]
    return table(head, rows)


def _beside(left: str, right: str) -> str:
    return f'<div class="pair"><div>{left}</div><div>{right}</div></div>'
