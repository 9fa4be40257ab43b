"""Take up a node's next release at a safe point, and judge the canary that runs.

The node restarts in place: it stops in order, keeps its positions, and starts with the new document
as after any stop; journal, state of strategies and halts of guards stay. A release that is not
sound, or does not start, gives way to the one before it, with an alert.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path

import msgspec

from config.documents import Node
from config.errors import DeskError, some_of
from config.load import examine
from config.resolved import Resolved
from config.universe import select
from config.validate import checked
from live_nodes.deploy.canary import OWNER, STATE, CanaryState, canary_verdict, judged
from live_nodes.deploy.study import Band, study_of
from live_nodes.local.alerts import Level
from live_nodes.local.releases import Move, Release, Releases
from live_nodes.local.timefmt import moment_text
from live_nodes.node.build import state_of
from live_nodes.node.context import NodeContext
from live_nodes.node.report import Say
from live_nodes.node.risk import NodeRisk
from live_nodes.node.supervisor import Supervisor
from strategies.base import DeskStrategy
from strategies.messages import Action, Verdict
from strategies.schedule import next_fire

LOOK_EVERY_NS = 1_000_000_000
SAVE_EVERY_NS = 60_000_000_000
NEAR_NS = 30_000_000_000
"""So soon before a decision a node is not restarted, or half of the schedule's period."""


class RunningRelease:
    """What a node runs of its releases; `move` is None for a document that was never released.

    `news` is an alert of before the start. `started` is set once the strategies run.
    """

    def __init__(
        self,
        releases: Releases,
        move: Move | None,
        resolved: Resolved,
        settings: tuple[str, ...] = (),
        news: str = "",
    ) -> None:
        self.releases, self.move, self._settings = releases, move, settings
        self._node: Node = resolved.document
        self._config = resolved.config_hash
        self._band = Band()
        self._news = news
        self.started = False
        self._looked = 0
        self._next: tuple[Move, asyncio.Task[Resolved]] | None = None
        self._said = ""
        self._canary: CanaryState | None = None
        self._saved = 0
        if move is not None and move.days:
            outcome = study_of(releases, releases.release(move.number))
            self._band = Band() if outcome is None else outcome.monte_carlo.band

    @property
    def verdict(self) -> Verdict | None:
        """What keeps a canary small."""
        return None if self.move is None else canary_verdict(self.move)

    def look(self, context: NodeContext, supervisor: Supervisor, risk: NodeRisk) -> str:
        """Judge the canary and look for another release; return why to restart now, else empty."""
        now = time.time_ns()
        if now - self._looked < LOOK_EVERY_NS:
            return ""
        self._tell(context, self._news, "critical")
        self._news = ""
        try:
            move = self.releases.current()
            if move is not None and move != self.move:
                return self._approach(context, supervisor, risk, move, now)
            if context.trades_at_venue:
                self._judge(context, risk, now)
        except DeskError as error:
            self._once(context, f"releases can't be read: {error}", "warning")
        finally:
            self._looked = now
        return ""

    def _approach(
        self,
        context: NodeContext,
        supervisor: Supervisor,
        risk: NodeRisk,
        move: Move,
        now: int,
    ) -> str:
        if self._next is None or self._next[0] != move:
            self._next = move, asyncio.create_task(asyncio.to_thread(self._load, move.number))
        task = self._next[1]
        if not task.done():
            return ""
        try:
            resolved = task.result()
            self._check(resolved)
        except DeskError as error:
            self._tell(context, self._gives_way(move, f"it is not sound: {error}"), "critical")
            return ""
        if resolved.config_hash == self._config:
            # The same document: only how far its canary is has changed.
            self.move, self._next = move, None
            self._tell(context, f"release {move.number} runs: {move.why}", "info")
            return ""
        waits = unsafe(self._node, resolved.document, context, supervisor, risk, now)
        if waits:
            self._once(context, f"release {move.number} waits: {waits}", "info")
            return ""
        return f"release {move.number} is taken up: {move.why}"

    def _gives_way(self, move: Move, why: str) -> str:
        runs = None if self.move is None else self.move.number
        return give_way(self.releases, move, why, runs)

    def _load(self, number: int) -> Resolved:
        return checked(self.releases.document(number), self._settings)

    def _check(self, resolved: Resolved) -> None:
        node = resolved.document
        for name in ("name", "environment", "state"):
            if getattr(node, name) != getattr(self._node, name):
                raise DeskError(f"{resolved.file}: {name} is another: it is another node's")

    def _judge(self, context: NodeContext, risk: NodeRisk, now: int) -> None:
        move, snapshot = self.move, risk.desk.snapshot
        if move is None or not move.days or snapshot is None:
            return
        store, result = state_of(context, OWNER), sum(snapshot.results.values(), Decimal(0))
        state = self._canary
        if state is None:
            kept = store.load(STATE)
            state = None if kept is None else msgspec.json.decode(kept, type=CanaryState)
            if state is None or state.move != move.ts:
                state = CanaryState(move=move.ts, equity=snapshot.equity, result=result)
        else:
            state = msgspec.structs.replace(state, lived=state.lived + now - self._looked)
        found = judged(state, move, self._band, result)
        if found.why or self._canary is None or now - self._saved >= SAVE_EVERY_NS:
            store.save(STATE, msgspec.json.encode(found.state))
            self._saved = now
        self._canary = found.state
        if found.word == "full":
            self.releases.settle(move, "full", move.number, found.why)
        elif found.word == "revert":
            self._tell(context, give_way(self.releases, move, found.why), "critical")
        elif found.why:
            self._tell(context, f"release {move.number}, a canary: {found.why}", "info")

    def _once(self, context: NodeContext, text: str, level: Level) -> None:
        if text != self._said:
            self._said = text
            self._tell(context, text, level)

    @staticmethod
    def _tell(context: NodeContext, text: str, level: Level) -> None:
        if not text:
            return
        context.say(text)
        context.alerts(text, level, "release")
        context.journal.note("release", text)


