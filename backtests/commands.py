"""`perpdesk backtest`, `screen`, `report`, `compare`, `policy` and `optimize`."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from config.commands import JsonOption, SetOption

if TYPE_CHECKING:
    from config.documents import Backtest

File = Annotated[Path, typer.Argument(help="A backtest document (kind: backtest).")]


def register(app: typer.Typer) -> None:
    """Add this package's commands."""
    from backtests.optimize import commands as optimizing
    from backtests.policies import commands as policies

    for command in (backtest, screen, compare):
        app.command(command.__name__)(command)
    policies.register(app)
    optimizing.register(app)


def backtest(
    file: File,
    overrides: SetOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Result folder (default results/<name>-<UTC stamp>).")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an older result in the folder of --out.")
    ] = False,
    stress: Annotated[
        bool, typer.Option("--stress", help="Add rows with worse fees, slippage, timing and luck.")
    ] = False,
    ablate: Annotated[
        bool, typer.Option("--ablate", help="Add a row without each part of a strategy that is on.")
    ] = False,
    guard_costs: Annotated[
        bool,
        typer.Option(
            "--guard-costs",
            help="Run again without each guard that acted, to show what it cost or saved.",
        ),
    ] = False,
    ladder: Annotated[
        bool,
        typer.Option(
            "--ladder", help="Add rows at several latencies, queues and fees (quotes and books)."
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

    from backtests.results.console import figures_table, variants_table
    from backtests.session import backtest_document
    from config.progress import LongWork

    console = Console(stderr=True)
    with LongWork() as bar:
        task = bar.add_task("reading the catalog", total=1.0)
        begun = False

        def progress(name: str, done: float, now_ns: int, events_a_second: int) -> None:
            nonlocal begun
            if not begun:
                # Reading the catalog is no measure of the runs.
                bar.reset(task)
                begun = True
            day = datetime.fromtimestamp(now_ns / 1e9, UTC).strftime("%Y-%m-%d")
            words = f"{name} {day}, {events_a_second:,} events/s"
            bar.update(task, description=words, completed=done)

        result = backtest_document(
            file,
            tuple(overrides or ()),
            out=out,
            overwrite=overwrite,
            stress=stress,
            ablate=ablate,
            costs=guard_costs,
            ladder=ladder,
            progress=progress,
        )
    if as_json:
        print((result / "summary.json").read_text(encoding="utf-8"), end="")
        return
    summary = json.loads((result / "summary.json").read_text(encoding="utf-8"))
    title = f"{summary['name']}  {summary['start'][:10]} to {summary['end'][:10]}"
    Console().print(figures_table({"value": summary}, title))
    if summary["ladder"]:
        titled = "latency, queue and fees, each alone"
        figures = ("net_profit", "sharpe", "max_drawdown", "fees", "fills")
        Console().print(variants_table(titled, summary["ladder"], figures))
    for warning in summary["warnings"]:
        console.print(f"[yellow]![/] {warning}", highlight=False)
    print(f"Report: {result / 'report.html'}")


def screen(
    file: File,
    overrides: SetOption = None,
    weights: Annotated[
        Path | None, typer.Option(help="Write every decision's scores and weights to this Parquet.")
    ] = None,
    as_json: JsonOption = False,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            help="Of a scalper: each of these values in turn, with several all combinations: "
            "--vary strategies.scalper.params.signals.levels=3,5,10"
        ),
    ] = None,
) -> None:
    """Run a document's strategies over whole panels, without an engine: seconds, not minutes.

    Decisions are exactly the backtest's; fills are at the signal's close, without lots, stops and
    funding. Of a scalper it shows what moves followed its scores, and what a round trip costs: with
    --vary for many parameters. Scores are exactly the backtest's, with the weights learned by then,
    where venue.latency.feed is none.

    Example: perpdesk screen backtests/runs/xs_reversal_demo.yaml --weights weights.parquet
    """
    from rich.console import Console

    from backtests.screening import screen as screening
    from config.documents import Backtest
    from config.validate import checked

    document = checked(file, overrides or (), Backtest).document
    if _screened_scalper(file, document, overrides or [], vary or [], as_json):
        return
    found = screening.screen_document(document)
    if weights is not None:
        screening.write_weights(found, weights)
    if as_json:
        print(json.dumps(screening.as_dict(document, found), sort_keys=True))
        return
    Console().print(screening.figures_table(document, found))
    for words in screening.without_period(found):
        print(f"! {words}", file=sys.stderr)
    print(
        "Fills at the signal's close; no lots, minimums, bands, stops or funding.", file=sys.stderr
    )


