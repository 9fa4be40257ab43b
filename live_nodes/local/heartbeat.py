"""Heartbeat file, written each second: a live process with an old heartbeat hangs.

What the node's parts put into `Heartbeat` is also what its exporter serves and what its service
manager is told (`live_nodes.local.service_manager`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path

import msgspec

from actors.guards.core.snapshot import Snapshot
from actors.guards.core.windows import Mark, best, carried, fresh
from live_nodes.local.files import replace_file
from live_nodes.local.histogram import SECONDS, Histogram

FILE = "heartbeat.json"
EVERY_S = 1.0
STALE_S = 10.0
"""Age of a heartbeat at which a living process counts as hanging."""

STARTING_S = 120.0
"""The same while a node starts: it builds its engine in one go, on a busy machine for a minute."""


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """One heartbeat; times are UNIX nanoseconds (UTC).

    `phase` is ``starting``, ``running``, ``stopping``, ``stopped`` or ``failed``. `guards` are the
    last evaluations (None: never); entries stop while one is `silent`. `verdict` is the strictest
    on the desk, such as ``halt_entries by daily: …``. `flat` means no positions. `feed_lag` is the
    age of market data when they were handled, in nanoseconds: of the newest, and the largest of the
    last minute; None before any. `links_down` are the links that are not reliable. `stalled` is why
    trading makes no progress though the process lives. `equity` (USDT) is None before the first.
    `peak` is its highest since the first start, as guards have it (`carried`); `drawdown` is the
    fraction of it that is lost.
    """

    ts: int
    pid: int
    phase: str
    guards: dict[str, int | None] = msgspec.field(default_factory=dict)
    silent: tuple[str, ...] = ()
    verdict: str = ""
    flat: bool = True
    feed_lag: tuple[int, int] | None = None
    links_down: tuple[str, ...] = ()
    stalled: str = ""
    equity: Decimal | None = None
    peak: Mark | None = None
    drawdown: float | None = None


_BEATS = msgspec.json.Decoder(Beat)


class Heartbeat:
    """Writes the file; `failed` takes the first reason why it can't be written.

    `guards_within` is the age of the newest evaluation of guards, in seconds, at which trading
    counts as stalled. `anew` begins a new peak, as paper does with a new balance.
    `last` is the newest heartbeat, which `on_beat` is told as well. Other threads may read `last`,
    `reconnects` (by link), `feeds` (time of each instrument's last update), `profits` (net, by
    strategy) and the histograms of seconds.
    """

    def __init__(
        self,
        folder: Path,
        failed: Callable[[str], None],
        *,
        guards_within: float = STALE_S,
        anew: bool = False,
    ) -> None:
        self._path = folder / FILE
        self._failed = failed
        self._is_failing = False
        self._guards_within_ns = guards_within * 1e9
        before = None if anew else last_beat(folder)
        self._peak = None if before is None else before.peak
        self.phase = "starting"
        self.last: Beat | None = None
        self.on_beat: Callable[[Beat], None] = lambda beat: None
        self.guards: Callable[[], dict[str, int | None]] = dict
        self.silent: Callable[[], Iterable[str]] = tuple
        self.verdict: Callable[[], str] = str
        self.flat: Callable[[], bool] = lambda: True
        self.feed_lag: Callable[[], tuple[int, int] | None] = lambda: None
        self.links_down: Callable[[], tuple[str, ...]] = tuple
        self.desk: Callable[[], Snapshot | None] = lambda: None
        self.reconnects: Callable[[], Mapping[str, int]] = dict
        self.feeds: Callable[[], Mapping[str, int]] = dict
        self.profits: Callable[[], Mapping[str, Decimal]] = dict
        self.memory_slope: Callable[[], float | None] = lambda: None
        self.loop_lag, self.order_latency = Histogram(SECONDS), Histogram(SECONDS)

    async def keep_beating(self) -> None:
        """Write heartbeats until cancelled."""
        # Imported here to keep readers such as `perpdesk status` fast.
        import asyncio

        while True:
            self.beat()
            planned = time.monotonic() + EVERY_S
            await asyncio.sleep(EVERY_S)
            self.loop_lag.observe(max(0.0, time.monotonic() - planned))

    def beat(self, phase: str | None = None) -> None:
        """Write one heartbeat."""
        self.phase = phase or self.phase
        now, guards = time.time_ns(), self.guards()
        equity, drawdown = self._fall()
        beat = Beat(
            ts=now,
            pid=os.getpid(),
            phase=self.phase,
            guards=guards,
            silent=tuple(self.silent()),
            verdict=self.verdict(),
            flat=self.flat(),
            feed_lag=self.feed_lag(),
            links_down=self.links_down(),
            stalled=self._stalled(guards, now),
            equity=equity,
            peak=self._peak,
            drawdown=drawdown,
        )
        self.last = beat
        try:
            replace_file(self._path, msgspec.json.encode(beat))
        except OSError as error:
            if not self._is_failing:
                self._is_failing = True
                self._failed(f"the heartbeat file can't be written: {error}")
        else:
            self._is_failing = False
        self.on_beat(beat)

    def _fall(self) -> tuple[Decimal | None, float | None]:
        desk, peak = self.desk(), self._peak
        if desk is None:
            return None, None
        if peak is None:
            peak = fresh(desk.equity, desk.now, desk.flows)
        self._peak = peak = best(carried(peak, desk), desk.equity, desk.now, "all")
        lost = peak.lost(desk.equity, money=False)
        return desk.equity, float(lost / peak.value) if peak.value > 0 else None

    def _stalled(self, guards: Mapping[str, int | None], now: int) -> str:
        newest = max((ts for ts in guards.values() if ts is not None), default=now)
        if self.phase != "running" or now - newest <= self._guards_within_ns:
            return ""
        return f"no guard was evaluated for {(now - newest) / 1e9:.0f} s"


def last_beat(folder: Path) -> Beat | None:
    """Return the newest heartbeat in a node's state folder, else None."""
    try:
        return _BEATS.decode((folder / FILE).read_bytes())
    except (FileNotFoundError, msgspec.DecodeError):
        # Of a file of another version, the next second brings a new one.
        return None


def hangs(beat: Beat | None, pid: int | None, started: int, now_ns: int) -> str:
    """Return why a living process seems to hang, else empty; times are UNIX nanoseconds (UTC)."""
    # Ignore an earlier process's heartbeat.
    own = beat if beat is not None and beat.pid == pid else None
    newest = started if own is None else own.ts
    limit = STARTING_S if own is not None and own.phase == "starting" else STALE_S
    if now_ns - newest <= limit * 1e9:
        return ""
    seconds = (now_ns - newest) / 1e9
    return (
        f"process {pid} lives but has written no heartbeat for {seconds:.0f} s: if its disk is "
        "full, free space, as it may be well; else it hangs, and nothing watches its positions: "
        f"look at its log, end it (kill -9 {pid}), start it again"
    )
