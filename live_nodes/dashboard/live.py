"""Server-sent events: what the journals of nodes have grown by, within a second.

One thread looks at all nodes, several times a second. It asks SQLite whether the file changed, and
only then for the new rows.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from actors.records.journal_files import NAME
from actors.records.journal_reading import JournalReader, connect
from actors.records.rows import FillRow, from_sql
from config.errors import DeskError
from live_nodes.dashboard import pages
from live_nodes.dashboard.files import tail
from live_nodes.dashboard.pages import NodePages, as_json, ms
from live_nodes.local.alerts import FILE
from strategies.messages import Verdict

EVERY_S = 0.2
STATUS_S = 1.0
MOST = 200
"""New executions or verdicts in one look that pages hear of one by one."""
WAITING = 1000
"""Events that a slow browser may have waiting; then it is told to connect anew."""
_EVENTS = {
    "fills": "fill",
    "verdicts": "verdict",
    "intents": "order",
    "order_events": "order",
    "decisions": "decision",
    "equity": "equity",
    "position_snapshots": "position",
    "notes": "note",
}
"""Event of each table; pages read what they show anew, only what they say aloud comes with it."""

Event = tuple[str, dict[str, Any]]
_log = logging.getLogger("uvicorn.error")


class Listeners:
    """Queues of connected browsers."""

    def __init__(self) -> None:
        self._queues: dict[asyncio.Queue[bytes | None], asyncio.AbstractEventLoop] = {}
        self._lock = threading.Lock()

    def join(self) -> asyncio.Queue[bytes | None]:
        """Return a queue of messages; None in it is the end."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(WAITING)
        with self._lock:
            self._queues[queue] = asyncio.get_running_loop()
        return queue

    def leave(self, queue: asyncio.Queue[bytes | None]) -> None:
        """Forget a queue."""
        with self._lock:
            self._queues.pop(queue, None)

    def tell(self, name: str, data: dict[str, Any]) -> None:
        """Send an event to all, from any thread."""
        self._send(message(name, data))

    def end(self) -> None:
        """End all streams."""
        self._send(None)

    def _send(self, said: bytes | None) -> None:
        with self._lock:
            for queue, loop in self._queues.items():
                # Whoever tells goes on, though the server has ended: a flatten does.
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(_put, queue, said)


def _put(queue: asyncio.Queue[bytes | None], said: bytes | None) -> None:
    while queue.full() or (said is None and not queue.empty()):
        # Whoever is so slow fetches the pages anew.
        queue.get_nowait()
        said = None
    queue.put_nowait(said)


def message(name: str, data: dict[str, Any]) -> bytes:
    """Return an event as the protocol has it."""
    return b"event: " + name.encode() + b"\ndata: " + as_json(data) + b"\n\n"


class Watcher:
    """Looks at the journals of all nodes in a thread of its own."""

    def __init__(self, nodes: Callable[[], list[NodePages]], listeners: Listeners) -> None:
        self._nodes, self._listeners = nodes, listeners
        self._looks: dict[str, Look] = {}
        self._end = threading.Event()
        self.looked = threading.Event()
        """Set from the first look on: what is new after it is told."""
        self._thread = threading.Thread(target=self._run, name="journals", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and all streams."""
        self._end.set()
        self._thread.join()
        self._listeners.end()

    def _run(self) -> None:
        while not self._end.wait(EVERY_S):
            try:
                nodes = {node.id: node for node in self._nodes()}
                for name in [n for n, look in self._looks.items() if look.node is not nodes.get(n)]:
                    self._looks.pop(name).close()
                for node in nodes.values():
                    look = self._looks.setdefault(node.id, Look(node))
                    for name, data in look.events():
                        self._listeners.tell(name, {"node": node.id, **data})
                self.looked.set()
            except Exception:  # noqa: BLE001 - whatever one node has, the others are watched
                # A page that no more changes would look as if nothing happened.
                _log.exception("the journals can't be watched now")
                self._end.wait(STATUS_S)
        for look in self._looks.values():
            look.close()


class Look:
    """What of one node was told so far."""

    def __init__(self, node: NodePages) -> None:
        self.node = node
        self._folder: Path = node.source.folder
        self._connection: sqlite3.Connection | None = None
        self._inode = self._version = self._alerts = -1
        self._ids: dict[str, int] = {}
        self._status_at, self._status = 0.0, ("", "", [""])

    def close(self) -> None:
        """Let go of the journal."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def events(self) -> list[Event]:
        """Return what is new since the last call."""
        try:
            found = [*self._journal(), *self._alert_lines()]
            if time.monotonic() - self._status_at >= STATUS_S:
                found += self._state()
        except (DeskError, sqlite3.Error, OSError, msgspec.MsgspecError):
            # Being restored, or gone: the page says so, and the next look tries again.
            self.close()
            return []
        return found

    def _journal(self) -> Iterator[Event]:
        path = self._folder / NAME
        inode = path.stat().st_ino
        begins = self._connection is None or inode != self._inode
        if begins:
            self.close()
            self._connection = connect(path, "rw")
            self._inode, self._version = inode, -1
        assert self._connection is not None
        version = self._connection.execute("PRAGMA data_version").fetchone()[0]
        if version == self._version:
            return
        self._version, now = version, ms(time.time_ns())
        journal = JournalReader(self._connection)
        if begins:
            journal.show_as_this_version(path)
        newest = "SELECT coalesce(max(id), 0) AS n FROM "
        before = self._ids
        self._ids = {table: journal.query(newest + table)[0]["n"] for table in _EVENTS}
        if begins:
            if before:
                yield "refresh", {"ts": now}
            return
        for table, name in _EVENTS.items():
            span = before[table], self._ids[table]
            if table in ("fills", "verdicts"):
                query = f"SELECT * FROM {table} WHERE id > ? AND id <= ? ORDER BY id DESC LIMIT ?"
                for row in reversed(journal.query(query, *span, MOST)):
                    yield name, _said(table, row, self.node.id)
            elif span[0] < span[1]:
                yield name, {"ts": now}

    def _alert_lines(self) -> Iterator[Event]:
        file = self._folder / FILE
        try:
            size = file.stat().st_size
        except FileNotFoundError:
            size = 0
        before, self._alerts = self._alerts, size
        if before < 0 or size <= before:
            return
        rows = map(pages.alert_row, tail(file, size - before + 1)[-MOST:])
        yield from (("alert", row) for row in rows if row is not None)

    def _state(self) -> Iterator[Event]:
        self._status_at = time.monotonic()
        status = self.node.status()
        health, why = pages.health_of(status, time.time_ns())
        found = (status.state, health, [] if status.pid is None else why)
        if found != self._status:
            self._status = found
            now = ms(time.time_ns())
            yield "status", {"ts": now, "state": found[0], "health": health, "health_why": why}


def _said(table: str, row: dict[str, Any], node: str) -> dict[str, Any]:
    if table == "fills":
        return pages.fill_row(from_sql(FillRow, row), node)
    verdict = msgspec.json.decode(row["payload"], type=Verdict)
    return {"ts": ms(row["ts"]), **pages.verdict_row(verdict)}
