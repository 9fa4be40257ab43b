"""Commands about documents: validate, explain, diff, schema."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from config.shipped import FOLDERS

SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Override one value; may be repeated."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def _components(room: str) -> list[tuple[str, str]]:
    from config.describe import component_rows

    return component_rows(room)


def _documents(group: str) -> list[tuple[str, str]]:
    from config.describe import document_rows

    return document_rows(group)


LISTS: dict[str, Callable[[], list[tuple[str, str]]]] = {
    "strategies": partial(_components, "strategies"),
    "guards": partial(_components, "actors"),
    **{group: partial(_documents, group) for group in FOLDERS},
}
"""What `perpdesk list` lists: names, each with a line about it. Upper packages add theirs."""


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    documents = validate_command, explain_command, diff_command, schema_command
    for command in (*documents, init_command, list_command, describe_command):
        app.command(command.__name__.removesuffix("_command"))(command)


def validate_command(
    files: Annotated[list[Path], typer.Argument(help="YAML documents.")],
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Report everything that is wrong with documents, each with its file, line and column.

    It also checks the files that they name, and names what it could not check, a node
    without guards, and guards that can't bind on the schedule of the strategies.

    Example: perpdesk validate backtests/runs/xs_reversal_demo.yaml
    """
    from config.errors import DocumentErrors
    from config.validate import validate_with_files

    checked = {str(file): validate_with_files(file, settings or ()) for file in files}
    found = [problem for problems, *_ in checked.values() for problem in problems]
    if as_json:
        _print_json(
            {
                "ok": not found,
                "problems": [asdict(problem) for problem in found],
                "unchecked": {file: texts for file, (_, texts, _) in checked.items() if texts},
                "remarks": {file: texts for file, (*_, texts) in checked.items() if texts},
            }
        )
        raise typer.Exit(DocumentErrors.exit_code if found else 0)
    for file, (problems, unchecked, remarks) in checked.items():
        if not problems:
            print(f"{file}: well")
        for text in unchecked:
            print(f"{file}: not checked: {text}")
        for text in remarks:
            print(f"{file}: {text}")
    if found:
        raise DocumentErrors(found)


def explain_command(
    file: Annotated[Path, typer.Argument(help="A YAML document.")],
    path: Annotated[str, typer.Argument(help="Dotted path; all values without it.")] = "",
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show each final value of a document and the place that gave it.

    Example: perpdesk explain backtests/runs/xs_reversal_demo.yaml venue.fees
    """
    from config.load import load
    from config.resolved import explain, value_text

    lines = explain(load(file, settings or ()), path)
    if as_json:
        _print_json(
            [
                {"path": line.path, "value": line.value, **asdict(line.origin)}
                | ({"note": line.note} if line.note else {})
                for line in lines
            ]
        )
        return
    texts = [f"{line.path}: {value_text(line.value)}" for line in lines]
    width = min(max(map(len, texts)), 72)
    for text, line in zip(texts, lines, strict=True):
        print(f"{text:<{width}}  # {line.origin}" + (f"; {line.note}" if line.note else ""))


def diff_command(
    left: Annotated[Path, typer.Argument(help="A YAML document.")],
    right: Annotated[Path, typer.Argument(help="Another.")],
    as_json: JsonOption = False,
) -> None:
    """Show in which final values two documents differ, wherever these were written.

    Example: perpdesk diff backtests/runs/xs_reversal_demo.yaml results/last/config.yaml
    """
    from config.load import load
    from config.resolved import MISSING, difference

    rows = difference(load(left), load(right))
    if as_json:
        _print_json(
            [
                {
                    "path": row.path,
                    "left": None if row.left is MISSING else row.left,
                    "right": None if row.right is MISSING else row.right,
                    "missing": [
                        side for side in ("left", "right") if getattr(row, side) is MISSING
                    ],
                }
                for row in rows
            ]
        )
        return
    for row in rows:
        print(row)
    if not rows:
        print("No difference.")


def schema_command(
    kind: Annotated[str, typer.Argument(help="setup, backtest, node, study or ingest.")],
) -> None:
    """Print the JSON Schema of a kind of document, for editors and other validators.

    Example: perpdesk schema backtest > backtest.json
    """
    from config.schema import as_text

    sys.stdout.write(as_text(kind))


def init_command(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Its folder.")] = Path("."),
) -> None:
    """Write a project of your own: a strategy, its setup, a backtest, a node, schemas for editors.

    Example: perpdesk init my_desk
    """
    from config.project import write_project

    for file in write_project(folder):
        print(file)
    print("\nNext, in that folder:")
    for line in (
        "catalog demo",
        "backtest backtests/my_idea.yaml",
        "live nodes/practice.yaml --run-once --force",
        "risk drill nodes/practice.yaml",
    ):
        print(f"  perpdesk {line}")


def list_command(
    what: Annotated[str, typer.Argument(help="strategies, guards, presets, setups, formats, …")],
    as_json: JsonOption = False,
) -> None:
    """List what comes with perpdesk: strategies, guards, formats, and documents to extend by name.

    Example: perpdesk list guards
    """
    from config.errors import InputError, hint

    if what not in LISTS:
        there = f"there are {', '.join(LISTS)}{hint(what, LISTS)}"
        raise InputError(f"nothing is listed as {what!r}; {there}")
    rows = LISTS[what]()
    if as_json:
        _print_json(dict(rows))
        return
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        print(f"{name:<{width}}  {text}".rstrip())


def describe_command(
    use: Annotated[str, typer.Argument(metavar="ADDRESS", help="As in the key use.")],
    as_json: JsonOption = False,
) -> None:
    """Show what a strategy or guard does, and its parameters: allowed values, default, meaning.

    Example: perpdesk describe actors.guards.daily_loss:DailyLoss
    """
    from textwrap import fill

    from config.describe import describe

    found = describe(use)
    if as_json:
        _print_json(asdict(found))
        return
    print(f"{found.use}\n{fill(found.text, 100)}")
    if found.unit:
        print(f"Measures in: {found.unit}")
    for parameter in found.parameters:
        default = "required" if parameter.default is None else f"default {parameter.default}"
        print(f"\n{parameter.name}: {parameter.allowed}; {default}")
        if parameter.text:
            print(fill(parameter.text, 100, initial_indent="    ", subsequent_indent="    "))


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))
