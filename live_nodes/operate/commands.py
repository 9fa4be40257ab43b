"""`perpdesk live`, `record`, `status`, `doctor` and `risk …`: run a node and operate it.

Imports stand inside the commands: a status or a kill switch must not wait for the engine.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from config.commands import JsonOption, SetOption

if TYPE_CHECKING:
    from live_nodes.operate.doctor import DoctorCheck
    from live_nodes.operate.risk_release import ReleaseOutcome

File = Annotated[Path, typer.Argument(help="A node document (kind: node).")]
NodeFile = Annotated[Path, typer.Argument(metavar="NODE", help="A node document (kind: node).")]

DEPTHS = (1, 50, 200, 1000)
"""Levels of Bybit's books that perpetuals and spot pairs both have."""

risk_app = typer.Typer(
    name="risk",
    help="Guards: what they see, how to resume after a halt, and the kill switch.\n\n"
    "Example: perpdesk risk status live_nodes/nodes/xs_reversal_practice.yaml",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("live")(live)
    app.command("record")(record)
    app.command("status")(status)
    app.command("doctor")(doctor)
    app.command("alive")(alive)
    app.command("parity")(parity)
    app.add_typer(risk_app)


def show(page: Any) -> None:
    """Print a text as it is, such as JSON, or a page for the terminal."""
    if isinstance(page, str):
        print(page)
    else:
        from rich.console import Console

        Console().print(page, highlight=False)


def _on_stderr() -> Callable[[str], None]:
    """Return what prints a line for the person who watches."""
    from rich.console import Console

    console = Console(stderr=True)

    def say(line: str) -> None:
        # What a log on a full disk does not take must end no node.
        with suppress(OSError):
            console.print(line, highlight=False, markup=False, soft_wrap=True)

    return say


def show_checks(findings: list[DoctorCheck], as_json: bool) -> None:
    """Print what was checked; exit 3 where something is bad."""
    from live_nodes.operate.doctor import as_document, rendered

    show(as_document(findings) if as_json else rendered(findings))
    if any(finding.is_bad for finding in findings):
        raise typer.Exit(3)


def _say_done(done: ReleaseOutcome, as_json: bool, say: Callable[[str], None]) -> None:
    if as_json:
        print(json.dumps(asdict(done), indent=2))
    else:
        say(done.text)


def _seconds(option: str, duration: str) -> float:
    from config.durations import duration_ns
    from config.errors import InputError

    try:
        return duration_ns(duration) / 1e9
    except ValueError as error:
        raise InputError(f"{option}: {error}") from None


def live(
    file: File,
    settings: SetOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print and journal orders, send none.")
    ] = False,
    run_once: Annotated[
        bool, typer.Option("--run-once", help="Do the rebalance that is due, then stop.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With --run-once: do it even when it is done already.")
    ] = False,
    duration: Annotated[
        str | None, typer.Option("--for", help="Stop after so long: 90s, 30m, 8h, 7d.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the run's report as JSON on stdout at the end.")
    ] = False,
) -> None:
    """Trade a node's setup: on the practice exchange, on paper, on demo, testnet or mainnet.

    Stops on Ctrl-C or SIGTERM: own entries are cancelled, positions kept or closed by on_stop.

    Example: perpdesk live live_nodes/nodes/xs_reversal_practice.yaml --run-once --force
    """
    from config.errors import InputError
    from live_nodes.local.files import sparing_full_disk
    from live_nodes.node.launch import live_document
    from live_nodes.node.report import RunOptions, raise_left

    say = _on_stderr()
    if force and not run_once:
        raise InputError("--force belongs to --run-once")
    if duration is not None and run_once:
        raise InputError("--for and --run-once exclude each other")
    seconds = None if duration is None else _seconds("--for", duration)
    options = RunOptions(dry_run=dry_run, run_once=run_once, force=force, seconds=seconds)
    with sparing_full_disk():
        report = live_document(file, tuple(settings or ()), options, say)
    if as_json:
        print(json.dumps(report.as_plain(), indent=2))
    else:
        same = report.outcome == report.reason
        say(report.outcome if same else f"{report.outcome}: {report.reason}")
        if report.positions:
            say("positions:")
        for name, quantity in report.positions.items():
            say(f"  {name} {quantity:f}")
    raise_left(report)


