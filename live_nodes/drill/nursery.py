"""Starts the drill's nodes: one process imports the engine once and forks a node each time.

A drill starts some sixty nodes, and each would take seconds of both cores to import what the others
have imported as well. Run as ``python -m live_nodes.drill.nursery``: for every line of JSON on
standard input, ``{"arguments": […], "output": FILE}``, it forks a child that is ``perpdesk`` with
those arguments and answers with the child's process id. When a child ends, its exit code is written
beside its output. When standard input ends, so do all that still run.
"""

from __future__ import annotations

import json
import os
import runpy
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path
from types import TracebackType
from typing import Self

from config.errors import DeskError
from live_nodes.local.files import replace_file

READY_WITHIN = 60.0
ENDS_WITHIN = 10.0
_POLL = 0.02


class Child:
    """A node that was started.

    Parameters
    ----------
    pid : int
        Its process.
    ended : pathlib.Path
        File that says its exit code once it has ended.
    """

    def __init__(self, pid: int, ended: Path) -> None:
        self.pid, self._ended = pid, ended

    @property
    def code(self) -> int | None:
        """Its exit code, negative for the signal that ended it; None while it runs."""
        try:
            return int(self._ended.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def kill(self) -> None:
        """End it without warning, and wait until it is gone.

        Raises
        ------
        DeskError
            When it is not gone in time.
        """
        until = time.monotonic() + ENDS_WITHIN
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
        while self.code is None:
            if time.monotonic() >= until:
                raise DeskError(f"process {self.pid} did not end in {ENDS_WITHIN:g} s")
            time.sleep(_POLL)


class Nursery:
    """The process that forks nodes; use it as a context. Its calls may come from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started = 0
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def start(self, arguments: list[str], output: Path) -> Child:
        """Start a node; what it prints goes to the end of a file.

        Raises
        ------
        DeskError
            When the nursery has died.
        """
        with self._lock:
            process = self._running()
            self._started += 1
            ended = output.with_name(f"{output.name}.{self._started}.ended")
            asked = {"arguments": arguments, "output": str(output), "ended": str(ended)}
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                print(json.dumps(asked), file=process.stdin, flush=True)
                said = process.stdout.readline()
            except BrokenPipeError:
                said = ""
            if not said:
                raise DeskError(f"the nursery of nodes ended with {process.poll()}")
            return Child(int(said), ended)

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "live_nodes.drill.nursery"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                # Ctrl-C is for the drill, which then ends its nodes.
                start_new_session=True,
            )
        return self._process


# In the process itself ---------------------------------------------------------------------------


def main() -> None:
    """Serve until standard input ends, then end every child."""
    import live_nodes.drill.strategy
    import live_nodes.node.launch  # noqa: F401 - what every child needs, imported once

    children: dict[int, Path] = {}
    try:
        while True:
            _reap(children)
            ready, _, _ = select.select([sys.stdin], [], [], _POLL)
            if not ready:
                continue
            line = sys.stdin.readline()
            if not line:
                return
            job = json.loads(line)
            pid = _fork(job["arguments"], job["output"])
            children[pid] = Path(job["ended"])
            print(pid, flush=True)
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        while children:
            _reap(children)
            time.sleep(_POLL)


def _fork(arguments: list[str], output: str) -> int:
    with warnings.catch_warnings():
        # The threads that importing the engine starts wait for work of other libraries, and hold
        # nothing that a child needs.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        code = _be_the_node(arguments, output)
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _be_the_node(arguments: list[str], output: str) -> int:
    os.setsid()
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.argv = ["perpdesk", *arguments]
    try:
        runpy.run_module("perpdesk", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    return 0


def _reap(children: dict[int, Path]) -> None:
    for pid in list(children):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            code = os.waitstatus_to_exitcode(status)
            replace_file(children.pop(pid), str(code).encode())


if __name__ == "__main__":
    main()
