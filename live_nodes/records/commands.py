"""`perpdesk audit verify` and `audit show`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from config.commands import JsonOption, SetOption

NodeFile = Annotated[Path, typer.Argument(metavar="NODE", help="A node document (kind: node).")]

audit_app = typer.Typer(
    name="audit",
    help="What a node did and why, and that nobody changed its records.\n\n"
    "Example: perpdesk audit verify live_nodes/nodes/xs_reversal_practice.yaml",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(audit_app)


def _state(file: Path, settings: list[str] | None) -> Path:
    from live_nodes.local.folder import node_document, state_folder

    return state_folder(node_document(file, settings or (), trades=False))


@audit_app.command("verify")
def audit_verify(
    file: NodeFile,
    head: Annotated[
        str, typer.Option(help="A head noted earlier: it must be there; verify what came after it.")
    ] = "",
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check that no row of a node's journal was changed, removed or inserted since it was written.

    Compares each row of what only grows (decisions, requests, order events, fills, verdicts, notes,
    gates, equity, positions' history, runs) and each action of an operator with the chain of
    hashes, while the node runs too. The rows of the last second are not in the chain yet, and after
    a kill none until the next start. Note the head that it prints elsewhere: who can write all
    files of the node can make a chain anew, but none with that head. Exits 1 where something is
    wrong, and names the row.

    Example: perpdesk audit verify live_nodes/nodes/xs_reversal_practice.yaml
    """
    import json

    from actors.records.chain import verify
    from actors.records.journal_reading import read
    from live_nodes.local.timefmt import moment_text

    folder = _state(file, settings)
    with read(folder) as journal:
        found = verify(journal.connection, folder, head)
    if as_json:
        print(json.dumps(found._asdict(), indent=2))
    else:
        for line in found.wrong:
            print(line)
        print(
            f"{found.rows} rows in {found.blocks} blocks, {moment_text(found.began)} to "
            f"{moment_text(found.ended)}: {'WRONG' if found.wrong else 'as they were written'}; "
            f"{found.newer} newer rows are not in the chain yet\nhead {found.head}"
        )
    if found.wrong:
        raise typer.Exit(1)


@audit_app.command("show")
def audit_show(
    file: NodeFile,
    name: Annotated[str, typer.Argument(metavar="ID", help="Of an order or a decision.")],
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a decision, its orders, their events and fills, and the verdicts meanwhile, with times.

    Ids are those of orders.csv and decisions.csv of `perpdesk export`.

    Example: perpdesk audit show live_nodes/nodes/xs_reversal_practice.yaml reversal@1764374700
    """
    import json
    from dataclasses import asdict

    from actors.records.journal_reading import read
    from live_nodes.local.actions import actions
    from live_nodes.local.timefmt import moment_text
    from live_nodes.records.trail import trail

    folder = _state(file, settings)
    with read(folder) as journal:
        lines = trail(journal.connection, actions(folder), name)
    if as_json:
        print(json.dumps([asdict(line) for line in lines], indent=2))
        return
    for line in lines:
        at = moment_text(line.ts).replace(" UTC", f".{line.ts // 1_000_000 % 1000:03d} UTC")
        print(f"{at}  {line.kind:8}  {line.of}: {line.text}")
