"""The heartbeat file, and what `perpdesk status` makes of its age."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from actors.records.journal import Journal
from live_nodes.local.heartbeat import FILE, STALE_S, Beat, Heartbeat, hangs, last_beat
from live_nodes.operate.status import rendered, status_of
from tests.live_nodes.test_status import MINUTE, written
from tests.waiting import eventually_async

SECOND = 1_000_000_000
PID = os.getpid()


def test_it_says_who_beats_when_and_what_stands(tmp_path: Path) -> None:
    said: list[str] = []
    heart = Heartbeat(tmp_path, said.append)
    heart.beat()
    found = last_beat(tmp_path)
    assert (found.pid, found.phase, found.guards, found.verdict) == (PID, "starting", {}, "")
    assert found.flat
    heart.guards = lambda: {"daily": 5, "late": None}
    heart.verdict = lambda: "flatten by daily: 5.1 % lost"
    heart.flat = lambda: False
    heart.beat("running")
    document = json.loads((tmp_path / FILE).read_text())
    assert document.pop("ts") >= found.ts
    assert document == {
        "pid": PID,
        "phase": "running",
        "guards": {"daily": 5, "late": None},
        "verdict": "flatten by daily: 5.1 % lost",
        "flat": False,
    }
    assert said == []
    assert os.listdir(tmp_path) == [FILE]


def test_it_beats_as_long_as_the_loop_turns(tmp_path: Path) -> None:
    async def run() -> list[int]:
        heart = Heartbeat(tmp_path, print)
        task = asyncio.create_task(heart.keep_beating())
        seen: set[int] = set()

        def beaten() -> bool:
            found = last_beat(tmp_path)
            seen.update(() if found is None else (found.ts,))
            return len(seen) >= 3

        await eventually_async(beaten)
        task.cancel()
        return sorted(seen)

    first, _, last = asyncio.run(run())
    # Once a second.
    assert last - first > 1.8e9


def test_a_folder_that_takes_no_file_is_told_once_and_stops_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    heart = Heartbeat(tmp_path / "gone", said.append)
    heart.beat()
    heart.beat()
    assert len(said) == 1
    assert "can't be written" in said[0]
    (tmp_path / "gone").mkdir()
    heart.beat()
    assert len(said) == 1


def test_what_is_no_heartbeat_counts_as_none(tmp_path: Path) -> None:
    assert last_beat(tmp_path) is None
    (tmp_path / FILE).write_text("{")
    assert last_beat(tmp_path) is None


def test_a_process_hangs_once_its_heartbeat_is_older_than_ten_seconds() -> None:
    now = 10 * MINUTE
    limit = round(STALE_S * SECOND)
    beat = Beat(ts=now - limit, pid=7, phase="running")
    assert hangs(beat, 7, 0, now) == ""
    assert "process 7 lives and has given no heartbeat for 10 s" in hangs(beat, 7, 0, now + 1)
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
        assert f"process {PID} lives and has given no heartbeat for 60 s" in found.hangs
        assert str(found.hangs) in str(rendered(found, 6 * MINUTE).renderables[0])  # type: ignore[attr-defined]
        # A run that has ended may take its time.
        journal.end_run()
        assert status_of("test", tmp_path, now_ns=9 * MINUTE).hangs == ""
    assert status_of("test", tmp_path, now_ns=9 * MINUTE).hangs == ""


def test_status_shows_the_age_of_the_heartbeat(tmp_path: Path) -> None:
    with Journal.open(tmp_path, node="test") as journal:
        journal.begin_run(environment="practice", document="abc")
        journal.phase("running")
        Heartbeat(tmp_path, print).beat("running")
        found = status_of("test", tmp_path)
        assert found.heartbeat is not None
        page = str(rendered(found, found.heartbeat + 4 * SECOND).renderables[0])  # type: ignore[attr-defined]
    assert "last heartbeat 4 s ago" in page
