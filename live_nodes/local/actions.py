"""Keep what operators did to a node, whether it runs or not: ``actions.jsonl`` in its state folder.

The audit chain covers each line (`actors.records.chain`).
"""

from __future__ import annotations

import errno
import getpass
import os
import time
from pathlib import Path

import msgspec

from actors.records.chain import ACTIONS


class OperatorAction(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person did; `ts` is UNIX nanoseconds (UTC), `outcome` empty at its begin."""

    ts: int
    by: str
    pid: int
    action: str
    reason: str
    outcome: str = ""


def user() -> str:
    """Return the name of who runs this."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def keep_action(folder: Path, action: str, reason: str, outcome: str = "", by: str = "") -> None:
    """Add an action of `by`, by default of this user; raise OSError where it can't be written.

    Never put a secret into it.
    """
    line = OperatorAction(
        ts=time.time_ns(),
        by=by or user(),
        pid=os.getpid(),
        action=action,
        reason=reason,
        outcome=outcome,
    )
    folder.mkdir(parents=True, exist_ok=True)
    opened = os.open(folder / ACTIONS, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        # One write, so that lines of two processes never mix.
        text, before = msgspec.json.encode(line) + b"\n", os.fstat(opened).st_size
        if os.write(opened, text) != len(text):
            os.ftruncate(opened, before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(opened)
    finally:
        os.close(opened)


def actions(folder: Path) -> list[OperatorAction]:
    """Return all actions, the oldest first."""
    try:
        lines = (folder / ACTIONS).read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    return [msgspec.json.decode(line, type=OperatorAction) for line in lines]
