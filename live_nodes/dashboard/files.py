"""What the dashboard shows of files: ends of logs without secrets, results and their reports."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from actors.records.journal_files import NAME
from config.errors import InputError
from live_nodes.local.alerts import FILE
from live_nodes.local.folder import REPORTS
from live_nodes.local.keys import variables_of

TAIL = 512 * 1024
LOGS = {"node": "node.log", "alerts": FILE, "notes": NAME}
REPORT = "report.html"
RESULTS, FOLDERS = 500, 2000
_LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z? \[(\w+)\] ?(.*)", re.DOTALL)
_SECRET_NAME = re.compile(r"KEY|SECRET|TOKEN|PASSW|ALERT|CREDENTIAL", re.IGNORECASE)
_SECRETS = (
    re.compile(
        r"(?i)(\b[\w-]*(?:api[_-]?key|secret|token|passw\w*|signature|authorization|bearer)[\w-]*"
        r"[\"']?\s*[:=]\s*[\"']?(?:bearer\s+)?)[^\s\"',;}]+"
    ),
    re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@]+@"),
)
_SHORTEST = 8
"""Characters of a variable's value that is looked for: shorter ones stand in any text."""


def tail(file: Path, size: int = TAIL) -> list[str]:
    """Return the last whole lines of a file, none without one."""
    try:
        with file.open("rb") as opened:
            end = opened.seek(0, os.SEEK_END)
            opened.seek(max(0, end - size))
            lines = opened.read(size).decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return lines[1:] if end > size else lines


def masked(text: str) -> str:
    """Return a text without what looks like a secret, or is a value of a secret variable.

    >>> masked("apiKey=abc123 at https://me:word@host/x")
    'apiKey=*** at https://***@host/x'
    """
    for value in _values(tuple(sorted(os.environ))):
        text = text.replace(value, "***")
    return _SECRETS[1].sub(r"\1***@", _SECRETS[0].sub(r"\1***", text))


@lru_cache(maxsize=1)
def _values(names: tuple[str, ...]) -> tuple[str, ...]:
    known: Mapping[str, str] = os.environ
    with suppress(InputError):
        known = variables_of()
    found = [part for name in known if _SECRET_NAME.search(name) for part in known[name].split()]
    return tuple(sorted({v for v in found if len(v) >= _SHORTEST}, key=len, reverse=True))


def log_line(line: str) -> dict[str, Any]:
    """Return time, level and text of a line of a log; another line is text alone."""
    match = _LINE.match(line)
    if match is None:
        return {"ts": None, "level": "", "text": line}
    day, part, level, text = match.groups()
    second = datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
    ts = int(second) * 1000 + int((part or "0").ljust(3, "0")[:3])
    return {"ts": ts, "level": level, "text": text}


def results(folders: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """Return rows of the newest studies and backtests below folders, by their ids."""
    found = sorted(
        (row for folder in folders for row in _results_in(folder)), key=lambda r: -r["made"]
    )
    return {row["id"]: row for row in found[:RESULTS]}


def _results_in(root: Path) -> Iterator[dict[str, Any]]:
    for number, (place, names, files) in enumerate(os.walk(root)):
        folder = Path(place)
        if number >= FOLDERS or len(folder.relative_to(root).parts) > 3:
            names.clear()
        names[:] = [name for name in names if not name.startswith(".")]
        if root.name == REPORTS and folder == root:
            yield from (_day(folder / name) for name in files if name.endswith(".html"))
        for name, kind in (("best.json", "study"), ("summary.json", "backtest")):
            if name in files:
                names.clear()
                yield _result(folder, name, kind)
                break


def report_of(path: Path) -> Path:
    """Return the report of a row's path, which may be one itself."""
    return path if path.suffix == ".html" else path / REPORT


def _day(page: Path) -> dict[str, Any]:
    """Return the row of a node's daily report, which is one page in its state folder."""
    row = _row(page, "daily_report", page.stat().st_mtime_ns)
    return row | {"name": f"{page.parents[2].name} {page.stem}", "figures": {}}


def _result(folder: Path, name: str, kind: str) -> dict[str, Any]:
    file = folder / name
    changed = file.stat().st_mtime_ns
    return _row(folder, kind, changed) | _figures(file, kind, changed)


def _row(path: Path, kind: str, changed: int) -> dict[str, Any]:
    number = hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:16]
    report = f"/results/{number}/{REPORT}" if report_of(path).is_file() else None
    known: dict[str, Any] = dict.fromkeys(("start", "end", "accepted"))
    known["gates_failed"] = []
    made = changed // 1_000_000
    return {"id": number, "path": str(path), "made": made, "report": report, "kind": kind, **known}


@lru_cache(maxsize=RESULTS)
def _figures(file: Path, kind: str, changed: int) -> dict[str, Any]:
    try:
        read = json.loads(file.read_bytes())
        window = read["window"] if kind == "study" else (read["start"], read["end"])
        # A study's figures of the whole window are of the days that it was chosen by.
        figures = (read.get("out_of_sample") or {}) if kind == "study" else read
        names = ("return_pct", "sharpe", "sortino", "calmar", "max_drawdown", "trades")
        start, end = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in window)
        gates = [gate for gate in read.get("gates", []) if not gate.get("passed")]
        return {
            "name": read.get("study") or read.get("name") or file.parent.name,
            "start": int(start.timestamp() * 1000),
            "end": int(end.timestamp() * 1000),
            "figures": {name: figures.get(name) for name in names},
            "accepted": read.get("accepted"),
            "gates_failed": [gate.get("name") for gate in gates],
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        return {"name": file.parent.name, "error": f"{file}: can't be read: {error}"}
