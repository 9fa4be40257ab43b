"""`perpdesk audit verify`, `audit show`, `backup`, `restore` and `mirror`."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict
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
    app.command("backup")(backup)
    app.command("restore")(restore)
    app.command("mirror")(mirror)


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
    from actors.records.chain import verify
    from actors.records.journal_files import holder
    from actors.records.journal_reading import read
    from live_nodes.local.timefmt import moment_text

    folder = _state(file, settings)
    with read(folder) as journal:
        # A node that ran on meanwhile has begun another run.
        stopped = holder(folder) is None and any(run.ended for run in journal.runs())
        found = verify(journal.connection, folder, head, stopped=stopped)
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
    from actors.records.journal_reading import read
    from live_nodes.local.actions import actions
    from live_nodes.local.timefmt import moment_text
    from live_nodes.records.trail import trail

    folder = _state(file, settings)
    with read(folder) as journal:
        lines = trail(journal, actions(folder), name)
    if as_json:
        print(json.dumps([asdict(line) for line in lines], indent=2))
        return
    for line in lines:
        at = moment_text(line.ts).replace(" UTC", f".{line.ts // 1_000_000 % 1000:03d} UTC")
        print(f"{at}  {line.kind:8}  {line.of}: {line.text}")


def backup(
    file: NodeFile,
    out: Annotated[
        Path | None, typer.Option(help="Folder of archives (default: backups beside its states).")
    ] = None,
    keep: Annotated[int, typer.Option(help="How many of the newest stay there.", min=1)] = 48,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Back up a node's state into one archive, while it trades: it is not stopped or slowed.

    The archive has the journal as of one moment, releases, halts, the mailbox, the audit chain and
    reports, with a SHA-256 of each; no keys, no recordings. Copy it to another machine: on the same
    disk it is lost with the node.

    Example: perpdesk backup live_nodes/nodes/xs_reversal_practice.yaml
    """
    from live_nodes.local.folder import state_folder, written_node
    from live_nodes.records.backup import back_up_node

    # The node and its orders come first.
    os.nice(10)
    node = written_node(file, settings or ())
    folder = state_folder(node)
    made, manifest = back_up_node(node, folder, out or folder.parent / "backups", keep)
    size = made.stat().st_size
    if as_json:
        plain = {"archive": str(made), "bytes": size, "files": len(manifest.files)}
        print(json.dumps(plain | {"head": manifest.head}, indent=2))
    else:
        head = f"\naudit head {manifest.head}" if manifest.head else ""
        print(f"{made}: {len(manifest.files)} files, {size / 1e6:.1f} MB{head}")


def restore(
    file: NodeFile,
    archive: Annotated[Path, typer.Argument(metavar="ARCHIVE", help="As `perpdesk backup` made.")],
    resume: Annotated[
        bool, typer.Option("--resume", help="Trade at the next start, without a release by hand.")
    ] = False,
    settings: SetOption = None,
) -> None:
    """Put a node's state back from an archive, whole or not at all; what was there is kept.

    Refuses while the node runs (3), and an archive that is damaged or of another node (2). Orders
    and fills since the backup are asked of the venue at the next start. Halts since then are not
    known, so entries stay halted until `perpdesk risk release NODE operator --reason "…"`.

    Example: perpdesk restore live_nodes/nodes/xs_reversal_practice.yaml backups/mine.tar.gz
    """
    from live_nodes.local.folder import state_folder, written_node
    from live_nodes.local.timefmt import moment_text
    from live_nodes.records.backup import restore_node

    node = written_node(file, settings or ())
    folder = state_folder(node)
    manifest = restore_node(node, folder, archive, halted=not resume)
    print(f"{folder}: is as it was at {moment_text(manifest.made)}")
    if not resume:
        print('halted: after a look, `perpdesk risk release NODE operator --reason "…"`')


def mirror(
    file: NodeFile,
    once: Annotated[
        bool, typer.Option("--once", help="End when all is there; exit 1 where it can't be.")
    ] = False,
    settings: SetOption = None,
) -> None:
    """Copy a node's journal into the PostgreSQL database that `mirror` in its document names.

    A node that has it does so while it runs; this is for one that does not, or has ended with the
    server down. All tables are in the schema perpdesk, each row with its journal, NAME.ENVIRONMENT;
    they are made, and brought to this version, by migrations. Runs until Ctrl-C.

    Example: perpdesk mirror live_nodes/nodes/mine.yaml --once
    """
    from actors.records.journal_files import NAME
    from config.errors import InputError
    from live_nodes.local.folder import state_folder, written_node
    from live_nodes.local.keys import variables_of
    from live_nodes.records.mirror import Mirror, journal_of, mirror_url

    node = written_node(file, settings or ())
    url = mirror_url(node, variables_of())
    folder = state_folder(node)
    if url is None:
        raise InputError(f"{file}: `mirror` names no variable with the URL of a database")
    if not (folder / NAME).exists():
        raise InputError(f"{folder / NAME}: no journal yet: there is nothing to mirror")

    def ended(seconds: float) -> bool:
        time.sleep(0 if once else seconds)
        return once

    following = Mirror(folder, journal_of(node), url, lambda line: print(line, file=sys.stderr))
    whole = following.run(ended)
    print(f"{following.rows} rows of {journal_of(node)} written")
    if not whole:
        raise typer.Exit(1)
