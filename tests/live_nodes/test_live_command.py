"""`perpdesk live` as a process: exit codes, signals, and the exchange that it starts by itself."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.errors import GateRefused, InputError
from live_nodes.local.practice_process import running_exchange, stop_exchange
from live_nodes.operate.commands import live
from tests.waiting import DEADLINE, eventually

ROOT = Path(__file__).resolve().parents[2]
LAST_PHASE = "SELECT phase FROM runs ORDER BY id DESC LIMIT 1"


class Desk:
    """A node document on an exchange of its own, both below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "node.yaml"
        self.state = folder / "state" / "small" / "practice"
        self.exchange = self.state / "exchange"
        symbols = {
            "BTCUSDT": {"price": 60_000, "tick": 0.1, "lot": 0.001},
            "ETHUSDT": {"price": 3_000, "tick": 0.01, "lot": 0.01},
        }
        market = {
            "kind": "exchange",
            "name": "small",
            "market": {"model": "random", "symbols": symbols, "updates_per_second": 10},
            "accounts": {"main": {"balance": 100_000}},
            "update_ms": 100,
        }
        (folder / "market.yaml").write_text(yaml.safe_dump(market), encoding="utf-8")
        self.write()

    def write(self, **changes: Any) -> None:
        params = {
            "interval": "1m",
            "every": "1d",
            "at": "00:00",
            "fraction": 0.5,
            "max_weight": 0.5,
            "min_age_days": 0,
            "turnover_lookback": 1,
            # Behind the touch and patient: its orders rest when the signal comes.
            "execution": {
                "tactic": "maker_first",
                "place": "behind",
                "ticks": 500,
                "deadline": "5m",
            },
        }
        document = {
            "kind": "node",
            "name": "small",
            "environment": "practice",
            "tag": "c1",
            "account": {"name": "main"},
            "allow": ["tests"],
            "state": str(self.folder / "state"),
            "practice": {"market": str(self.folder / "market.yaml")},
            "strategies": {"steady": {"use": "tests.live_nodes.steady:Steady", "params": params}},
        }
        self.file.write_text(yaml.safe_dump(document | changes), encoding="utf-8")

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "perpdesk", "live", str(self.file), *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def until_logged(self, words: str) -> None:
        log = self.state / "node.log"
        eventually(lambda: log.is_file() and words in log.read_text(errors="replace"), words)

    def tables(self, question: str) -> list[Any]:
        with closing(sqlite3.connect(self.state / "journal.db")) as journal:
            assert journal.execute("PRAGMA quick_check").fetchone() == ("ok",)
            return journal.execute(question).fetchall()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Return a desk whose exchange, once a node has started it, serves all tests here."""
    made = Desk(tmp_path_factory.mktemp("desk"))
    try:
        yield made
    finally:
        stop_exchange(made.exchange)


@pytest.fixture
def desk(shared: Desk) -> Desk:
    shared.write()
    (shared.state / "node.log").unlink(missing_ok=True)
    return shared


def test_a_signal_cancels_entries_and_ends_well(desk: Desk) -> None:
    process = desk.start("--run-once", "--json")
    desk.until_logged("OrderAccepted")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, err
    report = json.loads(out)
    assert (report["outcome"], report["reason"], report["left"]) == ("stopped", "SIGTERM", [])
    # The exchange was started by the node, outlives it, and has no order of it left.
    assert running_exchange(desk.exchange) is not None
    assert desk.tables(LAST_PHASE) == [("stopped",)]
    ended = {status for (status,) in desk.tables("SELECT DISTINCT status FROM orders")}
    assert ended <= {"CANCELED", "FILLED"}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"force": True}, "--force belongs to --run-once"),
        ({"duration": "soon"}, "--for: expected a duration"),
        ({"duration": "5m", "run_once": True}, "exclude each other"),
        ({"settings": ["environment=mainet"]}, "did you mean mainnet"),
    ],
)
def test_wrong_input_is_named(desk: Desk, asked: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        live(desk.file, **asked)
    assert refused.value.exit_code == 2


def test_unconfirmed_mainnet_is_refused(desk: Desk) -> None:
    with pytest.raises(GateRefused, match="confirm: mainnet") as refused:
        live(desk.file, ["environment=mainnet"])
    assert refused.value.exit_code == 3
