"""The report page of live trading: the backtest's sections, and what only an account has."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import nautilus_trader
import numpy as np

from actors import measures
from actors.measures import Integers
from backtests.report import guards, sections, trade_list, trading
from backtests.report import provenance as origin
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
)
from backtests.report.page import Section, page
from backtests.report.report_data import ReportData, read_report_data, shares
from backtests.results.figures import cells
from backtests.results.result import Result, RunRecord, write
from config.documents import Node
from config.durations import MINUTE_NS
from config.resolved import Resolved
from live_nodes.reports.expectation import Expectation
from live_nodes.reports.live_result import LiveResult
from live_nodes.reports.venue_log import Reconciliation

GAPS = 20
"""Most times without the node that are listed."""
LONG_DAYS = measures.SHORTEST_DAYS
"""From so many days on there are months, rolling figures and drawdowns."""


@dataclass(frozen=True)
class LiveFacts:
    """What a live report has beside a backtest's.

    ``until`` is the end of the time asked for, ``every`` that of two snapshots, nanoseconds.
    """

    result: LiveResult
    until: int
    every: float
    reconciliation: Reconciliation
    expectation: Expectation | None

    @property
    def absent(self) -> tuple[list[tuple[int, int]], float]:
        """Times without the node, and the part of the time with it."""
        start, end = self.result.start_ns, max(self.until, self.result.end_ns)
        longest = max(3 * self.every, float(MINUTE_NS))
        found = gaps(self.result.curves.ts, start, end, longest, self.result.restarts)
        return found, 1 - sum(after - before for before, after in found) / max(end - start, 1)


def write_live(facts_: LiveFacts, resolved: Resolved, node: Node, out: Path) -> Result:
    """Write live trading as a result folder with ``report.html``, replacing an older one."""
    found = facts_.result
    targets = {} if node.reports.targets is None else node.reports.targets.model_dump()
    record = RunRecord(
        **{name: getattr(found.books, name) for name in found.books.__dataclass_fields__},
        name=node.name,
        config_yaml=resolved.to_yaml(),
        config_hash=resolved.config_hash,
        data_hash="",
        engine_version=f"nautilus_trader {nautilus_trader.__version__}",
        started=found.start_ns / 1e9,
        start_ns=found.start_ns,
        end_ns=found.end_ns,
        provenance=[],
        targets={name: float(value) for name, value in targets.items()},
    )
    return write(record, out, partial(render_live, facts_, node))


def render_live(facts_: LiveFacts, node: Node, result: Result) -> str:
    """Return the report as one HTML page that opens offline."""
    report, drawings = read_report_data(result), Drawings()
    summary = report.summary
    is_long = summary["days"] >= LONG_DAYS
    chosen: list[tuple[str, str, str, Section, bool]] = [
        ("targets", "Targets", "Targets", sections.targets, bool(summary["targets"])),
        ("books", "Books", "Books", lambda *_: _books(facts_), True),
        ("equity", "Equity", "Equity and drawdown", sections.equity, True),
        ("made", "Made of", "What the profit is made of", _attribution, True),
        ("expected", "Expected", "Live against the study", lambda *_: _expected(facts_), True),
        ("months", "Months", "Months", sections.months, is_long),
        ("rolling", "Rolling", "Rolling Sharpe, volatility and beta", sections.rolling, is_long),
        ("drawdowns", "Drawdowns", "Deepest drawdowns", sections.drawdowns, is_long),
        ("guards", "Guards", "What the guards did", guards.guards, True),
        ("uptime", "Uptime", "Uptime", lambda *_: _uptime(facts_), True),
        ("exposure", "Exposure", "Exposure and turnover", sections.exposure, is_long),
        ("costs", "Costs", "Costs", trading.costs, True),
        ("symbols", "Symbols", "Profit by symbol", trading.by_symbol, True),
        ("sides", "Sides", "Profit by side and strategy", trading.by_side, True),
        ("trades", "Trades", "Trades", trading.distribution, True),
        ("exits", "Exits", "Exit reasons", trading.by_exit, True),
        ("list", "List", "All trades", trade_list.trade_list, True),
        ("parameters", "Parameters", "Parameters", lambda of, _: origin.parameters(of), True),
    ]
    written = [
        (key, word, title, section(report, drawings))
        for key, word, title, section, stands in chosen
        if stands
    ]
    start, end = summary["start_ns"], summary["end_ns"]
    header = (
        f'<div class="eyebrow">perpdesk report · {text(node.environment)}</div>'
        f"<h1>{text(node.name)}</h1>"
        f"<p>{moment(start)} – {moment(end)} UTC · {span(end - start)} · "
        f"{number(summary['starting_equity'], 2)} → "
        f"<b>{number(summary['ending_equity'], 2)} USDT</b></p>"
    )
    return page(
        f"{text(node.name)} · perpdesk report",
        header,
        [text(warning) for warning in (*summary["warnings"], *log_warnings(facts_))],
        written,
        drawings,
        between=sections.tiles(report),
        footer=f"{text(summary['engine_version'])} · document {text(summary['config_hash'][:12])}",
    )


def log_warnings(facts_: LiveFacts) -> list[str]:
    """Return what disagrees with the venue's transaction log, in sentences."""
    found = facts_.reconciliation
    if found.agrees:
        return []
    if found.why:
        return [f"Not compared with the venue's log. {found.why}"]
    return [
        f"THE VENUE'S LOG DISAGREES: {row.what.lower()} are {row.ours:,.4f} {row.coin} by the "
        f"journal and {row.theirs:,.4f} by the log."
        for row in found.amounts
        if not row.agrees
    ] or ["The venue's log and the journal do not have the same executions (see Books)."]


