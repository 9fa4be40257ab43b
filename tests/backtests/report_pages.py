"""Reports as text, for tests."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from backtests.report.page import render
from backtests.results.result import RunRecord, write


def whole_page(record: RunRecord, folder: Path) -> str:
    return write(record, folder / "out", render).path.joinpath("report.html").read_text("utf-8")


def without_plotly(page: str) -> str:
    return page.replace(get_plotlyjs(), "")


def page_of(record: RunRecord, folder: Path) -> str:
    """Return the report's page without plotly's own script."""
    return without_plotly(whole_page(record, folder))


def section(page: str, key: str) -> str:
    found = re.search(rf'<section id="{key}">(.*?)</section>', page, re.S)
    assert found is not None
    return found.group(1)


def words(html: str) -> str:
    """Return the text that a reader sees, of a page or a section."""
    body = html.split("<body>")[-1].split('<script type="application/json"')[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)).replace("\u202f", " ")


def charts_of(page: str) -> dict[str, Any]:
    return {spec["id"]: spec for spec in _json(page, "charts")}


def tables_in(page: str) -> dict[str, Any]:
    return _json(page, "tables")


def _json(page: str, key: str) -> Any:
    found = re.search(rf'id="{key}">(.*?)</script>', page, re.S)
    assert found is not None
    return json.loads(found.group(1))
