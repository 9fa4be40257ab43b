"""`perpdesk policy …`: train, evaluate, list and show policies of the basis arbitrage."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from config.commands import JsonOption, SetOption

if TYPE_CHECKING:
    from backtests.policies.walk_forward import Judged
    from config.documents import Backtest

File = Annotated[Path, typer.Argument(help="A backtest document with a basis arbitrage.")]
Root = Annotated[Path, typer.Option("--policies", help="Folder of all policies.")]
Name = Annotated[str, typer.Option(help="The policy's name.")]


def register(app: typer.Typer) -> None:
    """Mount `perpdesk policy` and its commands."""
    group = typer.Typer(
        help="Policies of the basis arbitrage: train, judge out of sample, keep.",
        no_args_is_help=True,
    )
    group.command("train")(train)
    group.command("evaluate")(evaluate)
    group.command("list")(list_)
    group.command("show")(show)
    app.add_typer(group, name="policy")


def train(
    file: File,
    name: Name,
    overrides: SetOption = None,
    folds: Annotated[
        int, typer.Option(help="Stretches that are tested, one after the other.", min=1, max=50)
    ] = 4,
    purge: Annotated[
        str,
        typer.Option(
            help="Left out between a training and its test: how long a position is held, such as "
            "1h, 1d. Seeds resample the training in stretches of this mean length."
        ),
    ] = "1h",
    seeds: Annotated[int, typer.Option(help="How many learn; each decides.", min=1, max=50)] = 5,
    every: Annotated[
        str, typer.Option(help="Time between two looks that are learned from: 30s, 1h.")
    ] = "30s",
    deviations: Annotated[
        float,
        typer.Option(help="An entry pays for so many deviations between seeds.", min=0.0, max=10.0),
    ] = 1.0,
    always_trees: Annotated[
        bool,
        typer.Option("--always-trees", help="Keep trees that do not beat the threshold, too."),
    ] = False,
    policies: Root = Path("policies"),
    as_json: JsonOption = False,
) -> None:
    """Learn when to enter and leave, and compare it out of sample with the best fixed threshold.

    Only where it beats the threshold beyond chance are the trees kept; else the threshold is.
    Begun again after Ctrl-C, it goes on. Put the version in the document as `policy`.

    Example: perpdesk policy train backtests/runs/basis_demo.yaml --name demo
    """
    import re

    from backtests.policies import training
    from backtests.policies.fitted_q import Settings
    from backtests.policies.walk_forward import scores_of
    from config.durations import duration_ns
    from config.errors import InputError
    from strategies.basis_arbitrage import POLICY_NAME

    if not re.fullmatch(POLICY_NAME, name):
        raise InputError(f"--name {name}: letters, digits and _ . - only, at most 64")
    for option, span in (("--purge", purge), ("--every", every)):
        try:
            duration_ns(span)
        except ValueError as error:
            raise InputError(f"{option} {span}: {error}") from error
    settings = Settings(
        seeds=tuple(range(1, seeds + 1)),
        every_ns=duration_ns(every),
        deviations=deviations,
        folds=folds,
        purge_ns=duration_ns(purge),
    )
    with _progress() as progress:
        document = _document(file, overrides)
        done = training.train(
            document, policies, name, settings, progress, always_trees=always_trees
        )
    if as_json:
        found = {"folder": str(done.folder), "kind": "trees" if done.by_trees else "threshold"}
        print(json.dumps(found | scores_of(done.judged)))
        return
    _print(done.judged, f"{name}: {folds} folds, out of sample")
    mean, low, high = done.judged.learner_beats_by
    print(
        f"Learner less threshold: {mean:+.1f} bps a day ({low:+.1f} to {high:+.1f}): the "
        f"{'trees decide' if done.by_trees else 'threshold decides'} in {done.folder}"
    )


def evaluate(
    file: File,
    name: Name,
    version: Annotated[str | None, typer.Option(help="Its version (default: the newest).")] = None,
    overrides: SetOption = None,
    policies: Root = Path("policies"),
    as_json: JsonOption = False,
) -> None:
    """Judge a policy on a document's window, beside all that it is compared with.

    Example: perpdesk policy evaluate backtests/runs/basis_demo.yaml --name demo
    """
    import sys

    from backtests.policies import training
    from backtests.policies.artifacts import newest
    from backtests.policies.walk_forward import scores_of

    folder = policies / name / (version or newest(policies, name))
    with _progress() as progress:
        judged, warning = training.evaluate(_document(file, overrides), folder, progress)
    if as_json:
        print(json.dumps(scores_of(judged) | {"warning": warning}))
    else:
        _print(judged, f"{name} {folder.name}")
    if warning:
        print(f"! {warning}", file=sys.stderr)


def list_(policies: Root = Path("policies"), as_json: JsonOption = False) -> None:
    """List policies: what decides, and what they earned out of sample.

    Example: perpdesk policy list
    """
    from backtests.policies.artifacts import folders, summary

    found = [dict(summary(folder)) for folder in folders(policies)]
    if as_json:
        print(json.dumps(found))
        return
    if not found:
        print(f"{policies}: no policies; `perpdesk policy train` makes one")
    for one in found:
        print(f"{one['name']} {one['version']}  {one.get('refused') or _line(one)}")


def show(
    name: Annotated[str, typer.Argument(help="The policy's name.")],
    version: Annotated[
        str | None, typer.Argument(help="Its version (default: the newest).")
    ] = None,
    policies: Root = Path("policies"),
    as_json: JsonOption = False,
) -> None:
    """Show a policy's manifest: window, data, features with ranges, scores.

    Refused (3) is what a node would refuse.

    Example: perpdesk policy show demo
    """
    from rich.console import Console
    from rich.table import Table

    from backtests.policies.artifacts import newest
    from strategies.basis.policy import load

    manifest = dict(load(policies / name / (version or newest(policies, name))).manifest)
    if as_json:
        print(json.dumps(manifest))
        return
    print(f"{name} {manifest['version']}  {_line(manifest)}")
    table = Table("feature", "from", "to", title="Ranges of the training")
    for row in zip(manifest["features"], manifest["low"], manifest["high"], strict=True):
        table.add_row(row[0], *(f"{v:.4g}" if abs(v) < 1e300 else "any" for v in row[1:]))
    Console().print(table)
    for key in ("document", "window", "data", "params", "fees", "settings", "code"):
        print(f"{key}: {json.dumps(manifest[key])}")


def _line(manifest: Mapping[str, Any]) -> str:
    found, limits = manifest["out_of_sample"], manifest["threshold"]
    by = {one["name"]: one["bps_a_day"]["mean"] for one in found["policies"]}
    earned = ", ".join(f"{n} {v:+.1f}" for n, v in by.items() if v is not None)
    levels = f"threshold {limits['open_bps']:.1f} / {limits['close_bps']:.1f} bps"
    return f"{manifest['kind']}, {levels}; out of sample, bps a day: {earned}"


def _document(file: Path, overrides: list[str] | None) -> Backtest:
    from config.documents import Backtest
    from config.validate import checked

    found: Backtest = checked(file, overrides or (), Backtest).document
    return found


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    from config.progress import LongWork

    with LongWork() as bar:
        task = bar.add_task("reading the catalog", total=None)

        def progress(words: str, done: int, total: int) -> None:
            if total != bar.tasks[0].total:
                # The time that another kind of work took is no measure of this one's.
                bar.reset(task, total=total)
            bar.update(task, description=words, completed=done)

        yield progress


def _print(judged: Judged, title: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"{title}, {judged.days:.2f} days",
        caption="Net of fees, spreads and funding, bps of a position's value; 95 % intervals.",
    )
    for heading in ("policy", "bps a day", "95 %", "trades", "a day", "held"):
        table.add_column(heading, justify="left" if heading == "policy" else "right")
    for one in judged.scores:
        mean, low, high = one.bps_a_day
        span = f"{low:+.1f} to {high:+.1f}" if low == low else "–"
        trades, a_day = f"{one.trades:,}", f"{one.trades_a_day:.2f}"
        table.add_row(one.name, f"{mean:+.1f}", span, trades, a_day, f"{one.held:.0%}")
    Console().print(table)
