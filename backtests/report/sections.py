"""The report's sections on returns: figures, curves and calendar."""

from __future__ import annotations

from collections.abc import Callable

from actors import measures
from backtests.report import charts, guards
from backtests.report.charts import Drawings
from backtests.report.formats import (
    UNDEFINED,
    date,
    hundredths,
    money,
    multiple,
    number,
    percent,
    span,
    table,
    text,
    tile_row,
    tone,
)
from backtests.report.report_data import BENCHMARK_NAMES, LIMIT, ReportData, downsample
from backtests.report.verdict_lanes import with_verdicts

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

AIMS = {
    "sharpe": ("Sharpe", True),
    "max_drawdown": ("Max drawdown", False),
    "calmar": ("Calmar", True),
    "win_rate": ("Win rate", True),
}
"""Measure to its name, and whether a higher value is better."""

LEVELS = (0.95, 0.99)
"""Levels of VaR and CVaR."""

AS_PERCENT = {"max_drawdown", "win_rate", "cagr", "volatility"}

VARIANT_COLUMNS = {
    "return_pct": "Return",
    "cagr": "CAGR",
    "sharpe": "Sharpe",
    "max_drawdown": "Max drawdown",
    "calmar": "Calmar",
    "turnover": "Turnover, x equity a year",
    "fees": "Fees, USDT",
    "slippage": "Slippage, USDT",
    "net_profit": "Net, USDT",
}


def tiles(report: ReportData) -> str:
    """The most important figures as tiles."""
    summary = report.summary
    length = span(summary["end_ns"] - summary["start_ns"])
    profit, change = summary["net_profit"], summary["return_pct"] / 100
    return tile_row(
        (
            "Net profit",
            f'<span class="{tone(profit)}">{percent(change, signed=True)}</span>',
            f"{number(profit, 2, signed=True)} USDT",
        ),
        ("CAGR", percent(summary["cagr"], signed=True), f"over {length}"),
        ("Sharpe", number(summary["sharpe"]), f"Sortino {number(summary['sortino'])}"),
        (
            "Max drawdown",
            percent(summary["max_drawdown"]),
            f"volatility {percent(summary['volatility'])} a year",
        ),
        ("Calmar", number(summary["calmar"]), "CAGR over max drawdown"),
        (
            "Win rate",
            percent(summary["win_rate"]),
            f"{number(summary['trades'], 0)} trades, profit factor "
            f"{number(summary['profit_factor'])}",
        ),
        (
            "Exposure",
            f"{number(summary['exposure'])}×",
            f"net {number(summary['net_exposure'], signed=True)}×, "
            f"{percent(summary['time_in_market'], 0)} of the time",
        ),
        (
            "Turnover",
            multiple(summary["turnover"], 0),
            f"a year, {number(summary['fills'], 0)} fills",
        ),
    )


def targets(report: ReportData, _: Drawings) -> str:
    """Targets beside the achieved figures."""
    rows = []
    aims = report.summary["targets"]
    for key, (name, more_is_better) in AIMS.items():
        if key not in aims:
            continue
        aim = aims[key]
        achieved = report.summary.get(key)
        met = achieved is not None and (achieved > aim if more_is_better else achieved < aim)
        verdict = "undefined" if achieved is None else "met" if met else "missed"
        rows.append(
            [
                text(name),
                f"{'&gt;' if more_is_better else '&lt;'} {_shown(key, aim)}",
                _shown(key, achieved),
                f'<td class="n"><span class="badge {verdict}">{verdict}</span></td>',
            ]
        )
    return table(["", "Target", "Achieved", ""], rows, kind="targets")


def equity(report: ReportData, drawings: Drawings) -> str:
    """Equity curve beside benchmarks."""
    count = len(report.curves.equity)
    drawn = ""
    if count > LIMIT:
        kept = len(downsample(report.curves.equity))
        drawn = (
            f'<p class="hint">The curve has {count:,} samples, of which {kept:,} are drawn: the '
            "highest and the lowest of each stretch. All figures come from all samples.</p>"
        )
    window = report.summary["start_ns"], report.summary["end_ns"]
    return (
        '<button type="button" data-log="equity" aria-pressed="false">Logarithmic</button>'
        + drawings.place(with_verdicts(charts.equity(report), report.verdict_spans, window))
        + guards.legend(report.verdict_spans)
        + drawn
        + _compared(report)
    )


def rolling(report: ReportData, drawings: Drawings) -> str:
    """Sharpe, volatility and beta over time."""
    found = charts.rolling_sharpe(report)
    if found is None:
        return "<p>The window is too short: rolling figures need at least 40 days.</p>"
    chart, window = found
    aim = report.summary["targets"].get("sharpe")
    dashed = "" if aim is None else f'<p class="hint">Dashed: the target, {aim:g}.</p>'
    volatility, *beta = charts.rolling_risk(report, window)
    html = (
        f'<p class="hint">Of the last {window} UTC days, annualised on 365.</p>'
        f"<h3>Sharpe</h3>{dashed}{drawings.place(chart)}"
        f"<h3>Volatility</h3>{drawings.place(volatility)}"
    )
    return html + "".join(
        '<h3>Beta</h3><p class="hint">Covariance of the daily returns with the benchmark\'s, over '
        f"the benchmark's variance: 0 moves on its own.</p>{drawings.place(one)}"
        for one in beta
    )


