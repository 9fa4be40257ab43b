"""The report's charts, as plain plotly dicts.

A colour is written ``@name`` or ``@name/opacity`` after a variable of `page.css`; `page.js` puts
the theme's value there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from actors import measures
from actors.measures import DAY, Floats, Integers
from backtests.report.formats import short, symbol
from backtests.report.report_data import (
    BENCHMARK_NAMES,
    ClosedTrades,
    ReportData,
    Share,
    downsample,
)
from backtests.results.figures import column, money


class Drawings:
    """Charts of a page, and data of what it draws on demand, for `page.js`."""

    def __init__(self) -> None:
        self.specs: list[dict[str, Any]] = []
        self.tables: dict[str, Any] = {}

    def place(self, chart: Chart) -> str:
        """Return the element that the chart will be drawn in."""
        self.specs.append({"id": chart.key, "data": chart.data, "layout": chart.layout})
        return (
            f'<div class="chart" id="chart-{chart.key}" style="height:{chart.height}px" '
            'role="img"></div>'
        )


SYMBOLS_DRAWN = 12
"""Number of best symbols, and of worst symbols."""

HOLDING_HOURS = {
    "< 1 h": 1,
    "1–4 h": 4,
    "4–12 h": 12,
    "12–24 h": 24,
    "1–2 d": 48,
    "2–4 d": 96,
    "4–7 d": 168,
    "1–2 w": 336,
    "2–4 w": 672,
    "> 4 w": float("inf"),
}
"""Label of a holding time to its upper bound, hours."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing: its id in the page, height in pixels, and what plotly is given."""

    key: str
    height: int
    data: list[dict[str, Any]]
    layout: dict[str, Any]


def equity(report: ReportData) -> Chart:
    """Equity with benchmarks above, its drawdown below, on one time axis."""
    lines = report.curves
    kept = downsample(lines.equity)
    depths = measures.drawdown(lines.equity)
    sunk = downsample(depths)
    opening = float(lines.equity[0])
    hover = {"hovertemplate": "%{y:,.2f}"}
    data = [line("Strategy", lines.ts[kept], lines.equity[kept], "@accent", 2, **hover)]
    for name, dash in (("btc", "solid"), ("equal_weight", "dot")):
        if name in report.benchmarks:
            values, label = report.benchmarks[name] * opening, BENCHMARK_NAMES[name]
            data.append(line(label, lines.day_ends, values, f"@{name}", 1.3, dash, **hover))
    below: dict[str, Any] = {"fill": "tozeroy", "fillcolor": "@bad/0.18", "yaxis": "y2"}
    below |= {"hovertemplate": "%{y:.2%}", "showlegend": False}
    data.append(line("Drawdown", lines.ts[sunk], depths[sunk], "@bad", 1, **below))
    upper = {"tickformat": "~s", "title": {"text": "USDT"}}
    return above_drawdowns("equity", data, upper, _window(report))


def above_drawdowns(
    key: str, data: list[dict[str, Any]], upper: dict[str, Any], window: dict[str, Any]
) -> Chart:
    """Return a chart of curves on an upper axis, and drawdowns (axis ``y2``) below it."""
    layout = {
        "yaxis": {"domain": [0.32, 1], **upper},
        "yaxis2": {
            "domain": [0, 0.25],
            "tickformat": ".2~%",
            "title": {"text": "Drawdown"},
            "nticks": 4,
        },
        "xaxis": {"anchor": "y2", **window},
        "hovermode": "x unified",
    }
    return Chart(key, 520, data, layout)


