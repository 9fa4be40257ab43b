"""The command line as a user meets it: exit codes, JSON, Ctrl-C, hash seeds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import perpdesk
from tests.conftest import RunCommand, WriteRun
from tests.waiting import eventually

COMMAND = [sys.executable, str(Path(perpdesk.__file__))]


def idea(folder: Path, body: str) -> dict[str, Any]:
    """Write a strategy whose scores are a line of Python; return what a document needs for it."""
    (folder / "faulty.py").write_text(
        "import time\nfrom strategies.xs_reversal import XSReversal, XSReversalConfig\n\n\n"
        "class Faulty(XSReversal):\n"
        "    Config = XSReversalConfig\n\n"
        "    @staticmethod\n"
        "    def scores(config, window):\n"
        f"        {body}\n",
        encoding="utf-8",
    )
    return {"allow": ["faulty"], "strategies": {"bad": {"use": "faulty:Faulty"}}}


def test_json_goes_to_stdout_alone_and_matches_the_summary(
    run_command: RunCommand, write_run: WriteRun, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = run_command("backtest", str(write_run()), "--out", str(out), "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out) == json.loads((out / "summary.json").read_text())


def test_an_older_result_is_replaced_only_when_asked(
    run_command: RunCommand, write_run: WriteRun, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ("backtest", str(write_run()), "--out", str(out))
    assert run_command(*words).code == 0
    before = (out / "summary.json").read_bytes()
    refused = run_command(*words)
    assert refused.code == 2
    assert refused.err.strip() == f"{out}: holds a result already; --overwrite replaces it"
    assert (out / "summary.json").read_bytes() == before
    assert run_command(*words, "--overwrite").code == 0
    assert (out / "summary.json").read_bytes() != before


def test_a_wrong_document_exits_2_before_any_engine_starts(
    run_command: RunCommand, write_run: WriteRun, tmp_path: Path
) -> None:
    file = write_run(venu={"leverage": 3}, window={"start": "2023-02-30", "end": "2023-04-01"})
    done = run_command("backtest", str(file), "--out", str(tmp_path / "out"))
    assert done.code == 2
    assert "did you mean venue?" in done.err
    assert "window.start" in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()


def test_a_missing_catalog_or_file_exits_2_and_is_named(
    run_command: RunCommand, write_run: WriteRun, tmp_path: Path
) -> None:
    no_catalog = write_run(catalog=str(tmp_path / "nowhere"))
    cases = ((no_catalog, "perpdesk catalog demo"), (tmp_path / "no.yaml", "no.yaml"))
    for file, words in cases:
        done = run_command("backtest", str(file))
        assert done.code == 2
        assert words in done.err
        assert "Traceback" not in done.err


def test_a_strategy_that_raises_stops_the_run_with_exit_1_and_leaves_nothing(
    run_command: RunCommand, write_run: WriteRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = idea(tmp_path, "raise RuntimeError('the idea is broken')")
    monkeypatch.syspath_prepend(str(tmp_path))
    file = write_run(**changes)
    out = tmp_path / "out"
    done = run_command("backtest", str(file), "--out", str(out))
    assert done.code == 1
    assert "the idea is broken" in done.err
    assert not out.exists()


def test_ctrl_c_leaves_nothing_half_written(write_run: WriteRun, tmp_path: Path) -> None:
    out, begun = tmp_path / "results" / "out", tmp_path / "begun"
    slow = f"open({str(begun)!r}, 'w').close(); time.sleep(1.0); raise RuntimeError"
    process = subprocess.Popen(
        [*COMMAND, "backtest", str(write_run(**idea(tmp_path, slow))), "--out", str(out)],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(perpdesk.__file__).parent}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell makes what runs in its background ignore SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    eventually(begun.exists)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Stopped by you" in errors
    assert "Traceback" not in errors
    assert not out.exists()
    left = list(out.parent.iterdir()) if out.parent.exists() else []
    assert [path.name for path in left if path.name.startswith(".")] == []


def test_any_hash_seed_gives_the_same_orders_and_figures(
    write_run: WriteRun, tmp_path: Path
) -> None:
    file = write_run(window={"start": "2023-02-01", "end": "2023-02-08"})
    found = []
    for seed in ("0", "12345"):
        out = tmp_path / seed
        done = subprocess.run(
            [*COMMAND, "backtest", str(file), "--out", str(out), "--json"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        summary = json.loads(done.stdout)
        for key in ("elapsed_s", "started"):
            summary.pop(key)
        tables = [
            pq.read_table(out / f"{name}.parquet").to_pylist()
            for name in ("orders", "fills", "decisions", "equity", "funding")
        ]
        assert all(tables[:3])
        found.append((summary, tables))
    assert found[0] == found[1]
