"""Collects the charts of a page while its sections are written."""

from __future__ import annotations

from typing import Any

from backtests.report.charts import Chart


class Drawings:
    """Hands out places for charts and keeps what `page.js` will draw there."""

    def __init__(self) -> None:
        self.specs: list[dict[str, Any]] = []

    def place(self, chart: Chart) -> str:
        """Return the element that the chart will be drawn in."""
        self.specs.append({"id": chart.key, "data": chart.data, "layout": chart.layout})
        return (
            f'<div class="chart" id="chart-{chart.key}" style="height:{chart.height}px" '
            'role="img"></div>'
        )