def rolling_sharpe(report: ReportData) -> tuple[Chart, int] | None:
    """Sharpe of the last days at each day, and how many days; None when there are too few."""
    daily = report.curves.day_returns
    window = min(90, max(measures.SHORTEST_DAYS, len(daily) // 3))
    if len(daily) < window + 10:
        return None
    values = measures.rolling_sharpe(daily, window)
    aim = report.summary["targets"].get("sharpe")
    ends, hover = report.curves.day_ends[1:], {"hovertemplate": "%{y:.2f}"}
    dashed: dict[str, Any] = {} if aim is None else {"shapes": [_level(aim)]}
    data = [line("Sharpe", ends, values, "@accent", 1.6, **hover)]
    return _over_days(report, "rolling", 260, data, {"zeroline": True}, **dashed), window


def rolling_risk(report: ReportData, window: int) -> list[Chart]:
    """Volatility, and beta to each benchmark, of the last `window` days at each day."""
    lines = report.curves
    volatile = measures.rolling_volatility(lines.day_returns, window)
    ends, axis = lines.day_ends[1:], {"tickformat": ".2~%", "rangemode": "tozero"}
    data = [line("Volatility", ends, volatile, "@accent", 1.6, hovertemplate="%{y:.1%}")]
    charts, betas = [_over_days(report, "volatility", 220, data, axis)], []
    for name, values in report.benchmarks.items():
        beta = measures.rolling_beta(lines.day_returns, measures.returns(values), window)
        label = f"To {BENCHMARK_NAMES[name]}"
        betas.append(line(label, ends, beta, f"@{name}", 1.6, hovertemplate="%{y:.2f}"))
    if betas:
        charts.append(_over_days(report, "beta", 240, betas, {"zeroline": True}, several=True))
    return charts


def exposure(report: ReportData) -> Chart:
    """Total and net notional over equity: the mean of each UTC day's samples."""
    table, ends = report.equity, report.curves.day_ends
    ts, values = column(table, "ts"), column(table, "equity")
    alive = values > 0
    data = []
    for name, shown, colour in (("gross", "Exposure", "@accent"), ("net", "Net exposure", "@btc")):
        ratio = np.where(alive, column(table, name) / np.where(alive, values, 1.0), 0.0)
        mean, middays = _daily_mean(ts, ratio, ends), _middays(ends)
        data.append(line(shown, middays, mean, colour, 1.4, hovertemplate="%{y:.2f}×"))
    axis = {"ticksuffix": "×", "zeroline": True, "rangemode": "tozero"}
    return _over_days(report, "exposure", 240, data, axis, several=True)


def turnover(report: ReportData) -> Chart:
    """Notional traded on each UTC day over the equity that it began with."""
    ends, opening = report.curves.day_ends, report.curves.day_equity[:-1]
    fills = report.fills
    # A fill at midnight belongs to the day that begins there: no earlier close contains it.
    day = np.searchsorted(ends, column(fills, "ts"), side="right") - 1
    day = np.clip(day, 0, len(opening) - 1)
    traded = np.bincount(day, weights=money(fills, "notional"), minlength=len(opening))
    ratio = np.where(opening > 0, traded / np.where(opening > 0, opening, 1.0), 0.0)
    bars = {
        "type": "bar",
        "name": "Turnover",
        "x": times(_middays(ends)),
        "width": 0.9 * DAY / 1e6,
        "y": _rounded(ratio, 4),
        "marker": {"color": "@accent/0.65", "line": {"width": 0}},
        "hovertemplate": "%{y:.2f}×",
    }
    return _over_days(report, "turnover", 200, [bars], {"ticksuffix": "×"})


def cost_steps(summary: dict[str, Any]) -> dict[str, float]:
    """Return what leads from the profit before costs to net profit, by name."""
    return {
        "Before slippage": summary["gross_before_slippage"],
        "Slippage": -summary["slippage"],
        "Gross": summary["gross_pnl"],
        "Fees": -summary["fees"],
        "Funding": summary["funding"],
        **({"Other": summary["beside"]} if "beside" in summary else {}),
        "Net": summary["net_profit"],
    }


def costs(summary: dict[str, Any]) -> Chart:
    """Waterfall from the profit before costs to net profit, cost by cost."""
    steps = cost_steps(summary)
    between = ["relative"] * (len(steps) - 4)
    fall = {
        "type": "waterfall",
        "x": list(steps),
        "y": [round(value, 2) for value in steps.values()],
        "measure": ["absolute", "relative", "total", *between, "total"],
        "increasing": {"marker": {"color": "@good"}},
        "decreasing": {"marker": {"color": "@bad"}},
        "totals": {"marker": {"color": "@accent"}},
        "connector": {"line": {"color": "@line", "width": 1}},
        "text": [short(value) for value in steps.values()],
        "textposition": "outside",
        "cliponaxis": False,
        "hovertemplate": "%{x}: %{delta:,.2f} USDT<extra></extra>",
    }
    layout = {
        "xaxis": {"type": "category"},
        "yaxis": {"tickformat": "~s", "zeroline": True},
        "showlegend": False,
    }
    return Chart("costs", 320, [fall], layout)


def by_symbol(found: list[Share]) -> Chart:
    """Net profit of the best and the worst symbols."""
    if len(found) > 2 * SYMBOLS_DRAWN:
        found = found[:SYMBOLS_DRAWN] + found[-SYMBOLS_DRAWN:]
    upwards = found[::-1]
    bars = {
        "type": "bar",
        "orientation": "h",
        "y": [symbol(share.name) for share in upwards],
        "x": [round(share.net, 2) for share in upwards],
        "marker": {
            "color": ["@good" if share.net >= 0 else "@bad" for share in upwards],
            "line": {"width": 0},
        },
        "customdata": [[share.gross, share.fees, share.funding] for share in upwards],
        "hovertemplate": (
            "%{y}: net %{x:,.2f}<br>gross %{customdata[0]:,.2f}, fees %{customdata[1]:,.2f}, "
            "funding %{customdata[2]:,.2f}<extra></extra>"
        ),
    }
    layout = {
        "xaxis": {"type": "linear", "tickformat": "~s", "zeroline": True, "showgrid": True},
        "yaxis": {"type": "category", "showgrid": False, "ticks": "", "dtick": 1},
        "bargap": 0.25,
        "showlegend": False,
    }
    return Chart("symbols", 90 + 19 * len(found), [bars], layout)


def trade_returns(done: ClosedTrades) -> Chart:
    """Histogram of the returns of closed trades; the outermost bars hold the tails."""
    edges = return_edges(done.change)
    counts, _ = np.histogram(np.clip(done.change, edges[0], edges[-1]), edges)
    centres = (edges[:-1] + edges[1:]) / 2
    bars = {
        "type": "bar",
        "x": _rounded(centres, 6),
        "y": counts.tolist(),
        "width": float(edges[1] - edges[0]) * 0.92,
        "marker": {"color": ["@good" if x > 0 else "@bad" for x in centres], "line": {"width": 0}},
        "customdata": np.round(np.column_stack((edges[:-1], edges[1:])), 6).tolist(),
        "hovertemplate": "%{customdata[0]:.2%} to %{customdata[1]:.2%}: %{y}<extra></extra>",
    }
    layout = {
        "xaxis": {"type": "linear", "tickformat": ".1~%", "title": {"text": "Return of a trade"}},
        "yaxis": _counts(int(counts.max())),
        "showlegend": False,
    }
    return Chart("returns", 270, [bars], layout)


def return_edges(change: Floats) -> Floats:
    """Return edges of equal bins, one edge at zero, over all but the outermost hundredths."""
    low, high = np.quantile(change, [0.01, 0.99])
    width = max(abs(float(low)), abs(float(high)), 1e-6) / 20
    first = int(np.floor(min(float(low), 0.0) / width))
    last = int(np.ceil(max(float(high), 0.0) / width))
    return np.arange(first, max(last, first + 1) + 1, dtype=np.float64) * width


def holding_times(done: ClosedTrades) -> Chart:
    """Histogram of the holding times of closed trades."""
    ends = list(HOLDING_HOURS.values())
    place = np.searchsorted(np.array(ends), done.held / 3.6e12, side="right")
    counts = np.bincount(np.minimum(place, len(ends) - 1), minlength=len(ends))
    used = np.flatnonzero(counts)
    shown = slice(int(used[0]), int(used[-1]) + 1)
    bars = {
        "type": "bar",
        "x": list(HOLDING_HOURS)[shown],
        "y": counts[shown].tolist(),
        "marker": {"color": "@accent/0.75", "line": {"width": 0}},
        "hovertemplate": "%{x}: %{y}<extra></extra>",
    }
    layout = {
        "xaxis": {"type": "category", "title": {"text": "Held"}},
        "yaxis": _counts(int(counts.max())),
        "bargap": 0.25,
        "showlegend": False,
    }
    return Chart("holding", 270, [bars], layout)


def _over_days(
    report: ReportData,
    key: str,
    height: int,
    data: list[dict[str, Any]],
    yaxis: dict[str, Any],
    several: bool = False,
    **more: Any,
) -> Chart:
    """Return a chart over the run's days; several curves have a legend and one pointer."""
    layout = {"xaxis": _window(report), "yaxis": yaxis, "showlegend": several, **more}
    return Chart(key, height, data, layout | {"hovermode": "x unified" if several else "x"})


def _window(report: ReportData) -> dict[str, Any]:
    return {"range": times(report.curves.day_ends[[0, -1]])}


def _middays(ends: Integers) -> Integers:
    """Noon of each day, so that a day's value stands above its date."""
    return ends[:-1] + np.diff(ends) // 2


def times(ts: Integers | list[int], unit: Literal["m", "us"] = "m") -> list[str]:
    """Return UNIX nanoseconds (UTC) as plotly takes them, to the minute or the microsecond."""
    stamps = np.asarray(ts, dtype=np.int64).astype("datetime64[ns]")
    return [str(t) for t in stamps.astype(f"datetime64[{unit}]")]


def _counts(most: int) -> dict[str, Any]:
    return {"title": {"text": "Trades"}, **({"dtick": 1} if most <= 6 else {})}


def line(
    name: str,
    ts: Integers,
    values: Floats,
    colour: str,
    width: float,
    dash: str = "solid",
    **more: Any,
) -> dict[str, Any]:
    """Return a curve over time."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": times(ts),
        "y": _rounded(values, 6 if np.nanmax(np.abs(values), initial=0) < 100 else 2),
        "line": {"color": colour, "width": width, "dash": dash},
        **more,
    }


def _rounded(values: Floats, digits: int) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), digits) for value in values]


def _daily_mean(ts: Integers, values: Floats, ends: Integers) -> Floats:
    """Mean of each day's samples; a sample at midnight belongs to the day that it closes."""
    day = np.searchsorted(ends, ts, side="left") - 1
    inside = (day >= 0) & (day < len(ends) - 1)
    count = np.bincount(day[inside], minlength=len(ends) - 1)
    total = np.bincount(day[inside], weights=values[inside], minlength=len(ends) - 1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _level(value: float) -> dict[str, Any]:
    return {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": value,
        "y1": value,
        "line": {"color": "@muted", "width": 1, "dash": "dash"},
    }
