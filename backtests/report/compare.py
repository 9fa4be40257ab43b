"""Compare results: figures side by side, all curves in one page, differing parameters."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from string import ascii_uppercase
from typing import Any

from actors import measures
from backtests.report.charts import Chart, Drawings, above_drawdowns, line, times
from backtests.report.formats import date, table, text
from backtests.report.page import page
from backtests.report.provenance import flat
from backtests.report.report_data import downsample
from backtests.results.console import ROWS, shown
from backtests.results.figures import curves
from backtests.results.result import Result, flows_of
from config.errors import InputError

COLOURS = ("accent", "btc", "good", "reduce_only", "bad", "flatten", "equal_weight", "shrink")

Results = Mapping[str, Result]
"""Results by letter."""


def lettered(results: list[Result]) -> dict[str, Result]:
    """Return the results by letter: names are long, and often equal.

    Raises InputError when there is only one, or more than there are letters.
    """
    if not 2 <= len(results) <= len(ascii_uppercase):
        raise InputError(f"compare takes 2 to 26 result folders, was given {len(results)}")
    return dict(zip(ascii_uppercase, results, strict=False))


def differences(results: Results) -> dict[str, list[str]]:
    """Return the paths at which the resolved documents differ, each with a value a result."""
    documents = [dict(flat(r.document)) for r in results.values()]
    paths = dict.fromkeys(path for document in documents for path in document)
    values = {path: [document.get(path, "–") for document in documents] for path in paths}
    return {path: found for path, found in values.items() if len(set(found)) > 1}


def cautions(results: Results) -> list[str]:
    """Return what makes the figures hard to compare, then the warnings of each result."""
    summaries = {letter: result.summary for letter, result in results.items()}
    found = []
    for keys, words in (
        (("start", "end"), "The windows differ: each figure is over its own window"),
        (("data_hash",), "They read different data or instruments"),
        (("engine_version",), "They ran on different versions"),
    ):
        values = {letter: [s[key] for key in keys] for letter, s in summaries.items()}
        if len({tuple(value) for value in values.values()}) > 1:
            each = ", ".join(f"{k} {' to '.join(v[:16] for v in vs)}" for k, vs in values.items())
            found.append(f"{words} ({each}).")
    return found + [f"{k}: {words}" for k, s in summaries.items() for words in s["warnings"]]


def render_comparison(results: Results) -> str:
    """Return the comparison as one HTML page that opens offline."""
    drawings, head = Drawings(), ["", *results]
    figures = [
        [label, *(shown(r.summary, key, shape) for r in results.values())]
        for key, label, shape in ROWS
    ]
    changed = [
        [f"<code>{text(path).replace('.', '.<wbr>')}</code>", *map(text, values)]
        for path, values in differences(results).items()
    ]
    sections = {
        "Curves": drawings.place(_curves(results)),
        "Figures": table(head, [[text(cell) for cell in row] for row in figures]),
        "Documents": table(head, changed, words=range(len(head)))
        if changed
        else "<p>The resolved documents are equal.</p>",
    }
    names = "".join(
        f"<p><b>{letter}</b> {text(result.path)} · {date(result.summary['start_ns'])} – "
        f"{date(result.summary['end_ns'] - 1)}</p>"
        for letter, result in results.items()
    )
    return page(
        "Comparison",
        f'<div class="eyebrow">perpdesk compare</div><h1>Comparison</h1>{names}',
        [text(words) for words in cautions(results)],
        [(title.lower(), title, title, html) for title, html in sections.items()],
        drawings,
    )


def _curves(results: Results) -> Chart:
    data: list[dict[str, Any]] = []
    bounds = []
    for (letter, result), colour in zip(results.items(), cycle(COLOURS), strict=False):
        summary, opening = result.summary, result.summary["starting_equity"]
        bounds += [summary["start_ns"], summary["end_ns"]]
        span = summary["start_ns"], summary["end_ns"]
        lines = curves(result.table("equity"), opening, *span, flows_of(summary))
        grown, depths = lines.equity / opening - 1, measures.drawdown(lines.equity)
        name = f"{letter} {text(summary['name'])}"
        for values, axis in ((grown, "y"), (depths, "y2")):
            kept = downsample(values)
            drawn = line(name, lines.ts[kept], values[kept], f"@{colour}", 1.6)
            shape = {"yaxis": axis, "showlegend": axis == "y", "hovertemplate": "%{y:.2%}"}
            data.append(drawn | shape)
    upper = {"tickformat": ".2~%", "title": {"text": "Return"}}
    window = {"range": times([min(bounds), max(bounds)])}
    return above_drawdowns("compared", data, upper, window)
