"""The drill in the practice world: a real node, killed and started again, on a real exchange."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from config.validate import checked
from live_nodes.drill.rows import DrillRow
from live_nodes.drill.run import drill
from tests.live_nodes.documents import GUARDED, daily, drilled, drilled_file
from tests.waiting import DEADLINE, eventually

ROOT = Path(__file__).resolve().parents[3]


def processes_of(folder: Path) -> list[int]:
    """Return the processes whose command line names a folder."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if str(folder).encode() in file.read_bytes():
                found.append(int(file.parent.name))
    return found


def failures(rows: list[DrillRow]) -> list[str]:
    return [f"{row.guard} in {row.world}: {row.why}" for row in rows if not row.passed]


def test_a_flatten_and_a_gate_act_alike_in_both_worlds(tmp_path: Path) -> None:
    spread = {"use": "actors.guards.spread:SpreadGate", "params": {"max_bps": 30}}
    resolved = drilled(tmp_path, {"daily": daily(), "spread": spread})
    folder = tmp_path / "drill"
    rows = drill(resolved, guards=("daily", "spread"), folder=folder)
    assert failures(rows) == []
    flat = {row.world: row.flat_s or 0.0 for row in rows if row.guard == "daily"}
    # One second of grace, then the closer; both worlds' venues fill at once or a second later.
    assert flat["backtest"] == pytest.approx(2.1, abs=0.2)
    assert 1.0 <= flat["practice"] < 10.0
    assert {row.kept for row in rows} == {"yes"}
    assert processes_of(folder) == []


@pytest.mark.slow
def test_a_guard_that_never_trips_fails_on_the_exchange_too(tmp_path: Path) -> None:
    blind = drilled(tmp_path, {"daily": daily("tests.live_nodes.odd_guards:Blind")})
    [row] = drill(blind, worlds=("practice",), guards=("daily",), folder=tmp_path / "drill")
    assert not row.passed
    assert row.why.startswith("no flatten on desk within 20 s of the breach")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("node", [GUARDED, "live_nodes/nodes/xs_reversal_practice.yaml"])
def test_every_guard_of_a_shipped_node_passes_in_both_worlds(tmp_path: Path, node: str) -> None:
    rows = drill(checked(node), folder=tmp_path)
    assert failures(rows) == []
    assert processes_of(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("signalled", [signal.SIGINT, signal.SIGTERM])
def test_a_drill_that_is_broken_off_leaves_no_process_behind(
    tmp_path: Path, signalled: signal.Signals
) -> None:
    file, folder = drilled_file(tmp_path, {"daily": daily()}), tmp_path / "drill"
    command = [sys.executable, "-m", "perpdesk", "risk", "drill", str(file), "--keep", str(folder)]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # As a shell's: a test run in the background would hand on that SIGINT is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        eventually((folder / "daily" / "node.log").exists)
        assert len(processes_of(folder)) >= 1
        time.sleep(2)
        os.kill(process.pid, signalled)
        said, _ = process.communicate(timeout=DEADLINE)
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert processes_of(folder) == []
