"""``perpdesk report DIR``: render a result's report again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from backtests.results.result import Result


def write_report(result: Result) -> Path:
    """Write ``report.html`` into the result's folder, replacing it at once; return its path."""
    from backtests.report.page import render

    path = result.path / "report.html"
    staged = path.with_name(f".report.{os.getpid()}.tmp")
    try:
        staged.write_text(render(result), encoding="utf-8")
        os.replace(staged, path)
    finally:
        staged.unlink(missing_ok=True)
    return path


def register(app: typer.Typer) -> None:
    """Add ``report`` to the command line."""

    @app.command("report")
    def report(
        folder: Annotated[Path, typer.Argument(metavar="DIR", help="A result folder.")],
        as_json: Annotated[
            bool, typer.Option("--json", help="Print the path as JSON on stdout.")
        ] = False,
    ) -> None:
        """Render the report of a result again, from its files.

        Example: perpdesk report results/xs_reversal_demo-20250101T000000Z
        """
        from backtests.results.result import read

        path = write_report(read(folder))
        typer.echo(json.dumps({"report": str(path)}) if as_json else str(path))
