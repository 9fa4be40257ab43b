"""`perpdesk status` and `perpdesk doctor`: what a trader asks from another terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

File = Annotated[Path, typer.Argument(help="A node document (kind: node).")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Override one value; may be repeated."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout for machines.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("status")(status)
    app.command("doctor")(doctor)


def status(file: File, settings: SetOption = None, as_json: JsonOption = False) -> None:
    """Show what a node is doing, from its journal; works while it runs and after it died.

    Exits 1 when its process lives and gives no heartbeat: then it hangs.

    Example: perpdesk status live_nodes/nodes/xs_reversal_practice.yaml
    """
    from rich.console import Console

    from live_nodes.local.folder import node_document, state_folder
    from live_nodes.operate.status import rendered, status_of

    node = node_document(file, settings or ())
    found = status_of(node.name, state_folder(node))
    if as_json:
        print(found.as_json())
    else:
        Console().print(rendered(found), highlight=False)
    if found.hangs:
        raise typer.Exit(1)


def doctor(
    file: File,
    settings: SetOption = None,
    trade: Annotated[
        float | None,
        typer.Option(
            help="Also buy and sell again about so many USDT's worth, and check everything.",
            min=1,
            max=1000,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check that everything a node needs is there: packages, clock, disk, keys, links.

    Exits 0 when all is well, 3 when something that a node needs is not.

    Example: perpdesk doctor live_nodes/nodes/xs_reversal_testnet.yaml --trade 20
    """
    from rich.console import Console

    from live_nodes.local.folder import node_document
    from live_nodes.operate.doctor import as_document, examine, rendered

    node = node_document(file, settings or ())
    findings = examine(node, trade)
    if as_json:
        print(as_document(findings))
    else:
        Console().print(rendered(findings), highlight=False)
    if any(finding.is_bad for finding in findings):
        raise typer.Exit(3)
