"""Draw verdicts on the equity curve: bands behind it, and a lane for each guard.

Verdicts that overlap in a lane are one bar in the colour of the strictest, so that a lane of a
thousand instruments' verdicts stays small.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np

from backtests.report.charts import Chart
from backtests.report.formats import moment, size_of, symbol, text, value
from backtests.report.report_data import VerdictSpan
from config.durations import SECOND_NS

STRICTNESS = ("shrink", "halt_entries", "reduce_only", "flatten")
"""Actions from mild to strict; each is also the name of its colour in `page.css`."""
BARS = 1_000
"""Most bars of all lanes together; beyond it, close bars are drawn as one."""
LANE = 24
"""Height in pixels."""
_WRAPPED = 64


@dataclass(frozen=True, slots=True)
class LaneBar:
    """A stretch with one strictest action, UNIX nanoseconds (UTC).

    `lead` is the first of its strictest verdicts; `most` is the highest number of verdicts at once.
    """

    lead: VerdictSpan
    begin: int
    end: int
    most: int


def bars(found: Sequence[VerdictSpan], gap: int = 0) -> list[LaneBar]:
    """Return the bars in time order; joins bars of one action at most `gap` nanoseconds apart."""
    # A verdict that was changed in the same nanosecond never stood.
    stood = [(index, span) for index, span in enumerate(found) if span.end > span.begin]
    changes = sorted(
        [(span.begin, index, True) for index, span in stood]
        + [(span.end, index, False) for index, span in stood]
    )
    standing: dict[int, VerdictSpan] = {}
    made: list[LaneBar] = []
    since = 0
    for ts, several in groupby(changes, key=lambda change: change[0]):
        if standing and ts > since:
            strictest = max(standing.values(), key=_strictness)
            _add(made, LaneBar(strictest, since, ts, len(standing)), gap)
        for _, index, begins in several:
            if begins:
                standing[index] = found[index]
            else:
                del standing[index]
        since = ts
    return made


def lanes(
    found: Sequence[VerdictSpan], window: tuple[int, int]
) -> tuple[dict[str, list[LaneBar]], int]:
    """Return each guard's bars, and the gap in nanoseconds below which bars were joined."""
    by_guard: dict[str, list[VerdictSpan]] = {}
    for span in found:
        by_guard.setdefault(span.guard, []).append(span)
    gap = 0
    while True:
        made = {guard: bars(mine, gap) for guard, mine in sorted(by_guard.items())}
        if sum(map(len, made.values())) <= BARS or gap > window[1] - window[0]:
            return made, gap
        gap = max(2 * gap, (window[1] - window[0]) // 2_000)


def with_verdicts(chart: Chart, found: Sequence[VerdictSpan], window: tuple[int, int]) -> Chart:
    """Return the equity chart with bands behind the curve and lanes below it."""
    if not found:
        return chart
    made, gap = lanes(found, window)
    broad = [span for span in found if not span.scope.startswith("instrument:")]
    height = chart.height + LANE * len(made) + 12
    foot = LANE * len(made) / height

    def moved(axis: dict[str, Any]) -> dict[str, Any]:
        low, high = axis["domain"]
        kept = chart.height / height
        return axis | {"domain": [1 - kept + kept * low, 1 - kept + kept * high]}

    layout = chart.layout | {
        "yaxis": moved(chart.layout["yaxis"]),
        "yaxis2": moved(chart.layout["yaxis2"]),
        "yaxis3": {
            "domain": [0, foot],
            "type": "category",
            "categoryorder": "array",
            "categoryarray": [text(guard) for guard in made][::-1],
            "range": [-0.5, len(made) - 0.5],
            "showgrid": False,
            "fixedrange": True,
        },
        "xaxis": chart.layout["xaxis"] | {"anchor": "y3"},
        "barmode": "overlay",
        # The pointer shows all standing verdicts at its time, not only on their lanes.
        "hoversubplots": "axis",
        "shapes": [_band(bar) for bar in bars(broad, max(gap, (window[1] - window[0]) // 2_000))],
    }
    drawn = [_lane(guard, mine) for guard, mine in made.items()]
    return Chart(chart.key, height, [*chart.data, *drawn], layout)


def hover_text(bar: LaneBar) -> str:
    """Return what is shown of a bar under the pointer, as the pseudo-HTML that plotly takes."""
    span = bar.lead
    asked = size_of(span.action, span.multiplier)
    lines = [
        f"<b>{text(span.guard)}</b>: {asked}, {scope_of(span.scope)}",
        f"{when(bar.begin)} – {'the end' if span.open else when(bar.end)} UTC",
        *map(text, textwrap.wrap(span.reason, _WRAPPED)),
    ]
    if span.measured is not None and span.limit is not None:
        lines.append(f"measured {value(span.measured)}, limit {value(span.limit)}")
    if span.until is not None:
        lines.append(f"until {when(span.until)} at least")
    if bar.most > 1:
        lines.append(f"with others: up to {bar.most} verdicts at once")
    return "<br>".join(lines)


def scope_of(scope: str) -> str:
    """Return the scope of a verdict, as escaped HTML text."""
    kind, _, name = scope.partition(":")
    return text(symbol(name) if kind == "instrument" else scope.replace(":", " "))


def when(ns: int) -> str:
    """Return the UTC date and minute; guards check a nanosecond before the full minute."""
    return moment((ns + SECOND_NS // 2) // SECOND_NS * SECOND_NS)


def _add(made: list[LaneBar], bar: LaneBar, gap: int) -> None:
    last = made[-1] if made else None
    if (
        last is not None
        and (last.lead.action, last.lead.multiplier) == (bar.lead.action, bar.lead.multiplier)
        and bar.begin - last.end <= gap
    ):
        lead = replace(last.lead, open=bar.lead.open, until=bar.lead.until)
        made[-1] = LaneBar(lead, last.begin, bar.end, max(last.most, bar.most))
    else:
        made.append(bar)


def _strictness(span: VerdictSpan) -> tuple[int, float, int]:
    known = span.action in STRICTNESS
    rank = STRICTNESS.index(span.action) if known else len(STRICTNESS)
    return rank, -span.multiplier, -span.begin


def _lane(guard: str, mine: list[LaneBar]) -> dict[str, Any]:
    colours = [f"@{bar.lead.action}/{_weight(bar.lead):.2f}" for bar in mine]
    return {
        "type": "bar",
        "orientation": "h",
        "name": text(guard),
        "yaxis": "y3",
        "y": [text(guard)] * len(mine),
        "base": [_time(bar.begin) for bar in mine],
        "x": [round((bar.end - bar.begin) / 1e6) for bar in mine],
        "width": 0.55,
        # The outline keeps a bar of one minute in two years visible.
        "marker": {"color": colours, "line": {"width": 1.5, "color": colours}},
        "customdata": [hover_text(bar) for bar in mine],
        "hovertemplate": "%{customdata}<extra></extra>",
        "showlegend": False,
    }


def _weight(span: VerdictSpan) -> float:
    return 0.9 - 0.5 * span.multiplier if span.action == "shrink" else 1.0


def _band(bar: LaneBar) -> dict[str, Any]:
    return {
        "type": "rect",
        "layer": "below",
        "x0": _time(bar.begin),
        "x1": _time(bar.end),
        "yref": "y domain",
        "y0": 0,
        "y1": 1,
        "fillcolor": f"@{bar.lead.action}/{0.2 * _weight(bar.lead):.2f}",
        "line": {"width": 0},
    }


def _time(ns: int) -> str:
    return str(np.datetime64((ns + SECOND_NS // 2) // SECOND_NS, "s"))
