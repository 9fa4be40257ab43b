"""How long a person waits for a command that needs no engine: processor seconds of the process."""

from __future__ import annotations

import resource
import subprocess
import sys

from tests.bench import Row

AIM = 0.7
COMMANDS = (
    ("--help",),
    ("validate", "backtests/runs/xs_reversal_demo.yaml"),
    ("explain", "backtests/runs/xs_reversal_demo.yaml"),
    ("status", "live_nodes/nodes/xs_reversal_practice.yaml"),
    ("risk", "flatten", "--help"),
)


def seconds_of(words: tuple[str, ...]) -> float:
    """Run a command in a process of its own; return its user and system seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "perpdesk.py", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def run() -> list[Row]:
    """Measure each command five times and give its best."""
    rows = []
    for words in COMMANDS:
        best = min(seconds_of(words) for _ in range(5))
        what = f"perpdesk {' '.join(words)}, processor time"
        rows.append(Row(what, f"{best:.2f} s", f"< {AIM} s", best < AIM))
    return rows
