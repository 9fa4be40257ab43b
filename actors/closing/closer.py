"""The closer: carries out a flatten that strategies do not finish in time. Engine-specific.

It passes the account to `actors.closing.steps` and sends the resulting orders in the owner's name,
through RiskEngine and order gate like any other order. A node or a backtest has one. After a
restart it continues as long as a guard's FLATTEN stands; it needs no saved state.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from nautilus_trader.common.actor import Actor
from nautilus_trader.common.component import LiveClock
from nautilus_trader.common.config import ActorConfig
from nautilus_trader.model.enums import TradingState
from nautilus_trader.model.events import OrderDenied, OrderEvent, OrderRejected

from actors.closing.facts import (
    Act,
    AtVenue,
    CancelAct,
    CloseAct,
    ClosingFacts,
    ClosingNews,
    ClosingPolicy,
    ClosingState,
    PositionKey,
)
from actors.closing.forced_orders import ClosingBroker, ClosingView
from actors.closing.steps import next_acts, next_evaluation
from actors.gate.gate import OrderGate
from actors.gate.pending import AccountView
from actors.guards.core.snapshot import Snapshot
from actors.records.order_facts import OrderFacts
from actors.records.owners import owner_of
from config.documents.setup import RiskSettings
from config.durations import SECOND_NS
from config.errors import DeskError
from strategies.messages import Action, Verdict
from strategies.on_loop import on_loop
from strategies.order_ids import BACKTEST_TAG, is_closers
from strategies.refusals import readable
from strategies.verdicts import FIRST, TOPIC, VerdictBoard, board_of, halted_for_good

SEEN = "risk.seen"
Verify = Callable[[Callable[[str], bool]], Awaitable[AtVenue]]
"""Queries the venue; may correct our books first. Raises `DeskError` when it can't."""
OnNews = Callable[[str, str], None]
"""Takes ``(kind, text)`` of a `ClosingNews`."""
_QUERY_EVERY = SECOND_NS
_ROUNDS = 4
"""Most evaluations in a row: a simulated venue, and the gate, answer before the call returns."""


