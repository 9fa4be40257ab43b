"""Alarm of a memory leak: the slope of the process's memory over time."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from statistics import linear_regression

from config.documents.watch import MemorySettings

SAMPLES = 60
MB = 1_000_000
_STATM = Path("/proc/self/statm")


def resident_mb() -> float | None:
    """Return this process's resident memory in MB, None where the system does not say."""
    try:
        pages = int(_STATM.read_bytes().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / MB


class MemoryWatch:
    """Measures memory sixty times a window, and says once when it begins to grow too fast.

    `slope` is None until the window is full; `grows` is why to restart, else empty.
    """

    def __init__(
        self,
        settings: MemorySettings,
        say: Callable[[str], None],
        *,
        clock_s: Callable[[], float] = time.monotonic,
        measure: Callable[[], float | None] = resident_mb,
    ) -> None:
        self._settings, self._say, self._clock_s, self._measure = settings, say, clock_s, measure
        self._samples: deque[tuple[float, float]] = deque(maxlen=SAMPLES + 1)
        self._next = clock_s()
        self.slope: float | None = None
        self.grows = ""

    def look(self) -> None:
        """Measure when it is time to."""
        now = self._clock_s()
        if now < self._next:
            return
        self._next = now + self._settings.window / SAMPLES
        size = self._measure()
        if size is None:
            return
        self._samples.append((now / 3600, size))
        if len(self._samples) <= SAMPLES:
            return
        self.slope, before = linear_regression(*zip(*self._samples, strict=True)).slope, self.grows
        self.grows = ""
        if self.slope > self._settings.slope:
            self.grows = (
                f"memory grows by {self.slope:,.1f} MB an hour, more than "
                f"watch.memory.slope ({self._settings.slope:g}), and is {size:,.0f} MB"
            )
            if not before:
                ends = " restart it when it is flat"
                if self._settings.restart == "flat":
                    ends = " it restarts as soon as it is flat"
                self._say(f"{self.grows};{ends}")
