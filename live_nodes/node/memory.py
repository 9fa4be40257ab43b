"""Alarm of a memory leak: the slope of the process's memory over time."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

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


def slope_of(samples: Sequence[tuple[float, float]]) -> float:
    """Return the least-squares slope of (hours, MB), MB an hour.

    Examples
    --------
    >>> slope_of([(0.0, 300.0), (0.5, 310.0), (1.0, 320.0)])
    20.0
    """
    hours, sizes = zip(*samples, strict=True)
    middle, mean = sum(hours) / len(hours), sum(sizes) / len(sizes)
    spread = sum((hour - middle) ** 2 for hour in hours)
    return sum((h - middle) * (s - mean) for h, s in samples) / spread


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
        self.slope, before = slope_of(self._samples), self.grows
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