def tail_risk(report: ReportData, _: Drawings) -> str:
    """VaR and CVaR of a day, with their formulas."""
    daily, ending = report.curves.day_returns, report.summary["ending_equity"]
    rows = []
    for level in LEVELS:
        found = measures.value_at_risk(daily, level), measures.expected_shortfall(daily, level)
        cells = [[percent(loss, 2), number(loss * ending)] for loss in found]
        rows.append([percent(level, 0), *cells[0], *cells[1]])
    head = ["Level", "VaR", "VaR, USDT", "CVaR", "CVaR, USDT"]
    return table(head, rows) + (
        f'<p class="hint">Horizon: one UTC day. Historical, from {len(daily):,} daily returns: VaR '
        "is minus the quantile at 1 − level (a loss that was reached on that share of the days), "
        "CVaR the mean loss of those days. In USDT: times the ending equity. – : fewer days than "
        "1 / (1 − level). Days to come may be worse than any of these.</p>"
    )


def exposure(report: ReportData, drawings: Drawings) -> str:
    """Exposure and turnover by day."""
    return (
        '<h3>Exposure</h3><p class="hint">Position notional over equity, daily mean.</p>'
        + drawings.place(charts.exposure(report))
        + '<h3>Turnover</h3><p class="hint">Notional traded in a UTC day over the equity that it '
        "began with.</p>" + drawings.place(charts.turnover(report))
    )


def months(report: ReportData, _: Drawings) -> str:
    """Returns by calendar month, as a heatmap that is also a table."""
    found = measures.monthly_returns(report.curves.day_ends, report.curves.day_equity)
    strongest = max((abs(value) for value in found.values()), default=0.0) or 1.0
    rows = []
    for year in sorted({year for year, _ in found}):
        cells, whole = [str(year)], 1.0
        for month in range(1, 13):
            value = found.get((year, month))
            if value is None:
                cells.append("<td></td>")
                continue
            whole *= 1 + value
            strength = round(12 + 58 * abs(value) / strongest) if value else 0
            cells.append(
                f'<td class="n heat {tone(value)}" style="--heat:{strength}%" '
                f'title="{MONTHS[month - 1]} {year}: {percent(value, 2, signed=True)}">'
                f"{number(value * 100, 1, signed=True)}</td>"
            )
        cells.append(
            f'<td class="n {tone(whole - 1)}"><b>{percent(whole - 1, signed=True)}</b></td>'
        )
        rows.append(cells)
    return table(["Year", *MONTHS, "Whole"], rows, kind="months") + (
        '<p class="hint">Percent, compounded within the month (UTC). The first and last month may '
        "be partly in the window.</p>"
    )


def drawdowns(report: ReportData, _: Drawings) -> str:
    """The deepest falls and how long they lasted."""
    falls = measures.top_drawdowns(report.curves.ts, report.curves.equity)
    if not falls:
        return "<p>Equity never fell below an earlier high.</p>"
    end = report.summary["end_ns"]
    rows = [
        [
            f'<td class="n bad">{percent(-fall.depth, 2)}</td>',
            date(fall.peak),
            date(fall.trough),
            "not yet" if fall.recovered is None else date(fall.recovered),
            span(fall.trough - fall.peak),
            span((fall.recovered or end) - fall.peak),
        ]
        for fall in falls
    ]
    head = ["Depth", "High", "Low", "Recovered", "Down for", "Below the high for"]
    return table(head, rows, words=())


def variants(of: str) -> Callable[[ReportData, Drawings], str]:
    """Return the section of a kind of further runs: the same under other conditions, a row each."""

    def section(report: ReportData, _: Drawings) -> str:
        given = report.summary[of]
        keys = [key for key in VARIANT_COLUMNS if any(key in row for row in given)]
        rows = [
            [text(row["name"][:1].upper() + row["name"][1:])]
            + [
                money(row.get(key)) if key == "net_profit" else _shown(key, row.get(key))
                for key in keys
            ]
            for row in given
        ]
        return table(["", *(VARIANT_COLUMNS[key] for key in keys)], rows)

    return section


def _compared(report: ReportData) -> str:
    if not report.benchmarks:
        return ""
    lines = report.curves
    periods = measures.periods_a_year(lines.day_ends)
    daily = {"Strategy": (lines.day_equity, lines.day_returns)}
    for name, values in report.benchmarks.items():
        daily[BENCHMARK_NAMES[name]] = (values, measures.returns(values))
    rows = [
        [
            text(name),
            percent(measures.total_return(steps), signed=True),
            number(measures.sharpe(steps, periods)),
            percent(measures.max_drawdown(values)),
            percent(measures.cagr(steps, periods), signed=True),
            percent(measures.volatility(steps, periods)),
            UNDEFINED
            if name == "Strategy"
            else number(measures.correlation(steps, lines.day_returns)),
        ]
        for name, (values, steps) in daily.items()
    ]
    head = ["By day", "Return", "Sharpe", "Max drawdown", "CAGR", "Volatility", "Correlation"]
    return table(head, rows) + (
        '<p class="hint">All from UTC days, so that they compare: within days the strategy\'s '
        "drawdown is as deep or deeper. Correlation is with the strategy. The benchmarks, BTC held "
        "and the universe in equal parts, bear no costs.</p>"
    )


def _shown(key: str, value: float | None) -> str:
    if key == "return_pct":
        return hundredths(value)
    return percent(value) if key in AS_PERCENT else number(value)
