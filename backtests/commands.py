"""`perpdesk backtest`, `screen` and `report`."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table


def register(app: typer.Typer) -> None:
    """Add this package's commands."""
    for command in (backtest, screen, report):
        app.command(command.__name__)(command)


def backtest(
    file: Annotated[Path, typer.Argument(help="A backtest document (kind: backtest).")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Change one value: --set venue.leverage=2")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Result folder (default results/<name>-<UTC stamp>).")
    ] = None,
    stress: Annotated[
        bool, typer.Option("--stress", help="Add rows with worse fees, slippage, timing and luck.")
    ] = False,
    guard_costs: Annotated[
        bool,
        typer.Option(
            "--guard-costs",
            help="Run again without each guard that acted, to show what it cost or saved.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print summary.json on stdout instead of a table.")
    ] = False,
) -> None:
    """Run a backtest event by event and leave a result folder with a report.

    Example: perpdesk backtest backtests/runs/xs_reversal_demo.yaml --set venue.leverage=2 --stress
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from backtests.session import backtest_document

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description} {task.fields[day]}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}% {task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=1.0, day="reading the catalog", speed="")

        def progress(name: str, done: float, now_ns: int, events_a_second: int) -> None:
            day = datetime.fromtimestamp(now_ns / 1e9, UTC).strftime("%Y-%m-%d")
            speed = f"{events_a_second:,} events/s"
            bar.update(task, description=name, completed=done, day=day, speed=speed)

        result = backtest_document(
            file,
            tuple(overrides or ()),
            out=out,
            stress=stress,
            costs=guard_costs,
            progress=progress,
        )
    if as_json:
        print((result / "summary.json").read_text(encoding="utf-8"), end="")
        return
    summary = json.loads((result / "summary.json").read_text(encoding="utf-8"))
    Console().print(_table(summary))
    for warning in summary.get("warnings", []):
        console.print(f"[yellow]![/] {warning}", highlight=False)
    print(f"Report: {result / 'report.html'}")


def screen(
    file: Annotated[Path, typer.Argument(help="A backtest document (kind: backtest).")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Change one value: --set venue.leverage=2")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Write every decision's scores and weights to this Parquet.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print figures and daily rows as JSON on stdout.")
    ] = False,
) -> None:
    """Run a document's strategies over whole panels, without an engine: seconds, not minutes.

    Decisions are exactly the backtest's; fills are at the signal's close, without lots and funding.

    Example: perpdesk screen backtests/runs/xs_reversal_demo.yaml --weights weights.parquet
    """
    from rich.console import Console

    from backtests.screening import screen as screening
    from config.documents import Backtest
    from config.errors import InputError
    from config.validate import checked

    document = checked(file, overrides or ()).document
    if not isinstance(document, Backtest):
        raise InputError(f"{file}: kind is {document.kind}, but screen runs kind: backtest")
    found = screening.screen_document(document)
    if weights is not None:
        screening.write_weights(found, weights)
    if as_json:
        print(json.dumps(screening.as_dict(document, found), sort_keys=True))
        return
    Console().print(screening.figures_table(document, found))
    print("Fills at the signal's close; no lots, minimums, bands or funding.", file=sys.stderr)


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A result folder.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the path as JSON on stdout.")
    ] = False,
) -> None:
    """Render the report of a result again, from its files.

    Example: perpdesk report results/xs_reversal_demo-20250101T000000Z
    """
    from backtests.report.page import write_report
    from backtests.results.result import read

    path = write_report(read(folder))
    typer.echo(json.dumps({"report": str(path)}) if as_json else str(path))


ROWS = (
    ("net_profit", "net profit (USDT)", "{:,.2f}"),
    ("return_pct", "return", "{:.2f} %"),
    ("cagr", "yearly growth", "{:.2%}"),
    ("sharpe", "Sharpe (365 days)", "{:.2f}"),
    ("sortino", "Sortino", "{:.2f}"),
    ("calmar", "Calmar", "{:.2f}"),
    ("max_drawdown", "max drawdown", "{:.2%}"),
    ("volatility", "volatility", "{:.2%}"),
    ("trades", "trades", "{:,}"),
    ("win_rate", "win rate", "{:.2%}"),
    ("profit_factor", "profit factor", "{:.2f}"),
    ("turnover", "turnover (x equity a year)", "{:,.1f}"),
    ("fees", "fees", "{:,.2f}"),
    ("funding", "funding received", "{:,.2f}"),
    ("slippage", "slippage", "{:,.2f}"),
)


def _table(summary: dict[str, object]) -> Table:
    from rich.table import Table

    table = Table(title=f"{summary['name']}  {summary['start']} to {summary['end']}")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for key, label, shape in ROWS:
        value = summary.get(key)
        if isinstance(value, str):
            value = float(value)
        table.add_row(label, "-" if value is None else shape.format(value))
    return table
