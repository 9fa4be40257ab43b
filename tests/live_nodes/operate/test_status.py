"""`perpdesk status` from journal and heartbeat: whether a node runs, hangs, stopped or died."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from decimal import Decimal as D
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from actors.guards.core.snapshot import Snapshot
from actors.records.journal import Journal
from actors.records.rows import MARKS, EquityRow, PositionRow
from config.errors import InputError
from live_nodes.dashboard.pages import health_of
from live_nodes.local.heartbeat import FILE, STALE_S, Beat, Heartbeat, hangs, last_beat
from live_nodes.operate.status import rendered, status_of
from strategies.messages import Action, Decision, Target, Verdict
from tests.actors.test_journal import ORDER

MINUTE = 60_000_000_000


def told(folder: Path, node: str = "test", width: int = 140) -> str:
    """Return the page as a trader reads it, thirty seconds after the clock's last moment."""
    console = Console(width=width, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(rendered(status_of(node, folder), now_ns=10 * MINUTE), highlight=False)
    return re.sub(r" +\n", "\n", console.export_text())


def written(folder: Path) -> Journal:
    """Return a journal of a node that runs, with something of everything in it."""
    journal = Journal.open(folder, node="test", clock_ns=lambda: 5 * MINUTE)
    journal.begin_run(environment="practice", document="abc")
    journal.phase("running")
    journal.gate("clock", True, "3 ms")
    journal.intended(ORDER)
    journal.outcome(ORDER.client_order_id, "ACCEPTED", venue_order_id="v")
    journal.positions([PositionRow(ORDER.instrument, "rev", 1, D("0.5"), D("49000"), D("3.5"))])
    journal.save_state("", MARKS, msgspec.json.encode({ORDER.instrument: "49500.5"}))
    journal.positions([PositionRow("X-LINEAR.BYBIT", "rev", 1, D(0), D(0), D(1))])
    journal.equity(EquityRow(9 * MINUTE, D("10123.45"), D("10000"), D("24500"), D("-24500")))
    journal.link("trade", "down", "no pong")
    journal.verdict(
        Verdict(action=Action.HALT_ENTRIES, guard="node.links", reason="trade link down")
    )
    targets = (Target(instrument="X", order="1"), Target(instrument="Y"))
    journal.decision(
        Decision(
            strategy="rev",
            ts=4 * MINUTE,
            data_ts=3 * MINUTE,
            kind="rebalance",
            equity="10000",
            gross=1.0,
            net=0.01,
            targets=targets,
        )
    )
    journal.count("sweeps", 12)
    journal.note("link", "trade: fell silent")
    return journal


def test_a_node_that_runs_shows_everything(tmp_path: Path) -> None:
    with written(tmp_path) as running:
        lag = (3_000_000, 1_812_000_000)
        beat = Beat(ts=10 * MINUTE - 4 * SECOND, pid=PID, phase="running", feed_lag=lag)
        (tmp_path / FILE).write_bytes(msgspec.json.encode(beat))
        found = status_of("test", tmp_path)
        page = told(tmp_path)
        bought = PositionRow("AUSDT-SPOT.BYBIT", "rev", 9 * MINUTE + 1, D(1), D(2), D(0))
        running.positions([bought])
        assert "60 s ago, before the newest trades in AUSDT-SPOT" in told(tmp_path)
    assert "before the newest" not in page
    assert (found.state, found.pid) == ("running", os.getpid())
    assert found.as_of == 9 * MINUTE
    assert [p.instrument for p in found.positions] == [ORDER.instrument]
    for words in (
        "test  running",
        "last written 60 s ago",
        "last heartbeat 4 s ago",
        "feed lag 3 ms, at most 1,812 ms in the last minute",
        "equity 10,123.45",
        "net -24,500.00, written 60 s ago",
        "halt_entries on desk by node.links for 5 min: trade link down",
        "no pong",
        "49000",
        "49500.5",
        # 0.5 x (49500.5 - 49000)
        "250.25",
        ORDER.client_order_id,
        "last decision: rebalance by rev, 1970-01-01 00:04:00 UTC, 1 order, ",
        "sweeps 12",
        "trade: fell silent",
    ):
        assert words in page


def test_tables_hold_at_sixty_columns(tmp_path: Path) -> None:
    with written(tmp_path):
        page = told(tmp_path, width=60)
    assert re.search(r"BTCUSDT +rev +0\.5 +49000 +49500\.5 +250\.25 +3\.50\n", page), page
    assert re.search(r"BTCUSDT +BUY +0/0\.010 +50000\.1 +- +accepted\n", page), page
    assert max(map(len, page.splitlines())) <= 60


def test_a_node_that_stopped_says_why(tmp_path: Path) -> None:
    with written(tmp_path) as journal:
        journal.end_run("stopped", "told to")
    found = status_of("test", tmp_path)
    assert (found.state, found.pid) == ("stopped", None)
    assert "told to" in told(tmp_path)


def test_a_node_that_is_gone_has_no_link_that_is_ready_since(tmp_path: Path) -> None:
    with written(tmp_path) as journal:
        journal.link("private", "ready", "")
        journal.end_run("stopped", "told to")
    # Nine minutes is its last word; the page is read at ten.
    page = told(tmp_path)
    assert "all figures are as of 1970-01-01 00:09:00 UTC: the node is not running" in page
    assert "positions as of 1970-01-01 00:09:00 UTC" in page
    assert re.search(r"private +ready +4 min", page), page
    halt = "halt_entries on desk by node.links for 4 min as of 1970-01-01 00:09:00 UTC: trade link"
    assert halt in page
    # The next run shows no link before it has one, and none as older than itself.
    with Journal.open(tmp_path, node="test", clock_ns=lambda: 8 * MINUTE) as journal:
        journal.begin_run(environment="practice", document="abc")
        assert status_of("test", tmp_path).links == []
        journal.link("private", "ready", "")
        (link,) = status_of("test", tmp_path).links
        assert link.since == 8 * MINUTE


def test_a_start_that_was_refused_names_its_gate(tmp_path: Path) -> None:
    with Journal.open(tmp_path, node="test") as journal:
        journal.begin_run(environment="testnet", document="abc")
        journal.gate("clock", False, "2 s late")
        journal.end_run("failed", "gate clock")
    assert status_of("test", tmp_path).state == "failed"
    assert "gate clock refused: 2 s late" in told(tmp_path)


@pytest.mark.parametrize(("environment", "left"), [("paper", False), ("demo", True)])
def test_a_killed_node_leaves_orders_and_positions_at_a_venue_and_none_on_paper(
    tmp_path: Path, environment: str, left: bool
) -> None:
    with Journal.open(tmp_path, node="test", clock_ns=lambda: MINUTE) as journal:
        journal.begin_run(environment=environment, document="abc")
    page = told(tmp_path, width=400)
    assert ("Its orders may rest at the venue" in page) is left
    assert ("its orders and positions on paper ended with it" in page) is not left
    bad, why = health_of(status_of("test", tmp_path), 10 * MINUTE)
    assert (bad, "nothing watches its positions" in why[0]) == ("bad", left)


def test_a_node_that_was_killed_is_dead_and_its_last_words_are_there(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; "
        "from tests.live_nodes.operate.test_status import *; "
        "written(Path(sys.argv[1])); print('written', flush=True); time.sleep(60)"
    )
    node = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert node.stdout.readline() == "written\n"
    assert (status_of("test", tmp_path).state, status_of("test", tmp_path).pid) == (
        "running", node.pid,
    )  # fmt: skip
    node.send_signal(signal.SIGKILL)
    node.communicate()
    found = status_of("test", tmp_path)
    assert (found.state, found.pid) == ("dead", None)
    assert "its process was killed" in told(tmp_path)
    assert [order.client_order_id for order in found.orders] == [ORDER.client_order_id]


def test_machines_get_decimals_as_text(tmp_path: Path) -> None:
    with written(tmp_path):
        document = json.loads(status_of("test", tmp_path).as_json())
    assert document["state"] == "running"
    assert document["positions"][0]["quantity"] == "0.5"
    assert document["verdicts"][0]["verdict"]["guard"] == "node.links"
    assert document["last_decision"]["kind"] == "rebalance"


def test_a_node_that_never_ran_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="never been started"):
        status_of("test", tmp_path)


