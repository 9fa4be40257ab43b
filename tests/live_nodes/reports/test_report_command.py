"""`perpdesk report` of a node: the page of a day once, any time as a result, what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from backtests.results.result import read
from config.load import load
from live_nodes.local.folder import node_document, state_folder
from live_nodes.local.releases import RUNS
from live_nodes.reports import daily
from perpdesk import build_app
from tests.live_nodes.documents import node_file
from tests.live_nodes.practice.background import background
from tests.live_nodes.reports.journals import two_days


@pytest.fixture
def node(tmp_path: Path) -> Path:
    targets = {"targets": {"win_rate": 0.5}}
    file = node_file(tmp_path, state=str(tmp_path / "state"), environment="paper", reports=targets)
    two_days(state_folder(node_document(file)))
    return file


def report(*arguments: object, code: int = 0) -> Any:
    done = CliRunner().invoke(build_app(), ["report", *map(str, arguments), "--json"])
    assert done.exit_code == code, done.output
    return json.loads(done.stdout) if code == 0 else done


def test_a_day_has_one_page_and_one_message(
    node: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, str, str]] = []
    monkeypatch.setattr(
        daily, "send_now", lambda *message: sent.append(message[:3]) or ["channel 1 (Ear)"]
    )
    done = report(node, "--day", "2024-10-05", code=1)
    made = json.loads(done.stdout)
    assert "did not get to channel 1 (Ear)" in str(done.exception)
    assert sent == [("mine: daily report", made["text"], "info")]
    assert made["text"] == (
        "2024-10-05 UTC: net +9.58 USDT (+0.08 %), equity 12,019.48. BTCUSDT +9.58. 1 trades, "
        "fees 0.12, funding -0.30, slippage 0.00. paid in 2,000.00, out 0.00. up 0.0 %. "
        "books close, not compared with the venue's log"
    )
    page = Path(made["report"])
    assert page == tmp_path / "state/mine/paper/reports/2024-10-05.html"
    seen = page.read_text("utf-8")
    for words in (
        "The books close to the cent", "Paid in and taken out", "transfer in", "2,000.00 USDT were",
        "What the profit is made of", "No study was released", "Paper trades at no venue",
        "neither pays nor receives funding",
    ):  # fmt: skip
        assert words in seen
    again = report(node, "--day", "2024-10-05")
    assert (again["report"], again["text"]) == (made["report"], "")
    assert len(sent) == 1
    assert sorted(path.name for path in page.parent.iterdir()) == [".lock", "2024-10-05.html"]


def test_a_day_whose_venue_log_was_not_read_is_made_again_and_sent_once_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(daily, "send_now", lambda _, text, *more: sent.append(text) or [])

    def asked(port: int) -> None:
        links = {
            f"ws_{name}": f"ws://127.0.0.1:{port}/v5/{name}"
            for name in ("public", "private", "trade")
        }
        urls = {"http": f"http://127.0.0.1:{port}"} | links
        file = node_file(tmp_path, state=str(tmp_path / "state"), venue_urls=urls)
        if not sent:
            two_days(state_folder(node_document(file)))
        report(file, "--day", "2024-10-05")

    asked(1)
    asked(1)
    with background() as exchange:
        asked(exchange.port)
        asked(exchange.port)
    endings = [text.rsplit(". ", 1)[1] for text in sent]
    assert endings == [
        "books close, not compared with the venue's log",
        "THE VENUE'S LOG DISAGREES",
    ]
    page = tmp_path / "state/mine/practice/reports/2024-10-05.html"
    assert "could not be read" not in page.read_text("utf-8")
    assert not page.with_suffix(".unread").exists()


def test_a_day_without_the_node_has_no_page(node: Path) -> None:
    made = report(node, "--day", "2024-10-01")
    assert made["report"] is None
    assert "the node did not run then" in made["text"]


def test_any_time_becomes_a_result_that_reads_and_renders_like_a_backtest_s(
    node: Path, tmp_path: Path
) -> None:
    ran = load(node)
    (tmp_path / "state/mine/paper" / RUNS).write_text(ran.to_yaml(), encoding="utf-8")
    made = report(node, "--from", "2024-10-04", "--to", "2024-10-06", "--out", tmp_path / "out")
    result = read(tmp_path / "out")
    assert result.summary["config_hash"] == ran.config_hash
    assert result.summary["net_profit"] == 19.48
    assert result.summary["flows"] == [[1728108000000000000, "2000"]]
    assert result.summary["targets"]["win_rate"] == 0.5
    assert Path(made["report"]).read_text("utf-8").count('id="targets"') == 1
    assert "make it anew of its node" in str(report(tmp_path / "out", code=1).exception)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "give --day yesterday, or --from"),
        (["--day", "2999-01-01"], "is not over yet"),
        (["--day", "soon"], "give a day as 2026-03-31"),
        (["--from", "2024-10-05", "--to", "2024-10-04"], "must be after --from"),
        (["--from", "noon"], "give a UTC time"),
        (["--from", "2999-01-01"], "must be before now"),
        (["--from", "2023-01-01", "--to", "2023-01-02"], "the node did not run then"),
    ],
)
def test_what_can_t_be_reported_is_refused_with_the_remedy(
    node: Path, options: list[str], words: str
) -> None:
    assert words in str(report(node, *options, code=1).exception)
