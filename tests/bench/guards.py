"""What guards cost a backtest: a preset's against none, on candles of an hour and on books."""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from actors.desk.build import guards_of
from actors.desk.risk_desk import RiskDesk
from actors.guards.core.snapshot import Snapshot
from backtests.run import Prepared, prepare
from backtests.run import run as run_backtest
from backtests.variants import without_guards
from catalog.providers.demo_books import BookParams, generate
from catalog.storage.writer import CatalogWriter
from config.documents import Backtest
from config.load import load
from tests.bench import Row, median_cpu_seconds
from tests.bench.work import catalog, daily_reversal

PRESET = Path(__file__).parents[2] / "config" / "presets" / "risk_standard.yaml"
BOOKS = Path(__file__).parents[2] / "backtests" / "runs" / "xs_reversal_books.yaml"
BOOK_REPEATS = 5
PERPS, DAYS = 100, 45
"""A hundred positions, looked at with each of some weeks' hourly candles."""


def guarded(path: Path) -> Prepared:
    """Prepare the run: every perpetual held, one times the equity in all, guards as preset."""
    made = daily_reversal(path, days=DAYS, interval="1h", fraction=0.5)
    document = made.document.model_dump(mode="json")
    document["actors"] = yaml.safe_load(PRESET.read_text(encoding="utf-8"))["actors"]
    return replace(made, document=Backtest.model_validate(document))


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        prepared = guarded(catalog(Path(folder), PERPS, DAYS + 35))
        slices = list(prepared.feed.slices())
        sizes: dict[str, int] = {}
        without = without_guards(prepared, prepared.document.actors)

        def ran(name: str, work: Prepared) -> None:
            sizes[f"orders {name}"] = len(run_backtest(work, slices=iter(slices)).tables["orders"])

        seconds = median_cpu_seconds(
            {"guards": lambda: ran("guards", prepared), "none": lambda: ran("none", without)}
        )
        look, looks, held = _look_costs(prepared, slices)
        on_books = _on_books(Path(folder) / "books")
    with_guards, bare = seconds["guards"], seconds["none"]
    work = f"{PERPS} perps x {DAYS} days hourly, {sizes['orders none']:,} orders"
    guards = f"{len(guards_of(prepared.document))} guards of risk_standard"
    guarded_run = f"the same with the {guards}, {sizes['orders guards']:,} orders"
    a_look = f"a look of all guards at {held} positions, median of {looks:,}"
    return [
        Row(f"backtest without guards, CPU: {work}", f"{bare:.2f} s"),
        Row(guarded_run, f"{with_guards:.2f} s"),
        Row("with guards / without", f"{with_guards / bare:.2f} x"),
        Row(a_look, f"{look * 1e6:.0f} µs"),
        on_books,
    ]


def _on_books(folder: Path) -> Row:
    """Compare the demo's run on books, whose guards look at each second, with one without."""
    with CatalogWriter(folder) as writer:
        for part in generate(BookParams(hours=1.0))[0]:
            writer.add(part)
    changes = [f"catalog={folder}", "window.end=2025-03-03 08:00"]
    prepared = prepare(load(BOOKS, changes).document)
    slices = list(prepared.feed.slices())
    works = {"guards": prepared, "none": without_guards(prepared, prepared.document.actors)}
    seconds = median_cpu_seconds(
        {name: partial(_run, work, slices) for name, work in works.items()}, BOOK_REPEATS
    )
    looks = round((prepared.end - prepared.start) / 1e9)
    messages = sum(len(part.data) for part in slices)
    found = seconds["guards"] / seconds["none"]
    return Row(
        f"books, {messages:,} messages: with {looks:,} looks of all guards / without",
        f"{found:.2f} x, {(seconds['guards'] - seconds['none']) / looks * 1e6:.0f} µs a look",
        "at most 1.10 x",
        found <= 1.10,
    )


def _run(prepared: Prepared, slices: list[Any]) -> None:
    run_backtest(prepared, slices=iter(slices))


def _look_costs(prepared: Prepared, slices: list[Any]) -> tuple[float, int, int]:
    """Return the CPU seconds of a look, how many there are in a run, and the positions they see.

    Seconds and positions are medians.
    """
    spent: list[float] = []
    held: list[int] = []
    look = RiskDesk.evaluate

    def timed(desk: RiskDesk, *given: Any, **named: Any) -> None:
        began = time.thread_time()
        look(desk, *given, **named)
        spent.append(time.thread_time() - began)
        if isinstance(desk.snapshot, Snapshot):
            held.append(len(desk.snapshot.holdings))

    RiskDesk.evaluate = timed  # type: ignore[method-assign, assignment]
    try:
        run_backtest(prepared, slices=iter(slices))
    finally:
        RiskDesk.evaluate = look  # type: ignore[method-assign]
    return statistics.median(spent), len(spent), int(statistics.median(held))
