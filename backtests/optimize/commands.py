"""`perpdesk optimize`."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from backtests.optimize.plan import Found


def register(app: typer.Typer) -> None:
    """Add `perpdesk optimize`."""
    app.command("optimize")(optimize)


def optimize(
    file: Annotated[Path, typer.Argument(metavar="STUDY", help="A study (kind: study).")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one value of the study: --set gates.sharpe=1"),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Other draws of candidates.")] = None,
    candidates: Annotated[
        int | None, typer.Option(min=2, help="How many candidates are drawn.")
    ] = None,
    top: Annotated[
        int | None, typer.Option(min=2, help="How many are run event by event after the screen.")
    ] = None,
    method: Annotated[str | None, typer.Option(help="random, sobol or grid.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the outcome (default results/studies/<name>).")
    ] = None,
    no_write: Annotated[
        bool, typer.Option("--no-write", help="Write nothing but trials into the ledger.")
    ] = False,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes (default: one a processor).")
    ] = os.cpu_count() or 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print best.json on stdout.")] = False,
) -> None:
    """Search a backtest's parameters, judge them out of sample, and refuse what is likely luck.

    Exit 3 where a gate fails; best.yaml is written only where all pass. After Ctrl-C or a kill the
    same command goes on: trials that are done are not run again.

    Example: perpdesk optimize backtests/studies/xs_reversal_quick.yaml
    """
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn

    from backtests.optimize import outcome, plan, study
    from backtests.studies.trial_ledger import TrialLedger, ledger_path
    from config.errors import DeskError, GateRefused
    from config.progress import LongWork, Remaining

    console = Console(stderr=True)
    given = {"seed": seed, "stages.candidates": candidates, "stages.top": top, "method": method}
    options = [f"{path}={value}" for path, value in given.items() if value is not None]
    later = [each.partition("=")[0].strip() for each in (*options, *(overrides or ()))]
    sets = []
    for name, setting in plan.environment().items():
        if setting.partition("=")[0] not in later:
            console.print(f"{name} in the environment: {setting}", highlight=False)
            sets.append(setting)
    found = plan.plan(file, [*sets, *(overrides or ()), *options])
    folder = out or Path("results/studies") / found.study.name
    if not no_write:
        # Those of an earlier run must not pass for the outcome of this one.
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in outcome.WRITTEN:
                (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise DeskError(f"{folder}: the outcome can't be written: {error}") from None
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%")
    with LongWork(*columns, Remaining()) as bar, TrialLedger(ledger_path()) as ledger:
        task, stage, began = bar.add_task("begin", total=1), "", time.monotonic()

        def tell(name: str, done: int, total: int, best: str) -> None:
            nonlocal stage, began
            if name != stage:
                stage, began = name, time.monotonic()
                bar.reset(task)
            pace = 60.0 * done / max(time.monotonic() - began, 1e-3)
            words = f"{name} {done:,} of {total:,}, {pace:,.0f} a minute, {best}"
            bar.update(task, description=words, completed=done, total=max(total, 1))

        study.optimize(found, ledger, workers, tell)
    if found.replaced:
        mb = found.study.stages.worker_mb
        console.print(
            f"! {found.replaced:,} workers were replaced: they took more than {mb:,} MB "
            "(stages.worker_mb)",
            highlight=False,
        )
    if not no_write:
        outcome.write(found, folder)
    if as_json:
        print(json.dumps(outcome.summary(found), sort_keys=True, default=str))
    else:
        _print(found, Console())
    if not found.accepted:
        failed = ", ".join(gate.name for gate in found.gates if not gate.passed)
        raise GateRefused(f"{found.study.name}: refused: {failed}; no best.yaml is written")
    if not no_write:
        print(f"Best: {folder / 'best.yaml'}", file=sys.stderr)


def _print(found: Found, console: Console) -> None:
    from rich.table import Table

    console.print(
        f"{found.study.name}: {len(found.screened):,} screened, {len(found.figures):,} run "
        f"({found.known_before:,} known from before), {len(found.refused):,} refused by the "
        f"document or its data; {found.trials:,} trials ever on these data",
        highlight=False,
    )
    if found.study.stages.screen:
        console.print(
            f"rank correlation of screen and full run: {found.fidelity:.2f} over {found.sampled}",
            highlight=False,
        )
    for path in found.dead:
        console.print(f"! {path} changes nothing at the best candidate", highlight=False)
    for path in found.unseen:
        console.print(f"! {path}: the screen does not see it", highlight=False)
    for path, value in found.candidates[found.best].items():
        console.print(f"  {path}: {json.dumps(value)}", highlight=False)
    table = Table(title="gates")
    for heading in ("gate", "measured", "wanted", ""):
        table.add_column(heading)
    for gate in found.gates:
        passed = "[green]passed[/]" if gate.passed else "[red]failed[/]"
        table.add_row(gate.name, f"{gate.measured:,.4g}", gate.wanted, passed)
    console.print(table)
    if found.held_seen:
        console.print(
            f"! the hold-out is not fresh: {found.held_seen:,} other candidates were run on its "
            "days before",
            highlight=False,
        )
    if found.held_refused:
        console.print(f"! {found.held_refused}", highlight=False)
    if found.held is not None and not found.held_looked_at:
        console.print("The hold-out stays closed: an earlier gate failed.")
