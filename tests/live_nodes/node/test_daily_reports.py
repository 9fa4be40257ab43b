"""A running node has its daily report made by a process of its own, once a day."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from config.durations import DAY_NS, MINUTE_NS
from live_nodes.node import daily_reports
from live_nodes.node.report import RunOptions
from tests.live_nodes.documents import node_of
from tests.waiting import eventually

DAY = 20_000 * DAY_NS


@pytest.fixture
def node(tmp_path: Path) -> Any:
    """Return what a run's context has of a node that wants its reports."""
    told: list[tuple[str, ...]] = []
    return SimpleNamespace(
        node=node_of(reports={"daily": True}),
        options=RunOptions(),
        folder=tmp_path,
        say=lambda line: told.append(("said", line)),
        alerts=lambda *alert: told.append(alert),
        warn=lambda *alert: told.append(alert),
        told=told,
    )


@pytest.fixture
def prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return what lets the process print a text and its arguments instead of making a report."""

    def play(text: str) -> None:
        file = tmp_path / "python"
        file.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n{text}\n')
        file.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(file))

    return play


def test_a_day_is_reported_five_minutes_after_it() -> None:
    assert daily_reports.due(DAY + 5 * MINUTE_NS - 1) == ("2024-10-02", DAY + 5 * MINUTE_NS)
    following = DAY + DAY_NS + 5 * MINUTE_NS
    assert daily_reports.due(DAY + 5 * MINUTE_NS) == ("2024-10-03", following)


def test_the_summary_goes_the_way_of_all_alerts(
    node: Any, prints: Callable[[str], None], tmp_path: Path
) -> None:
    made = {"report": "reports/day.html", "text": "net +1", "sound": False}
    prints(f"echo '{json.dumps(made)}'")
    with daily_reports.daily_reports(Path("n.yaml"), ("a=1",), node):
        eventually(lambda: len(node.told) == 2, "the summary")
    assert node.told[0] == ("net +1", "warning", "daily report")
    asked = (tmp_path / "asked").read_text()
    assert asked.startswith("-m perpdesk report n.yaml --day 20")
    assert asked.endswith("--set a=1 --json --no-send\n")


def test_a_failure_is_told_and_what_is_there_or_not_wanted_is_not_made(
    node: Any, prints: Callable[[str], None], tmp_path: Path
) -> None:
    prints("echo 'no such key' >&2; exit 3")
    with daily_reports.daily_reports(Path("n.yaml"), (), node):
        eventually(lambda: node.told, "the failure")
    assert node.told[0][0].endswith("could not be made: no such key")
    (tmp_path / "asked").unlink()
    day, _ = daily_reports.due(time.time_ns())
    for wanted, there in ((False, "nothing"), (True, day)):
        (tmp_path / "reports").mkdir(exist_ok=True)
        (tmp_path / "reports" / f"{there}.html").touch()
        node.node = node_of(reports={"daily": wanted})
        with daily_reports.daily_reports(Path("n.yaml"), (), node):
            pass
    assert (len(node.told), (tmp_path / "asked").exists()) == (1, False)


def test_a_report_without_the_venue_s_log_is_made_again_later(
    node: Any, prints: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daily_reports, "AGAIN_NS", 0)
    day, _ = daily_reports.due(time.time_ns())
    (tmp_path / "reports").mkdir()
    unread = tmp_path / "reports" / f"{day}.unread"
    (tmp_path / "reports" / f"{day}.html").touch()
    unread.touch()
    made = json.dumps({"report": "day.html", "text": "net +1", "sound": True})
    prints(f"echo '{made}'; [ -e {tmp_path}/twice ] && rm -f {unread}; touch {tmp_path}/twice")
    with daily_reports.daily_reports(Path("n.yaml"), (), node):
        eventually(lambda: len(node.told) == 4, "the second report")
    assert not unread.exists()
