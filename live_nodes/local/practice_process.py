"""Find, start and stop the practice exchange's process, without importing its code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from config.errors import DeskError, InputError
from live_nodes.local.files import replace_file

STATE = "exchange.db"
EXCHANGE = "exchange"
"""Subfolder of a node's own practice exchange."""
LOG = "exchange.log"
UNMET = "the fault {} never met a message it acts on"
START_S, OTHER_S, STOP_S = 30.0, 2.0, 10.0
ANSWER_S = 2.0
POLL_S = 0.05
LOG_TAIL = 12


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses of an exchange on 127.0.0.1, no final slash; `ws_public` takes the product."""

    pid: int
    port: int
    admin_port: int
    http: str
    ws_public: str
    ws_private: str
    ws_trade: str
    admin: str

    @classmethod
    def of(cls, pid: int, port: int, admin_port: int) -> Endpoint:
        """Return the addresses for these ports."""
        links = f"ws://127.0.0.1:{port}/v5"
        return cls(
            pid=pid,
            port=port,
            admin_port=admin_port,
            http=f"http://127.0.0.1:{port}",
            ws_public=f"{links}/public",
            ws_private=f"{links}/private",
            ws_trade=f"{links}/trade",
            admin=f"http://127.0.0.1:{admin_port}",
        )


def endpoint_file(state: Path) -> Path:
    """Return the path of the endpoint file."""
    return state.with_name(state.name + ".endpoint.json")


def write_endpoint(state: Path, endpoint: Endpoint) -> None:
    """Write an endpoint file in one step."""
    replace_file(endpoint_file(state), msgspec.json.encode(endpoint))


def running_exchange(state_dir: Path, state: str = STATE) -> Endpoint | None:
    """Return the folder's running exchange, or None."""
    try:
        text = endpoint_file(state_dir / state).read_bytes()
        endpoint = msgspec.json.decode(text, type=Endpoint)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return endpoint if _answers(endpoint) else None


def ensure_exchange(document_path: Path, state_dir: Path) -> Endpoint:
    """Return the folder's exchange; start it when none answers.

    Its process outlives the caller and its terminal. `state_dir` takes its state file and its log.
    Raises InputError when its document is wrong, DeskError when it does not come up in time.
    """
    found = running_exchange(state_dir)
    if found is not None:
        return found
    state_dir.mkdir(parents=True, exist_ok=True)
    state, log = state_dir / STATE, state_dir / LOG
    command = [sys.executable, "-m", "perpdesk", "exchange", str(document_path)]
    command += ["--state", str(state)]
    said_before = log.stat().st_size if log.exists() else 0
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline, code = time.monotonic() + START_S, None
    while time.monotonic() < deadline:
        found = running_exchange(state_dir)
        if found is not None:
            return found
        if code is None and (code := process.poll()) is not None:
            # Another caller may have just started one: use that.
            deadline = time.monotonic() + OTHER_S
        time.sleep(POLL_S)
    said = _tail(log, said_before)
    if code is None:
        os.killpg(process.pid, signal.SIGTERM)
        why = f"did not answer in {START_S:g} s"
        raise DeskError(f"the practice exchange {why}; {_where(log, said)}")
    if code == InputError.exit_code and said:
        raise InputError(said)
    raise DeskError(f"the practice exchange ended with {code}; {_where(log, said)}")


def stop_exchange(state_dir: Path, state: str = STATE) -> bool:
    """Stop the folder's exchange; False when none runs; DeskError when it does not stop."""
    found = running_exchange(state_dir, state)
    if found is None:
        return False
    os.kill(found.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    while time.monotonic() < deadline:
        if (
            running_exchange(state_dir, state) is None
            and not endpoint_file(state_dir / state).exists()
        ):
            return True
        time.sleep(POLL_S)
    raise DeskError(f"the practice exchange (process {found.pid}) did not stop in {STOP_S:g} s")


def unmet_faults(state_dir: Path, state: str = STATE) -> list[str]:
    """Return the faults of the folder's running exchange that have had no effect so far."""
    found = running_exchange(state_dir, state)
    if found is None:
        return []
    faults = _get_json(found, "/faults") or {}
    return [name for name, fault in faults.items() if not fault["hits"]]


def _answers(endpoint: Endpoint) -> bool:
    # By its admin port, as REST may fail on purpose.
    health = _get_json(endpoint, "/health")
    return health is not None and health.get("pid") == endpoint.pid


def _get_json(endpoint: Endpoint, path: str) -> dict[str, Any] | None:
    # Imported here, as few commands need it.
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(f"{endpoint.admin}{path}", timeout=ANSWER_S) as answer:
            return dict(json.load(answer))
    except (urllib.error.URLError, OSError, ValueError):
        return None


def _tail(log: Path, since: int) -> str:
    # Without the log of earlier starts.
    said = log.read_bytes()[since:].decode("utf-8", errors="replace")
    return "\n".join(said.splitlines()[-LOG_TAIL:])


def _where(log: Path, said: str) -> str:
    return f"it said (see {log}):\n{said}" if said else f"it said nothing in {log}"
