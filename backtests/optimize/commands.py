"""`perpdesk optimize` and `perpdesk studies`."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from config.commands import JsonOption, SetOption

if TYPE_CHECKING:
    from rich.table import Table

    from backtests.optimize.judge import Gate
    from backtests.optimize.plan import Found
    from backtests.optimize.running import Progress


def register(app: typer.Typer) -> None:
    """Add `perpdesk optimize` and `perpdesk studies`."""
    app.command("optimize")(optimize)
    studies = typer.Typer(help="List studies, follow and stop those that run.")
    studies.callback(invoke_without_command=True)(listed)
    studies.command("follow")(follow)
    studies.command("stop")(stop)
    app.add_typer(studies, name="studies")


def optimize(
    file: Annotated[Path, typer.Argument(metavar="STUDY", help="A study (kind: study).")],
    overrides: SetOption = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Other draws of candidates.")] = None,
    candidates: Annotated[
        int | None, typer.Option(min=2, help="How many candidates are drawn.")
    ] = None,
    top: Annotated[
        int | None, typer.Option(min=2, help="How many are run event by event after the screen.")
    ] = None,
    method: Annotated[str | None, typer.Option(help="random, sobol, grid, tpe or nsga2.")] = None,
    level: Annotated[
        str | None, typer.Option(help="How thorough: quick, standard or deep; other options win.")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(help='Try further seeds until a gate measures this: --until "sharpe>=0.5".'),
    ] = None,
    max_seeds: Annotated[
        int | None, typer.Option(min=1, help="Most seeds of --until; each one's trials count.")
    ] = None,
    detach: Annotated[
        bool,
        typer.Option("--detach", help="Run on without this terminal; see `perpdesk studies`."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the outcome (default results/studies/<name>).")
    ] = None,
    no_write: Annotated[
        bool, typer.Option("--no-write", help="Write nothing but trials into the ledger.")
    ] = False,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes (default: one a processor).")
    ] = os.cpu_count() or 1,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Dask scheduler whose workers run the trials."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print best.json on stdout.")] = False,
) -> None:
    """Search a backtest's parameters, judge them out of sample, and refuse what is likely luck.

    Exit 3 where a gate fails; best.yaml is written only where all pass. After Ctrl-C or a kill the
    same command goes on: trials that are done are not run again.

    Example: perpdesk optimize backtests/studies/xs_reversal_quick.yaml
    """
    from rich.console import Console

    from backtests.optimize import outcome, plan, running
    from config.errors import DeskError, GateRefused, InputError

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    console = Console(stderr=True, highlight=False)
    given = {"seed": seed, "stages.candidates": candidates, "stages.top": top, "method": method}
    given |= {"until": until, "max_seeds": max_seeds}
    options = [f"{path}={value}" for path, value in given.items() if value is not None]
    later = [each.partition("=")[0].strip() for each in (*options, *(overrides or ()))]
    if level is not None and level not in plan.LEVELS:
        raise InputError(f"--level: {level!r} is none of {', '.join(plan.LEVELS)}")
    sets = [*plan.LEVELS[level]] if level else []
    for name, setting in plan.environment().items():
        if setting.partition("=")[0] not in later:
            console.print(f"{name} in the environment: {setting}")
            sets.append(setting)
    sets += [*(overrides or ()), *options]
    found = plan.plan(file, sets)
    folder = out or running.STUDIES / found.study.name
    if detach and no_write:
        raise InputError("--detach: its log is in the study's folder: not with --no-write")
    words = [word for word in sys.argv[1:] if word != "--detach"]
    with ExitStack() as stack:
        progress = None
        if not no_write:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                if detach:
                    process = running.detach(words, folder)
                    console.print(f"Runs on as process {process}: {folder / running.LOG}")
                    return
                progress = stack.enter_context(running.held(folder, words))
                # Those of an earlier run must not pass for the outcome of this one.
                for name in outcome.WRITTEN:
                    (folder / name).unlink(missing_ok=True)
            except OSError as error:
                raise DeskError(f"{folder}: the outcome can't be written: {error}") from None
        found = _try_seeds(file, sets, found, cluster or workers, progress)
        if not no_write:
            try:
                outcome.write(found, folder)
            except OSError as error:
                raise DeskError(f"{folder}: the outcome can't be written: {error}") from None
        if as_json:
            print(json.dumps(outcome.summary(found), sort_keys=True, default=str))
        else:
            _print(found)
        if not found.accepted:
            failed = ", ".join(gate.name for gate in found.gates if not gate.passed)
            raise GateRefused(f"{found.study.name}: refused: {failed}; no best.yaml is written")
    if not no_write:
        print(f"Best: {folder / 'best.yaml'}", file=sys.stderr)


def _try_seeds(
    file: Path, sets: list[str], found: Found, workers: int | str, progress: Progress | None
) -> Found:
    """Run a study; with `until` again with the next seed, until one reaches it."""
    from backtests.optimize import plan, report, study
    from backtests.optimize.dashboard import Board
    from backtests.studies.trial_ledger import TrialLedger, ledger_path
    from config.errors import GateRefused
    from config.progress import LongWork

    with LongWork() as bar, TrialLedger(ledger_path()) as ledger:
        task, stage, began = bar.add_task("begin", total=1), "", time.monotonic()

        def tell(name: str, done: int, total: int, best: str) -> None:
            nonlocal stage, began
            if found.study.until:
                name = f"seed {found.study.seed}: {name}"
            if name != stage:
                stage, began = name, time.monotonic()
                bar.reset(task)
            pace = 60.0 * done / max(time.monotonic() - began, 1e-3)
            words = f"{name} {done:,} of {total:,}, {pace:,.0f} a minute, {best}"
            bar.update(task, description=words, completed=done, total=max(total, 1))
            if progress is not None and board is not None:
                progress.tell(name, done, total, best)
                board.show()

        def say(words: str) -> None:
            bar.console.print(words, highlight=False)

        while True:
            board = None if progress is None else Board(progress.folder, found)
            try:
                study.optimize(found, ledger, workers, tell)
            except GateRefused as refused:
                if progress is not None:
                    report.write(found, progress.folder, str(refused))
                raise
            if found.replaced:
                say(
                    f"! {found.replaced:,} workers were replaced: they took more than "
                    f"{found.study.stages.worker_mb:,} MB (stages.worker_mb)"
                )
            wanted = next((gate for gate in found.gates if gate.key == "until"), None)
            if wanted is None or wanted.passed:
                return found
            tried = [*found.seeds, (found.study.seed, wanted.measured)]
            say(
                f"seed {found.study.seed}, {len(tried)} of at most {found.study.max_seeds}: "
                f"{found.study.until} was {wanted.measured:.4g}; its trials count: the deflated "
                f"Sharpe of what comes is of more than {found.trials:,}"
            )
            if len(tried) >= found.study.max_seeds:
                return found
            found = plan.plan(file, [*sets, f"seed={found.study.seed + 1}"])
            found.seeds = tried


Name = Annotated[str, typer.Argument(metavar="NAME", help="A study's name, or its folder.")]


def listed(context: typer.Context, as_json: JsonOption = False) -> None:
    """List studies: state, progress, the best so far, and gates; follow and stop those that run.

    Example: perpdesk studies
    """
    if context.invoked_subcommand is not None:
        return
    from rich.console import Console
    from rich.table import Table

    from backtests.optimize import running

    studies = running.listed()
    if as_json:
        print(json.dumps(studies, sort_keys=True))
        return
    table = Table()
    for heading in ("study", "state", "progress", "best", "gates passed"):
        table.add_column(heading)
    for one in studies:
        gates = one["gates"].values()
        passed = f"{sum(gates)} of {len(gates)}" if gates else ""
        table.add_row(one["name"], one["state"], _progress(one), one["best"], passed)
    Console().print(table)


def follow(name: Name) -> None:
    """Show a study's progress until it ends: exit 3 where a gate fails, as `optimize` does.

    Example: perpdesk studies follow xs_reversal_quick
    """
    from backtests.optimize import running
    from config.errors import DeskError, GateRefused

    folder = running.folder_of(name)
    last = running.follow(folder, lambda news: print(_progress(news), news["best"], flush=True))
    if last["state"] != "accepted":
        kind = GateRefused if last["state"] == "refused" else DeskError
        raise kind(last["why"] or f"{last['name']} is stopped: the same command goes on with it")
    print(f"{last['name']}: accepted")


def stop(name: Name) -> None:
    """Stop a study that runs; the same command goes on with it, trials that are done are kept.

    Example: perpdesk studies stop xs_reversal_quick
    """
    from backtests.optimize import running

    folder = running.folder_of(name)
    if not running.stop(folder):
        print(f"{name} does not run.")
        return
    words = shlex.join(running.described(folder)["words"])
    print(f"{name} is stopped. It goes on with: perpdesk {words} --detach")


def _progress(one: dict[str, Any]) -> str:
    return f"{one['stage']} {one['done']:,} of {one['total']:,}"


def gate_table(gates: Sequence[Gate]) -> Table:
    """Return gates with what was measured, for the terminal."""
    from rich.table import Table

    from backtests.report.formats import value

    table = Table("gate", "measured", "wanted", "", title="gates")
    for gate in gates:
        passed = "[green]passed[/]" if gate.passed else "[red]failed[/]"
        table.add_row(gate.name, value(gate.measured), gate.wanted, passed)
    return table


def _print(found: Found) -> None:
    from rich.console import Console

    from backtests.optimize.judge import FIGURES
    from backtests.optimize.report import notes
    from backtests.results.console import variants_table

    console = Console(highlight=False)
    console.print(
        f"{found.study.name}: {len(found.screened):,} screened, {len(found.figures):,} run "
        f"({found.known_before:,} known from before), {len(found.stopped):,} stopped, "
        f"{len(found.refused):,} refused by the document or its data; {found.trials:,} trials ever "
        "on these data"
    )
    if found.study.screens:
        ranked = f"{found.fidelity:.2f} over {len(found.sample)}"
        console.print(f"rank correlation of screen and full run: {ranked}")
    for path, value in found.candidates[found.best].items():
        console.print(f"  {path}: {json.dumps(value)}", markup=False)
    console.print(gate_table(found.gates))
    rows = list(found.stress)
    for name, of in (("days", found.monte_carlo), ("trades", found.monte_carlo["trades"])):
        worst = {
            "return_pct": of["total_return_pct"]["worst_5"],
            "max_drawdown": of["max_drawdown"]["worst_5"],
        }
        rows.append({"name": f"worst 5 % of resampled {name}"} | worst)
    titled = "the best candidate under stress, and resampled"
    console.print(variants_table(titled, rows, FIGURES))
    for note in notes(found):
        console.print(f"! {note}", markup=False)
