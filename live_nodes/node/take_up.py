"""Take up a node's next release at a safe point, and judge the canary that runs.

The node restarts in place: it stops in order, keeps its positions, and starts with the new document
as after any stop; journal, states of strategies and halts of guards stay. A release that is not
sound, or does not start, gives way to what ran before, with an alert.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import msgspec

from actors.records.journal_files import NAME
from actors.records.journal_reading import read
from config.documents import Node
from config.errors import DeskError, some_of
from config.load import examine
from config.resolved import Resolved
from config.validate import checked
from live_nodes.deploy.rules import (
    OWNER,
    STATE,
    CanaryState,
    canary_verdict,
    day_of,
    dropped,
    first_decided,
    judged,
)
from live_nodes.deploy.study import outcome_of
from live_nodes.local.alert_pacing import Level
from live_nodes.local.files import replace_file
from live_nodes.local.releases import DOCUMENT, RUNS, STUDY, Move, Release, Releases
from live_nodes.local.timefmt import moment_text
from live_nodes.node.build import state_of
from live_nodes.node.context import NodeContext, RunContext
from live_nodes.node.report import Say
from live_nodes.node.risk import NodeRisk
from live_nodes.node.supervisor import Supervisor
from strategies.messages import Action, Verdict
from strategies.schedule import next_fire

LOOK_EVERY_NS = 1_000_000_000
FLAT_EVERY_NS = 10_000_000_000
SAVE_EVERY_NS = 60_000_000_000
NEAR_NS = 30_000_000_000
"""So soon before a decision a node is not restarted, or half of the schedule's period."""
PROCESS_BEGAN = time.time()


class RunningRelease:
    """What a node runs of its releases; `move` is None for a document that was never released.

    `news` is an alert of before the start. `started` is set once the strategies run. `same` is set
    when the node stops to run the same document again, which would be in `vain` after it once was.
    """

    def __init__(
        self,
        releases: Releases,
        move: Move | None,
        resolved: Resolved,
        settings: tuple[str, ...] = (),
        news: str = "",
    ) -> None:
        self.releases, self.started, self.same, self.vain = releases, False, False, False
        self._runs, self._settings, self._news = resolved, settings, news
        self._next: tuple[Move, asyncio.Task[Resolved]] | None = None
        self._said: set[str] = set()
        self._canary: CanaryState | None = None
        self._looked = self._saved = self._waited = 0
        self._adopt(move)

    def _adopt(self, move: Move | None) -> None:
        self.move, self._since = move, time.time_ns()

    @property
    def number(self) -> int:
        """Number of what runs; of a node's document, that of the first release that was made."""
        return self.releases.moves()[0].number if self.move is None else self.move.number

    @property
    def verdict(self) -> Verdict | None:
        """What keeps a canary small."""
        return None if self.move is None else canary_verdict(self.move)

    def begin(self, context: RunContext) -> None:
        """Tell the news, and that its release begins."""
        if self._news:
            self._tell(context, self._news, "critical")
        if self._settings:
            context.journal.note("settings", f"started with --set {' '.join(self._settings)}")
        move = self.move
        if move is not None and not context.options.dry_run:
            context.journal.note("release", f"release {move.number}, {move.kind}: {move.why}")
            self.releases.begin(move.number)

    def keep_document(self, context: RunContext) -> None:
        """Leave the document to what stops the node, and where it has none to its first release.

        Only once the gates let it start: by one that they refused, perhaps for its account, nothing
        was sent, and what the run before sent is not to be stopped by it.
        """
        if self.move is None and not context.options.dry_run:
            replace_file(self.releases.state / RUNS, self._runs.to_yaml().encode())

    def look(self, context: NodeContext, supervisor: Supervisor, risk: NodeRisk) -> str:
        """Judge the canary and look for another release; return why to restart now, else empty."""
        # Not by the clock, which may be set: days would be skipped, or never end.
        now = time.monotonic_ns()
        passed = now - self._looked if self._looked else 0
        if self._looked and passed < LOOK_EVERY_NS:
            return ""
        self._looked = now
        try:
            move = self.releases.current()
            if move is not None and move != self.move:
                return self._approach(context, supervisor, risk, move)
            if context.trades_at_venue:
                self._judge(context, risk, passed)
        except (DeskError, OSError) as error:
            self._tell(context, f"releases can't be read or written: {error}", "warning")
        return ""

    def begin_anew(
        self, context: NodeContext, supervisor: Supervisor, risk: NodeRisk, grows: str
    ) -> str:
        """Return why to restart with the same document now, empty while memory may grow on.

        Only without a position, and where a release could be taken up.
        """
        now = time.monotonic_ns()
        if not grows or self.vain or now - self._waited < FLAT_EVERY_NS:
            return ""
        self._waited, document = now, self._runs.document
        if not context.heartbeat.flat() or unsafe(document, document, context, supervisor, risk):
            return ""
        self.same = True
        why = f"restarts while flat: {grows}"
        self._tell(context, why, "warning")
        return why

    def _approach(
        self, context: NodeContext, supervisor: Supervisor, risk: NodeRisk, move: Move
    ) -> str:
        if self._next is None or self._next[0] != move:
            self._said.clear()
            self._next = move, asyncio.create_task(asyncio.to_thread(self._load, move.number))
        task = self._next[1]
        if not task.done():
            return ""
        error = None if move.number == self.number else task.exception()
        if error is not None:
            # Whatever is wrong with it, what runs goes on.
            why = f"it is not sound: {error}"
            words = self.releases.revert(move, self.number, why)
            self._tell(context, words or f"release {move.number}: {why}", "critical")
            return ""
        if move.number == self.number or task.result().config_hash == self._runs.config_hash:
            # The same document: only how far its canary is has changed.
            self._adopt(move)
            self._tell(context, f"release {move.number} runs: {move.why}", "info")
            return ""
        waits = unsafe(self._runs.document, task.result().document, context, supervisor, risk)
        if waits:
            self._tell(context, f"release {move.number} waits: {waits}", "info")
            return ""
        return f"release {move.number} is taken up: {move.why}"

    def _load(self, number: int) -> Resolved:
        return checked(self.releases.document(number), self._settings)

    def _judge(self, context: NodeContext, risk: NodeRisk, passed: int) -> None:
        move, snapshot = self.move, risk.desk.snapshot
        if move is None or not move.days or snapshot is None or snapshot.equity <= 0:
            return
        store, result = state_of(context, OWNER), sum(snapshot.results.values(), Decimal(0))
        state, saved = self._canary, store.load(STATE)
        if state is None and saved is not None:
            state = msgspec.json.decode(saved, type=CanaryState)
        if state is not None and state.move == move.ts:
            state = msgspec.structs.replace(state, lived=state.lived + passed)
        else:
            schedules = [strategy.schedule() for strategy in context.strategies.values()]
            if time.time_ns() < first_decided(self._since, schedules):
                return
            state = CanaryState(move=move.ts, equity=snapshot.equity, result=result)
        ends = day_of(state, move) > state.day
        if ends and (state := self._judge_day(context, move, state, result)) is None:
            # Someone else writes, or has moved: the day is judged again.
            return
        if ends or self._canary is None or self._looked - self._saved >= SAVE_EVERY_NS:
            store.save(STATE, msgspec.json.encode(state))
            self._saved = self._looked
        self._canary = state

    def _judge_day(
        self, context: NodeContext, move: Move, state: CanaryState, result: Decimal
    ) -> CanaryState | None:
        number, releases = move.number, self.releases
        outcome = outcome_of(releases.read(number, STUDY), releases.of(number) / STUDY)
        state, inside, why = judged(state, move, outcome.monte_carlo.band.days, result)
        if inside and state.day < move.days:
            self._tell(context, f"release {number}, a canary: {why}", "info")
            return state
        if inside:
            return state if releases.end_canary(move, why) else None
        before = releases.release(number).before
        assert before is not None, "the first release is no canary"
        words = releases.revert(move, before, why)
        if words:
            self._tell(context, words, "critical")
        return state if words else None

    def _tell(self, context: RunContext, text: str, level: Level) -> None:
        if text in self._said:
            return
        self._said.add(text)
        context.warn(text, "release", level)
        context.journal.note("release", text)


