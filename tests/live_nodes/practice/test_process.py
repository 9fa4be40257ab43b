"""The exchange as a process: found, started, killed, started again, and stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from config.errors import InputError
from live_nodes.local.practice_process import (
    LOG,
    STATE,
    Endpoint,
    endpoint_file,
    ensure_exchange,
    running_exchange,
    stop_exchange,
)
from live_nodes.practice import commands
from tests.conftest import RunCommand
from tests.live_nodes.practice.test_admin import DOCUMENT, MANUAL
from tests.waiting import DEADLINE, eventually

ROOT = Path(__file__).parents[3]


def write(folder: Path, **changes: Any) -> Path:
    document = DOCUMENT.model_dump(mode="json", exclude_none=True) | {"kind": "exchange"} | changes
    file = folder / "exchange.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    return file


def ask(address: str, body: Any = None, method: str | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, method=method)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


def orders_and_positions(endpoint: Endpoint) -> Any:
    main = ask(f"{endpoint.admin}/state")["accounts"]["main"]
    orders = [(o["order_id"], o["status"], o["filled"]) for o in main["open_orders"]]
    coins = [(coin["coin"], coin["balance"]) for coin in main["wallet"]["coins"]]
    positions = [(p["symbol"], p["side"], p["size"], p["entry"]) for p in main["positions"]]
    return orders, positions, coins, [e["exec_id"] for e in main["executions"]]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    state = tmp_path / "state"
    yield state
    stop_exchange(state)


def test_a_killed_exchange_comes_back_as_it_was_where_it_was(
    run_command: RunCommand, tmp_path: Path, folder: Path
) -> None:
    file = write(tmp_path)
    first = ensure_exchange(file, folder)
    assert ensure_exchange(file, folder) == first
    assert ask(f"{first.http}/v5/market/time")["retCode"] == 0
    assert ask(f"{first.admin}/external_order", MANUAL)["status"] == "Filled"
    resting = ask(f"{first.admin}/external_order", MANUAL | {"price": "30000"})
    assert resting["status"] == "New"
    before = orders_and_positions(first)
    assert len(before[0]) == len(before[1]) == len(before[3]) == 1

    second = run_command("exchange", str(file), "--state", str(folder / STATE))
    assert second.code == 3
    assert f"(process {first.pid})" in second.err

    os.kill(first.pid, signal.SIGKILL)
    eventually(lambda: running_exchange(folder) is None)
    again = ensure_exchange(file, folder)
    assert again.pid != first.pid
    assert (again.port, again.admin_port) == (first.port, first.admin_port)
    assert orders_and_positions(again) == before
    filled = ask(f"{again.admin}/fill", {"account": "main", "order_id": resting["order_id"]})
    assert (filled["status"], filled["filled"]) == ("Filled", "0.01")

    assert stop_exchange(folder)
    assert not endpoint_file(folder / STATE).exists()
    assert not stop_exchange(folder)


def test_the_error_of_an_exchange_that_can_not_start_has_the_reason(
    tmp_path: Path, folder: Path
) -> None:
    folder.mkdir()
    (folder / LOG).write_text("of an earlier start\n")
    market = {"model": "replay", "catalog": str(tmp_path / "nowhere")}
    with pytest.raises(InputError) as raised:
        ensure_exchange(write(tmp_path, market=market), folder)
    assert "perpdesk catalog demo" in str(raised.value)
    assert "earlier" not in str(raised.value)


def test_a_projects_exchange_keeps_its_state_in_the_projects_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    document: Any = SimpleNamespace(name="demo")
    assert commands._state_of(document) == Path("state/exchange-demo/exchange.db")
    (tmp_path / "live_nodes").mkdir()
    assert commands._state_of(document) == Path("live_nodes/state/exchange-demo/exchange.db")


def test_the_command_stops_an_exchange_by_its_own_document_or_a_nodes(
    run_command: RunCommand, tmp_path: Path
) -> None:
    def stop(file: Path, *more: str) -> str:
        done = run_command("exchange", str(file), "--stop", *more)
        assert done.code == 0, done.err
        return done.out

    scenario = {"kind": "scenario", "name": "s", "faults": {"unmet": {"model": "lost_fill"}}}
    faults = tmp_path / "scenario.yaml"
    faults.write_text(yaml.safe_dump(scenario), encoding="utf-8")
    file = write(tmp_path, faults=str(faults))
    own = tmp_path / "own" / "other.db"
    assert stop(file, "--state", str(own)).startswith("no exchange runs")
    command = [sys.executable, "-m", "perpdesk", "exchange", str(file), "--state", str(own)]
    running = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert running.stdout is not None
        assert "practice exchange small" in running.stdout.readline()
        found = json.loads(stop(file, "--state", str(own), "--json"))
        assert (found["stopped"], found["unmet_faults"]) == (True, ["unmet"])
        assert running.wait(DEADLINE) == 0
        assert running.stderr is not None
        warning = "warning: the fault unmet never met a message it acts on"
        assert warning in running.stderr.read()
    finally:
        running.kill()
        running.communicate()
    node = tmp_path / "node.yaml"
    document = yaml.safe_load((ROOT / "live_nodes/nodes/xs_reversal_practice.yaml").read_text())
    document |= {
        "state": str(tmp_path / "state"),
        "extends": str(ROOT / "config/setups/xs_reversal.yaml"),
    }
    node.write_text(yaml.safe_dump(document), encoding="utf-8")
    folder = tmp_path / "state" / "xs_reversal" / "practice" / "exchange"
    ensure_exchange(file, folder)
    assert "its state is kept" in stop(node)
    assert running_exchange(folder) is None
