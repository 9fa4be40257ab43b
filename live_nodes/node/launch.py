"""Run a node from its document: venue, keys, journal, event loop, heartbeat, alerts."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from actors.records.journal import Journal
from actors.records.journal_files import NAME, holder
from actors.records.journal_reading import read
from config.documents import Node
from config.errors import DeskError, DocumentErrors, InputError, some_of
from config.guard_warnings import guard_warnings
from config.resolved import Resolved
from config.validate import checked
from live_nodes.bybit.adapter import forget_clients
from live_nodes.local.alerts import Alerts, AlertUrl, alert_urls_of
from live_nodes.local.alive import ping_url_of
from live_nodes.local.endpoints import Endpoints, overridden, refuse_unconfirmed, venue_endpoints
from live_nodes.local.folder import releases_of, state_folder
from live_nodes.local.heartbeat import STALE_S, Heartbeat
from live_nodes.local.keys import KeyPair, Secret, key_names, keys_of, variables_of
from live_nodes.local.practice_process import EXCHANGE, UNMET, unmet_faults
from live_nodes.local.releases import Move, Releases
from live_nodes.local.service_manager import service_manager
from live_nodes.node.alert_watch import watching_alerts
from live_nodes.node.context import RunContext
from live_nodes.node.daily_reports import daily_reports
from live_nodes.node.exporter import exported
from live_nodes.node.live import NodeRun
from live_nodes.node.message_bus import message_bus_of
from live_nodes.node.recording import tape_of
from live_nodes.node.report import RunOptions, RunReport, Say
from live_nodes.node.risk import count_alerts
from live_nodes.node.stop import storage_failure
from live_nodes.node.take_up import RunningRelease, say_release, what_starts
from live_nodes.records.follower import Follower
from live_nodes.records.mirror import journal_of, mirror_url
from strategies.exits import ended_by


def launch(
    node: Node,
    endpoints: Endpoints,
    keys: KeyPair | None,
    folder: Path,
    document: str,
    options: RunOptions,
    say: Say,
    alert_urls: Sequence[AlertUrl] = (),
    release: RunningRelease | None = None,
    ping: Secret | None = None,
    message_bus: Secret | None = None,
    beside: Callable[[RunContext], AbstractContextManager[object]] = nullcontext,
    mirror: Secret | None = None,
) -> RunReport:
    """Run a node until it stops or has done what `options` request; ``beside`` runs meanwhile.

    Raises GateRefused when something keeps it from starting. Raises DeskError when it could not go
    on.
    """
    refuse_unconfirmed(node)
    heartbeat = Heartbeat(
        folder, say, guards_within=STALE_S + node.risk.every, anew=node.environment == "paper"
    )
    heartbeat.on_beat = service_manager()
    with Journal.open(folder, node=node.name) as journal, ExitStack() as followed:
        if journal.restored is not None:
            say(str(journal.restored))
        context = RunContext(
            node=node,
            endpoints=endpoints,
            keys=keys,
            folder=folder,
            journal=journal,
            options=options,
            say=say,
            alerts=Alerts(node.name, folder, () if options.dry_run else alert_urls),
            heartbeat=heartbeat,
            tape=tape_of(node, options, say),
            release=release,
            message_bus=message_bus,
        )
        tell = partial(context.warn, kind="records")
        followed.enter_context(Follower(folder, tell, mirror, journal_of(node)))
        _report_killed_run(context)
        _report_left_money(context)
        journal.begin_run(environment=node.environment, document=document, dry_run=options.dry_run)
        try:
            if release is not None:
                release.begin(context)
            with watching_alerts(context, ping), exported(context), beside(context):
                report = _in_loop(NodeRun(context))
        except BaseException as error:
            unwritable = storage_failure(error)
            if unwritable is not None:
                journal.go_on_in_memory()
            why = str(unwritable or error) or type(error).__name__
            context.alerts(f"the node does not run: {why}", "critical", "node")
            _end(context, "failed", why)
            if unwritable is not None:
                raise unwritable from error
            raise
        _end(context, "stopped", report.reason)
        return report


def _report_killed_run(context: RunContext) -> None:
    runs = context.journal.runs()
    if runs and runs[0].ended is None and not runs[0].dry_run:
        context.alerts(
            f"the last run (process {runs[0].pid}) did not stop properly: it was killed, or "
            f"the machine went down; {context.node.name} starts again now",
            "warning",
            "node",
        )


def _report_left_money(context: RunContext) -> None:
    """Say what the node holds with real money while its document names another environment."""
    real = context.folder.parent / "mainnet"
    if context.folder == real or not (real / NAME).is_file() or holder(real) is not None:
        return
    try:
        with read(real) as journal:
            explained = journal.explained()
    except DeskError as error:
        held = [f"nobody knows what, as its journal can't be read: {error}"]
    else:
        held = [f"{name} {size:f}" for name, size in sorted(explained.items()) if size]
    if held:
        context.warn(
            f"mainnet: {some_of(held, 3)} held by the journal in {real}, and nothing watches it: "
            "start the node there, or close it (perpdesk risk flatten NODE --set "
            "environment=mainnet)"
        )


def _end(context: RunContext, phase: str, reason: str) -> None:
    context.heartbeat.beat(phase)
    context.alerts.close()
    count_alerts(context.alerts, context.journal)
    context.journal.end_run(phase, reason)


def _in_loop(run: NodeRun) -> RunReport:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    task = loop.create_task(run.run())
    try:
        while True:
            try:
                return loop.run_until_complete(task)
            except SystemExit as error:
                if task.done():
                    raise ended_by(error) from error
                # By a timer or a queue: it has ended the loop, not the node, which is to stop.
                loop.call_exception_handler({"message": "exit", "exception": ended_by(error)})
    finally:
        # The engine's waiting workers complain when their loop is closed before they end.
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(run.links.disconnect())
        run.dispose()
        forget_clients()
        gc.unfreeze()
        asyncio.set_event_loop(None)
        if not loop.is_closed():
            loop.close()


def live_document(
    file: Path, overrides: tuple[str, ...], options: RunOptions, say: Say
) -> RunReport:
    """Run what a node runs, its release or the document, until it stops; go on with new releases.

    Raises DocumentErrors with every error of the document, before anything starts. Raises
    GateRefused when something keeps the node from starting.
    """
    releases = releases_of(file, overrides)
    until = None if options.seconds is None else time.monotonic() + options.seconds
    ran: int | None = None
    move, news = what_starts(releases), ""
    again: Resolved | None = None
    vain = False
    while True:
        # Until the node listens itself, so that a journal just opened is closed.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        release = None
        try:
            resolved = again or _sound(releases, move, file, overrides)
            release = RunningRelease(releases, move, resolved, overrides, news)
            release.vain = vain
            if move is not None:
                say_release(releases.release(move.number), file, overrides, say)
            report = _run(file, resolved, options, say, release, overrides)
        except Exception as error:
            if ran is None or move is None or (release is not None and release.started):
                raise
            # What ran until now goes on; a start of its own that fails is a failure.
            news = releases.revert(move, ran, f"it does not start: {error}")
            if not news:
                raise
            ran, move = None, releases.current()
            continue
        if not report.takes_up:
            return report
        if release.same:
            ran, news, move, vain = None, "", what_starts(releases), True
            why = "its document was changed"
            if _is_same(releases, move, file, overrides, resolved):
                why = _begin_process_anew()
            # Not by its file, which says something else by now.
            again = None if releases.moves() else resolved
            say(f"{why}: what ran goes on in this process, and keeps its memory")
        else:
            ran, move, news, again = release.number, releases.current(), "", None
        if until is not None:
            options = replace(options, seconds=max(0.0, until - time.monotonic()))


def _sound(
    releases: Releases, move: Move | None, file: Path, overrides: tuple[str, ...]
) -> Resolved:
    if move is None:
        return checked(file, overrides)
    try:
        return checked(releases.document(move.number), overrides)
    except DocumentErrors as errors:
        raise InputError(
            f"{errors}\nthe release that is to run is not sound any more; `perpdesk deploy {file}` "
            "makes another, `perpdesk rollback` goes back to one before it"
        ) from None


def _is_same(
    releases: Releases, move: Move | None, file: Path, overrides: tuple[str, ...], ran: Resolved
) -> bool:
    try:
        return _sound(releases, move, file, overrides).config_hash == ran.config_hash
    except DeskError:
        return False


def _begin_process_anew() -> str:
    """Replace this process by a new one of the same command and pid; return only why it can't.

    The engine of a run that ended stays in memory: only the end of a process frees it.
    """
    script = str(getattr(sys.modules["__main__"], "__file__", ""))
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execv(sys.executable, [sys.executable, script, *sys.argv[1:]])
    except OSError as error:
        return f"{sys.executable} can't be started: {error}"


def _run(
    file: Path,
    resolved: Resolved,
    options: RunOptions,
    say: Say,
    release: RunningRelease,
    overrides: tuple[str, ...],
) -> RunReport:
    node = resolved.document
    for warning in guard_warnings(node):
        say(f"warning: {warning}")
    variables = variables_of()
    node, line = overridden(node, variables)
    if line:
        say(line)
    refuse_unconfirmed(node)
    keys = keys_of(node, variables)
    if keys is not None and key_names(node):
        say(f"keys: {keys.source}")
    urls, ping = alert_urls_of(node, variables), ping_url_of(node, variables)
    bus, mirror = message_bus_of(node, variables), mirror_url(node, variables)
    folder = state_folder(node)
    endpoints = venue_endpoints(node, folder, say)
    own_exchange = node.environment == "practice" and node.venue_urls is None
    if own_exchange:
        say(f"it keeps running after the node ends: `perpdesk exchange {file} --stop` stops it")
    unmet: list[str] = []
    try:
        report = launch(
            node,
            endpoints,
            keys,
            folder,
            resolved.config_hash,
            options,
            say,
            urls,
            release,
            ping,
            bus,
            partial(daily_reports, file, overrides),
            mirror,
        )
    finally:
        if own_exchange:
            unmet = unmet_faults(folder / EXCHANGE)
        for name in unmet:
            say(f"warning: {UNMET.format(name)}")
    report.unmet_faults = unmet
    return report
