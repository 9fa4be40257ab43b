"""All I/O boundaries of a node or a command, counted from a moment on, and cut at the n-th.

Where `tests.live_nodes.boundaries` knows each boundary of a rebalance by its name, here they are
counted, whatever they are, verdicts and guards' states among them. The count begins at once, or
when the process gets SIGUSR1: the test sends it just before it breaches a limit. What guards have
saved is told too, once it is committed, so that a test can follow every state that ever survived.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import live_nodes.local.mailbox as mailbox
from actors.records.journal_writing import Writing
from tests.live_nodes.boundaries import _around_links, _around_rest, _table

OF_THE_CLOCK = {"equity", "links", "runs", "gates", "counters", "notes", "node state"}
"""What is written when it is time; a commit of these alone is no boundary."""
Told = Callable[[str], None]


class Countdown:
    """Tells boundaries, and ends the process at one of them.

    Parameters
    ----------
    told : callable
        Takes the name of a boundary, before anything is done.
    kept : callable
        Takes a line of JSON for each state of a guard that was committed.
    fatal : pathlib.Path
        File with the number of the boundary to die at, the first being 1, 0 for none; or with a
        part of its name. It is read when the count begins.
    armed : bool
        Whether it counts from the start, or from SIGUSR1 on.
    """

    def __init__(self, told: Told, kept: Told, fatal: Path, armed: bool) -> None:
        self._told, self._kept, self._file = told, kept, fatal
        self._count, self._fatal = 0, "0"
        self._counts = False
        if armed:
            self._arm()

    def install(self) -> None:
        """Put the boundaries around journal, links, REST client and mailbox."""
        signal.signal(signal.SIGUSR1, lambda *_: self._arm())
        _around_commits(self.reach, self._kept)
        _around_links(self.reach)
        _around_rest(self.reach)
        _around_mailbox(self.reach)

    def reach(self, what: str) -> None:
        """Say that the process is at a boundary; it may not come back."""
        if not self._counts:
            return
        self._count += 1
        found = self._fatal == str(self._count) if self._fatal.isdigit() else self._fatal in what
        if found:
            self._told(f"died: {what}")
            os.kill(os.getpid(), signal.SIGKILL)
        self._told(what)

    def _arm(self) -> None:
        self._fatal = self._file.read_text()
        self._count, self._counts = 0, True
        self._told("armed")


def _around_commits(reach: Told, kept: Told) -> None:
    real = Writing._write
    tables: list[str] = []
    states: list[str] = []

    def write(self: Writing, statement: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        table = _named(statement, values)
        if statement.startswith("BEGIN"):
            tables.clear()
            states.clear()
            return real(self, statement, values)
        if statement != "COMMIT":
            tables.append(table)
            if table.startswith("guard:") and table.endswith(" state"):
                value = json.loads(bytes(values[3]))
                states.append(json.dumps({"guard": table.split()[0][6:]} | value))
            if self._connection.in_transaction:
                return real(self, statement, values)
        written = list(dict.fromkeys(tables))
        if not set(written) <= OF_THE_CLOCK and not all(w.endswith("readings") for w in written):
            reach(f"commit {'+'.join(written)}")
        found = real(self, statement, values)
        for line in states:
            kept(line)
        tables.clear()
        states.clear()
        return found

    Writing._write = write  # type: ignore[method-assign]


def _named(statement: str, values: tuple[Any, ...]) -> str:
    name = _table(statement, values)
    # With whose state it is: each guard's is a boundary of its own.
    if name.startswith("state ") and statement.startswith("INSERT"):
        return f"{values[0]} {str(values[1]).partition('.')[0]}"
    if name == "state node":
        return "node state"
    return name


def _around_mailbox(reach: Told) -> None:
    real = mailbox.replace_file

    def replace(path: Path, content: bytes, **more: Any) -> None:
        kind = "answer" if path.name.endswith(".answer.json") else "request"
        reach(f"write {kind}")
        real(path, content, **more)
        reach(f"written {kind}")

    mailbox.replace_file = replace
