"""The screen's grid against plain numpy doing the same arithmetic, one thread each.

The work: 170 perpetuals, 600 days, 1,000 candidates (lookback
1 to 20, five fractions, two skips, five holding times), 0.4 a side, 5.5 bps on turnover with drift.
A bar-evaluation is one candidate, one instrument, one day. vectorbt did 2.6 million a second on it.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from itertools import product
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from backtests.screening.grid import Candidate, screen_grid
from backtests.screening.path import close_returns
from strategies.signals.past_return import past_return
from strategies.signals.ranking import ordinal_rank
from tests.bench import Row, child_cpu_seconds, peak_mb

DAYS, PERPS = 600, 170
GROSS, COST = 0.8, 0.00055
VECTORBT = 2.6
AIM, LEAST = 600, 200
COLD_S, PEAK_MB = 1.5, 350


def run() -> list[Row]:
    """Measure the grid, numpy, a cold start and peak memory."""
    close, candidates = panel(), grid()
    evaluations = DAYS * PERPS * len(candidates) / 1e6
    screen_grid(close, candidates, gross=GROSS, cost=COST)
    ours, figures = _timed(lambda: screen_grid(close, candidates, gross=GROSS, cost=COST), 7)
    plain, sharpes = _timed(lambda: numpy_sharpes(close, candidates), 1)
    if not np.allclose(figures.sharpe, sharpes, rtol=1e-9):
        raise AssertionError("the grid and numpy disagree on the same work")
    cold, peak = _fresh_process()
    rate = evaluations / ours
    work = f"{len(candidates):,} candidates x {PERPS} perps x {DAYS} days"
    aim = f">= {AIM} M/s, {LEAST} M/s at the least"
    started = "fresh process with the compiled code on disk, imports to figures"
    return [
        Row(work, f"{rate:,.0f} M bar-evaluations/s", aim, rate >= AIM),
        Row("the same in numpy", f"{evaluations / plain:,.0f} M/s ({plain / ours:.1f} x slower)"),
        Row("against vectorbt's 2.6 M/s on this work", f"{rate / VECTORBT:,.0f} x"),
        Row(started, f"{cold:.2f} s CPU", f"<= {COLD_S} s", cold <= COLD_S),
        Row("its peak memory", f"{peak:,.0f} MB", f"<= {PEAK_MB} MB", peak <= PEAK_MB),
    ]


def panel() -> NDArray[np.float64]:
    """Return random walks, shape (DAYS, PERPS), the same at each call."""
    moves = np.random.default_rng(0).normal(0, 0.03, (DAYS, PERPS))
    return 100.0 * np.exp(np.cumsum(moves, axis=0))


def grid() -> list[Candidate]:
    axes = (range(1, 21), (0, 1), (0.05, 0.1, 0.2, 0.3, 0.5), (1, 2, 3, 5, 10))
    return [Candidate(*parameters) for parameters in product(*axes)]


def numpy_sharpes(close: NDArray[np.float64], candidates: list[Candidate]) -> NDArray[np.float64]:
    """Return the grid's Sharpes by numpy: ranks once a key, then all its candidates day by day."""
    sharpes = np.full(len(candidates), np.nan)
    returns = np.nan_to_num(close_returns(close))
    keys = [(c.lookback, c.skip) for c in candidates]
    for lookback, skip in dict.fromkeys(keys):
        chosen = [i for i, key in enumerate(keys) if key == (lookback, skip)]
        holds = np.array([candidates[i].hold for i in chosen])
        fractions = np.array([candidates[i].fraction for i in chosen])
        first = lookback + skip
        weights = np.zeros((len(chosen), PERPS))
        drifted = np.zeros_like(weights)
        net = np.zeros((len(close) - 1 - first, len(chosen)))
        for t in range(len(net)):
            due = t % holds == 0
            ranks = ordinal_rank(-past_return(close[: first + t + 1], lookback, skip))
            count = np.count_nonzero(ranks)
            held = np.maximum(1, (fractions[due] * count + 1e-9).astype(int))[:, None]
            sides = (ranks <= held).astype(float) - (ranks > count - held)
            weights[due] = sides * (GROSS / 2 / held)
            turnover = np.abs(weights - drifted).sum(axis=1)
            moved = weights * returns[first + t]
            net[t] = moved.sum(axis=1) - COST * turnover
            drifted = (weights + moved) / (1.0 + net[t])[:, None]
        sharpes[chosen] = net.mean(axis=0) / net.std(axis=0, ddof=1) * np.sqrt(365)
    return sharpes


def _timed[T](work: Callable[[], T], times: int) -> tuple[float, T]:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        result = work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken), result


def _fresh_process() -> tuple[float, float]:
    """Return CPU seconds and peak MB of a process that screens the grid once.

    The second of two counts: the first leaves Python's own compiled files behind, as on any machine
    that has run it before, also where the environment forbids writing them beside the sources.
    """
    with TemporaryDirectory() as folder:
        settings = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        settings["PYTHONPYCACHEPREFIX"] = folder
        for _ in range(2):
            seconds, peak = child_cpu_seconds(
                ["-m", "tests.bench.screen"], check=True, env=settings
            )
    return seconds, float(peak)


if __name__ == "__main__":
    screen_grid(panel(), grid(), gross=GROSS, cost=COST)
    print(peak_mb())
