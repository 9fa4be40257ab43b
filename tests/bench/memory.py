"""Memory and time against the length of the window: flat, and linear in closed positions."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.bench import Row, in_own_process
from tests.bench.work import catalog

CODE = """
import json
from pathlib import Path
from tests.bench import peak_mb
from tests.bench.work import daily_reversal
from backtests.run import run
outcome = run(daily_reversal(Path({path!r}), days={days}, interval="1h"))
orders = len(outcome.tables["orders"])
print(json.dumps({{"mb": peak_mb(), "orders": orders, "seconds": outcome.elapsed_s}}))
"""
WINDOWS = (90, 180, 360)


def run() -> list[Row]:
    """Return the table's rows; each window runs in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = catalog(Path(folder))
        found = {days: in_own_process(CODE.format(path=str(path), days=days)) for days in WINDOWS}
    shortest, longest = found[WINDOWS[0]], found[WINDOWS[-1]]
    ratio = longest["mb"] / shortest["mb"]
    slower = longest["seconds"] / longest["orders"] / (shortest["seconds"] / shortest["orders"])
    rows = [
        Row(f"peak memory, 50 perps hourly, {d} days", f"{m['mb']:.0f} MB, {m['orders']:,} orders")
        for d, m in found.items()
    ] + [
        Row("four times the window", f"{ratio:.2f} x the memory", "<= 1.15 x", ratio <= 1.15),
        Row("time an order, four times the window", f"{slower:.2f} x", "<= 1.15 x", slower <= 1.15),
    ]
    return rows
