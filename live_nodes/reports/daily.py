"""The report of a node's day, or of any time: result, venue's log and expectation, as a page."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from config.documents import Node
from config.durations import DAY_NS
from config.errors import InputError
from config.load import examine, load
from config.resolved import Resolved
from live_nodes.local.alerts import RANK, Level, alert_urls_of, send_now
from live_nodes.local.endpoints import overridden
from live_nodes.local.folder import REPORTS, UNREAD, releases_of, state_folder
from live_nodes.local.keys import variables_of
from live_nodes.local.releases import RUNS
from live_nodes.reports.expectation import expectation
from live_nodes.reports.live_result import live_result
from live_nodes.reports.page import LiveFacts, is_sound, short_text, write_live
from live_nodes.reports.venue_log import reconciled


@dataclass(frozen=True)
class WrittenReport:
    """A report: its page, the summary in words, and whether all its books agree.

    ``text`` is empty where the page was there before, ``page`` None where there was nothing to
    report. ``unsent`` are the channels that did not take the summary.
    """

    page: Path | None
    text: str = ""
    sound: bool = True
    unsent: tuple[str, ...] = ()


def day_of(words: str, now_ns: int | None = None) -> str:
    """Return a UTC day that is over, as ``YYYY-MM-DD``; ``yesterday`` is one.

    Raises InputError where it is no day, or not over.

    >>> day_of("yesterday", 20_000 * 86_400_000_000_000)
    '2024-10-03'
    """
    today = datetime.fromtimestamp((now_ns or time.time_ns()) / 1e9, UTC).date()
    if words == "yesterday":
        return str(today - timedelta(days=1))
    try:
        day = datetime.strptime(words, "%Y-%m-%d").date()
    except ValueError:
        raise InputError(f"--day: give a day as 2026-03-31, or yesterday; was {words!r}") from None
    if day >= today:
        raise InputError(f"--day: {day} (UTC) is not over yet; --from {day} reports it so far")
    return str(day)


def moment_of(option: str, words: str) -> int:
    """Return a UTC date or time in UNIX nanoseconds; raise InputError where it is none."""
    try:
        found = datetime.fromisoformat(words)
    except ValueError:
        raise InputError(f"{option}: give a UTC time as 2026-03-31 or '2026-03-31 07:30'") from None
    return int(found.replace(tzinfo=found.tzinfo or UTC).timestamp()) * 1_000_000_000


def day_report(
    file: Path, settings: Iterable[str], day: str, *, sends: bool = True
) -> WrittenReport:
    """Make the report of a day once, and send its summary at once to where the node's alerts go.

    It is made again where the venue's log could not be read, and sent again once it could. A day
    without the node has none. Raises what `live_nodes.local.folder.node_document` raises.
    """
    resolved, node, folder = _document(file, settings)
    page = folder / REPORTS / f"{day}.html"
    unread = page.with_suffix(UNREAD)
    if not folder.is_dir():
        return WrittenReport(None, f"{folder}: the node was never started")
    page.parent.mkdir(exist_ok=True)
    # A timer and the node itself may ask at the same moment.
    with (page.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made_before = page.is_file()
        if made_before and not unread.is_file():
            return WrittenReport(page)
        start = moment_of("--day", day)
        try:
            found = _facts(node, folder, start, start + DAY_NS)
        except InputError as error:
            return WrittenReport(None, str(error))
        with tempfile.TemporaryDirectory(dir=page.parent, prefix=".making-") as made:
            write_live(found, resolved, node, Path(made) / "result")
            if found.reconciliation.unread:
                unread.touch()
            os.replace(Path(made) / "result" / "report.html", page)
        if not found.reconciliation.unread:
            unread.unlink(missing_ok=True)
        elif made_before:
            return WrittenReport(page)
    text, sound = short_text(found, f"{day} UTC"), is_sound(found)
    unsent = []
    if sends:
        level: Level = "info" if sound else "warning"
        urls = [
            url
            for url in alert_urls_of(node, variables_of())
            if url.terms.severity != "escalated" and RANK[url.terms.severity] <= RANK[level]
        ]
        unsent = send_now(f"{node.name}: daily report", text, level, urls)
    return WrittenReport(page, text, sound, tuple(unsent))


def range_report(
    file: Path, settings: Iterable[str], since: int, until: int | None, out: Path | None
) -> WrittenReport:
    """Make the report of any time, until now without an end, by default in ``reports/FROM_TO``."""
    resolved, node, folder = _document(file, settings)
    found = _facts(node, folder, since, until)
    names = (datetime.fromtimestamp(ts / 1e9, UTC) for ts in (since, found.result.end_ns))
    out = out or folder / REPORTS / "_".join(f"{one:%Y%m%dT%H%M%SZ}" for one in names)
    write_live(found, resolved, node, out)
    return WrittenReport(out / "report.html", short_text(found, node.name), is_sound(found))


def _document(file: Path, settings: Iterable[str]) -> tuple[Resolved, Node, Path]:
    settings = tuple(settings)
    released = releases_of(file, settings).running()
    written = load(released or file, settings, imports=False)
    node = overridden(written.document, variables_of())[0]
    folder = state_folder(node)
    # Where nothing is imported, only what ran (as a release has) knows all defaults of parameters.
    ran = examine(folder / RUNS, imports=False)[0] if released is None else None
    return ran or written, node, folder


def _facts(node: Node, folder: Path, since: int, until: int | None) -> LiveFacts:
    found = live_result(folder, since, until)
    until = time.time_ns() if until is None else until
    log, every = reconciled(found, node, folder), node.watch.snapshot_every * 1e9
    return LiveFacts(found, min(until, time.time_ns()), every, log, expectation(folder, until))
