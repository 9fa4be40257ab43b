"""Build, start and evaluate the guards of a node. Engine-specific.

Order of a start: state and books from the journal → standing verdicts → unseen executions → first
snapshot → mailbox → strategies.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from decimal import Decimal
from functools import partial

from nautilus_trader.model.events import OrderEvent, OrderRejected, PositionEvent

from actors.closing.closer import Closer
from actors.desk.build import decisions_of
from actors.desk.guard import SEEN, GuardActor
from actors.desk.risk_desk import RiskDesk
from actors.records.journal import Journal, JournalError
from actors.records.prices import CachePrices
from config.durations import SECOND_NS
from config.errors import DeskError, GateRefused
from config.resolved import largest_positions
from live_nodes.bybit.notices import VenueNotices
from live_nodes.bybit.pending_cash import PendingCash
from live_nodes.bybit.rest import VenueError
from live_nodes.local.alerts import Alerts
from live_nodes.local.mailbox import OPERATOR, Mailbox
from live_nodes.node.account import CacheAccount
from live_nodes.node.build import state_of
from live_nodes.node.context import NodeContext
from live_nodes.node.excursions import OWNER as EXCURSIONS
from live_nodes.node.excursions import Excursions
from live_nodes.node.feed import MarketReader, NodeFeed
from live_nodes.node.guard_status import OWNER
from live_nodes.node.operator_desk import MailDesk, OperatorGuard
from live_nodes.node.risk_alerts import RiskAlerts
from live_nodes.node.risk_books import FillBooking
from live_nodes.node.stop import StopSignal, watched
from live_nodes.reconcile.recovery import Recovery
from live_nodes.reconcile.repair import Repairer
from live_nodes.reconcile.venue_books import VenueCheck
from strategies.messages import Action, Verdict
from strategies.order_ids import own_key
from strategies.refusals import refusal_of

MAIL_EVERY = 0.25
_WORTH_WITHIN = 10.0
_ASK_WITHIN = 5.0
_POLL = 0.05


class NodeRisk:
    """The guards' desk, its guards, the operator's guard and the closer.

    The recorder must subscribe first, so that an execution is in the journal before the desk sees
    its order. `fills` listens since before `recovery`.
    A dry run closes nothing and reads no mail.
    """

    def __init__(
        self,
        context: NodeContext,
        fills: FillBooking,
        guards: Mapping[str, GuardActor],
        recovery: Recovery | None = None,
    ) -> None:
        self._context, self._fills, self._recovery = context, fills, recovery
        self._kernel = kernel = context.kernel
        node, trader, dry_run = context.node, context.trading_node.trader, context.options.dry_run
        self.operator = OperatorGuard()
        self.guards: dict[str, GuardActor] = {**guards, OPERATOR: self.operator}
        owners = {name: key for key, one in context.strategies.items() for name in one.ids}
        tape = context.tape
        self.pending_cash = PendingCash(
            kernel.cache,
            tape.monotonic_ns,
            lambda: context.links.fetch_wallet(),
            None if recovery is None else self._ask_executions,
        )
        tape.take(self.pending_cash, "answered")
        self._asking: asyncio.Task[None] | None = None
        account = context.gate.account
        assert isinstance(account, CacheAccount)
        self._account = account
        account.pending_cash = self.pending_cash.amount
        self.markets = MarketReader(kernel.cache, context.facts.infos, context.facts.universe)
        self.markets.waited_ns = tape.asks("waited_ns", self.markets.waited_ns)
        for strategy in context.strategies.values():
            strategy.market.delay_of = lambda stamp: self.markets.skew_ns
            strategy.market.wallet = account.wallet
        self.desk = RiskDesk(
            kernel,
            account,
            fills.books(owners, context.facts.lot_of),
            self.guards,
            leverage=Decimal(node.limits.leverage),
            later=tape.soon,
            market=self.markets,
            at_order=self.markets.at_order,
            heartbeat_ns=round(node.risk.heartbeat * SECOND_NS),
            one_commit=partial(one_commit, context.journal),
            monotonic_ns=tape.monotonic_ns,
            flows=lambda: fills.flows.total,
        )
        for method in ("evaluate", "erred", "differed"):
            tape.take(self.desk, method)
        tape.follow(self.set_by_others)
        self.desk.join(context.gate)
        for key, guard in self.guards.items():
            guard.attach(self.desk, state_of(context, OWNER + key))
            trader.add_actor(guard)
        self.alerts = RiskAlerts(
            self.desk.verdicts, context.alerts, context.journal.note, context.say
        )
        kernel.msgbus.subscribe("verdicts.*", self.alerts.on_verdict)
        touch, store = CachePrices(kernel.cache).touch, state_of(context, EXCURSIONS)
        kernel.msgbus.subscribe(SEEN, Excursions(touch, store).see)
        kernel.msgbus.subscribe("events.order.*", self._on_order_event)
        self.closer: Closer | None = None
        self._mail: MailDesk | None = None
        if not dry_run:
            self.closer = self._closer(owners)
            trader.add_actor(self.closer)
            self._mail = MailDesk(
                Mailbox(context.folder), self.guards, self.operator, context.journal, context.say
            )
            tape.take(self._mail, "carry_out")
            tape.take(self.closer, "on_answer")
        tape.take(self, "start_guards")
        self._tasks: list[asyncio.Task[None]] = []
        context.rest.on_error = self.desk.erred
        context.heartbeat.guards = self._beats
        context.heartbeat.silent = self.desk.silent_guards
        context.heartbeat.verdict = self._strictest
        context.heartbeat.flat = lambda: not account.positions()
        context.heartbeat.desk = lambda: self.desk.snapshot
        context.heartbeat.profits = self._profits

    def _closer(self, owners: Mapping[str, str]) -> Closer:
        context = self._context
        check = VenueCheck(
            context.rest,
            context.facts.products,
            self._account.positions,
            Repairer(self._kernel).repair,
            self._recovery,
            others_stay=context.node.risk.external == "leave",
        )
        return Closer(
            context.node.risk,
            context.gate,
            self._account,
            owners,
            risk_engine=self._kernel.risk_engine,
            tag=context.node.tag,
            verify=None if context.paper else check,
            # Without the trade link, orders go by REST.
            reachable=context.tape.asks(
                "reachable", lambda: context.links.ready("trade") or context.rest.answers
            ),
            on_news=self.alerts.report,
            soon=context.tape.soon,
        )

    async def begin(self, feed: NodeFeed, stop: StopSignal) -> None:
        """Start the guards and read the mailbox; GateRefused if the equity stays unknown."""
        context = self._context
        await self._know_worth()
        for key, text in largest_positions(context.node, self._account.worth()).items():
            context.say(f"{key}: {text}")
        self.markets.feed = feed
        self.start_guards()
        if self._mail is not None:
            self._mail.answer_all()
        # Work that had to wait until the engine was idle.
        await asyncio.sleep(0)
        notices = VenueNotices(
            context.rest, context.facts.universe, context.node.environment, self._on_notice
        )
        for name, work in (
            ("guards", keep_evaluating(self.desk, self.markets, context.node.risk.every)),
            *([] if self._mail is None else [("mailbox", keep_reading(self._mail))]),
            ("alerts", keep_counting(self.desk, self.alerts, context.alerts, context.journal)),
            ("notices", notices.keep_asking()),
        ):
            task = asyncio.create_task(watched(name, work, stop, context.say), name=name)
            self._tasks.append(task)

    def start_guards(self) -> None:
        """Start the guards and let them evaluate; then start the closer."""
        context, trader = self._context, self._context.trading_node.trader
        self.pending_cash.begin()
        self._kernel.msgbus.subscribe("events.position.*", self.pending_cash.on_position_event)
        flows, account = self._fills.flows, self._account
        explained, lot_of = context.journal.explained(), context.facts.lot_of
        began = context.journal.runs()[0].started
        flows.begin(self.desk.now(), explained, account.positions(), account.price, lot_of, began)
        flows.pending = self.pending_cash.follow
        self._fills.expect = self.pending_cash.expect
        self._kernel.msgbus.subscribe("events.position.*", self._on_position_event)
        decisions = decisions_of(context.strategies, self.desk.now())
        for guard in self.guards.values():
            guard.guard.join(decisions)
            trader.start_actor(guard.id)
        # One commit: the unseen executions, and the guards' states after them.
        with context.journal.together():
            self._fills.begin(self.desk)
            self.desk.evaluate()
        self.desk.publish()
        self._withdraw_others()
        if self.closer is not None:
            trader.start_actor(self.closer.id)

    def set_by_others(
        self, now: tuple[int, int, frozenset[str], str] | None = None
    ) -> tuple[int, int, frozenset[str], str]:
        """Return facts of the market that others measure; a replay sets them."""
        markets, desk = self.markets, self.desk
        if now is not None:
            markets.lag_ns, markets.skew_ns, markets.closed, desk.maintenance = now
        return markets.lag_ns, markets.skew_ns, markets.closed, desk.maintenance

    async def _know_worth(self) -> None:
        deadline = time.monotonic() + _WORTH_WITHIN
        while self._account.worth() is None:
            if time.monotonic() > deadline:
                raise GateRefused(
                    f"{self._context.node.name}: gate guards: the venue sent no balance within "
                    f"{_WORTH_WITHIN:g} s, so guards can't measure; start the node again"
                )
            await asyncio.sleep(_POLL)

    def _withdraw_others(self) -> None:
        # A guard may have left the document, or halted in a dry run.
        journal = self._context.journal
        standing = {(v.guard, v.scope) for v in self.desk.verdicts.standing()}
        for _, verdict in journal.standing():
            if verdict.guard.startswith("node.") or (verdict.guard, verdict.scope) in standing:
                continue
            if verdict.guard not in self.guards:
                self.alerts.report(
                    "off",
                    f"{verdict.guard} is no guard of the document any more: its "
                    f"{verdict.action.name.lower()} on {verdict.scope} ends ({verdict.reason})",
                )
            journal.verdict(Verdict(action=Action.NONE, guard=verdict.guard, scope=verdict.scope))

    @property
    def closing(self) -> bool:
        """Whether a flatten is ordered and not finished."""
        if self.closer is None:
            return False
        wanted = {v.scope for v in self.desk.verdicts.standing() if v.action == Action.FLATTEN}
        memory = self.closer.memory
        return bool(wanted) and not (memory.flat and wanted <= memory.flatten.keys())

    async def finish(self, seconds: float, stop: StopSignal) -> None:
        """Let a flatten finish within `seconds`."""
        if not self.closing:
            return
        self._context.say("a flatten is under way: the stop waits for it")
        deadline = time.monotonic() + seconds
        while self.closing and time.monotonic() < deadline and not stop.quick:
            await asyncio.sleep(_POLL)
        if self.closing:
            self.alerts.report(
                "not_flat", "the node stops and is NOT flat: it goes on closing at its next start"
            )

    async def stop(self) -> None:
        """End the tasks and the desk."""
        tasks, self._tasks = self._tasks, []
        tasks += [] if self._asking is None else [self._asking]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.desk.snapshot is not None:
            self._measure_last()
        self._context.rest.on_error = None
        self._fills.close()
        self.desk.stop()

    def _measure_last(self) -> None:
        # `risk status` shows it until the next start.
        for guard in self.guards.values():
            guard.shown_at = None
        try:
            self.desk.evaluate()
        except DeskError as error:
            self._context.say(f"the guards' last readings could not be written down: {error}")

    def _on_order_event(self, event: OrderEvent) -> None:
        if isinstance(event, OrderRejected) and refusal_of(event.reason).code == "no_answer":
            self.desk.erred("order", f"{event.client_order_id.value} was never answered")

    def _on_position_event(self, event: PositionEvent) -> None:
        position = self._kernel.cache.position(event.position_id)
        if position is None or not position.is_spot_currency:
            return
        last = position.last_event
        # An own execution that reconciliation found may not be in the journal yet.
        is_own = own_key(self._context.node.tag, last.client_order_id.value) is not None
        if last.reconciliation and not is_own:
            name, account = event.instrument_id.value, self._account
            self._fills.flows.compare(name, account.position(name), account.price(name))

    def _ask_executions(self) -> None:
        if self._recovery is not None and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self._take_executions(self._recovery))

    async def _take_executions(self, recovery: Recovery) -> None:
        asked = time.monotonic_ns()
        # The next sweep asks again, and reports that it could not.
        with suppress(VenueError, TimeoutError):
            async with asyncio.timeout(_ASK_WITHIN):
                await recovery.catch_up()
            self.pending_cash.answered(asked)

    def _on_notice(self, maintenance: str, closed: frozenset[str]) -> None:
        before = self.desk.maintenance, self.markets.closed
        self.desk.maintenance, self.markets.closed = maintenance, closed
        if before != (maintenance, closed):
            # Orders are checked with the rules of the last snapshot.
            self.desk.evaluate()

    def _beats(self) -> dict[str, int | None]:
        heartbeats = self.desk.heartbeats
        if heartbeats is None:
            return {}
        now, wall = time.monotonic_ns(), time.time_ns()
        ages = {key: heartbeats.since(key, now) for key in self.guards}
        return {key: None if age is None else wall - age for key, age in ages.items()}

    def _profits(self) -> Mapping[str, Decimal]:
        snapshot = self.desk.snapshot
        return {} if snapshot is None else snapshot.results

    def _strictest(self) -> str:
        verdict = self.desk.verdicts.strictest(("desk",))
        if verdict.action == Action.NONE:
            return ""
        return f"{verdict.action.name.lower()} by {verdict.guard}: {verdict.reason}"


@contextmanager
def one_commit(journal: Journal) -> Iterator[None]:
    """Commit what is written inside as one; a failure stops the node, not what runs inside."""
    commit = ExitStack()
    # The journal's `on_failure` has got the error.
    with suppress(JournalError):
        commit.enter_context(journal.together())
    with suppress(JournalError), commit:
        yield


async def keep_evaluating(desk: RiskDesk, markets: MarketReader, every: float) -> None:
    """Evaluate the guards every so many seconds, and measure the loop's delay."""
    loop = asyncio.get_running_loop()
    planned = loop.time()
    while True:
        planned += every
        await asyncio.sleep(max(0.0, planned - loop.time()))
        late = loop.time() - planned
        markets.lag_ns = max(0, round(late * SECOND_NS))
        if late > every:
            # Missed evaluations are not repeated.
            planned = loop.time()
        desk.evaluate()


async def keep_reading(mail: MailDesk) -> None:
    """Carry out the mailbox's requests until cancelled."""
    while True:
        await asyncio.sleep(MAIL_EVERY)
        mail.answer_all()


async def keep_counting(
    desk: RiskDesk, risk_alerts: RiskAlerts, alerts: Alerts, journal: Journal
) -> None:
    """Alert on silent guards, and journal the number of alerts."""
    while True:
        await asyncio.sleep(1.0)
        risk_alerts.silences(desk.silent_guards())
        count_alerts(alerts, journal)


def count_alerts(alerts: Alerts, journal: Journal) -> None:
    """Journal how many alerts were sent or failed, and which channels fail."""
    for name, number in alerts.counts().items():
        journal.count(name, number)
    for news in alerts.news():
        journal.note("alerts", news)
    alerts.watch()
