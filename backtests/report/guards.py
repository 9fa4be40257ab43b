"""The report's section on guards: their acts, counted from the result's tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from actors.measures import Integers
from backtests.report.charts import Drawings
from backtests.report.formats import (
    UNDEFINED,
    date,
    money,
    number,
    percent,
    size_of,
    span,
    table,
    text,
    value,
)
from backtests.report.report_data import ReportData, VerdictSpan, closing_fills, stood_for, tripped
from backtests.report.verdict_lanes import STRICTNESS, scope_of, when
from backtests.results.figures import cells, column
from backtests.results.refusals import held_back
from backtests.results.tables import ALL

FLATTEN = "flatten"
LIVE = "at the venue"
"""How the fills of live trading were made."""


@dataclass(frozen=True, slots=True)
class GuardActs:
    """What one guard did: counts, and `stood` in nanoseconds.

    `tripped` is the number of times that a verdict began where none stood; `stood` is the time with
    at least one verdict. `refused` orders did not pass the order gate; strategies did not send the
    `held_back` ones, or sent them smaller. `closed` are positions open at a flatten and closed by
    orders sent while it stood.
    """

    tripped: int = 0
    stood: int = 0
    refused: int = 0
    held_back: int = 0
    closed: int = 0


def acts(
    found: Sequence[VerdictSpan],
    orders: pa.Table,
    fills: pa.Table,
    positions: pa.Table,
    decisions: pa.Table,
) -> dict[str, GuardActs]:
    """Return the acts of each guard that did anything, by key, sorted."""
    denied = orders.filter(pc.equal(orders.column("status"), "DENIED"))
    refused = Counter(filter(None, denied.column("refused_by").to_pylist()))
    kept = held_back(decisions.column("payload").to_pylist())
    closed = _closed(found, orders, fills, positions)
    keys = sorted({span.guard for span in found} | refused.keys() | kept.keys())
    return {
        key: GuardActs(
            tripped=tripped(mine := [span for span in found if span.guard == key]),
            stood=stood_for(mine),
            refused=refused[key],
            held_back=kept[key],
            closed=closed[key],
        )
        for key in keys
    }


def _closed(
    found: Sequence[VerdictSpan], orders: pa.Table, fills: pa.Table, positions: pa.Table
) -> Counter[str]:
    flat = [span for span in found if span.action == FLATTEN]
    counts: Counter[str] = Counter()
    if not flat or not len(positions):
        return counts
    opened, sent = column(positions, "ts_opened"), _exit_sent(orders, fills, positions)
    strategies = column(positions, "strategy").astype(str)
    instruments = column(positions, "instrument").astype(str)
    seen: dict[str, set[int]] = {}
    for stood in flat:
        kind, _, name = stood.scope.partition(":")
        inside = (opened <= stood.begin) & (sent >= stood.begin) & (sent <= stood.end)
        if kind != "desk":
            inside &= (strategies if kind == "strategy" else instruments) == name
        seen.setdefault(stood.guard, set()).update(np.flatnonzero(inside).tolist())
    counts.update({guard: len(rows) for guard, rows in seen.items()})
    return counts


def _exit_sent(orders: pa.Table, fills: pa.Table, positions: pa.Table) -> Integers:
    """Return when the order was made that closed each position; -1 for those no order closed."""
    made = dict(cells(orders, "client_order_id", "ts_created"))
    exits = closing_fills(positions, fills)
    sent = [made.get(order, -1) if kind == "order" else -1 for order, kind in exits]
    return np.array(sent, dtype=np.int64)


SHOWN = 40
"""Most verdicts in the table."""


def guards(report: ReportData, _: Drawings) -> str:
    """Acts and worth of each guard, then verdict by verdict."""
    keys, found = _keys(report), report.verdict_spans
    if not keys and not found:
        return "<p>This run had no guards.</p>"
    did = acts(found, report.orders, report.fills, report.positions, report.decisions)
    if not did:
        count = "One guard" if len(keys) == 1 else f"{len(keys)} guards"
        return (
            f"<p>{count} watched and had nothing to say: no verdict, no order refused. "
            "Without them every order would have been the same.</p>"
        )
    return _by_guard(report, keys, did) + _verdicts(found)


def legend(found: Sequence[VerdictSpan]) -> str:
    """Legend of the colours below the curve; empty without verdicts."""
    used = {span.action for span in found}
    swatches = "".join(
        f'<span class="swatch"><i class="{action}"></i>{action.replace("_", " ")}</span>'
        for action in STRICTNESS
        if action in used
    )
    if not swatches:
        return ""
    return (
        f'<p class="hint">{swatches}Below the curve: when each guard held something back, in the '
        "colour of the strictest that stood. Behind it: what was asked of the whole desk or of a "
        "strategy.</p>"
    )


def _by_guard(report: ReportData, keys: list[str], did: dict[str, GuardActs]) -> str:
    table_of = report.guard_costs
    costs = {} if table_of is None else {row["guard"]: row for row in table_of.to_pylist()}
    worth = ["Saved, USDT", "Drawdown without", "Ends without at"] if costs else []
    head = ["", *worth, "Tripped", "Stood", "Refused", "Held back", "Closed"]
    rows = [
        [
            text(key),
            *_worth(costs, key),
            number(done.tripped, 0),
            span(done.stood) if done.stood else UNDEFINED,
            number(done.refused, 0),
            number(done.held_back, 0),
            number(done.closed, 0),
        ]
        for key, done in did.items()
    ]
    if costs:
        rows.append(["All of them", *_worth(costs, ALL), *[""] * 5])
    idle = [key for key in keys if key not in did]
    return (
        table(head, rows, kind="total" if costs else "")
        + _explained(report, costs)
        + _stood_by(idle)
    )


def _stood_by(keys: list[str]) -> str:
    if not keys:
        return ""
    count, each = ("One", "It") if len(keys) == 1 else (str(len(keys)), "Each")
    return (
        f"<p>{count} more stood by: {text(', '.join(keys))}. {each} gave no verdict and refused no "
        "order: the run without it is the same, so it saved and cost nothing.</p>"
    )


def _explained(report: ReportData, costs: dict[str, dict[str, Any]]) -> str:
    words = (
        "Refused: orders that the gate turned away. Held back: orders that strategies did not even "
        "send, and entries that a shrink made smaller as they were sent. Closed: positions that "
        "were open when the guard said flatten, and closed while that stood. "
    )
    if not costs and report.summary["how_filled"]["mode"] == LIVE:
        return f'<p class="hint">{words}</p>'
    if not costs:
        return (
            f'<p class="hint">{words}What each guard cost or saved was not worked out '
            "(<code>perpdesk backtest --guard-costs</code>).</p>"
        )
    summary = report.summary
    ruined = "".join(
        f"<p>Without {'any guard' if key == ALL else text(key)} the account is liquidated on "
        f"{date(row['liquidated_at'])}.</p>"
        for key, row in costs.items()
        if row["liquidated_at"] is not None
    )
    return (
        f'<p class="hint">{words}Saved: what the run ends with, '
        f"{number(summary['ending_equity'], 2)} USDT, less what the very same run ends with "
        "without that one guard; negative is what it cost. With all of them the largest drawdown "
        f"is {percent(summary['max_drawdown'], 2)}. The lines do not add up: where two guards "
        "would have acted, leaving out one alone changes little. What a guard cost or saved once, "
        "on one stretch of history, says little about the next.</p>" + ruined
    )


def _verdicts(found: Sequence[VerdictSpan]) -> str:
    if not found:
        return ""
    rows = [
        [
            when(one.begin),
            "the end" if one.open else when(one.end),
            text(one.guard),
            scope_of(one.scope),
            f'<td><span class="swatch"><i class="{text(one.action)}"></i>'
            f"{size_of(one.action, one.multiplier)}</span>",
            value(one.measured),
            value(one.limit),
            f'<td class="wide">{text(one.reason)}',
        ]
        for one in found[:SHOWN]
    ]
    head = ["From, UTC", "To", "Guard", "Scope", "Asked", "Measured", "Limit", "Why"]
    note = (
        f'<p class="hint">Showing the first {SHOWN} of {len(found):,}; verdicts.parquet has all.'
        "</p>"
        if len(found) > SHOWN
        else ""
    )
    return "<h3>Verdicts</h3>" + table(head, rows, words=(0, 1, 2, 3, 4, 7), kind="verdicts") + note


def _worth(costs: dict[str, dict[str, Any]], key: str) -> list[str]:
    if not costs:
        return []
    row = costs.get(key)
    if row is None:
        return [UNDEFINED] * 3
    return [
        money(float(row["saved"])),
        percent(row["max_drawdown"], 2),
        number(float(row["ending_equity"]), 2),
    ]


def _keys(report: ReportData) -> list[str]:
    if report.guard_costs is not None:
        return [key for key in report.guard_costs.column("guard").to_pylist() if key != ALL]
    actors = report.result.document.get("actors") or {}
    return [str(key) for key, made in actors.items() if made.get("enabled", True)]
