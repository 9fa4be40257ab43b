"""What systemd hears of a node: readiness, and pings only while its trading loop makes progress."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from live_nodes.local.heartbeat import Beat
from live_nodes.local.service_manager import ADDRESS, service_manager
from tests.live_nodes.killing import Ground
from tests.live_nodes.node.test_metrics import free_port, get
from tests.waiting import eventually


class Manager:
    """systemd's end of the socket."""

    def __init__(self, file: Path) -> None:
        self.address = str(file)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)

    def heard(self, seconds: float = 0.0) -> list[str]:
        """Return the lines that came, and those that come until it is quiet for so long."""
        self._socket.settimeout(seconds)
        lines: list[str] = []
        try:
            while True:
                lines += self._socket.recv(4096).decode().splitlines()
        except (TimeoutError, BlockingIOError):
            return lines

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    monkeypatch.setenv(ADDRESS, made.address)
    yield made
    made.close()


def beat(phase: str = "running", **changes: object) -> Beat:
    return Beat(**({"ts": 1, "pid": 2, "phase": phase} | changes))  # type: ignore[arg-type]


def test_each_beat_of_a_loop_with_progress_is_a_ping(manager: Manager) -> None:
    told = service_manager()
    told(beat("starting"))
    assert manager.heard() == ["STATUS=starting", "WATCHDOG=1", "EXTEND_TIMEOUT_USEC=60000000"]
    told(beat(verdict="halt_entries by daily: ≥ 2 %\nlost"))
    assert manager.heard() == ["STATUS=halt_entries by daily: ? 2 % lost", "WATCHDOG=1", "READY=1"]
    told(beat(stalled="no guard was evaluated for 12 s"))
    assert manager.heard() == ["STATUS=no guard was evaluated for 12 s", "READY=1"]


def test_a_manager_that_is_gone_or_does_not_read_costs_nothing(manager: Manager) -> None:
    told = service_manager()
    # Many more than its socket holds.
    for _ in range(5_000):
        told(beat())
    manager.close()
    told(beat())


def test_without_a_manager_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ADDRESS, raising=False)
    service_manager()(beat())


@pytest.mark.slow
def test_a_loop_that_hangs_stops_the_pings_though_its_process_and_threads_live(
    ground: Ground, manager: Manager
) -> None:
    port = free_port()
    hanging = {"hang": {"use": "tests.live_nodes.desk_strategies:Hanging"}}
    node = ground.node(strategies=hanging, metrics={"port": port})
    pid = node.begin(environment={ADDRESS: manager.address})
    try:
        eventually(lambda: "READY=1" in manager.heard(), node.said)
        for _ in range(3):
            eventually(lambda: "WATCHDOG=1" in manager.heard(), node.said)
        assert get(port, "/healthz") == (200, "ok\n")
        os.kill(pid, signal.SIGUSR1)
        manager.heard(3.0)
        # From here on systemd counts, and ends it after its `WatchdogSec=`.
        assert manager.heard(12.0) == []
        assert not node.dead, (node.process.exitcode, node.said())
        status, why = get(port, "/healthz")
        assert (status, "the event loop hangs" in why) == (503, True)
        assert get(port, "/readyz")[0] == 503
        assert "heartbeat_age_seconds" in get(port, "/metrics")[1]
    finally:
        node.process.kill()