def record(
    file: File,
    catalog: Annotated[Path, typer.Option("--catalog", help="The catalog's folder.")],
    settings: SetOption = None,
    depth: Annotated[
        int, typer.Option(help="Levels on each side of a book: 1 (quotes), 50, 200, 1000.")
    ] = 50,
    every: Annotated[
        str, typer.Option(help="How often recorded files are imported: 15m, 1h, 1d.")
    ] = "1h",
    duration: Annotated[
        str | None, typer.Option("--for", help="Stop after so long: 90s, 30m, 8h, 7d.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Record books, trades and tickers of a node's universe into a catalog; trades nothing.

    Needs no keys. Stops on Ctrl-C or SIGTERM, and imports what there is. After a kill or a full
    disk the next start goes on from the last second; holes are listed in recording_gaps.csv.

    Example: perpdesk record live_nodes/nodes/xs_reversal_practice.yaml --catalog data --for 10m
    """
    import asyncio

    from config.errors import InputError
    from live_nodes.local.endpoints import venue_endpoints
    from live_nodes.local.folder import node_document, state_folder

    if depth not in DEPTHS:
        raise InputError(f"--depth must be one of {', '.join(map(str, DEPTHS))}, was {depth}")
    seconds = None if duration is None else _seconds("--for", duration)
    every_s = _seconds("--every", every)
    node, say = node_document(file, settings or (), trades=False), _on_stderr()
    endpoints = venue_endpoints(node, state_folder(node), say)
    from live_nodes.operate.record import RecordOptions, record

    options = RecordOptions(catalog=catalog, depth=depth, every=every_s, seconds=seconds)
    summary = asyncio.run(record(node, endpoints, options, say))
    print(json.dumps(summary.as_plain(), indent=2) if as_json else summary)


def status(file: File, settings: SetOption = None, as_json: JsonOption = False) -> None:
    """Show what a node is doing, from its journal; works while it runs and after it died.

    Exits 1 when its process lives and gives no heartbeat: then it hangs.

    Example: perpdesk status live_nodes/nodes/xs_reversal_practice.yaml
    """
    from live_nodes.local.folder import node_to_stop, state_folder
    from live_nodes.operate.status import rendered, status_of

    node = node_to_stop(file, settings or (), _on_stderr())
    found = status_of(node.name, state_folder(node))
    show(found.as_json() if as_json else rendered(found))
    if found.hangs:
        raise typer.Exit(1)


def alive(
    file: NodeFile,
    settings: SetOption = None,
    within: Annotated[
        str, typer.Option("--within", help="Age up to which a heartbeat counts: 10s, 1m.")
    ] = "10s",
    as_json: JsonOption = False,
) -> None:
    """Check that a node runs and its trading makes progress: exit code 0 if so, else 1.

    For another machine: by ssh, or where the state folder is shared (--set state=DIR).

    Example: perpdesk alive live_nodes/nodes/xs_reversal_practice.yaml --within 1m
    """
    from config.errors import DeskError
    from live_nodes.local.alive import not_alive
    from live_nodes.local.folder import node_to_stop, state_folder
    from live_nodes.local.heartbeat import last_beat

    seconds, node = _seconds("--within", within), node_to_stop(file, settings or (), _on_stderr())
    beat = last_beat(state_folder(node))
    why = not_alive(beat, time.time_ns(), seconds)
    if as_json:
        flat, verdict = (None, "") if beat is None else (beat.flat, beat.verdict)
        print(json.dumps({"alive": not why, "why": why, "flat": flat, "verdict": verdict}))
    if why:
        raise DeskError(f"{node.name} is not alive: {why}")
    if not as_json:
        print(f"{node.name} is alive")


def parity(
    file: NodeFile,
    folder: Annotated[
        Path | None,
        typer.Option("--recording", help="Folder of a recording (default: the newest)."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Replay a recorded session of a node, and compare what its strategies and guards did.

    The node records with watch.record: true, to recordings/ in its state folder. The same
    strategies, guards and order gate get the recorded data, events and times again, without a
    venue, and with the document as it was recorded: edits since are named, not tried. Compared
    are decisions, order intents, refusals and verdicts, from the start until the node stops: the
    share that is identical, and the first divergence with both sides. Exits 1 unless all is
    identical, and no record is missing.

    Example: perpdesk parity live_nodes/nodes/xs_reversal_practice.yaml
    """
    from live_nodes.local.folder import node_document, state_folder
    from live_nodes.node.recording import newest
    from live_nodes.operate.parity import compare, report_lines

    node = node_document(file, trades=False)
    found = compare(folder or newest(state_folder(node)), node)
    if as_json:
        print(json.dumps(asdict(found) | {"share": found.share, "holds": found.holds}, indent=2))
    else:
        for line in report_lines(found):
            print(line)
    if not found.holds:
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
    test_alerts: Annotated[
        bool, typer.Option("--alerts", help="Also send a message to each address of alerts.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check that everything a node needs is there: packages, clock, disk, keys, links.

    Exits 0 when all is well, 3 when something that a node needs is not.

    Example: perpdesk doctor live_nodes/nodes/xs_reversal_testnet.yaml --trade 20
    """
    from live_nodes.local.actions import keep_action
    from live_nodes.local.folder import node_document, state_folder
    from live_nodes.operate.doctor import examine

    node = node_document(file, settings or ())
    if trade is not None:
        keep_action(state_folder(node), f"doctor --trade {trade:g}", "asked by hand")
    findings = examine(node, trade, test_alerts=test_alerts)
    show_checks(findings, as_json)


@risk_app.command("status")
def risk_status(
    file: NodeFile,
    everything: Annotated[
        bool, typer.Option("--all", help="Show every reading, not only each guard's nearest.")
    ] = False,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what every guard measures, how far it is from its limit, and what it holds back.

    Works while the node runs and after it died. Headroom is what is left to the limit, in the
    guard's unit and as a part of the limit; below zero the limit is passed.

    Example: perpdesk risk status live_nodes/nodes/xs_reversal_practice.yaml
    """
    from live_nodes.local.folder import node_to_stop, state_folder
    from live_nodes.operate.risk_status import rendered, risk_status

    document = node_to_stop(file, settings or (), _on_stderr())
    found = risk_status(document, state_folder(document))
    show(found.as_json() if as_json else rendered(found, everything=everything))


@risk_app.command("release")
def release(
    file: NodeFile,
    guard: Annotated[str, typer.Argument(metavar="GUARD", help="Its key, or operator.")],
    reason: Annotated[str, typer.Option(help="Why, in your words; it is kept in the journal.")],
    scope: Annotated[
        str, typer.Option(help="Only desk, strategy:KEY or instrument:ID; all without it.")
    ] = "",
    accept: Annotated[
        bool, typer.Option("--accept", help="Though the limit is reached: measure anew from here.")
    ] = False,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a guard's halts back, so that the desk trades again.

    Of a node that does not run, the release waits in its mailbox for the next start. Exits 0 when
    it is done or waits, 1 when a running node does not answer, 3 when the limit is still reached.

    Example: perpdesk risk release live_nodes/nodes/xs_reversal_practice.yaml daily --reason "seen"
    """
    from live_nodes.local.folder import node_document, state_folder
    from live_nodes.operate.risk_release import release_guard

    say = _on_stderr()
    document = node_document(file, settings or (), trades=False)
    done = release_guard(
        document, state_folder(document), guard, reason=reason, scope=scope, accept=accept, say=say
    )
    _say_done(done, as_json, say)


@risk_app.command("halt")
def halt(
    file: NodeFile,
    reason: Annotated[str, typer.Option(help="Why, in your words; it is kept in the journal.")],
    scope: Annotated[str, typer.Option(help="desk, strategy:KEY or instrument:ID.")] = "desk",
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let nothing enter from now on; positions and their stops stay.

    It stands over restarts, until `perpdesk risk release NODE operator --reason "…"`. Exits 0 when
    it is done or waits for the node's next start, 1 when a running node does not answer.

    Example: perpdesk risk halt live_nodes/nodes/xs_reversal_practice.yaml --reason "odd fills"
    """
    from live_nodes.local.folder import node_to_stop, state_folder
    from live_nodes.operate.risk_release import halt_entries

    say = _on_stderr()
    document = node_to_stop(file, settings or (), say)
    done = halt_entries(document, state_folder(document), reason, scope)
    _say_done(done, as_json, say)


@risk_app.command("flatten")
def flatten(
    file: NodeFile,
    reason: Annotated[
        str, typer.Option(help="Why, in your words; it is kept in the journal.")
    ] = "the operator's kill switch",
    within: Annotated[
        str, typer.Option(help="How long it may take until all is flat: 90s, 5m.")
    ] = "5m",
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close everything now and stay out: the kill switch, whether the node runs or not.

    A running node closes by itself and is watched until the venue says flat. One that does not run,
    or does not answer within 5 s, is passed by: orders are cancelled and positions closed straight
    at the venue. Either way the desk stays out, over restarts too, until
    `perpdesk risk release NODE operator --reason "…"`.

    Exits 0 when flat, 1 when not (it says what is left), 3 without keys.

    Example: perpdesk risk flatten live_nodes/nodes/xs_reversal_practice.yaml --reason "I am off"
    """
    from live_nodes.local.folder import node_to_stop
    from live_nodes.operate.flatten_request import ask_to_flatten

    say = _on_stderr()
    seconds = _seconds("--within", within)
    document = node_to_stop(file, settings or (), say)
    asked = ask_to_flatten(document, reason, say)
    # Only now what takes longer: the halt lies in the mailbox already.
    from live_nodes.local.actions import keep_action
    from live_nodes.operate.flatten import flatten_node

    # As Ctrl-C: stops are cancelled by then, and what is left must not stay untold.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    outcome = flatten_node(document, asked, seconds, say)
    with suppress(OSError):
        keep_action(asked.folder, "flatten", reason, outcome.summary_text)
    if as_json:
        print(json.dumps(outcome.as_plain(), indent=2))
    else:
        say(outcome.summary_text)
    if not outcome.flat:
        raise typer.Exit(1)