SECOND = 1_000_000_000
PID = os.getpid()


def test_a_heartbeat_has_process_phase_guards_and_strictest_verdict(tmp_path: Path) -> None:
    said: list[str] = []
    heart = Heartbeat(tmp_path, said.append)
    heart.beat()
    found = last_beat(tmp_path)
    assert (found.pid, found.phase, found.guards, found.verdict) == (PID, "starting", {}, "")
    assert found.flat
    heart.guards = lambda: {"daily": found.ts, "late": None}
    heart.silent = lambda: ["late"]
    heart.verdict = lambda: "flatten by daily: 5.1 % lost"
    heart.flat = lambda: False
    heart.feed_lag = lambda: (3, 9)
    heart.links_down = lambda: ("trade",)
    heart.desk = lambda: Snapshot(now=0, equity=D("949.5"))
    heart.beat("running")
    document = json.loads((tmp_path / FILE).read_text())
    assert document.pop("ts") >= found.ts
    assert document == {
        "pid": PID,
        "phase": "running",
        "silent": ["late"],
        "guards": {"daily": found.ts, "late": None},
        "verdict": "flatten by daily: 5.1 % lost",
        "flat": False,
        "feed_lag": [3, 9],
        "links_down": ["trade"],
        "stalled": "",
        "equity": "949.5",
        "peak": {"day": 0, "value": "949.5", "flows": "0"},
        "drawdown": 0.0,
    }
    assert said == []
    assert os.listdir(tmp_path) == [FILE]


