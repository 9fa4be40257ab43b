"""Reports as text, for tests."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from backtests.report.page import render
from backtests.results.result import RunRecord, write

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


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


def drawn_by_a_browser(page: str, folder: Path, width: int, probe: str = "") -> str:
    """Return what a browser makes of a page: all charts, no error, no sideways scroll."""
    wide = """<script>addEventListener("load", () => { const d = document.documentElement;
      d.dataset.wide = d.scrollWidth > innerWidth; });</script>"""
    probe += wide
    errors = "<script>onerror = (e) => document.documentElement.dataset.error = e;</script><style>"
    probed = page.replace("<style>", errors, 1).replace("</body>", f"{probe}</body>")
    (folder / "probe.html").write_text(probed, encoding="utf-8")
    done = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
            *("--no-first-run", "--disable-background-networking", "--disable-sync"),
            *("--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND"),
            *(f"--user-data-dir={folder / 'profile'}", f"--window-size={width},2000"),
            *("--virtual-time-budget=5000", "--enable-logging=stderr", "--dump-dom"),
            f"file://{folder / 'probe.html'}",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    count = len(charts_of(page))
    top = re.search(r"<html[^>]*>", done.stdout).group(0)
    assert f'data-drawn="{count}"' in top
    assert 'data-wide="false"' in top
    assert "data-error" not in top
    assert done.stdout.count('class="chart js-plotly-plot"') == count
    assert "CONSOLE" not in done.stderr
    return done.stdout


def charts_of(page: str) -> dict[str, Any]:
    return {spec["id"]: spec for spec in _json(page, "charts")}


def tables_in(page: str) -> dict[str, Any]:
    return _json(page, "tables")


def _json(page: str, key: str) -> Any:
    found = re.search(rf'id="{key}">(.*?)</script>', page, re.S)
    assert found is not None
    return json.loads(found.group(1))
