"""What a node in a benchmark gets, and what it reports: CPU, memory, how late its messages are.

A line of JSON a second, written by a thread, the same in ours and in the bare one.
"""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import msgspec

from tests.bench import resident_mb

EVERY_S = 1.0


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """The same for ours and for the bare one."""

    port: int  # Of the exchange, on 127.0.0.1
    account: str  # Whose money it is
    signals: tuple[str, ...]  # Ids of the instruments whose books are heard
    answered: str  # Id of the one whose books are answered
    traded: str | None  # Id of the instrument that is traded
    every: int  # One of so many changes is answered
    meter: str  # File that takes the readings


class Reading(msgspec.Struct, frozen=True):
    """One line."""

    at: int  # Monotonic nanoseconds
    cpu_s: float  # CPU seconds of the process so far, all threads
    rss_mb: float  # Memory in use
    messages: int  # Books heard so far
    # Of the last second: from the exchange's stamp (whole milliseconds, cut off) to the handler.
    lag_p50_ms: float | None
    lag_p99_ms: float | None


class Meter:
    """Counts in the strategy's thread, writes in its own; a file that is there is written on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lags: list[int] = []
        self._messages = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._write, name="meter", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._done.set()
        self._thread.join()

    def heard(self, ts_event: int) -> None:
        """Count a message; `ts_event` is its stamp, UNIX nanoseconds."""
        self._lags.append(time.time_ns() - ts_event)

    def _write(self) -> None:
        with self._path.open("a", encoding="utf-8") as lines:
            while not self._done.wait(EVERY_S):
                lines.write(msgspec.json.encode(self._reading()).decode() + "\n")
                lines.flush()

    def _reading(self) -> Reading:
        lags, self._lags = self._lags, []
        self._messages += len(lags)
        lags.sort()
        return Reading(
            at=time.monotonic_ns(),
            cpu_s=time.process_time(),
            rss_mb=resident_mb(),
            messages=self._messages,
            lag_p50_ms=quantile(lags, 0.50) / 1e6 if lags else None,
            lag_p99_ms=quantile(lags, 0.99) / 1e6 if lags else None,
        )


def readings(path: Path) -> list[Reading]:
    """Return what was written so far; a last line that is cut off does not count."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    return [msgspec.convert(json.loads(line), Reading) for line in whole.splitlines()]


def quantile(ordered: list[int], share: float) -> int:
    """Return the value below which a share of the ordered values lies, one of them."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