def test_a_heartbeat_that_cannot_be_written_is_reported_once(tmp_path: Path) -> None:
    said: list[str] = []
    heart = Heartbeat(tmp_path / "gone", said.append)
    heart.beat()
    heart.beat()
    assert len(said) == 1
    assert "can't be written" in said[0]
    (tmp_path / "gone").mkdir()
    heart.beat()
    assert len(said) == 1


def test_an_unreadable_heartbeat_counts_as_none(tmp_path: Path) -> None:
    assert last_beat(tmp_path) is None
    (tmp_path / FILE).write_text("{")
    assert last_beat(tmp_path) is None


def test_a_process_hangs_once_its_heartbeat_is_older_than_ten_seconds() -> None:
    now = 10 * MINUTE
    limit = round(STALE_S * SECOND)
    beat = Beat(ts=now - limit, pid=7, phase="running")
    assert hangs(beat, 7, 0, now) == ""
    assert "process 7 lives but has written no heartbeat for 10 s" in hangs(beat, 7, 0, now + 1)
    # It builds its engine in one go.
    starting = Beat(ts=0, pid=7, phase="starting")
    assert hangs(starting, 7, 0, 120 * SECOND) == ""
    assert "for 121 s" in hangs(starting, 7, 0, 121 * SECOND)
    # A full disk takes no heartbeat of a node that is well.
    said = hangs(beat, 7, 0, now + 1)
    assert said.index("if its disk is full, free space") < said.index("kill -9 7")
    # Another process's heartbeat says nothing: what counts is how long ago the run began.
    assert hangs(beat, 8, now - limit, now) == ""
    assert "no heartbeat for 10 s" in hangs(beat, 8, now - limit - 1, now)
    assert hangs(None, 8, now - limit, now) == ""
    # A clock that was set back.
    assert hangs(Beat(ts=now + 1, pid=7, phase="running"), 7, 0, now) == ""


def test_status_says_that_a_node_hangs_and_since_when(tmp_path: Path) -> None:
    with written(tmp_path) as journal:
        found = status_of("test", tmp_path, now_ns=5 * MINUTE + 9 * SECOND)
        assert found.hangs == ""
        found = status_of("test", tmp_path, now_ns=6 * MINUTE)
        assert f"process {PID} lives but has written no heartbeat for 60 s" in found.hangs
        assert str(found.hangs) in str(rendered(found, 6 * MINUTE).renderables[0])  # type: ignore[attr-defined]
        # A run that has ended may take its time.
        journal.end_run()
        assert status_of("test", tmp_path, now_ns=9 * MINUTE).hangs == ""
    assert status_of("test", tmp_path, now_ns=9 * MINUTE).hangs == ""
