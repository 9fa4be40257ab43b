"""The report's section on pairs: results, costs by leg, exits, selections, charts of z-scores."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from backtests.report.charts import Drawings
from backtests.report.formats import date, money, number, percent, span, symbol, table, text
from backtests.report.pair_results import NO_PAIR, PairResult, last_prices, pair_events, results_of
from backtests.report.report_data import ReportData
from backtests.report.trade_list import curves_by_name
from backtests.results.result import PAIR_TABLES
from config.params import sound_instance
from strategies.messages import PairEvent
from strategies.pairs import PairsConfig

CAUSES = {
    "mean": "Mean",
    "policy": "Policy",
    "stop": "Stop",
    "time": "Time",
    "guard": "Guard",
    "halted": "Halted",
}
"""Cause of an exit to its heading."""
BOOKED = ("fees", "funding", "slippage")
SHOWN = ("z", "low", "high", "spread")


def pairs(report: ReportData, drawings: Drawings) -> str:
    """Results of the pairs of each strategy that trades pairs."""
    events, prices, keys = pair_events(report), last_prices(report), strategies_of(report)
    html, drawn = "", dict[str, Any]()
    for key in keys:
        mine, rules = [event for event in events if event.strategy == key], _rules(report, key)
        found = results_of(report, key, mine, prices)
        found.sort(key=lambda one: (one.name == NO_PAIR, -one.net(prices), one.name))
        html += f"<h3>{text(key)}</h3>" if len(keys) > 1 else ""
        traded = _results(found, prices) + _exits(found) if found else "<p>No pair was entered.</p>"
        html += traded + _selections(mine, rules)
        drawn |= _drawn(report, key, found, rules, f"{key} " if len(keys) > 1 else "")
    return html + _charts(drawn, drawings)


def strategies_of(report: ReportData) -> list[str]:
    """Return the keys of strategies that judged or selected pairs; none in a run without."""
    tables = filter(report.result.has, PAIR_TABLES)
    return sorted({key for t in tables for key in report.result.table(t)["strategy"].to_pylist()})


def _rules(report: ReportData, key: str) -> PairsConfig:
    own = report.result.document["strategies"][key]
    rules = sound_instance(PairsConfig, own.get("params") or {})
    assert isinstance(rules, PairsConfig)
    return rules


def _results(found: Sequence[PairResult], prices: Mapping[str, Decimal]) -> str:
    rows = [_row(one.name, [one], prices) for one in found] + [_row("All", found, prices)]
    legs = [
        [
            text(one.name),
            f"<td>{text(symbol(name))}",
            money(float(leg.gross(prices[name]))),
            *(_booked(getattr(leg, what), what) for what in BOOKED),
        ]
        for one in found
        for name, leg in one.legs.items()
    ]
    costs = ["Fees", "Funding", "Slippage"]
    lost = any(one.name == NO_PAIR for one in found)
    return (
        table(
            ["Pair", "Net, USDT", "Entries", "Winners", "Held", "Gross", *costs], rows, kind="total"
        )
        + '<p class="hint">Each fill is given to the pairs whose order it was part of, with its '
        "fee; what two pairs bought from each other is at the decision's price, without fee. Gross "
        "is at the prices of the fills, so slippage is in it."
        + (" No pair: what was closed for none of them, as by a guard." if lost else "")
        + "</p><details><summary>By leg</summary>"
        + table(["Pair", "Leg", "Gross", *costs], legs, words=(0, 1))
        + "</details>"
    )


def _row(name: str, of: Sequence[PairResult], prices: Mapping[str, Decimal]) -> list[str]:
    trades = [trade for one in of for trade in one.trades]
    held = [trade.closed - trade.opened for trade in trades if trade.closed is not None]
    won = sum(trade.net > 0 for trade in trades if trade.closed is not None)
    return [
        text(name),
        money(float(sum(one.net(prices) for one in of))),
        f"{len(trades):,}",
        percent(won / len(held) if held else None, 0),
        span(sum(held) / len(held)) if held else "–",
        money(float(sum(one.gross(prices) for one in of))),
        *(_booked(sum((one.total(what) for one in of), Decimal(0)), what) for what in BOOKED),
    ]


def _booked(value: Decimal, what: str) -> str:
    shown = float(value if what == "funding" else -value)
    return number(shown, signed=what == "funding")


def _exits(found: Sequence[PairResult]) -> str:
    """Why pairs were left or cut, and how long they were unhedged while they changed."""
    pairs = [result for result in found if result.name != NO_PAIR]
    left = {one.name: Counter(trade.cause for trade in one.trades) for one in pairs}
    causes = [key for key in CAUSES if any(n[key] for n in left.values())] or ["mean"]
    cuts = sorted({cut for one in pairs for cut, count in one.cuts.items() if count})
    rows = []
    for one in pairs:
        counts = [*(left[one.name][key] for key in causes), *(one.cuts[cut] for cut in cuts)]
        counts.append(sum(trade.closed is None for trade in one.trades))
        unhedged = np.array(one.unhedged or [(np.nan, np.nan)])
        seconds, values = (np.quantile(column, (0.5, 0.99)) for column in unhedged.T)
        measured = [*(number(q, 1) for q in seconds), *(number(q, 0) for q in values)]
        rows.append([text(one.name), *(f"{count:,}" for count in counts), *measured])
    head = ["Pair", *(CAUSES[key] for key in causes), *(f"Cut: {text(cut)}" for cut in cuts)]
    measures = ["Open", "Unhedged s, p50", "p99", "USDT s, p50", "p99"]
    return table([*head, *measures], rows, caption="Exits, and time unhedged") + (
        '<p class="hint">Mean, policy, stop, time and guard closed a pair; halted: one that was '
        "netted with one that left while entries were halted. A cut unwound an entry, or what "
        "was left of a pair, to what both legs had. Unhedged: seconds, and value times seconds, "
        "that one leg stood without the other, of each entry and exit; on candles both legs fill "
        "in one print, and only what another pair gave up is there before.</p>"
    )


def _selections(events: Sequence[PairEvent], rules: PairsConfig) -> str:
    select = rules.select
    if select is None:
        return ""
    rows = [
        [
            date(event.ts),
            *(f"{event.facts[key]:,}" for key in ("possible", "tested", "significant")),
            f"{len(event.facts['chosen']):,}",
            number(event.facts["threshold"], 4),
            f'<td class="wide">{text(", ".join(event.facts["chosen"]) or "none")}',
        ]
        for event in events
        if event.kind == "selected"
    ]
    head = ["Selected", "Possible", "Tested", "Significant", "Chosen", "p at most", "Pairs"]
    corrected = select.correction.replace("_", "-").title()
    least = select.min_correlation
    correlated = "" if least is None else f", of those that correlate by {least:g} or more"
    return table(head, rows, words=(0, 6), caption="Selection of pairs") + (
        f'<p class="hint">Engle and Granger\'s test on {select.formation:,} candles{correlated}, '
        f"at {percent(select.level, 1)}; correction for the number tested: {text(corrected)}. p at "
        "most: the largest p-value, uncorrected, that passed.</p>"
    )


def _drawn(
    report: ReportData, key: str, found: Sequence[PairResult], rules: PairsConfig, prefix: str
) -> dict[str, Any]:
    """Return the curve, levels and trades of each pair that was judged."""
    curves = report.result.table("pair_curves")
    curves = curves.filter(np.array(curves.column("strategy").to_pylist()) == key)
    ts, by_pair = curves_by_name(curves, curves.column("pair").to_pylist(), SHOWN)
    trades: dict[str, list[list[Any]]] = defaultdict(list)
    for result in found:
        for trade in result.trades:
            times = (at and at // 1_000_000_000 for at in (trade.opened, trade.closed))
            z = (None if v is None else round(v, 3) for v in (trade.z_entry, trade.z_exit))
            cause = CAUSES.get(trade.cause, "Cut")
            trades[result.name].append([*times, *z, trade.side, round(float(trade.net), 2), cause])
    levels = {"entry": rules.least_entry, "exit": rules.exit, "stop": rules.stop}
    return {
        prefix + name: {"ts": ts, "levels": levels, "trades": trades[name], **curve}
        for name, curve in by_pair.items()
    }


def _charts(drawn: dict[str, Any], drawings: Drawings) -> str:
    if not drawn:
        return ""
    drawings.tables["pairs"] = drawn
    options = "".join(f"<option>{text(name)}</option>" for name in sorted(drawn))
    return (
        '<div class="bar"><select id="pair-name" aria-label="Pair"><option value="">Choose a '
        f'pair</option>{options}</select></div><div id="pair-chart"></div>'
        '<div id="pair-spread"></div>'
        '<p class="hint">The z-score by which the strategy judged the pair: the last of each '
        "stretch of the window, in the band of its lowest and highest. ▲ long spread, ▼ short, × "
        "left, at the z-score of the decision; the line between them is green for a profit. "
        "Dashed: entry; dotted: exit; red: stop. A double click shows what is beyond. Below, the "
        "logarithm of the spread, less the mean by which z was judged: 1 % is what one per cent of "
        "a leg's price would be; the marks have the times above, and stand on the curve.</p>"
    )
