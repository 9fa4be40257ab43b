"""`perpdesk risk drill`."""

from __future__ import annotations

import json
import signal
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from config.commands import JsonOption, SetOption
from live_nodes.operate.commands import risk_app

WIDE = 180


def register() -> None:
    """Add `perpdesk risk drill` to the group."""
    if not any(command.name == "drill" for command in risk_app.registered_commands):
        risk_app.command("drill")(drill_command)


def drill_command(
    file: Annotated[
        Path, typer.Argument(help="A document with guards: kind node, backtest or setup.")
    ],
    world: Annotated[
        Literal["backtest", "practice", "both"],
        typer.Option(help="The backtests' engine, a node on a practice exchange, or both."),
    ] = "both",
    guard: Annotated[
        list[str] | None, typer.Option(help="Key of one guard; may be repeated. All without it.")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Folder that keeps the practice nodes' journals and logs.")
    ] = None,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Breach every guard of a document on purpose, and see that it acts.

    Each enabled guard, and the operator's kill switch, is drilled by itself, the others switched
    off, on a market of the drill's own in which a strategy trades that ignores verdicts. A row
    passes when the breach just beyond the document's limit brings the wanted action,
    everything is flat in time where it must be, entries are refused, the halt stands over a restart
    (live: kill -9), ends as its release says or by --accept, entries pass again, and both worlds
    agree.

    Exits 0 when all rows pass, 1 when one fails or a guard can't be drilled.

    Example: perpdesk risk drill live_nodes/nodes/guarded_practice.yaml --guard daily
    """
    from rich.console import Console

    from catalog.show import pieces
    from config.validate import checked
    from live_nodes.drill.rows import rendered
    from live_nodes.drill.run import WORLDS, drill

    # SIGTERM works as Ctrl-C: the nodes and exchanges of the drill must end with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    resolved = checked(file, settings or ())
    worlds = WORLDS if world == "both" else (world,)
    began = time.monotonic()
    with pieces("drill") as progress:
        rows = drill(resolved, worlds=worlds, guards=guard or (), progress=progress, folder=keep)
    seconds = time.monotonic() - began
    passed = all(row.passed for row in rows)
    if as_json:
        plain = [asdict(row) for row in rows]
        print(json.dumps({"passed": passed, "seconds": seconds, "rows": plain}, indent=2))
    else:
        terminal = Console()
        # Into a file or a pipe: eleven columns need more than the eighty that rich takes there.
        console = terminal if terminal.is_terminal else Console(width=WIDE)
        console.print(rendered(rows, seconds, console.width), highlight=False)
    if not passed:
        raise typer.Exit(1)