def what_starts(releases: Releases) -> Move | None:
    """Return the move to what a start runs: the current one, or what ran last.

    What ran last goes on where the current one would drop a halt or a position, as in a running
    node; it takes that up once it may.
    """
    move, number = releases.current(), releases.ran()
    began = releases.state.name != "paper" and (releases.state / NAME).exists()
    if move is None or number is None or not began:
        return move
    with read(releases.state) as journal:
        standing = [verdict for _, verdict in journal.standing()]
        rows = [row for row in journal.holdings() if row.quantity]
    files = [releases.of(one) / DOCUMENT for one in (number, move.number)]
    old, new = (examine(file)[0] for file in files)
    if old is None or new is None:
        return move
    held = {
        key: {row.instrument: row.quantity for row in rows if row.owner == key}
        for key in old.document.strategies
    }
    stays = dropped(old.document, new.document, standing, held)
    return releases.last(number) if stays else move


def say_release(release: Release, file: Path, settings: Iterable[str], say: Say) -> None:
    """Say which release runs, and that the document says something else by now."""
    study = f" of the study {release.study}" if release.study else ""
    made = f"by {release.by} at {moment_text(release.made)}"
    say(f"release {release.number}{study}, {made}: {release.reason}")
    source, _ = examine(file, settings)
    if source is not None and not settings and source.config_hash != release.source:
        say(
            f"warning: {file} was changed since; what it says now is not run before "
            "`perpdesk deploy` makes a release of it"
        )


def unsafe(
    old: Node, new: Node, context: NodeContext, supervisor: Supervisor, risk: NodeRisk
) -> str:
    """Return why the node can't be restarted with another document now, empty if it can."""
    held = {key: strategy.holdings() for key, strategy in context.strategies.items()}
    standing, now = risk.desk.verdicts.standing(), time.time_ns()
    if drops := dropped(old, new, standing, held):
        return drops
    if supervisor.carrying_out or risk.closing:
        return "orders are under way"
    for verdict in standing:
        if verdict.guard.startswith("node.") and verdict.action >= Action.HALT_ENTRIES:
            return f"{verdict.guard} halts entries"
    for key, strategy in context.strategies.items():
        schedule = strategy.schedule()
        if strategy.busy or (schedule is None and strategy.orders_under_way()):
            return f"{key} has orders under way"
        if schedule is None and held[key]:
            return f"{key} decides at any time: until it is flat"
        if schedule is not None:
            near = min(NEAR_NS, schedule[0] // 2)
            if next_fire(now, *schedule) - now < near:
                return f"{key} is about to decide"
    if edited := stale_code():
        return f"{some_of(edited, 2)} changed since this process began: until you restart it"
    return ""


def stale_code() -> list[str]:
    """Return the files of imported modules that were edited since this process began.

    A restart in place goes on with the code in memory, which is not what was studied.
    """
    files = {getattr(module, "__file__", None) or "" for module in list(sys.modules.values())}
    paths = [Path(file) for file in files if file.endswith(".py")]
    return sorted(p.name for p in paths if p.is_file() and p.stat().st_mtime > PROCESS_BEGAN)
