"""The report's section on a scalper: refusals, what scores were worth, weights, R of its trades."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import msgspec
import numpy as np
import pyarrow as pa

from actors.records.rows import FillRow, from_sql
from actors.records.trades import excursions, stories
from backtests.report.charts import Chart, Drawings, line
from backtests.report.formats import number, percent, symbol, table, text
from backtests.report.report_data import ReportData
from backtests.results.recorder import decisions_of
from strategies.messages import Decision, Learned
from strategies.signals.scalper_parameters import SIGNALS

COLOURS = ("@accent", "@good", "@bad", "@btc", "@equal_weight", "@muted")
REFUSALS = {
    "warm_up": "signals or volatility are not known yet",
    "extreme": "the volatility is extreme",
    "threshold": "the score is below its threshold",
    "uncalibrated": "no move is known to follow such a score",
    "cost": "the expected move is below the cost of a round trip",
    "position": "a position is held",
    "under_way": "orders are under way",
    "pause": "a pause after the last entry or position",
    "halted": "a guard halts entries",
    "bracket": "the bracket is not whole",
    "too_small": "the size is below the exchange's minimum",
}


def scalped(report: ReportData) -> list[str]:
    """Return the keys of strategies that scalp; none in a run without."""
    return sorted({decision.strategy for decision in _decisions(report)})


def _decisions(report: ReportData) -> list[Decision]:
    # Decisions of large panels take long to decode.
    counts = [b'"refusals"' in payload for payload in report.decisions["payload"].to_pylist()]
    found = decisions_of(report.decisions.filter(pa.array(counts, pa.bool_())))
    return [decision for decision in found if decision.refusals is not msgspec.UNSET]


def scalper(report: ReportData, drawings: Drawings) -> str:
    """Why it did not enter, what it learned, and the R of its trades."""
    html, keys = "", scalped(report)
    for key in keys:
        mine = [decision for decision in _decisions(report) if decision.strategy == key]
        html += f"<h3>{text(key)}</h3>" if len(keys) > 1 else ""
        html += _refusals(mine) + _learned(mine, drawings, key)
    return html + _multiples(report, drawings, keys)


def _refusals(decisions: list[Decision]) -> str:
    counted: Counter[str] = Counter()
    for decision in decisions:
        counted.update(decision.refusals or {})
    total = sum(counted.values())
    rows = [
        [text(code), text(REFUSALS.get(code, "")), f"{count:,}", percent(count / total)]
        for code, count in counted.most_common()
    ]
    return "<h3>Why nothing was entered</h3>" + table(
        ["Code", "", "Looks", "Share"], rows, words=(0, 1)
    )


def _learned(decisions: list[Decision], drawings: Drawings, key: str) -> str:
    """What the scores were worth, by the last word on each instrument."""
    told: dict[str, list[tuple[int, Learned]]] = {}
    for decision in decisions:
        for target in decision.targets:
            if target.learned is not msgspec.UNSET:
                told.setdefault(target.instrument, []).append((decision.ts, target.learned))
    html = ""
    for name, known in told.items():
        last = known[-1][1]
        after = [f"After {span:g} s" for span in last.horizons_s]
        steps = [
            [f"{least:g}", number(count, 0), *(number(m, 2, signed=True) for m in moves)]
            for least, count, moves in last.calibration
        ]
        edges = [
            [signal.replace("_", " "), *(number(e, 2, signed=True) for e in last.edges[signal])]
            for signal in SIGNALS
        ]
        html += (
            f"<h3>{text(symbol(name))}: what scores were worth</h3>"
            '<p class="hint">Mean move of the mid in the direction of the fused score, basis '
            "points, as learned until the end; few samples count for less. A round trip costs "
            f"{number(last.cost_bps, 1)}.</p>"
            + table(["Score from", "Samples", *after], steps)
            + '<p class="hint">Edge of each signal after that cost, a unit of its score.</p>'
            + table(["Signal", *after], edges)
            + '<p class="hint">Weight of each signal in the fused score.</p>'
            + drawings.place(_weights(f"{key}-{name}", known))
        )
    return html


def _weights(key: str, known: list[tuple[int, Learned]]) -> Chart:
    ts = np.array([moment for moment, _ in known])
    data = []
    for number_, signal in enumerate(SIGNALS):
        values = np.array([learned.weights[signal] for _, learned in known])
        colour = COLOURS[number_ % len(COLOURS)]
        dash = "dot" if number_ >= len(COLOURS) else "solid"
        data.append(line(signal.replace("_", " "), ts, values, colour, 1.5, dash))
    layout = {"yaxis": {"rangemode": "tozero"}, "hovermode": "x unified"}
    return Chart(f"weights-{''.join(filter(str.isalnum, key))}", 320, data, layout)


def _multiples(report: ReportData, drawings: Drawings, keys: list[str]) -> str:
    """R of the trades, with the excursions against and for them."""
    trips = [trip for trip in report.positions.to_pylist() if trip["strategy"] in keys]
    fills = [from_sql(FillRow, row) for row in report.fills.to_pylist()]
    by_reason: dict[str, list[tuple[float, float, float]]] = {}
    told = stories(trips, fills, report.orders.to_pylist())
    for trip, story in zip(trips, told, strict=True):
        against, along = excursions(trip)
        if story.risk is None or against is None or along is None or trip["open"]:
            continue
        unit = float(story.risk / Decimal(trip["quantity"])) / trip["entry_px"] * 1e4
        row = float(Decimal(trip["net"]) / story.risk), against / unit, along / unit
        by_reason.setdefault(story.reason, []).append(row)
    if not by_reason:
        return "<h3>R of its trades</h3><p>No trade with a stop was closed.</p>"
    every = [row for found in by_reason.values() for row in found]
    groups = [*sorted(by_reason.items(), key=lambda item: -len(item[1])), ("All", every)]
    rows = []
    for reason, found in groups:
        r, against, along = np.array(found).T
        shown = (r.mean(), np.median(r), r.min(), r.max(), against.mean(), along.mean())
        won = percent(float((r > 0).mean()), 0)
        rows.append([text(reason), f"{len(r):,}", won, *(number(float(x), 2) for x in shown)])
    data = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": [round(row[1], 3) for row in every if (row[0] > 0) == won],
            "y": [round(row[2], 3) for row in every if (row[0] > 0) == won],
            "marker": {"color": colour, "size": 6},
        }
        for name, won, colour in (("Profit", True, "@good"), ("Loss", False, "@bad"))
    ]
    layout = {
        "xaxis": {"type": "linear", "title": {"text": "MAE, R"}},
        "yaxis": {"title": {"text": "MFE, R"}},
    }
    head = ["Exit", "Trades", "Winners", "Mean R", "Median", "Worst", "Best", "MAE", "MFE"]
    return (
        "<h3>R of its trades</h3>"
        + table(head, rows, kind="total")
        + '<p class="hint">R is the profit after fees as a multiple of what the first stop risked '
        "before fees. MAE and MFE: how far the price went against and for it, in R.</p>"
        + drawings.place(Chart("excursions", 340, data, layout))
    )
