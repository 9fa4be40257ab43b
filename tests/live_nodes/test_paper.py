"""Paper: real data, and positions that are gone with the process."""

from __future__ import annotations

from decimal import Decimal as D
from pathlib import Path

import pytest

from actors.records.journal import Journal
from actors.records.rows import EquityRow, PositionRow
from live_nodes.node.launch import launch
from live_nodes.node.report import RunOptions
from live_nodes.operate.status import status_of
from tests.actors.test_journal import ORDER
from tests.live_nodes.stage import stage
from tests.live_nodes.test_launch import node


def test_a_paper_node_begins_anew_at_each_start_and_says_so(tmp_path: Path) -> None:
    """Its positions were in memory: a stamp that stayed done would leave it flat for good."""
    once = RunOptions(run_once=True)
    reports, said = [], []
    # It must breathe: the sandbox fills when something comes in.
    with stage() as exchange:
        for _ in range(2):
            lines: list[str] = []
            document = node(environment="paper", account={"name": "anna", "balance": 1_000})
            reports.append(
                launch(document, exchange.where, None, tmp_path, "hash", once, lines.append)
            )
            said.append([line for line in lines if line.startswith("paper:")])
    assert [report.outcome for report in reports] == ["ran once", "ran once"]
    # Half of 1,000 USDT each, at 50,000 and 3,000: no more than the touch shows.
    assert reports[0].positions == reports[1].positions
    assert reports[0].positions["BTCUSDT-LINEAR.BYBIT"] == D("0.01")
    for (line,) in said:
        assert "begins flat with 1000 USDT" in line
        assert "knows nothing of earlier runs" in line
    found = status_of("steady", tmp_path)
    assert found.state == "stopped"
    assert found.positions == []
    assert found.equity is not None


@pytest.mark.parametrize("environment", ["paper", "practice"])
def test_status_shows_no_positions_of_a_paper_run_that_is_gone(
    tmp_path: Path, environment: str
) -> None:
    there = [(1, 1), (1, 1), (1, 1)] if environment == "practice" else [(1, 1), (0, 0), (0, 0)]
    shown = []

    def look() -> None:
        found = status_of("test", tmp_path)
        shown.append((len(found.positions), len(found.orders)))

    for start in (10, 2_000):
        clock = [start]
        with Journal.open(tmp_path, node="test", clock_ns=lambda clock=clock: clock[0]) as journal:  # type: ignore[misc]
            journal.begin_run(environment=environment, document="abc")
            if start == 10:
                journal.intended(ORDER)
                journal.positions([PositionRow(ORDER.instrument, "rev", 11, D(1), D(5), D(0))])
                journal.equity(EquityRow(12, D(1), D(1), D(1), D(1)))
            look()
            journal.end_run("stopped", "told to")
        if start == 10:
            look()
    assert shown == there
