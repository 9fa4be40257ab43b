"""The I/O boundaries of a running node, seen and cut from outside: nothing in the node knows.

A boundary is a commit of the journal, an order request on the trade link (once before it is given
to the link, once after), a request of our own REST client that changes something, or a file of the
mailbox. Each says its name, and the process may end there by SIGKILL.

`Named` knows each boundary of a rebalance by its part of the run, such as ``trade: commit
intents+orders``; the third of a name is ``(name, 3)``. `Counted` counts all boundaries from a
moment on, verdicts and guards' states among them. Neither counts what is written by the clock, so
that one run's boundaries are the next one's.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import live_nodes.local.mailbox as mailbox
from actors.records.journal_writing import JournalWriter
from live_nodes.bybit.links import VenueLink
from live_nodes.bybit.rest import VenueRest
from live_nodes.node.live import NodeRun

REQUESTS = (
    *(f"{verb}_order" for verb in ("submit", "modify", "cancel")),
    *(f"batch_{verb}_orders" for verb in ("place", "modify", "cancel")),
)
BY_THE_CLOCK = {"equity", "links", "notes", "runs", "gates", "state node"}
"""Tables that are written when it is time, or once a run."""

Say = Callable[[str], None]


class Named:
    """Says each boundary's name with its part of the run before anything is done there.

    `fatal` is the name and number (from 1) of the boundary at which the process ends.
    """

    def __init__(self, say: Say, fatal: tuple[str, int] | None = None) -> None:
        self._say, self._fatal = say, fatal
        self._count: Counter[str] = Counter()
        self._part = "start"

    def install(self) -> None:
        """Put the boundaries around journal, links, REST client and the parts of a run."""
        no_boundary = BY_THE_CLOCK | {"verdicts", "standing", "state readings"}

        def counts(tables: list[str]) -> bool:
            return tables != ["counters"] and not no_boundary & set(tables)

        _around_commits(self.reach, _table, counts)
        _around_requests(self.reach)
        for name, part in (("_trade", "trade"), ("_stop", "stop")):
            setattr(NodeRun, name, self._entering(part, getattr(NodeRun, name)))

    def reach(self, what: str) -> None:
        """Say that the process is at a boundary; it may not come back."""
        name = f"{self._part}: {what}"
        self._count[name] += 1
        if self._fatal == (name, self._count[name]):
            os.kill(os.getpid(), signal.SIGKILL)
        self._say(name)

    def _entering(self, part: str, real: Callable[..., Any]) -> Callable[..., Any]:
        async def entered(*args: Any, **kwargs: Any) -> Any:
            self._part = part
            self._say(f"{part}: begins")
            return await real(*args, **kwargs)

        return entered


class Counted:
    """Says boundaries from a moment on, and ends the process at one of them.

    `keep` takes a line of JSON for each state of a guard that was committed, so that a test can
    follow every state that ever survived. The file `fatal` holds the number (from 1, 0 for none) of
    the boundary to die at, or a part of its name; it is read when the count begins: at the start
    (`armed`), or at SIGUSR1, which the test sends just before it breaches a limit.
    """

    def __init__(self, say: Say, keep: Say, fatal: Path, armed: bool) -> None:
        self._say, self._keep, self._file = say, keep, fatal
        self._count, self._fatal = 0, "0"
        self._counts = False
        if armed:
            self._arm()

    def install(self) -> None:
        """Put the boundaries around journal, links, REST client and mailbox."""
        no_boundary = BY_THE_CLOCK | {"counters"}

        def counts(tables: list[str]) -> bool:
            return not set(tables) <= no_boundary and not all(
                table.endswith("readings") for table in tables
            )

        signal.signal(signal.SIGUSR1, lambda *_: self._arm())
        _around_commits(self.reach, _table_and_owner, counts, self._keep)
        _around_requests(self.reach)
        _around_mailbox(self.reach)

    def reach(self, what: str) -> None:
        """Say that the process is at a boundary; it may not come back."""
        if not self._counts:
            return
        self._count += 1
        found = self._fatal == str(self._count) if self._fatal.isdigit() else self._fatal in what
        if found:
            self._say(f"died: {what}")
            os.kill(os.getpid(), signal.SIGKILL)
        self._say(what)

    def _arm(self) -> None:
        self._fatal = self._file.read_text()
        self._count, self._counts = 0, True
        self._say("armed")


def _around_commits(
    reach: Say,
    name: Callable[[str, tuple[Any, ...]], str],
    counts: Callable[[list[str]], bool],
    keep: Say = lambda _: None,
) -> None:
    real = JournalWriter._write
    tables: list[str] = []
    states: list[str] = []

    def write(self: JournalWriter, statement: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        if statement.startswith("BEGIN"):
            tables.clear()
            states.clear()
            return real(self, statement, values)
        if statement != "COMMIT":
            table = name(statement, values)
            tables.append(table)
            if table.startswith("guard:") and table.endswith(" state"):
                value = json.loads(bytes(values[3]))
                states.append(json.dumps({"guard": table.split()[0][6:]} | value))
            if self._connection.in_transaction:
                return real(self, statement, values)
        written = list(dict.fromkeys(tables))
        if counts(written):
            reach(f"commit {'+'.join(written)}")
        found = real(self, statement, values)
        for line in states:
            keep(line)
        tables.clear()
        states.clear()
        return found

    JournalWriter._write = write  # type: ignore[method-assign]


def _table(statement: str, values: tuple[Any, ...]) -> str:
    named = re.search(r"\b(?:UPDATE|INTO|FROM) (\w+)", statement)
    found = statement.split()[0] if named is None else named[1]
    if found == "state":
        owner, name = str(values[0]), str(values[1])
        return "state node" if owner == "node" else f"state {name.partition('.')[0]}"
    return found


def _table_and_owner(statement: str, values: tuple[Any, ...]) -> str:
    name = _table(statement, values)
    # With whose state it is: each guard's is a boundary of its own.
    if name.startswith("state ") and name != "state node" and statement.startswith("INSERT"):
        return f"{values[0]} {str(values[1]).partition('.')[0]}"
    return name


def _around_requests(reach: Say) -> None:
    def around(name: str) -> Callable[..., Any]:
        async def request(self: VenueLink, *args: Any, **kwargs: Any) -> Any:
            probes = any("-probe-" in str(arg) for arg in args)
            if not probes:
                reach(f"send {name}")
            answer = await getattr(self._client, name)(*args, **kwargs)
            if not probes:
                reach(f"sent {name}")
            return answer

        return request

    for name in REQUESTS:
        setattr(VenueLink, name, around(name))
    real = VenueRest._ask

    async def ask(self: VenueRest, method: str, path: str, *rest: Any) -> dict[str, Any]:
        if method == "POST":
            reach(f"send POST {path}")
        answer = await real(self, method, path, *rest)
        if method == "POST":
            reach(f"sent POST {path}")
        return answer

    VenueRest._ask = ask  # type: ignore[method-assign]


def _around_mailbox(reach: Say) -> None:
    real = mailbox.replace_file

    def replace(path: Path, content: bytes, **more: Any) -> None:
        kind = "answer" if path.name.endswith(".answer.json") else "request"
        reach(f"write {kind}")
        real(path, content, **more)
        reach(f"written {kind}")

    mailbox.replace_file = replace