def give_way(releases: Releases, move: Move | None, why: str, to: int | None = None) -> str:
    """Let another release run in place of one, by default the one before; return it in words.

    Empty if there is none, or if someone has moved meanwhile.
    """
    if move is None:
        return ""
    to = releases.release(move.number, whole=False).before if to is None else to
    if to is None or releases.settle(move, "revert", to, why) is None:
        return ""
    return f"release {move.number} is reverted, {to} runs: {why}"


def say_release(release: Release, file: Path, settings: Iterable[str], say: Say) -> None:
    """Say which release runs, and what the document says by now that is not run."""
    study = f" of the study {release.study}" if release.study else ""
    say(
        f"release {release.number}{study}, by {release.by} at {moment_text(release.made)}: "
        f"{release.reason}"
    )
    source, _ = examine(file, settings)
    if source is not None and not settings and source.config_hash != release.source:
        say(
            f"warning: {file} was changed since; what it says now is not run before "
            "`perpdesk deploy` makes a release of it"
        )


def unsafe(
    old: Node,
    new: Node,
    context: NodeContext,
    supervisor: Supervisor,
    risk: NodeRisk,
    now: int,
) -> str:
    """Return why the node can't be restarted with another document now, empty if it can."""
    if supervisor.carrying_out or risk.closing:
        return "orders are under way"
    for verdict in risk.desk.verdicts.standing():
        if verdict.guard.startswith("node.") and verdict.action >= Action.HALT_ENTRIES:
            return verdict.reason
    for key, strategy in context.strategies.items():
        schedule, held = strategy.schedule(), strategy.holdings()
        if strategy.busy or (schedule is None and strategy.orders_under_way()):
            return f"{key} has orders under way"
        if schedule is None and held:
            return f"{key} decides at any time: until it is flat"
        if schedule is not None:
            left = next_fire(now, *schedule) - now
            if left < min(NEAR_NS, schedule[0] // 2):
                return f"{key} decides in {left / 1e9:.0f} s"
    left_behind = orphans(old, new, context.strategies)
    return f"it would not own {some_of(left_behind)}: until that is closed" if left_behind else ""


def orphans(old: Node, new: Node, strategies: Mapping[str, DeskStrategy]) -> list[str]:
    """Return the open positions that a new document would leave to nobody, or to another class."""
    same_account = (old.tag, old.account, old.venue_urls) == (new.tag, new.account, new.venue_urls)
    found = []
    for key, strategy in strategies.items():
        held, component = strategy.holdings(), new.strategies.get(key)
        goes_on = component is not None and component.enabled and same_account
        if component is not None and goes_on and component.use == old.strategies[key].use:
            held = dict(held)
            for name in select(held, new.universe, component):
                del held[name]
        found += [f"{key}'s {name}" for name in sorted(held)]
    return found
