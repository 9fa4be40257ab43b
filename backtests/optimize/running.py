"""Studies that run in the background: list, follow and stop them.

A study locks a file in its folder for as long as its process lives, whatever ends that: only one
whose lock is held runs. How far it is stands in a file beside it, replaced at most each second.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from actors.records.journal_files import locked
from config.errors import DeskError, GateRefused, InputError

LOCK, STATE, LOG = ".lock", "state.json", "study.log"
STUDIES = Path("results/studies")
PATIENCE_S = 60.0
_EACH_S, _POLL_S = 1.0, 0.1


class Progress:
    """Writes how far a study is, for others to read."""

    def __init__(self, folder: Path, words: Sequence[str]) -> None:
        self.folder, self._file, self._next = folder, folder / STATE, 0.0
        self._said: dict[str, Any] = {"words": list(words), "ended": "", "why": ""}
        self.tell("begin", 0, 0, "")

    def tell(self, stage: str, done: int, total: int, best: str) -> None:
        """Write a stage's progress, unless it did a moment ago."""
        now = time.monotonic()
        if stage != self._said.get("stage") or now >= self._next:
            self._next = now + _EACH_S
            self._write(stage=stage, done=done, total=total, best=best)

    def end(self, ended: str, why: str = "") -> None:
        """Write what became of the study."""
        self._write(ended=ended, why=why)

    def _write(self, **news: Any) -> None:
        self._said |= news | {"at": time.time()}
        partial = self._file.with_suffix(".writing")
        partial.write_text(json.dumps(self._said), encoding="utf-8")
        os.replace(partial, self._file)


@contextmanager
def held(folder: Path, words: Sequence[str]) -> Iterator[Progress]:
    """Hold a study's folder and write its progress; `words` are the command that goes on with it.

    Raises DeskError while another process holds it.
    """
    with (folder / LOCK).open("a+", encoding="utf-8") as lock:
        if not locked(lock.fileno()):
            name = _name(folder)
            raise DeskError(
                f"{folder}: this study is running; `perpdesk studies follow {name}` shows it, "
                f"`perpdesk studies stop {name}` ends it"
            )
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        progress = Progress(folder, words)
        try:
            yield progress
        except Exception as error:
            progress.end("refused" if isinstance(error, GateRefused) else "failed", str(error))
            raise
        progress.end("accepted")


def holder(folder: Path) -> int | None:
    """Return the process that runs a study, None where none does."""
    try:
        with (folder / LOCK).open(encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read() or 0)
    except FileNotFoundError:
        pass
    return None


def listed(root: Path = STUDIES) -> list[dict[str, Any]]:
    """Return what is known of each study that has a folder below `root`, by name."""
    folders = sorted(file.parent for file in root.glob(f"*/{STATE}"))
    return [described(folder) for folder in folders]


def described(folder: Path) -> dict[str, Any]:
    """Return a study's state, how far it is, the best so far, and its gates."""
    pid = holder(folder)
    said = json.loads((folder / STATE).read_text(encoding="utf-8"))
    best = folder / "best.json"
    found = json.loads(best.read_text(encoding="utf-8")) if best.exists() else {}
    return {
        "name": _name(folder),
        "state": said["ended"] or "stopped" if pid is None else "running",
        "process": pid,
        **{name: said[name] for name in ("stage", "done", "total", "best", "why", "at", "words")},
        "gates": {gate["name"]: gate["passed"] for gate in found.get("gates", ())},
        "log": str(folder / LOG) if (folder / LOG).exists() else None,
    }


def folder_of(name: str, root: Path = STUDIES) -> Path:
    """Return a study's folder by its name or path; raise InputError where there is none."""
    for folder in (root / name, Path(name)):
        if (folder / STATE).exists():
            return folder
    there = ", ".join(one["name"] for one in listed(root)) or "none"
    raise InputError(f"{name}: no such study; there are: {there}")


def detach(words: Sequence[str], folder: Path) -> int:
    """Begin a study in a process that outlives the terminal, and return its id.

    It writes into a log in its folder. Raises DeskError with the log's end if it does not come up.
    """
    log = folder / LOG
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "perpdesk", *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    until = time.monotonic() + PATIENCE_S
    while holder(folder) != process.pid and time.monotonic() < until:
        code = process.poll()
        if code in (0, GateRefused.exit_code):
            break  # it was over before we looked
        if code is not None:
            raise DeskError(f"the study ended with {code}: {_tail(log)}")
        time.sleep(_POLL_S)
    return process.pid


def follow(folder: Path, show: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Show each news of a study until it runs no longer, and return the last."""
    shown = None
    while True:
        news = described(folder)
        if news["at"] != shown:
            show(news)
            shown = news["at"]
        if news["process"] is None:
            return news
        time.sleep(_POLL_S)


def stop(folder: Path) -> bool:
    """End a study's process; False where none runs. The same command goes on with it.

    Raises DeskError when it still runs after a minute.
    """
    pid = holder(folder)
    if not pid:
        return False
    os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + PATIENCE_S
    while holder(folder) == pid:
        if time.monotonic() > until:
            raise DeskError(f"{folder}: process {pid} did not end in {PATIENCE_S:g} s")
        time.sleep(_POLL_S)
    return True


def _name(folder: Path) -> str:
    return folder.name if folder.parent == STUDIES else str(folder)


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])
