"""Watch a running node's alert rules and ping its dead man's switch, in threads of their own.

They read the journal and the heartbeat as another process would, and little at a time: the node's
loop waits for nothing here.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from actors.records.journal_reading import JournalReader, read
from config.documents import Node
from config.documents.alerts import AlertTerms
from config.durations import duration_ns
from live_nodes.local.alerts import AlertSink
from live_nodes.local.alive import keep_pinging, not_alive
from live_nodes.local.heartbeat import last_beat
from live_nodes.local.keys import Secret
from live_nodes.node.alert_rules import Conditions, Reading, RuleBook
from live_nodes.node.context import RunContext

EVERY_S = 20.0
_PAGE = 200
_PAUSE_S = 0.01
"""Pause between two pages, in which the loop has the interpreter."""
_DECISIONS = 2000
"""Number of newest decisions that a start looks through for the targets that count."""


@contextmanager
def watching_alerts(context: RunContext, ping: Secret | None = None) -> Iterator[None]:
    """Watch the rules and ping while a node runs; a dry run does neither."""
    terms, ended = context.node.alerts, threading.Event()
    work = []
    if terms is not None and not context.options.dry_run:
        watch = RuleWatch(context.node, terms, context.folder, context.alerts, time.time_ns())
        work.append(threading.Thread(target=watch.run, args=(ended,), name="alert rules"))
        if ping is not None:
            every = duration_ns(terms.alive.every) / 1e9
            given = ping, context.folder, every, ended
            work.append(threading.Thread(target=keep_pinging, args=given, name="alive"))
    for thread in work:
        thread.daemon = True
        thread.start()
    try:
        yield
    finally:
        ended.set()


class RuleWatch:
    """Reads what the rules need and alerts on what they find; `started` is UNIX nanoseconds."""

    def __init__(
        self, node: Node, terms: AlertTerms, folder: Path, alerts: AlertSink, started: int
    ) -> None:
        self._rules, self._folder, self._alerts = terms.rules, folder, alerts
        self._book = RuleBook(node, terms.rules, started)
        # On paper, positions and targets end with the process.
        self._since = started if node.environment == "paper" else 0
        self._conditions = Conditions()
        self._decision: int | None = None
        self._fill: int | None = None
        message = terms.alive.message
        self._message_ns, self._said = duration_ns(message) if message else 0, started
        rules = terms.rules
        asked = rules.no_trade_for, rules.cost_over_model, rules.drift_from_target, message
        self._is_asked = any(asked)

    def run(self, ended: threading.Event) -> None:
        """Look again and again until `ended`."""
        while not ended.wait(EVERY_S):
            self.look(time.time_ns(), ended)

    def look(self, now: int, ended: threading.Event | None = None) -> None:
        """Measure once, and alert on what begins and what is over."""
        if not self._is_asked:
            return
        try:
            with read(self._folder) as journal:
                readings = self._measured(journal, now, ended or threading.Event())
                self._say_alive(journal, now)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is alerted, and tried again
            text = f"the alert rules can't be measured: {error or type(error).__name__}"
            readings = {"rules": Reading(math.inf, text)}
        for about, text, over in self._conditions.changes(readings, now):
            level = "info" if over else self._rules.severity
            self._alerts(text, level, "rule", about=about, over=over)

    def _measured(
        self, journal: JournalReader, now: int, ended: threading.Event
    ) -> dict[str, Reading]:
        newest = journal.last_decision_number()
        after = newest - _DECISIONS if self._decision is None else self._decision
        for decision in journal.decisions_numbered(after, newest, "rebalance", "flatten"):
            if decision.ts >= self._since:
                self._book.decision(decision)
        self._decision = newest
        self._read_fills(journal, now, ended)
        held = {
            (row.owner, row.instrument): row.quantity
            for row in journal.holdings()
            if row.changed >= self._since
        }
        worth = journal.last_equity()
        equity = None if worth is None else worth.equity
        fine = Reading(0.0, again="the alert rules are measured again")
        return {"rules": fine, **self._book.readings(now, held, journal.marks(), equity)}

    def _read_fills(self, journal: JournalReader, now: int, ended: threading.Event) -> None:
        if self._fill is None:
            rule = self._rules.cost_over_model
            since = now - (0 if rule is None else duration_ns(rule.within))
            since = max(self._since, min([since, *self._book.decided]))
            self._fill = journal.fill_number_before(since)
        while True:
            self._fill, page = journal.fills_numbered(self._fill, _PAGE)
            for fill in page:
                self._book.fill(fill)
            if len(page) < _PAGE or ended.wait(_PAUSE_S):
                return

    def _say_alive(self, journal: JournalReader, now: int) -> None:
        if not self._message_ns or now // self._message_ns == self._said // self._message_ns:
            return
        beat = last_beat(self._folder)
        if beat is None or not_alive(beat, now):
            return
        self._said = now
        worth = journal.last_equity()
        equity = "" if worth is None else f", equity {worth.equity:.2f} USDT"
        state = "flat" if beat.flat else "with positions"
        self._alerts(f"runs {state}{equity}; {beat.verdict or 'nothing halts it'}", "info", "alive")
