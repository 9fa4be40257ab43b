"""How many event-driven trials a minute one process does, data read once."""

from __future__ import annotations

import gc
import tempfile
import time
from pathlib import Path

from backtests.engine.engine_costs import mended
from backtests.run import run as run_backtest
from tests.bench import Row
from tests.bench.bare import run_bare
from tests.bench.work import DAYS, PERPS, catalog, daily_reversal

TRIALS = 8
FRACTION = 0.06
"""Three on each side: about the 3,767 orders a trial at which the aim was measured."""


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        prepared = daily_reversal(catalog(Path(folder)), fraction=FRACTION)
        slices = list(prepared.feed.slices())
        run_backtest(prepared, slices=iter(slices))
        gc.collect()
        began = time.perf_counter()
        runs = (run_backtest(prepared, slices=iter(slices)) for _ in range(TRIALS))
        orders = sum(len(one.tables["orders"]) for one in runs)
        a_minute = TRIALS / (time.perf_counter() - began) * 60
        data = [item for part in slices for item in part.data]
        fills = run_backtest(prepared, slices=iter(slices)).tables["fills"].to_pylist()
        began = time.perf_counter()
        with mended():
            run_bare(prepared.market, data, fills, prepared.document.venue.starting_balance)
        bare = 60 / (time.perf_counter() - began)
    work = f"{PERPS} perps x {DAYS} days, {orders // TRIALS:,} orders a trial, one process"
    return [
        Row(f"event-driven trials: {work}", f"{a_minute:.0f} a minute", ">= 31", a_minute >= 31),
        Row("the bare engine, mended, with the same orders", f"{bare:.0f} a minute"),
    ]
