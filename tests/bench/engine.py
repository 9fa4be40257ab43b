"""What the desk costs on top of the engine: our backtest against the bare engine, same orders."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from backtests.engine.engine_costs import mended
from backtests.run import run as run_backtest
from tests.bench import Row, median_cpu_seconds
from tests.bench.bare import run_bare
from tests.bench.work import DAYS, PERPS, catalog, daily_reversal


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        prepared = daily_reversal(catalog(Path(folder)))
        slices = list(prepared.feed.slices())
        data = [item for part in slices for item in part.data]
        base = run_backtest(prepared, slices=iter(slices))
        fills = base.tables["fills"].to_pylist()
        balance = prepared.document.venue.starting_balance

        def bare() -> Any:
            return run_bare(prepared.market, data, fills, balance)

        def bare_mended() -> Any:
            with mended():
                return bare()

        seconds = median_cpu_seconds(
            {
                "ours": lambda: run_backtest(prepared, slices=iter(slices)),
                "bare": bare,
                "bare mended": bare_mended,
            }
        )
        filled, _ = bare()
        if filled != len(fills):
            raise RuntimeError(f"the bare engine filled {filled} orders, ours {len(fills)}")
    ours, plain, patched = seconds["ours"], seconds["bare"], seconds["bare mended"]
    work = f"{PERPS} perps x {DAYS} days, {len(fills):,} orders, {len(data):,} events"
    return [
        Row(f"our backtest, CPU: {work}", f"{ours:.2f} s"),
        Row("bare engine as it comes, same orders", f"{plain:.2f} s"),
        Row("bare engine, square costs mended", f"{patched:.2f} s"),
        Row("ours / bare mended", f"{ours / patched:.2f} x", "<= 1.10 x", ours / patched <= 1.10),
        Row("bare as it comes / ours", f"{plain / ours:.2f} x", ">= 1.75 x", plain / ours >= 1.75),
    ]
