"""What a policy costs: a decision, a run with it, and training on a month of quotes each second."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np

from backtests.policies.artifacts import write
from backtests.policies.fitted_q import Settings, fit, joined
from backtests.policies.looks import looks_of, pair_of, tape_of
from backtests.run import Prepared, prepare
from backtests.run import run as run_backtest
from catalog.demo.basis import BasisParams, generate
from catalog.storage.writer import CatalogWriter
from config.documents import Backtest
from config.validate import checked
from strategies.basis.edge import edge_of
from strategies.basis.policy import load
from strategies.basis.threshold import Threshold
from tests.bench import Row, in_own_process, median_cpu_seconds, peak_mb

DOCUMENT = Path(__file__).resolve().parents[2] / "backtests/runs/basis_demo.yaml"
HOURS = 24.0
REPLAYED = "window.end=2025-03-03 02:00"
AIM_US = 50.0
MONTH_H = 720.0
SIDE = 1e300
MONTH = """
import json
from pathlib import Path
from tests.bench.policy import month
print(json.dumps(month(Path({folder!r}))))
"""


def document(folder: Path, hours: float, *overrides: str) -> Backtest:
    """Return the demo's document on quotes of so many hours."""
    if not folder.exists():
        with CatalogWriter(folder) as writer:
            writer.add(generate(BasisParams(hours=hours)))
    end = np.datetime64("2025-03-03T00:00") + np.timedelta64(round(hours * 60), "m")
    always = (f"catalog={folder}", f"window.end={end}", "actors={}")
    found = checked(DOCUMENT, [*always, *overrides]).document
    assert isinstance(found, Backtest)
    return found


def month(folder: Path) -> dict[str, float]:
    """Look at a month of quotes and learn with one seed; return seconds, MB and looks."""
    pair = pair_of(document(folder, MONTH_H))
    began = time.process_time()
    looks = looks_of(tape_of(pair), pair)
    looked = time.process_time()
    fit(looks, 1, Settings())
    learned = time.process_time()
    return {
        "looks": len(looks.ts),
        "look_s": looked - began,
        "learn_s": learned - looked,
        "mb": peak_mb(),
    }


def decisions(folder: Path) -> tuple[list[Row], Path]:
    """Time single decisions of trained trees; return also the policy's folder."""
    pair = pair_of(document(folder / "catalog", HOURS))
    looks = looks_of(tape_of(pair), pair)
    settings = Settings()
    trees = joined([fit(looks, seed, settings) for seed in settings.seeds])
    levels = Threshold(open_bps=28.0, close_bps=-28.0)
    facts = {"low": [-SIDE] * 16, "high": [SIDE] * 16, "fees": [str(fee) for fee in pair.fees]}
    facts["params"] = msgspec.to_builtins(pair.rules)
    policy = load(write(folder / "policies", "bench", levels, trees, facts))
    edge = edge_of(30.0, -28.0, pair.costs, next(tape_of(pair).known_funding()), 0, 1)
    rows = looks.features[looks.allowed][:20_000]
    spent = np.empty(len(rows))
    for place, row in enumerate(rows):
        began = time.perf_counter_ns()
        policy.act(row, place % 2, edge)
        spent[place] = time.perf_counter_ns() - began
    middle, worst = (float(q) / 1e3 for q in np.quantile(spent[100:], [0.5, 0.99]))
    what = f"a decision of {trees.roots.size} trees, {len(trees.feature):,} nodes"
    return [
        Row(
            f"{what}: half take at most", f"{middle:.1f} µs", f"<= {AIM_US:g} µs", middle <= AIM_US
        ),
        Row(f"{what}: 99 of 100", f"{worst:.1f} µs", f"<= {AIM_US:g} µs", worst <= AIM_US),
    ], folder / "policies"


def run_rows(folder: Path, policies: Path) -> list[Row]:
    """Compare runs with looks each second to the same run that looks once an hour."""
    chosen = f"{{name: bench, version: '1', folder: {policies}}}"
    variants = {
        "without looks": "look=1h",
        "threshold": "threshold={open_bps: 28, close_bps: -28}",
        "trees": f"policy={chosen}",
    }
    prepared: dict[str, Prepared] = {
        name: prepare(
            document(folder / "catalog", HOURS, REPLAYED, f"strategies.basis.params.{words}")
        )
        for name, words in variants.items()
    }
    contestants: dict[str, Any] = {
        n: (lambda one=p: run_backtest(one)) for n, p in prepared.items()
    }
    seconds = median_cpu_seconds(contestants)
    quotes = 2 * 2 * 3600
    bare = seconds["without looks"]
    return [
        Row(
            f"a run on {quotes:,} quotes, {name}",
            f"{quotes / spent:,.0f} quotes/s",
            "" if name == "without looks" else f"{bare / spent:.2f} of the run without looks",
        )
        for name, spent in seconds.items()
    ]


def run() -> list[Row]:
    """Measure all of it."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        rows, policies = decisions(folder)
        rows += run_rows(folder, policies)
        document(folder / "month", MONTH_H)
        found = in_own_process(MONTH.format(folder=str(folder / "month")))
    what = f"{found['looks']:,.0f} looks, a month of quotes each second"
    return [
        *rows,
        Row(f"{what}: what the strategy would have seen", f"{found['look_s']:.0f} s"),
        Row(f"{what}: one seed learns, each 30 s", f"{found['learn_s']:.1f} s"),
        Row(f"{what}: peak memory", f"{found['mb']:,.0f} MB"),
    ]
