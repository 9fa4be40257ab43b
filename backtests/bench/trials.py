"""How many event-driven trials a minute one process does, data read once."""

from __future__ import annotations

import gc
import tempfile
import time
from pathlib import Path

from backtests.bench import Row
from backtests.bench.work import DAYS, PERPS, catalog, daily_reversal
from backtests.run import run as run_backtest

TRIALS = 8
FRACTION = 0.06
"""Three on each side: about the 3,767 orders a trial at which the aim was measured."""


def run() -> list[Row]:
    """Return the table's rows."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = daily_reversal(catalog(Path(folder)), fraction=FRACTION)
        slices = list(prepared.feed.slices())
        run_backtest(prepared, slices=iter(slices))
        gc.collect()
        began = time.perf_counter()
        orders = 0
        for _ in range(TRIALS):
            orders += len(run_backtest(prepared, slices=iter(slices)).tables["orders"])
        a_minute = TRIALS / (time.perf_counter() - began) * 60
    work = f"{PERPS} perps x {DAYS} days, {orders // TRIALS:,} orders a trial, one process"
    return [
        Row(f"event-driven trials: {work}", f"{a_minute:.0f} a minute", ">= 31", a_minute >= 31)
    ]