def _books(facts_: LiveFacts) -> str:
    """The equation from the starting to the ending equity, and the comparison with the log."""
    found, log = facts_.result, facts_.reconciliation
    books = found.books
    steps: list[tuple[str, Any]] = [
        ("Starting equity", books.starting_equity),
        ("Gross profit", books.gross_pnl),
        ("Fees", -books.fees),
        ("Funding", books.funding),
        ("Deposits", found.deposits),
        ("Withdrawals", -found.withdrawals),
        *([("Interest and charges", found.charges)] if found.charges else []),
        ("Not explained", found.unexplained),
        ("Ending equity", books.ending_equity),
    ]
    ends = ("Starting equity", "Ending equity")
    rows = [
        [name, number(float(value)) if name in ends else money(float(round(value, 2)))]
        for name, value in steps
    ]
    closes = (
        "The books close to the cent: executions, fees, funding and transfers explain the account."
        if found.closes
        else "The books do NOT close to the cent."
    )
    html = f"<p>{closes}</p>" + table(["", "USDT"], rows, kind="total targets")
    moved = [
        [moment(flow.ts), text(flow.kind.lower().replace("_", " ")), money(float(flow.amount))]
        for flow in found.flows
    ]
    if moved:
        html += table(["UTC", "", "USDT"], moved, words=(0, 1), caption="Paid in and taken out")
    if log.why:
        return f"{html}<p>{text(log.why)}</p>"
    compared = [
        [
            f"{row.what}, {text(row.coin)}",
            number(float(row.ours), 4, signed=True),
            number(float(row.theirs), 4, signed=True),
            f'<td class="n"><span class="badge {"met" if row.agrees else "missed"}">'
            f"{'equal' if row.agrees else 'differs'}</span></td>",
        ]
        for row in log.amounts
    ]
    html += table(["", "Journal", "Venue's log", ""], compared, caption="By the transaction log")
    for names, where in ((log.only_ours, "journal"), (log.only_theirs, "venue's log")):
        if names:
            some = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
            html += f"<p>Only in the {where}: {len(names)} ({text(some)}).</p>"
    return html


def _attribution(report: ReportData, _: Drawings) -> str:
    """Edge, slippage, fees and funding, by strategy and by symbol."""
    slips: dict[str, dict[str, float]] = {"strategy": {}, "instrument": {}}
    for strategy, instrument, slippage in cells(report.fills, "strategy", "instrument", "slippage"):
        for by, name in (("strategy", strategy), ("instrument", instrument)):
            slips[by][name] = slips[by].get(name, 0.0) + float(slippage or 0)
    html = ""
    for title, by, name_of in (("Strategy", "strategy", str), ("Symbol", "instrument", symbol)):
        html += _shares(report, title, by, slips[by], name_of)
    return html + (
        '<p class="hint">Edge is what the orders would have brought at the prices when they left; '
        "slippage, fees and funding are what became of it. Positions that are open count at their "
        "mark price, those of before from the start on.</p>"
        if html
        else "<p>No position was held.</p>"
    )


def _shares(
    report: ReportData, title: str, by: str, slips: dict[str, float], name_of: Callable[[str], str]
) -> str:
    rows = [
        [
            text(name_of(share.name)),
            money(share.gross + slips.get(share.name, 0.0)),
            money(-slips.get(share.name, 0.0)),
            money(-share.fees),
            money(share.funding),
            money(share.net),
            f"{share.trades:,}",
            percent(share.win_rate, 0),
        ]
        for share in shares(report.positions, by)
    ]
    head = [title, "Edge", "Slippage", "Fees", "Funding", "Net, USDT", "Trades", "Winners"]
    return table(head, rows) if rows else ""


