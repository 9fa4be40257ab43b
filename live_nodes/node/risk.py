"""The guards of a node: built with it, started before its strategies, and looked after as it runs.

Engine-specific wiring; what each part does is its own file's. The order of a start:

    state and books from the journal → what stood is said again → executions that nobody was told of
    → the first snapshot → what lies in the mailbox → the strategies
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path

from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.events import OrderEvent, OrderRejected

from actors.closing.closer import Closer
from actors.desk.guard import Guard
from actors.desk.risk_desk import RiskDesk
from actors.desk.venue_responses import GIVEN_UP
from actors.gate.gate import OrderGate
from actors.records.journal import Journal
from config.documents import Node
from config.errors import GateRefused
from live_nodes.bybit.links import Links
from live_nodes.bybit.notices import Notices
from live_nodes.bybit.pending_cash import WalletLag
from live_nodes.bybit.rest import VenueRest
from live_nodes.local.alerts import Alerts
from live_nodes.local.heartbeat import Heartbeat
from live_nodes.local.mailbox import OPERATOR, Mailbox
from live_nodes.node.account import CacheAccount
from live_nodes.node.build import state_of
from live_nodes.node.feed import LiveMarkets, NodeFeed
from live_nodes.node.guard_status import OWNER
from live_nodes.node.operator_desk import DeskMail, Operator
from live_nodes.node.preflight import Preflight
from live_nodes.node.report import Options
from live_nodes.node.risk_alerts import RiskAlerts
from live_nodes.node.risk_books import Fills
from live_nodes.node.stop import Stop, watched
from live_nodes.reconcile.repair import Repairer
from live_nodes.reconcile.venue_books import VenueCheck
from strategies.base import DeskStrategy
from strategies.messages import Action, Verdict

SECOND = 1_000_000_000
_WORTH_WITHIN = 10.0
_POLL = 0.05
Say = Callable[[str], None]


class Risk:
    """The guards' desk, its guards, the operator's guard and the closer.

    Parameters
    ----------
    node : Node
        The document.
    made : TradingNode
        Built; guards are added to its trader. Its recorder listens already, so that an execution is
        in the journal before the desk hears of its order.
    journal : Journal
        With the run begun.
    fills : Fills
        Listening since before recovery.
    guards : dict of str to Guard
        From `live_nodes.node.operator_desk`.
    gate : OrderGate
        Installed, with the journal as observer.
    links : Links
        Of the node's clients.
    rest : VenueRest
        Entered.
    strategies : mapping of str to DeskStrategy
        By key.
    facts : Preflight
        What the venue said.
    options : Options
        Of the command line: a dry run closes nothing.
    alerts : Alerts
        Where a person hears.
    heartbeat : Heartbeat
        Of the process.
    folder : pathlib.Path
        The node's state folder.
    say : callable
        Takes a line for the person who watches.
    """

    def __init__(
        self,
        node: Node,
        made: TradingNode,
        journal: Journal,
        fills: Fills,
        guards: dict[str, Guard],
        *,
        gate: OrderGate,
        links: Links,
        rest: VenueRest,
        strategies: Mapping[str, DeskStrategy],
        facts: Preflight,
        options: Options,
        alerts: Alerts,
        heartbeat: Heartbeat,
        folder: Path,
        say: Say,
    ) -> None:
        self._node, self._made, self._journal, self._fills = node, made, journal, fills
        self._links, self._rest, self._facts, self._say = links, rest, facts, say
        self._alerts, self._heartbeat = alerts, heartbeat
        self._kernel = kernel = made.kernel
        self._loop = asyncio.get_running_loop()
        self.operator = Operator()
        self.guards: dict[str, Guard] = guards | {OPERATOR: self.operator}
        owners = {name: key for key, strategy in strategies.items() for name in strategy.ids}
        account = CacheAccount(kernel.cache)
        account.lag = self._lag = WalletLag(kernel.cache)
        self._account = account
        self.markets = LiveMarkets(kernel.cache, facts.infos)
        self.desk = RiskDesk(
            kernel,
            account,
            fills.books(owners),
            self.guards,
            leverage=Decimal(node.limits.leverage),
            later=self._later,
            market=self.markets,
            instruments=tuple(facts.universe),
            heartbeat_ns=round(node.risk.heartbeat * SECOND),
        )
        self.desk.join(gate)
        for key, guard in self.guards.items():
            guard.attach(self.desk, state_of(node, journal, options, OWNER + key))
            made.trader.add_actor(guard)
        self.told = RiskAlerts(self.desk.verdicts, alerts, journal.note, say)
        kernel.msgbus.subscribe("verdicts.*", self.told.hear)
        kernel.msgbus.subscribe("events.order.*", self._on_order_event)
        self.closer: Closer | None = None
        if not options.dry_run:
            self.closer = self._closer(gate, owners)
            made.trader.add_actor(self.closer)
        self._mail: DeskMail | None = None
        if not options.dry_run:
            # What is asked for is asked of what really runs.
            self._mail = DeskMail(Mailbox(folder), self.guards, self.operator, journal, say)
        self._tasks: list[asyncio.Task[None]] = []
        rest.on_error = self.failed
        heartbeat.guards = self._beats
        heartbeat.verdict = self._strictest
        heartbeat.flat = lambda: not account.positions()

    def _closer(self, gate: OrderGate, owners: Mapping[str, str]) -> Closer:
        paper = self._node.environment == "paper"
        check = VenueCheck(
            self._rest, self._facts.products, self._account.positions, Repairer(self._kernel).repair
        )
        return Closer(
            self._node.risk,
            gate,
            self._account,
            owners,
            risk_engine=self._kernel.risk_engine,
            tag=self._node.tag,
            verify=None if paper else check,
            # Without the trade link orders go by REST.
            reachable=lambda: self._links.ready("trade") or self._rest.answers,
            on_news=self.told.news,
        )

    # Before the strategies ---------------------------------------------------------------------

    async def begin(self, feed: NodeFeed, stop: Stop) -> None:
        """Start the guards, let them look, and read the mailbox; then look on, as a task.

        Raises
        ------
        GateRefused
            When the account's worth does not come to be known.
        """
        await self._know_worth()
        self._lag.begin()
        self._kernel.msgbus.subscribe("events.position.*", self._lag.hear)
        self.markets.feed = feed
        for guard in self.guards.values():
            self._made.trader.start_actor(guard.id)
        # One commit: what the guards make of executions that they were not told of, and that they
        # were told.
        with self._journal.together():
            self._fills.begin(self.desk)
            self.desk.evaluate()
        self.desk.publish()
        self._forget_others()
        if self.closer is not None:
            self._made.trader.start_actor(self.closer.id)
        if self._mail is not None:
            self._mail.look()
        # What was put off until the engine is done with what it was at.
        await asyncio.sleep(0)
        notices = Notices(
            self._rest, self._facts.universe, self._node.environment, self._hear_venue
        )
        for name, work in (
            ("guards", keep_looking(self.desk, self.markets, self._node.risk.every)),
            *([] if self._mail is None else [("mailbox", keep_reading(self._mail))]),
            ("alerts", keep_counting(self.desk, self.told, self._alerts, self._journal)),
            ("notices", notices.keep_asking()),
        ):
            task = asyncio.create_task(watched(name, work, stop, self._say), name=name)
            self._tasks.append(task)

    async def _know_worth(self) -> None:
        deadline = time.monotonic() + _WORTH_WITHIN
        while self._account.worth() is None:
            if time.monotonic() > deadline:
                raise GateRefused(
                    f"{self._node.name}: gate guards: the account's worth is not known within "
                    f"{_WORTH_WITHIN:g} s; guards can't look, so nothing trades"
                )
            await asyncio.sleep(_POLL)

    def _forget_others(self) -> None:
        """Take back what stands in the journal of guards that say it no more.

        A guard may have left the document, or halted in a dry run.
        """
        standing = {(v.guard, v.scope) for v in self.desk.verdicts.standing()}
        for _, verdict in self._journal.standing():
            if verdict.guard.startswith("node.") or (verdict.guard, verdict.scope) in standing:
                continue
            if verdict.guard not in self.guards:
                self.told.news(
                    "off",
                    f"{verdict.guard} is no guard of the document any more: its "
                    f"{verdict.action.name.lower()} on {verdict.scope} ends ({verdict.reason})",
                )
            over = Verdict(action=Action.NONE, guard=verdict.guard, scope=verdict.scope)
            self._journal.verdict(over)

    # What the watch tells -----------------------------------------------------------------------

    def failed(self, source: str, text: str) -> None:
        """Tell the guards of something of the desk that failed."""
        self.desk.erred(source, text)

    def differed(self, kind: str, instrument: str, detail: str) -> None:
        """Tell the guards of what the venue says otherwise of the account than our books."""
        self.desk.differed(kind, instrument, detail)

    def measured(self, skew: float) -> None:
        """Take in the venue's clock minus ours, seconds."""
        self.markets.skew_ns = round(skew * SECOND)

    @property
    def closing(self) -> bool:
        """Whether a flatten stands and is not done, or not even taken up."""
        if self.closer is None:
            return False
        wanted = {v.scope for v in self.desk.verdicts.standing() if v.action == Action.FLATTEN}
        memory = self.closer.memory
        return bool(wanted) and not (memory.flat and wanted <= memory.flatten.keys())

    # The way out -------------------------------------------------------------------------------

    async def finish(self, seconds: float, stop: Stop) -> None:
        """Let a flatten that is under way come to its end, for a bounded time."""
        if not self.closing:
            return
        self._say("a flatten is under way: the stop waits for it")
        deadline = time.monotonic() + seconds
        while self.closing and time.monotonic() < deadline and not stop.quick:
            await asyncio.sleep(_POLL)
        if self.closing:
            self.told.news(
                "not_flat",
                "the node stops and is NOT flat: the flatten goes on at its next start",
            )

    async def stop(self) -> None:
        """Look no more."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._rest.on_error = None
        self._fills.close()
        self.desk.stop()

    # How it works ------------------------------------------------------------------------------

    def _later(self, act: Callable[[], None]) -> None:
        self._loop.call_soon(act)

    def _on_order_event(self, event: OrderEvent) -> None:
        if isinstance(event, OrderRejected) and event.reason == GIVEN_UP:
            self.failed("order", f"{event.client_order_id.value} was never answered")

    def _hear_venue(self, maintenance: str, closed: frozenset[str]) -> None:
        self.desk.maintenance = maintenance
        self.markets.closed = closed

    def _beats(self) -> dict[str, int | None]:
        heartbeats = self.desk.heartbeats
        if heartbeats is None:
            return {}
        now, wall = time.monotonic_ns(), time.time_ns()
        ages = {key: heartbeats.since(key, now) for key in self.guards}
        return {key: None if age is None else wall - age for key, age in ages.items()}

    def _strictest(self) -> str:
        verdict = self.desk.verdicts.strictest(("desk",))
        if verdict.action == Action.NONE:
            return ""
        return f"{verdict.action.name.lower()} by {verdict.guard}: {verdict.reason}"


MAIL_EVERY = 0.25
_SECOND = 1_000_000_000


async def keep_looking(desk: RiskDesk, markets: LiveMarkets, every: float) -> None:
    """Let the guards look every so many seconds, and measure how late the loop lets them."""
    loop = asyncio.get_running_loop()
    planned = loop.time()
    while True:
        planned += every
        await asyncio.sleep(max(0.0, planned - loop.time()))
        late = loop.time() - planned
        markets.lag_ns = max(0, round(late * _SECOND))
        if late > every:
            # What was missed is not made up for.
            planned = loop.time()
        desk.evaluate()


async def keep_reading(mail: DeskMail) -> None:
    """Do what is asked for in the mailbox."""
    while True:
        await asyncio.sleep(MAIL_EVERY)
        mail.look()


async def keep_counting(desk: RiskDesk, told: RiskAlerts, alerts: Alerts, journal: Journal) -> None:
    """Notice guards that fall silent, and write down what became of the alerts."""
    while True:
        await asyncio.sleep(1.0)
        if desk.heartbeats is not None:
            silent = desk.heartbeats.silent(time.monotonic_ns())
            told.silences(key for key in silent if not desk.guards[key].failed)
        count_alerts(alerts, journal)


def count_alerts(alerts: Alerts, journal: Journal) -> None:
    """Write down how many alerts left or did not, and which channels are in trouble."""
    for name, number in alerts.counts().items():
        journal.count(name, number)
    for news in alerts.news():
        journal.note("alerts", news)
