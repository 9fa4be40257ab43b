"""Nodes in processes of their own, each killed by SIGKILL where or when it is told.

Run as ``python -m tests.live_nodes.live_and_die``: for every line of JSON on standard input it
forks a child that is ``perpdesk live`` with those arguments, and answers with lines of JSON.
Forking saves the five seconds of importing the engine each time.

==============  =====================================================================
``arguments``   of the command line, after ``perpdesk``
``output``      file that takes what it prints
``reached``     file that takes a line a boundary
``fatal``       null, or ``[name, number]`` of the boundary to die at
``seconds``     null, or how long it may live from its fork on
``environment`` variables that it gets beside those of this process
``folder``      null, or its working directory
``countdown``   null, or the parameters of `tests.live_nodes.countdown.Countdown`: ``kept`` and
                ``fatal``, both files, and ``armed``; then ``fatal`` above is not used
==============  =====================================================================

First comes ``{"pid": …}``, and when the child has ended ``{"code": …, "signal": …}``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import actors.activity
import actors.losses  # noqa: F401 - as above
import live_nodes.node.launch  # noqa: F401 - as above
import perpdesk
import tests.live_nodes.eager
import tests.live_nodes.steady  # noqa: F401 - as above
from tests.live_nodes.boundaries import Boundaries
from tests.live_nodes.countdown import Countdown

_POLL = 0.002


def be_the_node(job: dict[str, Any]) -> int:
    """Run the command in this process; return its exit code."""
    os.environ.update(job["environment"])
    if job["folder"] is not None:
        os.chdir(job["folder"])
    output = os.open(job["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if job["reached"] is not None:
        reached = os.open(job["reached"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        counted = job.get("countdown")
        if counted is not None:
            kept = os.open(counted["kept"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            Countdown(
                lambda name: _line(reached, name),
                lambda line: _line(kept, line),
                Path(counted["fatal"]),
                counted["armed"],
            ).install()
            return _called(job["arguments"])
        fatal = None if job["fatal"] is None else (job["fatal"][0], job["fatal"][1])
        Boundaries(lambda name: _line(reached, name), fatal).install()
    return _called(job["arguments"])


def _called(arguments: list[str]) -> int:
    sys.argv = ["perpdesk", *arguments]
    try:
        perpdesk.main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    return 0


def main() -> None:
    """Serve until standard input ends."""
    for line in sys.stdin:
        job = json.loads(line)
        with warnings.catch_warnings():
            # The threads that importing the engine starts wait for work of other libraries, and
            # hold nothing that a child needs.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            code = 70
            try:
                code = be_the_node(job)
            except BaseException:
                traceback.print_exc()
                raise
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        _answer({"pid": child})
        _answer(_ended(child, job["seconds"]))


def _ended(child: int, seconds: float | None) -> dict[str, int | None]:
    until = None if seconds is None else time.monotonic() + seconds
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
            return {"code": code, "signal": killed}
        if until is not None and time.monotonic() >= until:
            os.kill(child, signal.SIGKILL)
        time.sleep(_POLL)


def _answer(words: dict[str, Any]) -> None:
    print(json.dumps(words), flush=True)


def _line(file: int, words: str) -> None:
    # One write, so that it is whole even if the process dies in the next instant.
    os.write(file, f"{words}\n".encode())


if __name__ == "__main__":
    main()
