"""`perpdesk live`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("live")(live)


def live(
    file: Annotated[Path, typer.Argument(help="A node document (kind: node).")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Change one value: --set on_stop=flatten")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print and journal orders, send none.")
    ] = False,
    run_once: Annotated[
        bool, typer.Option("--run-once", help="Do the rebalance that is due, then stop.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With --run-once: do it even when it is done already.")
    ] = False,
    duration: Annotated[
        str | None, typer.Option("--for", help="Stop after so long: 90s, 30m, 8h, 7d.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the run's report as JSON on stdout at the end.")
    ] = False,
) -> None:
    """Trade a node's setup: on the practice exchange, on paper, on demo, testnet or mainnet.

    Stops on Ctrl-C or SIGTERM: own entries are cancelled, positions kept or closed by on_stop.

    Example: perpdesk live live_nodes/nodes/xs_reversal_practice.yaml --run-once --force
    """
    from rich.console import Console

    from config.errors import InputError
    from live_nodes.node.report import Options, raise_left
    from live_nodes.node.session import live_document
    from strategies.schedule import duration_ns

    console = Console(stderr=True)

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    if force and not run_once:
        raise InputError("--force belongs to --run-once")
    if duration is not None and run_once:
        raise InputError("--for and --run-once exclude each other")
    try:
        seconds = None if duration is None else duration_ns(duration) / 1e9
    except ValueError as error:
        raise InputError(f"--for: {error}") from None
    options = Options(dry_run=dry_run, run_once=run_once, force=force, seconds=seconds)
    report = live_document(file, tuple(overrides or ()), options, say)
    if as_json:
        print(json.dumps(report.as_plain(), indent=2))
    else:
        same = report.outcome == report.reason
        say(report.outcome if same else f"{report.outcome}: {report.reason}")
        if report.positions:
            say("positions:")
        for name, quantity in report.positions.items():
            say(f"  {name} {quantity:f}")
    raise_left(report)