class Closer(Actor):
    """Closes what strategies leave, and locks the engine while the desk must be flat.

    Add it to the trader before the strategies.

    Parameters
    ----------
    gate : OrderGate
        It refuses others' orders that could turn a position round during its close.
    owners : mapping of str to str
        Strategy's key by instrument id.
    risk_engine : RiskEngine
        Of the kernel; its TradingState is the second lock, behind the order gate.
    tag : str
        The node's tag in order ids.
    verify : Verify, optional
        Queries the venue; without it our books alone decide what is flat, as in a backtest.
    reachable : callable, optional
        Whether orders can be sent now: while a link is down they would leave late or never.
    soon : callable, optional
        Calls back on the event loop after the present event; by default the loop's own.
    on_news : OnNews, optional
        Gets the reports to the trader, which are logged in any case.
    """

    def __init__(
        self,
        risk: RiskSettings,
        gate: OrderGate,
        account: AccountView,
        owners: Mapping[str, str],
        *,
        risk_engine: Any,
        tag: str = BACKTEST_TAG,
        verify: Verify | None = None,
        reachable: Callable[[], bool] | None = None,
        on_news: OnNews | None = None,
        soon: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        super().__init__(ActorConfig(component_id="closer"))
        self._gate, self._account, self._tag = gate, account, tag
        self._verify, self._reachable, self._on_news = verify, reachable, on_news
        self._risk_engine = risk_engine
        self._every_ns = round(risk.every * SECOND_NS)
        self._policy = ClosingPolicy(
            grace_ns=round(risk.exit_grace * SECOND_NS),
            deadline_ns=round(risk.deadline * SECOND_NS),
            owners=dict(owners),
            external=risk.external,
            verifies=verify is not None,
        )
        self._board = VerdictBoard()
        self._memory = ClosingState()
        self._view: ClosingView | None = None
        self._broker: ClosingBroker | None = None
        self._failures: dict[PositionKey, str] = {}
        self._venue: AtVenue | None = None
        self._query: asyncio.Task[None] | None = None
        self._call_soon = soon
        self._queried_at = 0
        self._evaluating = self._scheduled = False
        gate.hold(self.hold, exits=True)

    @property
    def memory(self) -> ClosingState:
        """The state of the rules."""
        return self._memory

    @property
    def works(self) -> bool:
        """Whether a standing verdict needs the closer."""
        return bool(self._memory.flatten or self._memory.halts)

    def hold(self, facts: OrderFacts) -> str | None:
        """Refuse orders that could turn a position round while it is closed, also exits.

        Such an order could fill beside the close, unless it is reduce-only.
        """
        if not self._memory.attempts or facts.reduce_only:
            return None
        if facts.operation not in ("submit", "modify"):
            return None
        if is_closers(facts.client_order_id):
            return None
        if PositionKey(facts.strategy, facts.instrument) not in self._memory.attempts:
            return None
        return f"the desk closes {facts.instrument} itself: only reduce-only orders may join"

    def register_base(self, portfolio: Any, msgbus: Any, cache: Any, clock: Any) -> None:
        """Subscribe before the start: guards publish their standing verdicts by then."""
        super().register_base(portfolio, msgbus, cache, clock)
        self._board = board_of(self.msgbus)
        self.msgbus.subscribe(TOPIC, self._on_verdict, priority=FIRST)

    def on_start(self) -> None:
        """Start with the verdicts that already stand."""
        if self._is_live and self._call_soon is None:
            self._call_soon = asyncio.get_running_loop().call_soon
        self._view = ClosingView(self.cache, self._gate, self._account, self._tag)
        now = self._now()
        self._broker = ClosingBroker(self.cache, self.msgbus, self.trader_id, self._tag, now)
        self.msgbus.subscribe("events.order.*", self._on_order_event)
        if self._is_live:
            self.clock.set_timer_ns(
                "closer",
                interval_ns=self._every_ns,
                start_time_ns=now,
                stop_time_ns=0,
                callback=on_loop(self.clock, self._on_time),
            )
        else:
            self.msgbus.subscribe(SEEN, self._on_input)
        self._soon()

    def on_resume(self) -> None:
        """Start again."""
        self.on_start()

    def on_stop(self) -> None:
        """Stop; the next start continues with the verdicts that stand."""
        for name in list(self.clock.timer_names):
            self.clock.cancel_timer(name)
        if self._query is not None:
            self._query.cancel()

    @property
    def _is_live(self) -> bool:
        return isinstance(self.clock, LiveClock)

    def _now(self) -> int:
        return int(self.clock.timestamp_ns())

    def _on_verdict(self, verdict: Verdict) -> None:
        self._set_trading_state()
        if self.is_running:
            self._soon()

    def _on_input(self, seen: object) -> None:
        if isinstance(seen, Snapshot) and (self.works or self._board.standing()):
            self._soon()

    def _on_order_event(self, event: OrderEvent) -> None:
        if isinstance(event, OrderRejected | OrderDenied) and is_closers(
            event.client_order_id.value
        ):
            key = PositionKey(owner_of(event.strategy_id), event.instrument_id.value)
            self._failures[key] = readable(event.reason)
        if self.works:
            self._soon()

    def _on_time(self, event: object = None) -> None:
        self._scheduled = False
        with self._going_on("it could not evaluate"):
            self._evaluate()

    def _soon(self) -> None:
        """Evaluate after the engine has finished its event: strategies get the same events."""
        self._wake_at(self._now() + 1)

    def _wake_at(self, moment: int) -> None:
        if self._is_live:
            # The timer comes several times a second; evaluate sooner only for events.
            if moment <= self._now() + 1 and self.is_running and not self._scheduled:
                assert self._call_soon is not None
                self._scheduled = True
                self._call_soon(self._on_time)
            return
        if "wake" in self.clock.timer_names:
            if self.clock.next_time_ns("wake") <= moment:
                return
            self.clock.cancel_timer("wake")
        self.clock.set_time_alert_ns("wake", moment, self._on_time)

    def _set_trading_state(self) -> None:
        """Set the RiskEngine to REDUCING while a guard wants the whole desk flat for good.

        It then denies orders that enlarge a position, even without the order gate. HALTED would
        deny closes as well. REDUCING alone is not enough: it lets positions open from flat and turn
        round (see tests/backtests/test_engine_traps.py). The order gate does not count these
        refusals.
        """
        flatten = [v for v in self._board.on(("desk",)) if v.action == Action.FLATTEN]
        wanted = TradingState.REDUCING if halted_for_good(flatten) else TradingState.ACTIVE
        if self._risk_engine.trading_state != wanted:
            self._risk_engine.set_trading_state(wanted)

    def _evaluate(self) -> None:
        if self._evaluating or not self.is_running:
            return
        self._set_trading_state()
        if not self._board.standing() and not self.works:
            return
        self._evaluating = True
        try:
            for _ in range(_ROUNDS):
                self._memory, acts = next_acts(self._memory, self._facts(), self._policy)
                for act in acts:
                    with self._going_on(f"{act} failed"):
                        self._do(act)
                if not any(isinstance(act, CancelAct | CloseAct) for act in acts):
                    break
        finally:
            self._evaluating = False
        if not self.works:
            self._failures.clear()
            self._venue = None
            return
        self._query_venue()
        self._plan()

    def _plan(self) -> None:
        if self._is_live:
            return
        now = self._now()
        moment = next_evaluation(self._memory, self._policy, now)
        began = self._memory.began
        # After the deadline, simulated time waits for new prices: a gap may last for days.
        patient = now + self._policy.deadline_ns if began is None else began
        if moment is not None and moment <= patient + self._policy.deadline_ns:
            self._wake_at(moment)

    def _facts(self) -> ClosingFacts:
        assert self._view is not None
        assert self._broker is not None
        positions = self._view.positions()
        return ClosingFacts(
            now=self._now(),
            verdicts=tuple(self._board.standing()),
            positions=positions,
            orders=tuple(self._view.orders(self._broker.sent)),
            terms=self._view.terms({key.instrument for key in positions}),
            venue=self._venue,
            reachable=self._reachable is None or self._reachable(),
            failures=self._failures,
        )

    def _do(self, act: Act) -> None:
        assert self._broker is not None
        if isinstance(act, ClosingNews):
            self._report(act)
        elif isinstance(act, CancelAct):
            self._broker.cancel(act, self._now())
        else:
            self._broker.close(act, self._now())

    def _report(self, news: ClosingNews) -> None:
        (self.log.error if news.kind in ("not_flat", "resting") else self.log.warning)(news.text)
        if self._on_news is None:
            return
        try:
            self._on_news(news.kind, news.text)
        except Exception:
            if not self._is_live:
                raise
            # The position must be closed even if the report fails.
            self.log.error(f"It could not be reported: {traceback.format_exc()}")

    @contextmanager
    def _going_on(self, what: str) -> Iterator[None]:
        """Raise an alarm about an error, live, and go on: the rest must still be closed."""
        try:
            yield
        except Exception as error:
            if not self._is_live:
                raise
            self.log.error(traceback.format_exc())
            text = f"the closer: {what}: {type(error).__name__}: {error}; it goes on"
            self._report(ClosingNews("not_flat", text))

    def _query_venue(self) -> None:
        state, now = self._memory, self._now()
        if self._verify is None or not state.flatten or state.flat:
            return
        if now < self._queried_at + _QUERY_EVERY or (self._query and not self._query.done()):
            return
        if state.clear is None and not state.attempts:
            return
        self._queried_at = now
        covers = partial(self._policy.covers_at_venue, dict(state.flatten))
        self._query = asyncio.get_running_loop().create_task(self._on_venue(self._verify(covers)))

    async def _on_venue(self, asked: Awaitable[AtVenue]) -> None:
        with self._going_on("the venue could not be checked"):
            try:
                found = await asked
            except DeskError as error:
                self.log.warning(f"The venue could not be asked what is left: {error}")
                return
            self.on_answer(found)

    def on_answer(self, found: AtVenue) -> None:
        """Go on with what the venue says is left."""
        self._venue = found
        self._evaluate()
