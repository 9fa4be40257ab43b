"""How long a person waits for a command that needs no engine: processor seconds of the process."""

from __future__ import annotations

from tests.bench import Row, child_cpu_seconds

AIM = 0.7
COMMANDS = (
    ("--help",),
    ("validate", "backtests/runs/xs_reversal_demo.yaml"),
    ("explain", "backtests/runs/xs_reversal_demo.yaml"),
    ("status", "live_nodes/nodes/xs_reversal_practice.yaml"),
    ("risk", "flatten", "--help"),
)


def run() -> list[Row]:
    """Measure each command five times and give its best."""
    rows = []
    for words in COMMANDS:
        best = min(child_cpu_seconds(["perpdesk.py", *words])[0] for _ in range(5))
        what = f"perpdesk {' '.join(words)}, processor time"
        rows.append(Row(what, f"{best:.2f} s", f"< {AIM} s", best < AIM))
    return rows
