"""The sign of life: pings while the loop runs, none when it hangs, and a check from outside."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from config.errors import DeskError, GateRefused
from live_nodes.local.alive import keep_pinging, not_alive, ping_url_of
from live_nodes.local.heartbeat import FILE, Beat
from live_nodes.local.keys import Secret
from live_nodes.operate.commands import alive
from tests.live_nodes.documents import node_file, node_of
from tests.waiting import eventually

S = 10**9


def beat(folder: Path, age_s: float = 0.0, phase: str = "running") -> None:
    made = Beat(ts=time.time_ns() - round(age_s * S), pid=1, phase=phase)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_bytes(msgspec.json.encode(made))


@pytest.mark.parametrize(
    ("age", "phase", "why"),
    [
        (9, "running", ""),
        (11, "running", "its last heartbeat is 11 s old (running)"),
        (1, "starting", "it is starting"),
        (1, "stopped", "it is stopped"),
    ],
)
def test_a_node_is_alive_while_it_runs_and_its_heartbeat_is_fresh(
    age: int, phase: str, why: str
) -> None:
    assert not_alive(Beat(ts=100 * S, pid=1, phase=phase), (100 + age) * S) == why
    assert not_alive(None, 0) == "it has never written a heartbeat"
    assert not_alive(Beat(ts=1, pid=1, phase="running", stalled="guards wait"), 2) == "guards wait"


@contextmanager
def switch() -> Iterator[tuple[str, list[str]]]:
    """Run a dead man's switch; yields its address and the paths that were fetched."""
    fetched: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fetched.append(self.path)
            self.send_response(500 if len(fetched) == 1 else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/ping/t0ken", fetched
    server.shutdown()
    server.server_close()


def test_it_is_pinged_while_the_loop_runs_and_no_more_once_it_hangs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # What can't be read now is read again.
    (tmp_path / FILE).mkdir()
    with switch() as (url, fetched):
        ended = threading.Event()
        given = Secret(url), tmp_path, 0.02, ended
        pinging = threading.Thread(target=keep_pinging, args=given, daemon=True)
        pinging.start()
        time.sleep(0.1)
        (tmp_path / FILE).rmdir()
        beat(tmp_path)
        # A switch that fails once is asked again.
        eventually(lambda: len(fetched) >= 3)
        assert set(fetched) == {"/ping/t0ken"}
        beat(tmp_path, age_s=60)
        # Until the ping under way is over.
        eventually(lambda: (len(fetched), time.sleep(0.2))[0] == len(fetched))
        beat(tmp_path)
        before = len(fetched)
        eventually(lambda: len(fetched) > before)
        ended.set()
        pinging.join(10)
    assert "".join(capfd.readouterr()) == ""


def test_the_end_of_the_node_ends_its_pings_at_once(tmp_path: Path) -> None:
    beat(tmp_path)
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as refuses:
        url = Secret(f"http://127.0.0.1:{refuses.getsockname()[1]}/")
    pinging = threading.Thread(target=keep_pinging, args=(url, tmp_path, 3600.0, ended))
    pinging.start()
    ended.set()
    pinging.join(10)
    assert not pinging.is_alive()


@pytest.mark.parametrize("text", [None, "", "hc-ping.com/s3cret", "tgram://s3cret/1", "https://"])
def test_a_node_whose_ping_would_reach_nothing_does_not_start(text: str | None) -> None:
    node = node_of(alerts={"alive": {"ping": "DESK_PING"}})
    with pytest.raises(GateRefused, match=r"alerts.alive.ping: DESK_PING must hold") as caught:
        ping_url_of(node, {} if text is None else {"DESK_PING": text})
    assert "s3cret" not in str(caught.value)
    assert ping_url_of(node_of(alerts="DESK_ALERTS"), {}) is None


def test_another_machine_learns_by_the_exit_code_whether_it_lives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, folder = node_file(tmp_path, state=str(tmp_path)), tmp_path / "mine" / "practice"
    with pytest.raises(DeskError, match="mine is not alive: it has never written a heartbeat"):
        alive(file)
    beat(folder)
    alive(file)
    assert capsys.readouterr().out == "mine is alive\n"
    beat(folder, age_s=30)
    with pytest.raises(DeskError) as caught:
        alive(file, as_json=True)
    assert caught.value.exit_code == 1
    assert json.loads(capsys.readouterr().out)["why"] == "its last heartbeat is 30 s old (running)"
    alive(file, within="1m")
