"""Start the daily report of a running node, five minutes after each UTC day, beside the node.

A thread of its own waits, and a process of low priority makes the report (`perpdesk report NODE
--day`): neither the node's loop nor its memory has a part in it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from config.durations import DAY_NS, MINUTE_NS
from live_nodes.local.folder import REPORTS, UNREAD
from live_nodes.node.context import RunContext

AFTER_NS = 5 * MINUTE_NS
AGAIN_NS = 60 * MINUTE_NS
NICENESS = "15"
LONGEST_S = 3600.0
"""A report that takes longer is given up, so that the next day has its own."""


def due(now_ns: int) -> tuple[str, int]:
    """Return the last UTC day that is to be reported, and when the next one is.

    >>> due(20_000 * DAY_NS + AFTER_NS - 1)[0], due(20_000 * DAY_NS + AFTER_NS)[0]
    ('2024-10-02', '2024-10-03')
    """
    number = (now_ns - AFTER_NS) // DAY_NS
    day = datetime.fromtimestamp((number - 1) * DAY_NS / 1e9, UTC)
    return f"{day:%Y-%m-%d}", (number + 1) * DAY_NS + AFTER_NS


@contextmanager
def daily_reports(file: Path, settings: Sequence[str], context: RunContext) -> Iterator[None]:
    """Make the report of each day that ends meanwhile, and of the last one before if it lacks.

    One whose venue's log could not be read is made again each hour, until the next day's.
    Only where the node's document wants it, and the node is to go on trading.
    """
    ended, options = threading.Event(), context.options
    folder = context.folder / REPORTS

    def keep_reporting() -> None:
        while True:
            day, following = due(time.time_ns())
            page = folder / f"{day}.html"
            unread = page.with_suffix(UNREAD)
            if unread.exists() or not page.exists():
                _make(file, settings, day, context)
            if unread.exists():
                following = min(following, time.time_ns() + AGAIN_NS)
            # The wall clock may be set: look again now and then.
            while time.time_ns() < following:
                if ended.wait(min(60.0, max(0.0, (following - time.time_ns()) / 1e9))):
                    return

    if context.node.reports.daily and not (options.run_once or options.dry_run):
        threading.Thread(target=keep_reporting, name="daily reports", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _make(file: Path, settings: Sequence[str], day: str, context: RunContext) -> None:
    command = ["nice", "-n", NICENESS] if shutil.which("nice") else []
    command += [sys.executable, "-m", "perpdesk", "report", str(file), "--day", day]
    command += [part for value in settings for part in ("--set", value)]
    try:
        # It outlives the node's stop, and its Ctrl-C.
        done = subprocess.run(
            [*command, "--json", "--no-send"], stdin=subprocess.DEVNULL, capture_output=True,
            text=True, start_new_session=True, check=False, timeout=LONGEST_S,
        )  # fmt: skip
        if done.returncode:
            raise OSError((done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1])
        made = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        context.warn(f"the report of {day} could not be made: {error}", "daily report")
        return
    if made["report"] is not None and made["text"]:
        # As its channels want it: with digests, and after quiet hours.
        context.alerts(made["text"], "info" if made["sound"] else "warning", "daily report")
        context.say(f"report of {day}: {made['report']}")
