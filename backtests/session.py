"""Backtest a document's file and write the result folder, as `perpdesk backtest` does."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec

from backtests.optimize.identity import code, identity
from backtests.optimize.trials import outcome_of
from backtests.report.page import render
from backtests.results.figures import RunBooks
from backtests.results.result import RunRecord, claim, write
from backtests.run import Prepared, RunOutcome, engine_version, prepare, run
from backtests.studies.trial_ledger import TrialLedger, ledger_path
from backtests.variants import (
    Variants,
    ablation_rows,
    acting,
    guard_costs,
    ladder_rows,
    stress_rows,
)
from config.documents import Backtest
from config.errors import InputError
from config.resolved import Resolved
from config.validate import checked

Progress = Callable[[str, float, int, int], None]
"""Called with run, part done (0 to 1), simulated time (UNIX nanoseconds, UTC), events a second."""


def backtest_document(
    file: Path,
    overrides: tuple[str, ...] = (),
    *,
    out: Path | None = None,
    overwrite: bool = False,
    stress: bool = False,
    ablate: bool = False,
    costs: bool = False,
    ladder: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Check, run and write a backtest; return the result folder.

    `overrides` are such as ``venue.leverage=2``. `out` is by default `default_folder`; an older
    result in it is replaced with `overwrite` only. `stress` runs it again under worse conditions,
    `ablate` without each part of a strategy, `costs` without each guard that acted, `ladder` at
    several latencies, queues and fees. The run counts as a trial in the ledger, its variants don't.

    Raises DocumentErrors with all errors of the document, before any engine starts.
    """
    resolved = checked(file, overrides, Backtest)
    document = resolved.document
    folder = out if out is not None else default_folder(document.name)
    claim(folder, overwrite)
    started = time.time()
    prepared = prepare(document)
    document = prepared.document
    if ladder and document.venue.by_candles:
        raise InputError(
            f"{file}: orders meet candles, which have neither latency nor a queue: --ladder is for "
            "runs on quotes or books (venue.market)"
        )

    asked = Variants(stress=stress, ablate=ablate, costs=costs, ladder=ladder)
    runs, began = 1 + asked.at_most(document), 0

    def watch(name: str) -> Callable[[int, int, int], None]:
        nonlocal began
        number = began = began + 1

        def tell(now: int, events: int, rate: int) -> None:
            if progress is not None:
                part = (now - prepared.start) / (prepared.end - prepared.start)
                label = name if runs == 1 else f"{name} ({number} of {runs})"
                progress(label, (number - 1 + part) / runs, now, rate)

        return tell

    with TrialLedger(ledger_path()) as ledger:
        window = prepared.start, prepared.end
        data = ledger.data_set(Path(document.catalog), *window)
        name = f"backtest {document.name}"
        trial = ledger.begin(name, data, identity(resolved), resolved.data).number
        outcome = run(prepared, progress=watch(document.name))
        ledger.finish(trial, *outcome_of(outcome, *window), code())
    runs = 1 + asked.after(document, outcome)
    further = {
        "stress": list(stress_rows(prepared, outcome, watch)) if stress else None,
        "ladder": list(ladder_rows(prepared, outcome, watch)) if ladder else None,
        "ablations": list(ablation_rows(prepared, outcome, watch)) if ablate else None,
        # When no guard acted there is nothing to run: the costs are zero.
        "guard_costs": guard_costs(prepared, outcome, watch)
        if costs or not acting(outcome)
        else None,
    }
    write(record_of(resolved, prepared, outcome, started, **further), folder, render)
    return folder


def record_of(
    resolved: Resolved, prepared: Prepared, outcome: RunOutcome, started: float, **further: Any
) -> RunRecord:
    """Join a run's outcome with its inputs, and with the rows of further runs."""
    document = prepared.document
    catalog = prepared.catalog
    books = {field.name: getattr(outcome, field.name) for field in fields(RunBooks)}
    return RunRecord(
        **books,
        name=document.name,
        config_yaml=resolved.to_yaml(),
        config_hash=resolved.config_hash,
        data_hash=catalog.data_hash(ids=list(prepared.market.ids)),
        engine_version=engine_version(),
        started=started,
        start_ns=prepared.start,
        end_ns=prepared.end,
        provenance=[
            msgspec.to_builtins(item)
            for item in catalog.provenance
            if not set(prepared.market.ids).isdisjoint(item.instruments)
        ],
        targets={
            name: float(value) for name, value in document.report.targets.model_dump().items()
        },
        **further,
    )


def default_folder(name: str) -> Path:
    """Return results/<name>-<UTC stamp>, with a counter when that folder exists."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    folder = Path("results") / f"{name}-{stamp}"
    count = 1
    while folder.exists():
        count += 1
        folder = Path("results") / f"{name}-{stamp}-{count}"
    return folder
