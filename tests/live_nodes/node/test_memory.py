"""The alarm of a memory that grows, and the restart of the node that follows when it is flat."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from actors.records.journal_reading import read
from config.documents.watch import MemorySettings
from live_nodes.local.mailbox import MailRequest, ask
from live_nodes.node.memory import SAMPLES, MemoryWatch, resident_mb
from tests.live_nodes.killing import Ground
from tests.waiting import DEADLINE, eventually

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


class Leaks:
    """A node as a process of its own whose strategy keeps two megabytes a second."""

    def __init__(self, ground: Ground, *options: str) -> None:
        params = {"wants": {AAA: "1"}, "prices": {AAA: "100"}}
        use = "tests.live_nodes.desk_strategies:Leaking"
        self.node = ground.node(
            strategies={"leaks": {"use": use, "instruments": [AAA], "params": params}},
            watch={"memory": {"slope": 500, "window": 10, "restart": "flat"}},
        )
        self.output = self.node.file.with_suffix(".out")
        command = [sys.executable, "perpdesk.py", "live", str(self.node.file), *options]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)

    def said(self, words: str, times: int = 1) -> None:
        eventually(lambda: self.output.read_text().count(words) >= times, self.output.read_text)

    def flatten_when_it_grows(self) -> None:
        self.said("it restarts as soon as it is flat")
        assert self.node.positions()
        assert "restarts while flat" not in self.output.read_text()
        ask(self.node.folder, MailRequest(command="flatten", reason="I am off"))
        self.said("restarts while flat: memory grows by")
        self.said(" runs (pid ", 2)
        assert (self.process.poll(), self.node.positions()) == (None, {})

    def resident_mb(self) -> float:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(DEADLINE) == 0, self.output.read_text()


@pytest.mark.slow
def test_a_node_whose_memory_grows_begins_anew_once_it_is_flat(ground: Ground) -> None:
    leaks = Leaks(ground)
    try:
        leaks.said(" runs (pid ")
        first = leaks.resident_mb()
        eventually(lambda: leaks.resident_mb() > first + 60)
        leaks.flatten_when_it_grows()
        assert leaks.resident_mb() < first + 20
        with read(leaks.node.folder) as journal:
            assert [verdict.guard for _, verdict in journal.standing()] == ["operator"]
            newer, older = journal.runs(2)
        assert (newer.document, newer.pid) == (older.document, leaks.process.pid)
        assert older.phase == "stopped"
        leaks.stop()
    finally:
        leaks.process.kill()


@pytest.mark.slow
def test_it_does_not_take_up_what_its_file_says_by_now(ground: Ground) -> None:
    leaks = Leaks(ground)
    try:
        leaks.said(" runs (pid ")
        text = yaml.safe_load(leaks.node.file.read_text()) | {"stop_deadline": 40.0}
        leaks.node.file.write_text(yaml.safe_dump(text))
        leaks.flatten_when_it_grows()
        leaks.said("its document was changed: what ran goes on in this process")
        with read(leaks.node.folder) as journal:
            newer, older = journal.runs(2)
        assert newer.document == older.document
        leaks.stop()
    finally:
        leaks.process.kill()
