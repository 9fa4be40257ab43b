"""Run a node from its document: venue, keys, journal, event loop, heartbeat, alerts."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Sequence
from pathlib import Path

from actors.records.journal import Journal
from config.documents import Node
from config.errors import InputError
from config.validate import checked
from live_nodes.bybit.adapter import forget_clients
from live_nodes.local.alerts import Alerts, addresses_of
from live_nodes.local.endpoints import (
    Addresses,
    addresses,
    overridden,
    refuse_unconfirmed,
    venue_of,
)
from live_nodes.local.folder import state_folder
from live_nodes.local.heartbeat import Heartbeat
from live_nodes.local.keys import KeyPair, Secret, keys_of, variables_of
from live_nodes.node.live import Live
from live_nodes.node.report import Options, Report
from live_nodes.node.risk import count_alerts

Say = Callable[[str], None]


def launch(
    node: Node,
    where: Addresses | None,
    keys: KeyPair | None,
    folder: Path,
    document: str,
    options: Options,
    say: Say,
    told: Sequence[Secret] = (),
) -> Report:
    """Run a node until it is told to stop, or has done what was asked.

    Parameters
    ----------
    node : Node
        The document, its environment final.
    where : Addresses, optional
        Of its venue; None takes the environment's own.
    keys : KeyPair, optional
        Of its account.
    folder : pathlib.Path
        The node's own state folder.
    document : str
        Hash of the document, for the journal.
    options : Options
        Of the command line.
    say : callable
        Takes a line for the person who watches.
    told : sequence of Secret
        Addresses that alerts go to (`live_nodes.local.alerts.addresses_of`); a dry run tells
        nobody.

    Raises
    ------
    GateRefused
        When something keeps it from starting.
    DeskError
        When it could not go on.
    """
    refuse_unconfirmed(node)
    venue = addresses(node.environment, node.venue_urls) if where is None else where
    with Journal.open(folder, node=node.name) as journal:
        if journal.restored is not None:
            say(str(journal.restored))
        alerts = Alerts(node.name, folder, () if options.dry_run else told)
        heartbeat = Heartbeat(folder, say)
        _tell_of_last_run(journal, node, alerts)
        journal.begin_run(environment=node.environment, document=document, dry_run=options.dry_run)
        live = Live(
            node, venue, keys, folder, journal, options, say, alerts=alerts, heartbeat=heartbeat
        )
        try:
            report = _in_loop(live)
        except BaseException as error:
            why = str(error) or type(error).__name__
            alerts(f"the node does not run: {why}", "critical", "node")
            heartbeat.beat("failed")
            _end_alerts(alerts, journal)
            journal.end_run("failed", why)
            raise
        heartbeat.beat("stopped")
        _end_alerts(alerts, journal)
        journal.end_run("stopped", report.reason)
        return report


def _tell_of_last_run(journal: Journal, node: Node, alerts: Alerts) -> None:
    """Tell that the last run was killed: it could not say so itself."""
    runs = journal.runs()
    if runs and runs[0].ended is None and not runs[0].dry_run:
        alerts(
            f"the last run (process {runs[0].pid}) ended without a word: killed, or the machine "
            f"went down; {node.name} starts again now",
            "warning",
            "node",
        )


def _end_alerts(alerts: Alerts, journal: Journal) -> None:
    """Let the last alerts leave, for a bounded time, and write down what became of them."""
    alerts.close()
    count_alerts(alerts, journal)


def _in_loop(live: Live) -> Report:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(live.run())
    finally:
        # The engine leaves workers waiting, which complain when their loop is closed under them.
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        live.dispose()
        forget_clients()
        gc.unfreeze()
        asyncio.set_event_loop(None)
        if not loop.is_closed():
            loop.close()


def live_document(
    file: Path, overrides: tuple[str, ...], options: Options, say: Callable[[str], None]
) -> Report:
    """Check the document, find its venue and keys, and run it.

    Raises
    ------
    DocumentErrors
        With everything that is wrong in the document, before anything starts.
    GateRefused
        When something keeps it from starting.
    """
    resolved = checked(file, overrides)
    node = resolved.document
    if not isinstance(node, Node):
        raise InputError(f"{file}: kind is {node.kind}, but live runs kind: node")
    variables = variables_of()
    node, line = overridden(node, variables)
    if line:
        say(line)
    refuse_unconfirmed(node)
    keys = keys_of(node, variables)
    told = addresses_of(node, variables)
    folder = state_folder(node)
    where = venue_of(node, folder, say)
    if node.environment == "practice" and node.venue_urls is None:
        say(f"it goes on when the node ends: `perpdesk exchange {file} --stop` stops it")
    return launch(node, where, keys, folder, resolved.config_hash, options, say, told)
