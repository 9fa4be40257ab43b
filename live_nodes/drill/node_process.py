"""Start nodes: a fork server of :mod:`multiprocessing` imports the engine once and forks nodes.

A drill starts some sixty nodes; the imports of each would take seconds of both cores.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import sys
import threading
from multiprocessing.connection import wait
from pathlib import Path

from config.errors import DeskError

PRELOAD = ["live_nodes.drill.strategy", "live_nodes.node.launch", "perpdesk"]
"""Modules that every node needs, imported once before the first fork."""
ENDS_WITHIN = 10.0
_LOCK = threading.Lock()
"""Two threads must not wait for one process: only one gets its exit code."""


class NodeProcess:
    """``perpdesk`` as a process that ends with its parent; prints are appended to `output`."""

    def __init__(self, arguments: list[str], output: Path) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOAD)
        with _LOCK:
            self._process = context.Process(
                target=run_perpdesk, args=(arguments, str(output), os.getcwd()), daemon=True
            )
            self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def code(self) -> int | None:
        """Exit code, negative for the signal that ended it; None while it runs."""
        with _LOCK:
            return self._process.exitcode

    def kill(self) -> None:
        """Kill it and wait for its end.

        Raises DeskError when it does not end in time.
        """
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            wait([self._process.sentinel], ENDS_WITHIN)
        if self.code is None:
            raise DeskError(f"process {self.pid} did not end in {ENDS_WITHIN:g} s")


def run_perpdesk(arguments: list[str], output: str, folder: str) -> None:
    """Be ``perpdesk`` in a new process, in a folder, its prints appended to `output`."""
    os.setsid()
    os.chdir(folder)
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(file, 1)
    os.dup2(file, 2)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.argv = ["perpdesk", *arguments]
    runpy.run_module("perpdesk", run_name="__main__", alter_sys=True)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGKILL)
