"""Benchmarks: `make bench` measures what the README claims, each figure beside a peer's in one run.

To add one: a module here or in ``live`` with ``run() -> list[Row]``, named in ``__main__.py``.
Each figure of a live node stands beside that of a bare Nautilus strategy on the adapter as it
comes, against one practice exchange in one run.
"""

from __future__ import annotations

import gc
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPEATS = 3


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str  # What was measured, with its size
    value: str  # The figure with its unit
    aim: str = ""  # What it is held against; empty for a figure that is only told
    met: bool | None = None  # Whether it reaches the aim; None without an aim


def peak_mb() -> float:
    """Return this process's peak memory in MB.

    On Linux from ``VmHWM``: ``ru_maxrss`` of a child starts at its parent's peak.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def resident_mb() -> float:
    """Return the memory that this process has in use now, MB; its peak where no /proc tells."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        pages = int(statm.read_text(encoding="ascii").split()[1])
        return pages * resource.getpagesize() / 2**20
    return peak_mb()


def median_cpu_seconds(
    contestants: Mapping[str, Callable[[], Any]], repeats: int = REPEATS
) -> dict[str, float]:
    """Let contestants work in turns, some times each; return their median CPU seconds."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, contestant in contestants.items():
            gc.collect()
            began = time.process_time()
            contestant()
            times[name].append(time.process_time() - began)
    return {name: statistics.median(values) for name, values in times.items()}


def child_cpu_seconds(command: list[str], **settings: Any) -> tuple[float, str]:
    """Run a Python command to its end; return its user and system seconds and its output."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, **settings)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, done.stdout


def in_own_process(code: str) -> dict[str, float]:
    """Run code in a fresh process; return the JSON object that it prints last."""
    _, printed = child_cpu_seconds(["-c", code], check=True)
    found: dict[str, float] = json.loads(printed.splitlines()[-1])
    return found
