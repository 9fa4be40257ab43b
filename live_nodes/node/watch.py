"""Watch links, feeds, clock and books of a running node; halt entries on a fault."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

from nautilus_trader.common.component import Logger
from nautilus_trader.model.identifiers import InstrumentId

from actors.gate.pending import AccountView
from actors.records.journal import JournalError
from actors.records.order_facts import Hold, OrderFacts
from config.errors import DeskError, some_of
from live_nodes.bybit.rest import VenueError
from live_nodes.local.alert_pacing import Level
from live_nodes.node.audit import Audit
from live_nodes.node.context import NodeContext
from live_nodes.node.fee_watch import FeeWatch
from live_nodes.node.feed import NodeFeed
from live_nodes.node.risk import NodeRisk
from live_nodes.node.turns import HALT
from live_nodes.node.watch_rules import (
    TOPIC,
    BookCrossings,
    BookLosses,
    FeedSilences,
    clock_verdict,
    feed_verdicts,
    halt_lines,
    journal_verdict,
    link_verdict,
    position_verdicts,
    public_link,
    sweep_verdict,
    tag_verdict,
    verdict_changes,
)
from live_nodes.reconcile.recorder import JournalRecorder
from live_nodes.reconcile.sweep import Sweep
from strategies.market_view import update_id
from strategies.messages import Action, Verdict
from strategies.refusals import Refusal, refused_by

LOOK_EVERY = 0.25
FOLD_EVERY = 10.0
WRITE_EVERY = 2.0
"""Seconds between two looks for room on a disk that was full."""
FULL_AGAIN = 15 * 60.0
"""Seconds after which a disk that is still full is alerted again."""
KEPT = 200_000
"""Most statements that wait for room: some 200 MB. With more, the node stops."""
ALERTED = ("node.fees", "node.margin", "node.tag")
"""Halts that a person must end: they are alerted."""
ACCOUNT_LINKS = ("private", "trade")


class NodeWatch:
    """Watches a running node.

    Paper trading has no `sweep`, as its account is not at the venue. `candles` fetches those that
    the feed missed until a time (UNIX nanoseconds) and returns their instruments.
    """

    def __init__(
        self,
        context: NodeContext,
        recorder: JournalRecorder,
        account: AccountView,
        feed: NodeFeed,
        risk: NodeRisk,
        *,
        sweep: Sweep | None,
        audit: Audit,
        candles: Callable[[int], Awaitable[list[str]]],
    ) -> None:
        self._context, self._kernel, self._journal = context, context.kernel, context.journal
        self._links, self._rest, self._document = context.links, context.rest, context.node.watch
        self._recorder, self._account, self._feed, self._risk = recorder, account, feed, risk
        self._sweep, self._audit, self._candles = sweep, audit, candles
        self._fees = FeeWatch(context)
        self._ids = {name: InstrumentId.from_str(name) for name in feed.updated_ns}
        self._feeds = FeedSilences(self._ids, self._document.feed_silence, time.time_ns())
        self._crossings, self._losses = BookCrossings(), BookLosses()
        self._log = Logger("Watch")
        self._link_states: dict[str, str] = {}
        self._renewing: dict[str, asyncio.Task[None]] = {}
        self._is_late = False
        self._late: dict[str, str] = {}
        self._clock_halt: Verdict | None = None
        self._failures = 0
        self._failure = ""
        self._backup_failed = False
        self._full_again = 0.0
        self._halt = context.tape.wrap(HALT, partial(self._kernel.msgbus.publish, TOPIC))
        data = self._kernel.data_engine
        data._handle_data = feed.lag.measured(data._handle_data)
        feed.lag.limit_ns, feed.lag.too_late = round(self._document.half_open * 1e9), self._shed
        feed.lag.on_book = lambda deltas: self._losses.see(
            deltas.instrument_id, update_id(deltas), whole=deltas.is_snapshot
        )
        context.heartbeat.feed_lag, context.heartbeat.feeds = self._feed_lag, self._feeds.updated

    def begin(self) -> None:
        """Publish what halts from the start on, in place of what halted in the last run.

        Guards hear of what the start found now, and not again: a release is not undone by it.
        """
        self._withdraw_last_run()
        for finding in () if self._sweep is None else self._sweep.halts:
            self._journal.count(finding.kind)
            self._journal.note(finding.kind, finding.detail)
            self._risk.desk.differed(finding.kind.value, finding.instrument, finding.detail)
        self._publish(time.time_ns())

    async def run(self) -> None:
        """Watch until cancelled; DeskError if the journal fails for good: the node must stop."""
        feed_lag = self._feed.lag
        if self._sweep is not None:
            self._journal.fill_listeners.append(self._fees.on_fill)
        try:
            await asyncio.gather(
                self._keep_looking(),
                self._repeat(self._document.snapshot_every, self._snapshot),
                self._repeat(self._document.backup_every, self._journal.back_up),
                self._repeat(FOLD_EVERY, self._fold),
                self._repeat(WRITE_EVERY, self._write_kept),
                self._repeat(1.0, feed_lag.end_second),
                self._keep_measuring_the_clock(),
                *([] if self._sweep is None else [self._keep_sweeping(self._sweep)]),
                *([] if self._sweep is None else [self._keep_reading_the_log(self._sweep)]),
                *([] if self._sweep is None else [self._fees.run()]),
                self._keep_candles(),
            )
        finally:
            if self._sweep is not None:
                self._journal.fill_listeners.remove(self._fees.on_fill)
            for task in self._renewing.values():
                task.cancel()

    def hold(self) -> Hold:
        """Return the gate's hold on entries, as verdicts come late: links, account, other nodes."""
        ready = self._links.ready

        def held(facts: OrderFacts) -> Refusal | None:
            verdict = self._other_node() or self._fees.halt or self._fees.margin
            verdict = verdict or journal_verdict(self._unwritten)
            if verdict is None and not (ready("private") and ready("trade")):
                verdict = link_verdict({name: ready(name) for name in ACCOUNT_LINKS})
            return None if verdict is None else refused_by(verdict)

        return held

    def _other_node(self) -> Verdict | None:
        return None if self._sweep is None else tag_verdict(self._sweep.other_nodes)

    async def _look(self) -> None:
        for name in await self._links.tick():
            self._journal.count("half_open_links")
            self._say("link", f"{name}: fell silent: reconnecting")
            self._risk.desk.erred("link", f"the {name} link fell silent")
        self._write_links()
        now = time.time_ns()
        self._note_feeds()
        self._note_lag()
        self._late = {name: why for name, why in self._late.items() if not self._renew(name, why)}
        for name in self._feeds.to_renew(now):
            self._journal.count("feed_renewals")
            self._renew(name, f"silent for {self._document.feed_silence:g} s")
        for instrument_id in self._losses.due(now):
            name = instrument_id.value
            self._journal.count("book_losses")
            self._renew(public_link(name), f"the book of {name} lost a message")
        for name in self._crossings.lasting(self._crossed(), now):
            self._journal.count("crossed_books")
            self._renew(public_link(name), f"the book of {name} is crossed")
        if self._audit.finish_done():
            # With this rebalance in the backup, a restart can't repeat it.
            self._journal.back_up()
        self._publish(now)

    def _feed_lag(self) -> tuple[int, int] | None:
        newest, skew = self._feed.lag.newest_ns, self._risk.markets.skew_ns
        if newest is None:
            return None
        return max(0, newest + skew), max(0, self._feed.lag.worst_ns() + skew)

    def _note_lag(self) -> None:
        lag, was_late = self._feed_lag(), self._is_late
        self._is_late = lag is not None and lag[1] >= self._feed.lag.limit_ns
        if lag is not None and self._is_late and not was_late:
            self._journal.count("feed_lags")
            self._say("feed", f"market data are handled {lag[1] / 1e9:.1f} s late")

    def _shed(self, waited: int) -> None:
        """Drop the data that wait; links that connect anew begin with whole books."""
        for name in self._links.drop_waiting():
            self._late[name] = f"data waited {waited / 1e9:.1f} s to be handled, and were dropped"

    def _write_links(self) -> None:
        for name, link in self._links.by_name().items():
            word = link.word
            shown = f"{word}|{link.failure}"
            if self._link_states.get(name) != shown:
                if name in self._link_states or word != "ready":
                    self._journal.count(f"link_{word}")
                self._link_states[name] = shown
                self._journal.link(name, word, link.failure)

    def _note_feeds(self) -> None:
        cache = self._kernel.cache
        for name, instrument_id in self._ids.items():
            self._feeds.note(name, self._feed.updated_ns[name])
            for update in (cache.quote_tick(instrument_id), cache.trade_tick(instrument_id)):
                if update is not None:
                    self._feeds.note(name, update.ts_init)
            book = cache.order_book(instrument_id)
            if book is not None:
                self._feeds.note(name, book.ts_last)

    def _crossed(self) -> list[str]:
        cache = self._kernel.cache
        found = []
        for name, instrument_id in self._ids.items():
            book = cache.order_book(instrument_id)
            bid, ask = (
                (None, None) if book is None else (book.best_bid_price(), book.best_ask_price())
            )
            if bid is not None and ask is not None and bid >= ask:
                found.append(name)
        return found

    def _renew(self, link: str, why: str) -> bool:
        task = self._renewing.get(link)
        if link not in self._links or (task is not None and not task.done()):
            return False
        self._say("feed", f"{link}: {why}, reconnecting")
        self._renewing[link] = asyncio.create_task(self._links.renew(link))
        return True

    def _publish(self, now: int) -> None:
        policies = self._document.policies
        wanted = [
            link_verdict({name: self._links.ready(name) for name in ACCOUNT_LINKS}),
            self._clock_halt if policies.clock == "halt" else None,
            sweep_verdict(self._failures, self._document.sweep_failures, self._failure)
            if policies.sweep_failed == "halt"
            else None,
        ]
        wanted += [self._other_node(), self._fees.halt, self._fees.margin]
        wanted.append(journal_verdict(self._unwritten))
        release = self._context.release
        wanted.append(None if release is None else release.verdict)
        found = [verdict for verdict in wanted if verdict is not None]
        if self._sweep is not None:
            found += position_verdicts(self._sweep.halts)
        if policies.feed == "halt":
            found += feed_verdicts(self._feeds.silent(now), self._document.feed_silence)
        changes = list(verdict_changes(self._risk.desk.verdicts.standing(), found))
        for verdict in changes:
            self._halt(verdict)
            if verdict.action >= Action.HALT_ENTRIES:
                self._journal.count(f"halts_{verdict.guard}")
            if verdict.guard in ALERTED and verdict.action >= Action.HALT_ENTRIES:
                self._context.alerts(verdict.reason, "critical", "node")
        for line in halt_lines(changes):
            self._say("halt", line)

    def _withdraw_last_run(self) -> None:
        for _, verdict in self._journal.standing():
            if verdict.guard.startswith("node."):
                over = Verdict(action=Action.NONE, guard=verdict.guard, scope=verdict.scope)
                self._journal.verdict(over)

    async def _keep_looking(self) -> None:
        while True:
            await self._look()
            await asyncio.sleep(LOOK_EVERY)

    def _snapshot(self) -> None:
        self._recorder.snapshot(self._account)
        for name, link in self._links.by_name().items():
            self._journal.link(name, link.word, link.failure)

    def _fold(self) -> None:
        self._journal.fold()
        failed = "; ".join(self._journal.failed.copy().values())
        if bool(failed) == self._backup_failed:
            return
        self._backup_failed = bool(failed)
        text = "the journal is backed up again"
        if failed:
            text = (
                f"the journal's backup failed: {failed}; free space on its disk; it is tried again"
            )
        level: Level = "warning" if failed else "info"
        self._context.alerts(text, level, "node", about="backup", over=not failed)
        # Not in the journal, for whose next row there may be no space.
        self._say("backup", text, written=True)

    @property
    def _unwritten(self) -> str:
        return str(self._journal.full or self._audit.unwritten or "")

    def _write_kept(self) -> None:
        """Write what a full disk refused, once there is room; alert again and again until then."""
        self._journal.write_kept()
        self._audit.write_kept()
        why, now = self._unwritten, time.monotonic()
        if self._journal.kept > KEPT:
            raise JournalError(DeskError(why), f"more than {KEPT:,} rows of the journal")
        if now < self._full_again if why else not self._full_again:
            return
        self._full_again = now + FULL_AGAIN if why else 0.0
        level: Level = "critical" if why else "info"
        text = "the journal is whole again: entries may leave"
        if why:
            text = (
                f"the journal can't be written: {why}: no entries, exits go on in memory, and what "
                "is not written is lost if the node is killed; free space on its disk"
            )
        self._context.alerts(text, level, "node", about="journal", over=not why)
        self._say("journal", text)

    async def _keep_measuring_the_clock(self) -> None:
        while True:
            try:
                skew = (await self._rest.clock()).skew
            except VenueError as error:
                self._journal.count("clock_failed")
                self._log.warning(f"The clock could not be measured: {error}")
            else:
                self._risk.markets.skew_ns = round(skew * 1e9)
                limit = self._context.node.gates.max_clock_skew
                before, self._clock_halt = self._clock_halt, clock_verdict(skew, limit)
                if self._clock_halt is not None and before is None:
                    self._journal.count("clock_skewed")
                    self._say("clock", self._clock_halt.reason)
            await asyncio.sleep(self._document.clock_every)

    async def _keep_sweeping(self, sweep: Sweep) -> None:
        while True:
            await asyncio.sleep(sweep.pause)
            try:
                for finding in await sweep.look():
                    self._say(finding.kind, finding.detail, written=True)
                    self._risk.desk.differed(finding.kind.value, finding.instrument, finding.detail)
            except VenueError as error:
                self._failures += 1
                self._failure = str(error)
                self._journal.count("sweeps_failed")
                self._log.warning(f"A comparison with the venue failed: {error}")
            else:
                self._failures = 0

    async def _keep_reading_the_log(self, sweep: Sweep) -> None:
        # Beside the comparisons: a log that gives no answer delays none.
        while True:
            await asyncio.sleep(self._document.sweep_every)
            await sweep.take_transfers()

    async def _keep_candles(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            try:
                found = await self._candles(time.time_ns())
            except DeskError as error:
                self._journal.count("candles_failed")
                self._log.warning(f"Candles that did not come could not be asked for: {error}")
                continue
            if found:
                self._journal.count("candles_fetched", len(found))
                self._say("candles", f"fetched by REST, as the feed missed {some_of(found, 3)}")

    @staticmethod
    async def _repeat(seconds: float, look: Callable[[], None]) -> None:
        while True:
            look()
            await asyncio.sleep(seconds)

    def _say(self, kind: str, text: str, *, written: bool = False) -> None:
        if not written:
            self._journal.note(kind, text)
        self._log.warning(f"{kind}: {text}")
        self._context.say(text)