def _screened_scalper(
    file: Path, document: Backtest, overrides: list[str], vary: list[str], as_json: bool
) -> bool:
    """Screen the document's scalper, if it has one, for all combinations of the varied values."""
    from dataclasses import asdict
    from itertools import product

    from rich.console import Console

    from backtests.screening.scalps import scalp_tables, scalpers_of, screen_scalper
    from config.documents import Backtest
    from config.errors import InputError
    from config.validate import checked

    if wrong := [each for each in vary if "=" not in each]:
        raise InputError(f"--vary {wrong[0]}: expected PATH=VALUE,VALUE")
    keys = list(scalpers_of(document))
    if not keys:
        if vary:
            raise InputError(f"--vary: {file} has no scalper; change a value with --set")
        return False
    paths = [each.partition("=") for each in vary]
    said = []
    for chosen in product(*(values.split(",") for _, _, values in paths)):
        sets = [f"{path}={value}" for (path, _, _), value in zip(paths, chosen, strict=True)]
        changed = checked(file, [*overrides, *sets], Backtest).document
        for key in keys:
            found = screen_scalper(changed, key)
            said += [{"strategy": key, "set": sets, **asdict(one)} for one in found]
            if not as_json:
                words = "".join(f", {each.rpartition('.')[2]}" for each in sets)
                for table in scalp_tables(found, words):
                    Console().print(table)
    if as_json:
        print(json.dumps(said))
    return True


def report(folder: Path, at: str | None, window: str, symbol: str, as_json: bool) -> None:
    """Render the report of a result again, from its files, or a picture of a minute of the run."""
    from backtests.report.page import render, write_page
    from backtests.results.result import read
    from config.errors import InputError

    if at is None:
        if symbol or window != "60s":
            raise InputError("--window and --symbol are of a picture: give --at TIME, too")
        path = write_page(folder / "report.html", render(read(folder)))
    else:
        from backtests.report.picture import write_picture

        path = write_picture(read(folder), at, window, symbol)
    typer.echo(json.dumps({"report": str(path)}) if as_json else str(path))


def compare(
    folders: Annotated[
        list[Path], typer.Argument(metavar="RESULT RESULT…", help="Result folders.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="The page (default compare-<UTC stamp>.html beside them).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare results: figures side by side, all curves in one page, and differing parameters.

    Example: perpdesk compare results/xs_reversal_demo-20250101T000000Z results/slower
    """
    from rich.console import Console

    from backtests.report import compare as comparing
    from backtests.report.page import write_page
    from backtests.results.console import ROWS, figures_table
    from backtests.results.result import read
    from config.errors import writing

    results = comparing.lettered([read(folder) for folder in folders])
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    path = out or folders[0].parent / f"compare-{stamp}.html"
    with writing(path):
        write_page(path, comparing.render_comparison(results))
    changed, cautions = comparing.differences(results), comparing.cautions(results)
    if as_json:
        shown = [
            {"result": str(r.path), **{key: r.summary.get(key) for key, _, _ in ROWS}}
            for r in results.values()
        ]
        found = {"results": shown, "differences": changed, "warnings": cautions}
        print(json.dumps(found | {"page": str(path)}, sort_keys=True))
        return
    for letter, result in results.items():
        print(f"{letter}  {result.path}")
    Console().print(figures_table({letter: r.summary for letter, r in results.items()}))
    for name, values in changed.items():
        print(f"{name}: {' | '.join(values)}")
    for words in cautions:
        print(f"! {words}", file=sys.stderr)
    print(f"Page: {path}")