def _expected(facts_: LiveFacts) -> str:
    """The return since the release began beside the study's Monte Carlo band."""
    found = facts_.expectation
    if found is None:
        return (
            "<p>No study was released to this node (<code>perpdesk deploy NODE --study DIR</code>)"
            ": there is no expectation to compare with.</p>"
        )
    rows = [
        ["Release", f"{found.number}, since {moment(found.since)} UTC"],
        [f"Return until {moment(found.until)} UTC, for full size", f"{found.pct:+.2f} %"],
        [
            f"Band of its study at day {found.day}",
            UNDEFINED
            if found.band is None
            else f"{found.band[0]:+.2f} to {found.band[1]:+.2f} %, in which nine of ten paths stay",
        ],
        ["Live is", text(found.words)],
    ]
    return facts(rows, (0, 1))


def gaps(
    ts: Integers,
    start: int,
    end: int,
    longest: float,
    restarts: Iterable[tuple[int, int]] = (),
) -> list[tuple[int, int]]:
    """Return the times without the node, UNIX nanoseconds.

    Those without an equity that are longer than so many nanoseconds, and of ``restarts`` (when a
    run ended, or began if it was killed; when the next began) those since the end or last equity.

    >>> gaps(np.array([0, 10, 20, 300, 310]) * 10**9, 0, 310 * 10**9, 60e9)
    [(20000000000, 300000000000)]
    >>> gaps(np.array([0, 10, 20, 35, 45, 70]), 0, 70, 60, [(-5, 32), (48, 68)])
    [(20, 32), (48, 68)]
    """
    known = np.concatenate(([start], ts, [end]))
    long = np.diff(known) > longest
    found = [(int(known[n]), int(known[n + 1])) for n in np.flatnonzero(long)]
    for ended, began in restarts:
        n = int(np.searchsorted(known, began)) - 1
        if 0 <= n < len(long) and not long[n]:
            found.append((max(int(known[n]), ended), began))
    return sorted(found)


def _uptime(facts_: LiveFacts) -> str:
    found, up = facts_.absent
    words = f"<p>The node kept books {percent(up, 2)} of the time.</p>"
    rows = [[moment(a), moment(b), span(b - a)] for a, b in found[:GAPS]]
    more = f"<p>And {len(found) - GAPS} more.</p>" if len(found) > GAPS else ""
    head = ["Without it from, UTC", "To", "For"]
    return words + (table(head, rows, words=(0, 1)) if rows else "") + more


def short_text(facts_: LiveFacts, label: str) -> str:
    """Return the summary that is sent: profit, best and worst, costs, guards, uptime, books."""
    found = facts_.result
    books, summary = found.books, found.summary
    verdicts = [v for v in books.tables["verdicts"].to_pylist() if v["action"] != "none"]
    began = {(v["guard"], v["scope"]) for v in verdicts}
    _, up = facts_.absent
    parts = [
        f"{label}: net {summary['net_profit']:+,.2f} USDT ({summary['return_pct']:+.2f} %), "
        f"equity {summary['ending_equity']:,.2f}"
    ]
    if len(found.by_strategy) > 1:
        parts.append(", ".join(f"{one.name} {one.net:+,.2f}" for one in found.by_strategy[:4]))
    if found.by_symbol:
        ends = dict.fromkeys((found.by_symbol[0], found.by_symbol[-1]))
        parts.append(", ".join(f"{symbol(one.name)} {one.net:+,.2f}" for one in ends))
    parts.append(
        f"{summary['trades']} trades, fees {books.fees:,.2f}, funding {books.funding:+,.2f}, "
        f"slippage {books.slippage:,.2f}"
    )
    if found.flows:
        parts.append(f"paid in {found.deposits:,.2f}, out {found.withdrawals:,.2f}")
    if began:
        parts.append(f"halts by {', '.join(sorted({guard for guard, _ in began}))}")
    parts.append(f"up {100 * up:.1f} %")
    log = facts_.reconciliation
    if not found.closes:
        parts.append(f"BOOKS OFF BY {found.unexplained:+,.2f}")
    elif log.why:
        parts.append("books close, not compared with the venue's log")
    else:
        parts.append("books equal the venue's" if log.agrees else "THE VENUE'S LOG DISAGREES")
    return ". ".join(parts)


def is_sound(facts_: LiveFacts) -> bool:
    """Whether the books close and nothing disagrees with the venue's log."""
    log = facts_.reconciliation
    return facts_.result.closes and (log.agrees or bool(log.why))
