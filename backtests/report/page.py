"""The report's whole page: everything inlined, nothing fetched."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from plotly.offline import get_plotlyjs

from backtests.report import guards, matching, pairs, scalps, sections, trade_list, trading
from backtests.report import provenance as origin
from backtests.report.charts import Drawings
from backtests.report.formats import date, number, span, text
from backtests.report.report_data import ReportData, read_report_data
from backtests.results.result import Result

HERE = Path(__file__).parent

# The browser blocks every request, also those of a library.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
)

Section = Callable[[ReportData, Drawings], str]

SECTIONS: tuple[tuple[str, str, str, Section], ...] = (
    ("targets", "Targets", "Targets", sections.targets),
    ("equity", "Equity", "Equity and drawdown", sections.equity),
    ("months", "Months", "Months", sections.months),
    ("rolling", "Rolling", "Rolling Sharpe, volatility and beta", sections.rolling),
    ("drawdowns", "Drawdowns", "Deepest drawdowns", sections.drawdowns),
    ("risk", "VaR", "Value at risk", sections.tail_risk),
    ("guards", "Guards", "What the guards did", guards.guards),
    ("stress", "Stress", "Stress", sections.variants("stress")),
    ("ladder", "Ladder", "Latency, queue and fees", sections.variants("ladder")),
    ("ablations", "Parts", "Without each part", sections.variants("ablations")),
    ("exposure", "Exposure", "Exposure and turnover", sections.exposure),
    ("costs", "Costs", "Costs", trading.costs),
    ("matching", "Execution", "How orders were executed", matching.matching),
    ("symbols", "Symbols", "Profit by symbol", trading.by_symbol),
    ("sides", "Sides", "Profit by side", trading.by_side),
    ("trades", "Trades", "Trades", trading.distribution),
    ("exits", "Exits", "Exit reasons", trading.by_exit),
    ("pairs", "Pairs", "Pairs", pairs.pairs),
    ("scalper", "Scalper", "Scalper", scalps.scalper),
    ("list", "List", "All trades", trade_list.trade_list),
    ("prices", "Prices", "Prices with entries and exits", trade_list.price_charts),
    ("fills", "Fills", "How fills were made", lambda report, _: origin.how_filled(report)),
    ("data", "Data", "Data", lambda report, _: origin.provenance(report)),
    ("parameters", "Parameters", "Parameters", lambda report, _: origin.parameters(report)),
)
"""Anchor, menu entry, title and function of each section, in the order of the page."""


OPTIONAL: dict[str, Callable[[ReportData], object]] = {
    "stress": lambda report: report.summary.get("stress"),
    "ladder": lambda report: report.summary.get("ladder"),
    "ablations": lambda report: report.summary.get("ablations"),
    "matching": matching.on_ticks,
    "pairs": pairs.strategies_of,
    "scalper": scalps.scalped,
}
"""Sections that stand only where there is something: runs that were asked for, or pairs."""


def render(result: Result) -> str:
    """Return the report of a result folder as one HTML page."""
    report, drawings = read_report_data(result), Drawings()
    written = [
        (key, word, title, write(report, drawings))
        for key, word, title, write in SECTIONS
        if key not in OPTIONAL or OPTIONAL[key](report)
    ]
    return page(
        f"{text(result.summary['name'])} · perpdesk backtest",
        _header(report),
        origin.notes(report),
        written,
        drawings,
        between=sections.tiles(report),
        footer=_footer(report),
    )


def page(
    title: str,
    header: str,
    notes: list[str],
    written: list[tuple[str, str, str, str]],
    drawings: Drawings,
    *,
    between: str = "",
    footer: str = "",
) -> str:
    """Return a page of sections: anchor, menu entry, title and HTML of each."""
    body = "".join(
        f'<section id="{key}"><h2>{heading}</h2>{html}</section>'
        for key, _, heading, html in written
    )
    menu = "".join(f'<a href="#{key}">{word}</a>' for key, word, _, _ in written)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{title}</title>
<style>{_asset("page.css")}</style>
</head>
<body>
<header>{header}</header>
{_notes(notes)}
{between}
<nav>{menu}</nav>
<main>{body}</main>
<footer>{footer}</footer>
<script type="application/json" id="charts">{_json(drawings.specs)}</script>
<script type="application/json" id="tables">{_json(drawings.tables)}</script>
<script>{get_plotlyjs()}</script>
<script>{_asset("page.js")}</script>
</body>
</html>
"""


def _header(report: ReportData) -> str:
    summary = report.summary
    # The end is exclusive: the last day of the window is the one before it.
    window = f"{date(summary['start_ns'])} – {date(summary['end_ns'] - 1)}, UTC"
    return (
        f'<div class="eyebrow">perpdesk backtest</div><h1>{text(summary["name"])}</h1>'
        f"<p>{window} · {span(summary['end_ns'] - summary['start_ns'])} · "
        f"{number(summary['starting_equity'], 0)} → "
        f"<b>{number(summary['ending_equity'], 2)} USDT</b></p>"
    )


def _notes(notes: list[str]) -> str:
    if not notes:
        return ""
    lines = "".join(f"<li>{note}</li>" for note in notes)
    return f'<aside class="notes" aria-label="Read this first"><ul>{lines}</ul></aside>'


def _footer(report: ReportData) -> str:
    summary = report.summary
    return (
        f"{text(summary['engine_version'])} · run in {number(summary['elapsed_s'], 1)} s · "
        f"document {text(summary['config_hash'][:12])} · data {text(summary['data_hash'][:12])}"
    )


def _json(value: object) -> str:
    # "</" would end the script element in the middle of a string.
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("</", "<\\/")


def _asset(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def write_page(path: Path, html: str) -> Path:
    """Write a page, replacing an older one at once; return its path."""
    staged = path.with_name(f".{path.stem}.{os.getpid()}.tmp")
    try:
        staged.write_text(html, encoding="utf-8")
        os.replace(staged, path)
    finally:
        staged.unlink(missing_ok=True)
    return path
