"""Heartbeat file, written each second: a live process with an old heartbeat hangs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from live_nodes.local.files import replace_file

FILE = "heartbeat.json"
EVERY_S = 1.0
STALE_S = 10.0
"""Age of a heartbeat at which a living process counts as hanging."""


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """One heartbeat; times are UNIX nanoseconds (UTC).

    `phase` is ``starting``, ``running``, ``stopping``, ``stopped`` or ``failed``. `guards` are the
    last evaluations (None: never). `verdict` is the strictest on the desk, such as ``halt_entries
    by daily: …``. `flat` means no positions. `feed_lag` is the age of market data when they were
    handled, in nanoseconds: of the newest, and the largest of the last minute; None before any.
    """

    ts: int
    pid: int
    phase: str
    guards: dict[str, int | None] = msgspec.field(default_factory=dict)
    verdict: str = ""
    flat: bool = True
    feed_lag: tuple[int, int] | None = None


_BEATS = msgspec.json.Decoder(Beat)


class Heartbeat:
    """Writes the file; `failed` takes the first reason why it can't be written."""

    def __init__(self, folder: Path, failed: Callable[[str], None]) -> None:
        self._path = folder / FILE
        self._failed = failed
        self._is_failing = False
        self.phase = "starting"
        self.guards: Callable[[], dict[str, int | None]] = dict
        self.verdict: Callable[[], str] = str
        self.flat: Callable[[], bool] = lambda: True
        self.feed_lag: Callable[[], tuple[int, int] | None] = lambda: None

    async def keep_beating(self) -> None:
        """Write heartbeats until cancelled."""
        # Imported here to keep readers such as `perpdesk status` fast.
        import asyncio

        while True:
            self.beat()
            await asyncio.sleep(EVERY_S)

    def beat(self, phase: str | None = None) -> None:
        """Write one heartbeat."""
        self.phase = phase or self.phase
        beat = Beat(
            ts=time.time_ns(),
            pid=os.getpid(),
            phase=self.phase,
            guards=self.guards(),
            verdict=self.verdict(),
            flat=self.flat(),
            feed_lag=self.feed_lag(),
        )
        try:
            replace_file(self._path, msgspec.json.encode(beat))
        except OSError as error:
            if not self._is_failing:
                self._is_failing = True
                self._failed(f"the heartbeat file can't be written: {error}")
        else:
            self._is_failing = False


def last_beat(folder: Path) -> Beat | None:
    """Return the newest heartbeat in a node's state folder, else None."""
    try:
        return _BEATS.decode((folder / FILE).read_bytes())
    except FileNotFoundError:
        return None
    except msgspec.DecodeError:
        # A file of another version: the next second brings a new one.
        return None


def hangs(beat: Beat | None, pid: int | None, started: int, now_ns: int) -> str:
    """Return why a living process hangs, else empty; times are UNIX nanoseconds (UTC)."""
    # Ignore an earlier process's heartbeat.
    newest = beat.ts if beat is not None and beat.pid == pid else started
    if now_ns - newest <= STALE_S * 1e9:
        return ""
    seconds = (now_ns - newest) / 1e9
    return (
        f"process {pid} lives but has written no heartbeat for {seconds:.0f} s: it hangs, and "
        f"nothing watches its positions; look at its log, end it (kill -9 {pid}), start it again"
    )
