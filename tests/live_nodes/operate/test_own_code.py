"""Commands of a node whose strategy and guard are the trader's own, and can't be imported."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from actors.desk.guard_state import READINGS
from config.load import load
from live_nodes.local.folder import state_folder, written_node
from live_nodes.local.mailbox import pending
from live_nodes.local.releases import RUNS
from live_nodes.node.guard_status import of_guard
from live_nodes.operate.risk_status import unit_of
from perpdesk import build_app
from strategies.state import MemoryState
from tests.actors.tiny_guards import Loss, LossGuard, Table
from tests.live_nodes.documents import GUARDED, daily, node_file
from tests.live_nodes.reports.journals import two_days

OWN = "own_code_of_a_trader"
SLEEP_S = 30


@pytest.fixture(
    params=[
        'import sys\nsys.exit("set MY_MODEL_PATH")\n',
        "raise KeyboardInterrupt\n",
        "def x(:\n",
        f"import time\ntime.sleep({SLEEP_S})\n",
    ],
    ids=["exits", "interrupts", "is no Python", "sleeps"],
)
def node(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / f"{OWN}.py").write_text(request.param, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    file = node_file(
        tmp_path,
        environment="paper",
        state=str(tmp_path / "state"),
        allow=[OWN],
        strategies={"mine": {"use": f"{OWN}:Mine", "params": {"fast": 3}}},
        actors={"limit": {"use": f"{OWN}:Limit"}, "daily": daily()},
    )
    two_days(state_folder(written_node(file)))
    return file


def run(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(build_app(), [*map(str, words)])
    assert done.exit_code == code, (done.output, done.exception)
    return done.output + str(done.exception or "")


def test_what_watches_and_stops_a_node_needs_none_of_the_traders_code(
    node: Path, tmp_path: Path
) -> None:
    began, state = time.monotonic(), state_folder(written_node(node))
    assert "mine" in run("status", node)
    assert "limit" in run("risk", "status", node)
    assert "reads the halt" in run("risk", "halt", node, "--reason", "odd fills")
    assert "flat after" in run("risk", "flatten", node, "--reason", "a test")
    assert [request.command for request in pending(state)] == ["halt", "flatten"]
    run("risk", "release", node, "operator", "--reason", "seen")
    assert pending(state) == []
    assert "net +9.58 USDT" in run("report", node, "--day", "2024-10-05", "--no-send")
    assert "mine" in run("report", node, "--from", "2024-10-04", "--to", "2024-10-06")
    assert "not alive" in run("alive", node, code=1)
    assert "no chain yet" in run("audit", "verify", node, code=1)
    run("export", node)
    run("backup", node)
    assert "no exchange runs" in run("exchange", node, "--stop")
    assert "none needed" in run("keys", "check", node)
    assert "perpdesk-mine.service" in run("install", "systemd", node, "--to", tmp_path / "units")
    assert OWN not in sys.modules
    assert time.monotonic() - began < SLEEP_S


def test_what_ran_is_the_same_without_its_classes(tmp_path: Path) -> None:
    ran = load(GUARDED)
    (tmp_path / RUNS).write_text(ran.to_yaml(), encoding="utf-8")
    found = load(tmp_path / RUNS, imports=False)
    assert (found.config_hash, found.to_yaml()) == (ran.config_hash, ran.to_yaml())


class Counting(LossGuard):
    unit = "coins"


class OwnGuard(Loss):
    runs = Counting


def test_a_guards_unit_is_kept_with_its_readings() -> None:
    store = MemoryState()
    Table(OwnGuard(store=store)).look("1000")
    [found] = of_guard("loss", None, store.values[READINGS])
    assert unit_of(found) == "coins"
