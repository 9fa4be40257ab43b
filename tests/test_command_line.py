"""The command line as a user meets it: exit codes, JSON, Ctrl-C, hash seeds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq

from tests.conftest import WriteRun

PROJECT = Path(__file__).resolve().parents[1]
COMMAND = [sys.executable, str(PROJECT / "perpdesk.py")]


def perpdesk(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_json_goes_to_stdout_alone_and_matches_the_summary(
    write_run: WriteRun, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = perpdesk("backtest", str(write_run()), "--out", str(out), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((out / "summary.json").read_text())


def test_a_wrong_document_exits_2_before_any_engine_starts(
    write_run: WriteRun, tmp_path: Path
) -> None:
    file = write_run(venu={"leverage": 3}, window={"start": "2023-02-30", "end": "2023-04-01"})
    done = perpdesk("backtest", str(file), "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "did you mean venue?" in done.stderr
    assert "window.start" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_missing_catalog_exits_2_and_says_how_to_make_one(
    write_run: WriteRun, tmp_path: Path
) -> None:
    done = perpdesk("backtest", str(write_run(catalog=str(tmp_path / "nowhere"))))
    assert done.returncode == 2
    assert "perpdesk catalog demo" in done.stderr


def test_a_missing_file_exits_2(tmp_path: Path) -> None:
    done = perpdesk("backtest", str(tmp_path / "no.yaml"))
    assert done.returncode == 2
    assert "no.yaml" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_strategy_that_raises_stops_the_run_with_exit_1_and_leaves_nothing(
    write_run: WriteRun, tmp_path: Path
) -> None:
    package = tmp_path / "faulty"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "idea.py").write_text(
        "from strategies.xs_reversal import XSReversal, XSReversalConfig\n\n\n"
        "class Faulty(XSReversal):\n"
        "    Config = XSReversalConfig\n\n"
        "    @staticmethod\n"
        "    def scores(config, window):\n"
        "        raise RuntimeError('the idea is broken')\n",
        encoding="utf-8",
    )
    file = write_run(allow=["faulty"], strategies={"bad": {"use": "faulty.idea:Faulty"}})
    out = tmp_path / "out"
    done = perpdesk("backtest", str(file), "--out", str(out), PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "the idea is broken" in done.stderr
    assert not out.exists()


def test_ctrl_c_leaves_nothing_half_written(write_run: WriteRun, tmp_path: Path) -> None:
    out = tmp_path / "results" / "out"
    process = subprocess.Popen(
        [*COMMAND, "backtest", str(write_run(slice_days=1)), "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(3.5)
    still_running = process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    if still_running and process.returncode != 0:
        assert process.returncode == 130, errors
        assert "Stopped by you" in errors
        assert "Traceback" not in errors
        assert not out.exists()
    left = list(out.parent.iterdir()) if out.parent.exists() else []
    assert [path.name for path in left if path.name.startswith(".")] == []


def test_any_hash_seed_gives_the_same_orders_and_figures(
    write_run: WriteRun, tmp_path: Path
) -> None:
    file = write_run(window={"start": "2023-02-01", "end": "2023-03-01"})
    found = []
    for seed in ("0", "12345"):
        out = tmp_path / seed
        done = perpdesk("backtest", str(file), "--out", str(out), "--json", PYTHONHASHSEED=seed)
        assert done.returncode == 0, done.stderr
        summary = json.loads(done.stdout)
        for key in ("elapsed_s", "started"):
            summary.pop(key)
        tables = [
            pq.read_table(out / f"{name}.parquet").to_pylist()
            for name in ("orders", "fills", "decisions", "equity", "funding")
        ]
        found.append((summary, tables))
    assert found[0] == found[1]
