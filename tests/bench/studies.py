"""A study's cost: its screen against vectorbt, its trials against plain loops, workers, ledger.

The work of all: 50 perpetuals, 365 daily candles, the daily reversal. vectorbt is no dependency:
``PERPDESK_VECTORBT`` names the Python of an environment that has it.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
import yaml

from backtests import checks
from backtests.engine.engine_costs import mended
from backtests.optimize import plan
from backtests.optimize.study import _Runs
from backtests.optimize.trials import Trials
from backtests.optimize.workers import Workers, workers
from backtests.run import run as run_backtest
from backtests.screening.grid import Candidate, screen_grid
from backtests.studies.search_space import draw
from backtests.studies.trial_ledger import TrialLedger
from catalog.panel import panel
from tests.bench import Row, median_cpu_seconds, node_loop
from tests.bench.bare import run_bare
from tests.bench.work import DAYS, PERPS, catalog, daily_reversal

CANDIDATES, TRIALS, VECTORBT_CANDIDATES = 10_000, 8, 200
MEMORY_TRIALS, MEMORY_DAYS = 120, 90
"""Memory is measured on shorter trials, and more of them."""
FRACTION = 0.06
"""Three on each side, as in `tests.bench.trials`."""
PARAMS = "strategies.reversal.params."
SEARCH = {
    "lookback": {"int": [1, 20]},
    "skip": {"int": [0, 1]},
    "fraction": {"float": [0.05, 0.5]},
    "every": {"choice": ["1d", "2d", "3d", "5d"]},
}
VECTORBT = "PERPDESK_VECTORBT"


def run() -> list[Row]:
    """Measure the screen of a whole study, then its trials."""
    checks.register()
    with tempfile.TemporaryDirectory() as folder:
        found = _plan(Path(folder))
        return [*_screen(found, Path(folder)), *_trials(found, Path(folder))]


def _plan(folder: Path, days: int = DAYS) -> plan.Found:
    document = daily_reversal(catalog(folder), days=days, fraction=FRACTION).document
    backtest, study = folder / "backtest.yaml", folder / "study.yaml"
    written = document.model_dump(mode="json", exclude_unset=True)
    # What `prepare` has taken for `auto` is no part of the document.
    written["venue"] = {"slippage": {"model": "none"}, "execution_interval": "1d", "funding": False}
    backtest.write_text(yaml.safe_dump(written), encoding="utf-8")
    search = {PARAMS + name: values for name, values in SEARCH.items()}
    wanted: dict[str, Any] = {
        "kind": "study",
        "name": "bench",
        "backtest": str(backtest),
        "hold_out": 0.0,
    }
    wanted["folds"] = {"train_days": days // 2, "test_days": days // 4, "min_test_days": 1}
    study.write_text(yaml.safe_dump(wanted | {"search": search}), encoding="utf-8")
    return plan.plan(study)


def _screen(found: plan.Found, folder: Path) -> list[Row]:
    found.candidates = draw(found.study.search, "sobol", CANDIDATES, 0)
    with (
        TrialLedger(folder / "screened.sqlite") as ledger,
        workers(found.base, 2, 4096) as pool,
    ):
        runs = _Runs(found, ledger, pool, lambda *_: None)
        runs.screen(range(100))  # until all have read the data
        began, spent = time.perf_counter(), _cpu(pool)
        runs.screen(range(CANDIDATES))
        seconds, spent = time.perf_counter() - began, _cpu(pool) - spent
        peak = max(_resident_mb(pid) for pid in pool.pids())
    each = CANDIDATES / spent
    what = f"screen of {CANDIDATES:,} candidates x {PERPS} perps x {DAYS} days, 2 workers"
    row = Row(f"{what}, into the ledger", f"{seconds:.1f} s", "<= 20 s", seconds <= 20)
    told = Row("one worker's CPU, and memory", f"{each:,.0f} candidates/s, {peak:,.0f} MB")
    return [row, told, *_vectorbt(found, folder, each, peak)]


def _vectorbt(found: plan.Found, folder: Path, each: float, peak: float) -> list[Row]:
    if VECTORBT not in os.environ:
        return [Row("the same by vectorbt", f"not installed ({VECTORBT} names its Python)")]
    market = daily_reversal(catalog(folder)).catalog
    close = panel(market, "1d", tuple(market.instruments), *found.window).close
    rows = [[one[PARAMS + name] for name in SEARCH] for one in found.candidates]
    every = [Candidate(*row[:3], int(row[3][:-1])) for row in rows]
    few = every[:VECTORBT_CANDIDATES]
    file, cost = folder / "work.npz", 0.00055
    table = np.array([[one.lookback, one.skip, one.fraction, one.hold] for one in few])
    np.savez(file, close=close, candidates=table, cost=cost)
    script = str(Path(__file__).with_name("vectorbt_screen.py"))
    command = [os.environ[VECTORBT], script, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout.splitlines()[-1])
    grid = screen_grid(close, few, cost=cost)
    if not np.corrcoef(grid.total_return, said["returns"])[0, 1] > 0.99:
        raise AssertionError("vectorbt and the screen's grid disagree on the same work")
    began = time.process_time()
    screen_grid(close, every, cost=cost)
    kernel = len(every) / (time.process_time() - began)
    theirs = len(few) / said["seconds"]
    whole, alone, less = each / theirs, kernel / theirs, peak < said["peak_mb"]
    return [
        Row("the same by vectorbt", f"{theirs:,.0f} candidates/s, {said['peak_mb']:,.0f} MB"),
        Row("the study's screen / vectorbt", f"{whole:,.1f} x", ">= 200 x", whole >= 200),
        Row("the compiled grid alone / vectorbt", f"{alone:,.0f} x", ">= 200 x", alone >= 200),
        Row(
            "a screening worker's memory / vectorbt's", f"{peak / said['peak_mb']:.2f}", "< 1", less
        ),
    ]


def _trials(found: plan.Found, folder: Path) -> list[Row]:
    candidate = {PARAMS + "lookback": 1}
    prepared = daily_reversal(catalog(folder), fraction=FRACTION)
    slices = list(prepared.feed.slices())
    data = [item for part in slices for item in part.data]
    fills = run_backtest(prepared, slices=iter(slices)).tables["fills"].to_pylist()
    market, balance = prepared.market, prepared.document.venue.starting_balance
    files = folder / "nautilus"
    files.mkdir()
    node_loop.write(files, market.instruments, data, fills)

    def bare() -> None:
        with mended():
            run_bare(market, data, fills, balance)

    def node() -> None:
        if node_loop.run_node(files, list(market.ids), balance) != len(fills):
            raise AssertionError("the plain loop filled other orders")

    alone = Trials(found.base)
    alone.full(candidate)
    seconds = median_cpu_seconds({"ours": lambda: alone.full(candidate), "bare": bare})
    node()
    began = time.perf_counter()
    node()
    loop = 60 / (time.perf_counter() - began)
    ours, theirs = 60 / seconds["ours"], 60 / seconds["bare"]
    one, _, _ = _rate(found, candidate, 1, TRIALS)
    two, _, _ = _rate(found, candidate, 2, 2 * TRIALS)
    _, first, last = _rate(_plan(folder, MEMORY_DAYS), candidate, 1, MEMORY_TRIALS)
    growth = (last - first) / (MEMORY_TRIALS / 2) * 1000
    scale = two / one / 2
    ledger = _ledger_seconds(folder, candidate) / seconds["ours"]
    work = f"{PERPS} perps x {DAYS} days, {len(fills):,} orders"
    return [
        Row(f"trials of a study, 2 workers: {work}", f"{two:.0f} a minute"),
        Row("a plain loop of BacktestNode, same orders", f"{loop:.1f} a minute"),
        Row("2 workers / the plain loop", f"{two / loop:.1f} x", ">= 4.0 x", two >= 4 * loop),
        Row("one process, CPU", f"{ours:.0f} a minute"),
        Row("the bare engine, mended, same orders, CPU", f"{theirs:.0f} a minute"),
        Row("ours / the bare engine", f"{ours / theirs:.2f} x", ">= 1.0 x", ours >= theirs),
        Row("two workers / twice one", f"{scale:.0%}", ">= 90 %", scale >= 0.9),
        Row("the ledger's part of a trial", f"{ledger:.2%}", "<= 1 %", ledger <= 0.01),
        Row(
            f"memory over 1,000 trials, by the last {MEMORY_TRIALS // 2} of {MEMORY_TRIALS}",
            f"{growth:+,.0f} MB",
            "<= 100 MB",
            growth <= 100,
        ),
    ]


def _rate(
    found: plan.Found, candidate: dict[str, int], count: int, runs: int
) -> tuple[float, float, float]:
    """Return trials a minute, and a worker's memory in MB after half of them and after all."""
    with workers(found.base, count, 4096) as pool:
        for done in [pool.submit(Trials.full, candidate) for _ in range(2 * count)]:
            done.result()  # until all have read the data
        began, used = time.perf_counter(), []
        for done in [pool.submit(Trials.full, candidate) for _ in range(runs)]:
            done.result()
            used.append(max(map(_resident_mb, pool.pids())))
        minutes = (time.perf_counter() - began) / 60
    half = len(used) // 2
    return runs / minutes, median(used[half - 2 : half + 1]), median(used[-3:])


def _ledger_seconds(folder: Path, candidate: dict[str, int]) -> float:
    returns, times = np.zeros(DAYS), 200
    with TrialLedger(folder / "trials.sqlite") as ledger:
        data = ledger.data_set(folder, 0, 1)
        began = time.perf_counter()
        for number in range(times):
            trial = ledger.begin("bench", data, f"{number}", candidate)
            ledger.finish(trial.number, {"sharpe": 1.0}, returns, "code")
        return (time.perf_counter() - began) / times


def _cpu(pool: Workers) -> float:
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pool.pids())


def _resident_mb(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss) / 2**20
