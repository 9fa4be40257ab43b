"""The alarm of a memory that grows, and the restart of the node that follows when it is flat."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import yaml

from actors.records.journal_reading import read
from config.documents.watch import MemorySettings
from live_nodes.local.mailbox import MailRequest, ask
from live_nodes.node.memory import SAMPLES, MemoryWatch, resident_mb
from tests.live_nodes.killing import Ground
from tests.waiting import eventually

AAA = "AAAUSDT-LINEAR.BYBIT"


def test_growth_is_judged_over_a_full_window_and_said_once_until_it_ends() -> None:
    hour, said = [0.0], []
    sizes: list[float] = [400.0]
    watch = MemoryWatch(
        MemorySettings(slope=50, window=3600),
        said.append,
        clock_s=lambda: hour[0] * 3600,
        measure=lambda: sizes[0],
    )

    def pass_hours(hours: int, mb_an_hour: float) -> None:
        for _ in range(hours * SAMPLES):
            watch.look()
            watch.look()
            hour[0] += 1 / SAMPLES
            sizes[0] += mb_an_hour / SAMPLES

    pass_hours(1, 60)
    assert (watch.slope, watch.grows, said) == (None, "", [])
    pass_hours(1, 60)
    assert watch.slope == pytest.approx(60)
    assert len(said) == 1
    assert "memory grows by 60.0 MB an hour, more than watch.memory.slope (50)" in said[0]
    pass_hours(2, 40)
    assert (round(watch.slope or 0), watch.grows) == (40, "")
    pass_hours(1, 60)
    assert len(said) == 2


def test_the_resident_memory_grows_by_what_is_kept() -> None:
    before = resident_mb()
    if before is None:
        pytest.skip("this system has no /proc")
    kept = b"\1" * 50_000_000
    assert (resident_mb() or 0) - before == pytest.approx(50, abs=5)
    assert kept


@pytest.mark.slow
def test_a_node_whose_memory_grows_restarts_in_place_once_it_is_flat(ground: Ground) -> None:
    params = {"wants": {AAA: "1"}, "prices": {AAA: "100"}}
    use = "tests.live_nodes.desk_strategies:Leaking"
    memory = {"slope": 500, "window": 10, "restart": "flat"}
    node = ground.node(
        strategies={"leaks": {"use": use, "instruments": [AAA], "params": params}},
        watch={"memory": memory},
    )
    pid = node.begin()

    def said(words: str, times: int = 1) -> None:
        eventually(lambda: node.said().count(words) >= times, node.said)

    said("it restarts as soon as it is flat")
    # What its file says from here on is not what runs.
    text = yaml.safe_load(node.file.read_text()) | {"stop_deadline": 40.0}
    node.file.write_text(yaml.safe_dump(text))
    assert node.positions()
    assert "restarts while flat" not in node.said()
    ask(node.folder, MailRequest(command="flatten", reason="I am off"))
    said("restarts while flat: memory grows by")
    said(" runs (pid ", 2)
    assert (node.pid, node.dead, node.positions()) == (pid, False, {})
    with read(node.folder) as journal:
        assert [verdict.guard for _, verdict in journal.standing()] == ["operator"]
        newer, older = journal.runs(2)
    assert newer.document == older.document
    os.kill(node.pid, signal.SIGTERM)
    assert node.ended().code == 0, node.said()
    assert Path(node.folder / "alerts.jsonl").read_text().count("restarts while flat") == 1
