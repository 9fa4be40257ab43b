"""What the momentum costs, every part on: decisions, a year of runs, its guards."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from backtests.engine.engine_costs import mended
from backtests.run import Prepared, prepare
from backtests.run import run as run_backtest
from backtests.screening.screen import screen_document
from backtests.variants import without_guards
from config.documents import Backtest
from config.params import build_params
from strategies.rebalance.history import Window
from strategies.rebalance.memory import NO_MEMORY
from strategies.rebalance.propose import Listings, propose, remembered, rows_needed
from strategies.xs_momentum import XSMomentum
from tests.bench import Row, median_cpu_seconds
from tests.bench.bare import run_bare
from tests.bench.work import catalog

SETUP = Path(__file__).parents[2] / "config" / "setups" / "xs_momentum.yaml"
PRESET = SETUP.parents[1] / "presets" / "risk_standard.yaml"
PERPS, DAYS, GUARDED_DAYS = 40, 365, 60
DECISIONS = 200
SIZES = (50, 300, 500)


def run() -> list[Row]:
    """Measure decisions of three universes, a year against the bare engine, screen and guards."""
    rows = [_decisions(names) for names in SIZES]
    with tempfile.TemporaryDirectory() as folder:
        path = catalog(Path(folder), PERPS, DAYS + 35)
        rows += [*_year(_prepared(path, DAYS)), _screen(path), _guards(path)]
    return rows


def params() -> dict[str, Any]:
    """Return the setup's parameters; decisions come as candles close."""
    document = yaml.safe_load(SETUP.read_text(encoding="utf-8"))
    found: dict[str, Any] = document["strategies"]["momentum"]["params"]
    return found | {"at": "00:00"}


def _decisions(names: int) -> Row:
    ids = ("BTCUSDT-LINEAR.BYBIT", "ETHUSDT-LINEAR.BYBIT", *(f"C{i:03}" for i in range(names - 2)))
    rules = XSMomentum.Config(key="m", instruments=ids, **build_params(XSMomentum, params()))
    listings, memory, taken = Listings(ids, np.zeros(names)), NO_MEMORY, []
    for window in _windows(names, rows_needed(rules, XSMomentum.rows_for_scores(rules))):
        began = time.perf_counter()
        proposal = propose(rules, listings, window, XSMomentum.scores(rules, window), memory=memory)
        memory = remembered(rules, ids, window.ts, memory, proposal)
        taken.append(1e3 * (time.perf_counter() - began))
    half, most = np.percentile(taken, (50, 99))
    what = f"a decision on {names} perps, every part on: p50 / p99 of {DECISIONS}"
    return Row(what, f"{half:.1f} / {most:.1f} ms")


def _windows(names: int, rows: int) -> Iterator[Window]:
    random = np.random.default_rng(0)
    shape = (rows + DECISIONS, names)
    close = 100.0 * np.exp(random.normal(0.0, 0.01, shape).cumsum(axis=0))
    wide = np.exp(np.abs(random.normal(0.0, 0.005, shape)))
    funding = np.full(shape, np.nan)
    funding[::8] = 1e-5
    for last in range(rows, rows + DECISIONS):
        cut = slice(last - rows, last)
        ts = (last + 100_000) * 3_600 * 10**9
        yield Window(
            ts,
            close[cut],
            np.full((rows, names), 1e6),
            close[cut],
            (close * wide)[cut],
            (close / wide)[cut],
            funding[cut],
        )


def _prepared(path: Path, days: int, actors: dict[str, Any] | None = None) -> Prepared:
    """Prepare a run without slippage and stops, so that a bare engine can do the same."""
    start = date(2023, 2, 1)
    return prepare(
        Backtest.model_validate(
            {
                "kind": "backtest",
                "name": "bench",
                "catalog": str(path),
                "window": {"start": f"{start}", "end": f"{start + timedelta(days=days)}"},
                "venue": {"slippage": {"model": "none"}, "execution_interval": "1h"}
                | {"funding": False},
                "actors": actors or {},
                "strategies": {
                    "momentum": {
                        "use": "strategies.xs_momentum:XSMomentum",
                        "params": params() | {"protection": None},
                    }
                },
            }
        )
    )


def _year(prepared: Prepared) -> list[Row]:
    slices = list(prepared.feed.slices())
    data = [item for part in slices for item in part.data]
    fills = run_backtest(prepared, slices=iter(slices)).tables["fills"].to_pylist()

    def bare() -> None:
        run_bare(prepared.market, data, fills, prepared.document.venue.starting_balance)

    def bare_mended() -> None:
        with mended():
            bare()

    seconds = median_cpu_seconds(
        {
            "ours": lambda: run_backtest(prepared, slices=iter(slices)),
            "bare": bare,
            "bare mended": bare_mended,
        }
    )
    ours, plain, patched = seconds["ours"], seconds["bare"], seconds["bare mended"]
    work = f"{PERPS} perps x {DAYS} days hourly, {len(fills):,} orders, {len(data):,} events"
    return [
        Row(f"the momentum's backtest, CPU: {work}", f"{ours:.2f} s"),
        Row("bare engine as it comes, same orders", f"{plain:.2f} s"),
        Row("ours / bare as it comes", f"{ours / plain:.2f} x", "<= 1.00 x", ours / plain <= 1.0),
        Row("bare engine, square costs mended", f"{patched:.2f} s"),
        Row("ours / bare mended", f"{ours / patched:.2f} x"),
    ]


def _screen(path: Path) -> Row:
    document = _prepared(path, DAYS).document
    began = time.process_time()
    (found,) = screen_document(document)
    spent = time.process_time() - began
    rate = found.count / spent
    return Row(f"screen of the same year, {found.count:,} decisions", f"{rate:,.0f} / s")


def _guards(path: Path) -> Row:
    actors = yaml.safe_load(PRESET.read_text(encoding="utf-8"))["actors"]
    guarded = _prepared(path, GUARDED_DAYS, actors)
    free = without_guards(guarded, guarded.document.actors)
    slices = list(guarded.feed.slices())
    works = {"on": guarded, "off": free}
    seconds = median_cpu_seconds(
        {
            name: lambda work=work: run_backtest(work, slices=iter(slices))
            for name, work in works.items()
        }
    )
    ratio = seconds["on"] / seconds["off"]
    what = f"{GUARDED_DAYS} days of it with the guards of risk_standard / without"
    return Row(what, f"{ratio:.2f} x", "<= 1.20 x", ratio <= 1.2)
