"""`perpdesk deploy`, `rollback` and `releases`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from config.commands import JsonOption

if TYPE_CHECKING:
    from config.resolved import ValueDifference
    from live_nodes.deploy.deploy import Plan
    from live_nodes.local.releases import Move, Releases

NodeFile = Annotated[Path, typer.Argument(metavar="NODE", help="A node document (kind: node).")]
YesOption = Annotated[bool, typer.Option("--yes", help="Don't ask.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (deploy, rollback, releases):
        app.command(command.__name__)(command)


def deploy(
    file: NodeFile,
    study: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a study's outcome. Without it the parameters that run stay, on the "
            "document as it is now."
        ),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, in your words; the release keeps it.")] = "",
    skip_ladder: Annotated[
        bool,
        typer.Option("--skip-ladder", help="Mainnet at once; needs --reason."),
    ] = False,
    yes: YesOption = False,
) -> None:
    """Release a study's parameters to a node, if they pass the gates of its document.

    A release is the whole document with them, and never changes. A node that runs takes it up when
    it is flat or between two rebalances; mainnet only what has run on practice, paper and testnet,
    and smaller at first. Exits 3 when a gate refuses it; then nothing changes.

    Example: perpdesk deploy live_nodes/nodes/xs_reversal_practice.yaml --study results/studies/best
    """
    from config.errors import InputError
    from live_nodes.deploy import deploy as work

    if skip_ladder and not reason.strip():
        raise InputError("--skip-ladder needs --reason: the release keeps why")
    plan = work.plan(file, study, skip_ladder=skip_ladder)
    _show_plan(plan)
    if not plan.differences and plan.now is not None and not plan.failed:
        _say(f"release {plan.now.number} runs these values already")
        return
    if not plan.failed and not yes:
        _ask("Release it?")
    why = reason.strip() or f"study {plan.outcome.study}"
    _show_move(plan.releases, work.deploy(plan, why + " (ladder skipped)" * skip_ladder))


def rollback(
    file: NodeFile,
    to: Annotated[
        int | None, typer.Option(help="Number of a release (default: the one before).", min=0)
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, in your words; it is kept.")] = "rolled back",
    yes: YesOption = False,
) -> None:
    """Let an earlier release of a node run again, byte for byte.

    Example: perpdesk rollback live_nodes/nodes/xs_reversal_practice.yaml --reason "worse fills"
    """
    from live_nodes.deploy import deploy as work
    from live_nodes.local.folder import releases_of

    def agreed(changes: list[ValueDifference]) -> None:
        _show_differences("What changes:", changes)
        if not yes:
            _ask("Roll back?")

    _show_move(releases_of(file), work.rollback(file, to, reason, agreed))


def releases(file: NodeFile, as_json: JsonOption = False) -> None:
    """List a node's releases: when, who, why, of which study, with which figures, and their state.

    Example: perpdesk releases live_nodes/nodes/xs_reversal_practice.yaml
    """
    from rich.console import Console

    from live_nodes.deploy.listing import rows, table_of
    from live_nodes.local.folder import releases_of

    found = rows(releases_of(file))
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    elif not found:
        print("No releases: the node runs its document.")
    else:
        Console().print(table_of(found), highlight=False)


def _ask(question: str) -> None:
    if sys.stdin.isatty() and sys.stderr.isatty():
        typer.confirm(question, abort=True, err=True)


def _show_plan(plan: Plan) -> None:
    from rich.console import Console

    from backtests.optimize.commands import gate_table

    Console(stderr=True, highlight=False).print(gate_table(plan.gates))
    if not any(gate.key == "margin" for gate in plan.gates):
        _say("No other parameters of a study run: there is no Sharpe to be better than.")
    _show_differences("Other than in the study (left) is in the node (right):", plan.unstudied)
    _show_differences("What changes:", plan.differences)


def _show_differences(title: str, rows: list[ValueDifference]) -> None:
    for line in (title, *(f"  {row}" for row in rows)) if rows else ():
        _say(line)


def _show_move(releases: Releases, move: Move) -> None:
    from actors.records.journal_files import holder

    size = f" at {move.size:g} of its size for {move.days} days" if move.days else ""
    print(f"release {move.number} is to run{size}")
    pid = holder(releases.state)
    if pid is None:
        _say("`perpdesk live` runs it")
    else:
        _say(f"process {pid} takes it up when it is flat or between two rebalances")


def _say(line: str) -> None:
    print(line, file=sys.stderr)
