"""Commands about documents: validate, explain, diff, schema."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Override one value; may be repeated."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("validate")(validate_command)
    app.command("explain")(explain_command)
    app.command("diff")(diff_command)
    app.command("schema")(schema_command)


def validate_command(
    files: Annotated[list[Path], typer.Argument(help="YAML documents.")],
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Report everything that is wrong with documents, each with its file, line and column.

    It also checks the files that they name, and names what it could not check, and
    guards that can't bind on the schedule of the strategies.

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
    from config.resolved import explain

    lines = explain(load(file, settings or ()), path)
    if as_json:
        _print_json(
            [{"path": line.path, "value": line.value, **asdict(line.origin)} for line in lines]
        )
        return
    texts = [f"{line.path}: {_text(line.value)}" for line in lines]
    width = min(max(map(len, texts)), 72)
    for text, line in zip(texts, lines, strict=True):
        print(f"{text:<{width}}  # {line.origin}")


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
        print(f"{row.path}: {_text(row.left)} -> {_text(row.right)}")
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


def _text(value: Any) -> str:
    from config.resolved import Missing

    return repr(value) if isinstance(value, Missing) else json.dumps(value, ensure_ascii=False)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))
