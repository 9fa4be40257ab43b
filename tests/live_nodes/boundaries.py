"""The I/O boundaries of a running node, seen and cut from outside: nothing in the node knows.

A boundary is a commit of the journal, an order request on the trade link (once before it is given
to the link, once after) or a request of our own REST client that changes something. Each has a name
that says what it is and in which part of the run, such as ``trade: commit intents+orders``; the
third of a name is ``(name, 3)``. Names leave out what the watch writes by the clock, so that one
run's boundaries are the next one's.
"""

from __future__ import annotations

import os
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable
from typing import Any

from actors.records.journal_writing import Writing
from live_nodes.bybit.links import VenueLink
from live_nodes.bybit.rest import VenueRest
from live_nodes.node.live import NodeRun

REQUESTS = (
    "submit_order",
    "modify_order",
    "cancel_order",
    "batch_place_orders",
    "batch_modify_orders",
    "batch_cancel_orders",
)
BY_THE_CLOCK = {
    "equity",
    "links",
    "notes",
    "runs",
    "gates",
    "verdicts",
    "standing",
    "state node",
    "state readings",
}
"""Tables that are written when it is time, or once a run; their commits are no boundaries."""

Told = Callable[[str], None]


class Boundaries:
    """Tells every boundary as it is reached, and ends the process at one of them.

    Parameters
    ----------
    told : callable
        Takes the name before anything is done.
    fatal : (str, int), optional
        Die at the boundary of this name, the first being 1.
    """

    def __init__(self, told: Told, fatal: tuple[str, int] | None = None) -> None:
        self._told, self._fatal = told, fatal
        self._count: Counter[str] = Counter()
        self._part = "start"

    def install(self) -> None:
        """Put the boundaries around journal, links, REST client and the parts of a run."""
        _around_commits(self.reach)
        _around_links(self.reach)
        _around_rest(self.reach)
        for name, part in (("_trade", "trade"), ("_stop", "stop")):
            setattr(NodeRun, name, self._entering(part, getattr(NodeRun, name)))

    def reach(self, what: str) -> None:
        """Say that the process is at a boundary; it may not come back."""
        name = f"{self._part}: {what}"
        self._count[name] += 1
        if self._fatal == (name, self._count[name]):
            os.kill(os.getpid(), signal.SIGKILL)
        self._told(name)

    def _entering(self, part: str, real: Callable[..., Any]) -> Callable[..., Any]:
        async def entered(*args: Any, **kwargs: Any) -> Any:
            self._part = part
            self._told(f"{part}: begins")
            return await real(*args, **kwargs)

        return entered


def _around_commits(reach: Told) -> None:
    real = Writing._write
    tables: list[str] = []

    def write(self: Writing, statement: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        table = _table(statement, values)
        if statement.startswith("BEGIN"):
            tables.clear()
        elif statement == "COMMIT":
            _reach_commit(reach, tables)
        elif self._connection.in_transaction:
            tables.append(table)
        else:
            _reach_commit(reach, [table])
        return real(self, statement, values)

    Writing._write = write  # type: ignore[method-assign]


def _reach_commit(reach: Told, tables: list[str]) -> None:
    written = list(dict.fromkeys(tables))
    if written != ["counters"] and not BY_THE_CLOCK & set(written):
        reach(f"commit {'+'.join(written)}")


def _table(statement: str, values: tuple[Any, ...]) -> str:
    words = statement.replace("(", " ").split()
    found = (
        words[1]
        if words[0] == "UPDATE"
        else next(
            (words[i + 1] for i, word in enumerate(words[:-1]) if word in ("INTO", "FROM")),
            words[0],
        )
    )
    if found == "state":
        owner, name = str(values[0]), str(values[1])
        return "state node" if owner == "node" else f"state {name.partition('.')[0]}"
    return found


def _around_links(reach: Told) -> None:
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


def _around_rest(reach: Told) -> None:
    real = VenueRest._ask

    async def ask(self: VenueRest, method: str, path: str, *rest: Any) -> dict[str, Any]:
        if method == "POST":
            reach(f"send POST {path}")
        answer = await real(self, method, path, *rest)
        if method == "POST":
            reach(f"sent POST {path}")
        return answer

    VenueRest._ask = ask  # type: ignore[method-assign]
