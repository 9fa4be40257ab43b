"""The closer: carries a flatten through where strategies do not, or not in time. Engine-specific.

A thin shell around `actors.closing.steps`: it shows the rules the account, and sends what they ask
for in the name of whose position it is, through RiskEngine and order gate like any other order. One
of it serves a node or a backtest. It needs nothing from before a restart: as long as a guard's
FLATTEN stands, or is said again, it goes on.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from nautilus_trader.common.actor import Actor
from nautilus_trader.common.component import LiveClock
from nautilus_trader.common.config import ActorConfig
from nautilus_trader.model.events import OrderDenied, OrderEvent, OrderRejected

from actors.closing.facts import (
    SECOND,
    AtVenue,
    Cancel,
    Close,
    Key,
    Policy,
    Say,
    State,
    View,
)
from actors.closing.orders import Hands, owner_key
from actors.closing.steps import next_look, step, works_on
from actors.closing.trading_state import SecondLock
from actors.closing.view import Sight
from actors.gate.gate import AccountView, OrderGate
from actors.guards.core.snapshot import Snapshot
from actors.records.order_facts import OrderFacts
from config.documents.setup import Risk
from config.errors import DeskError
from strategies.messages import Verdict
from strategies.on_loop import in_turn
from strategies.order_ids import BACKTEST_TAG, is_closers
from strategies.verdicts import FIRST, TOPIC, VerdictBoard, board_of

SEEN = "risk.seen"
Verify = Callable[[], Awaitable[AtVenue]]
"""Asks the venue what it shows; may mend our books first. Raises `DeskError` when it can't."""
News = Callable[[str, str], None]
"""Hears ``(kind, text)``; the kinds are `actors.closing.facts.News`."""
_ASK_EVERY = SECOND
_ROUNDS = 4
"""How often it looks again at once: a simulated venue has answered a cancel when the call returns,
and so has the gate a refused close."""


class Closer(Actor):
    """Closes what is left.

    Parameters
    ----------
    risk : Risk
        Of the document.
    gate : OrderGate
        It keeps others' orders that could turn a position round back while that is being closed.
    account : AccountView
        Gives prices.
    owners : mapping of str to str
        Who trades each instrument of the universe: strategy's key by instrument id.
    risk_engine : RiskEngine
        Of the kernel; takes the second lock.
    tag : str
        The node's tag in order ids.
    verify : Verify, optional
        Without it our books alone say what is flat, as in a backtest.
    reachable : callable, optional
        Whether orders can be sent now: while a link is down they would leave late or never.
    on_news : News, optional
        Hears what is to be told to the trader; it goes into the log in any case.

    Examples
    --------
    In both worlds, before the strategies are added::

        closer = Closer(document.risk, gate, account, owners, risk_engine=kernel.risk_engine)
        trader.add_actor(closer)
    """

    def __init__(
        self,
        risk: Risk,
        gate: OrderGate,
        account: AccountView,
        owners: Mapping[str, str],
        *,
        risk_engine: Any,
        tag: str = BACKTEST_TAG,
        verify: Verify | None = None,
        reachable: Callable[[], bool] | None = None,
        on_news: News | None = None,
    ) -> None:
        super().__init__(ActorConfig(component_id="closer"))
        self._gate, self._account, self._tag = gate, account, tag
        self._verify, self._reachable, self._on_news = verify, reachable, on_news
        self._lock = SecondLock(risk_engine)
        self._every_ns = round(risk.every * SECOND)
        self._policy = Policy(
            grace_ns=round(risk.exit_grace * SECOND),
            deadline_ns=round(risk.deadline * SECOND),
            owners=dict(owners),
            external=risk.external,
            verifies=verify is not None,
        )
        self._board = VerdictBoard()
        self._memory = State()
        self._sight: Sight | None = None
        self._hands: Hands | None = None
        self._trouble: dict[Key, str] = {}
        self._venue: AtVenue | None = None
        self._asking: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked_at = 0
        self._looking = self._coming = False
        gate.hold(self.hold, exits=True)

    @property
    def memory(self) -> State:
        """What the rules remember."""
        return self._memory

    @property
    def works(self) -> bool:
        """Whether a verdict stands that asks something of it."""
        return bool(self._memory.flatten or self._memory.halts)

    def hold(self, facts: OrderFacts) -> str | None:
        """Return why an order must not leave now: an `actors.records.order_facts.Hold`, of exits
        too.

        While the desk closes a position itself, another's order that is not reduce-only could fill
        beside the close and turn it round.
        """
        if facts.operation not in ("submit", "modify") or facts.reduce_only:
            return None
        if is_closers(facts.client_order_id):
            return None
        if not works_on(self._memory, Key(facts.strategy, facts.instrument)):
            return None
        return f"the desk closes {facts.instrument} itself: only reduce-only orders may join"

    # When it looks -----------------------------------------------------------------------------

    def register_base(self, portfolio: Any, msgbus: Any, cache: Any, clock: Any) -> None:
        """Hear verdicts from before the start on: what stood is said again by then."""
        super().register_base(portfolio, msgbus, cache, clock)
        self._board = board_of(self.msgbus)
        self.msgbus.subscribe(TOPIC, self._hear, priority=FIRST)

    def on_start(self) -> None:
        """Begin, with whatever stands already."""
        if self._is_live:
            self._loop = asyncio.get_running_loop()
        self._sight = Sight(self.cache, self._gate, self._account, self._tag)
        self._hands = Hands(self.cache, self.msgbus, self.trader_id, self._tag, self._now())
        self.msgbus.subscribe("events.order.*", self._on_order_event)
        if self._is_live:
            self.clock.set_timer_ns(
                "closer",
                interval_ns=self._every_ns,
                start_time_ns=self._now(),
                stop_time_ns=0,
                callback=in_turn(self.clock, self._on_time),
            )
        else:
            self.msgbus.subscribe(SEEN, self._on_seen)
        self._soon()

    def on_resume(self) -> None:
        """Begin again."""
        self.on_start()

    def on_stop(self) -> None:
        """Look no more; what stands is taken up at the next start."""
        for name in list(self.clock.timer_names):
            self.clock.cancel_timer(name)
        if self._asking is not None:
            self._asking.cancel()

    @property
    def _is_live(self) -> bool:
        return isinstance(self.clock, LiveClock)

    def _now(self) -> int:
        return int(self.clock.timestamp_ns())

    def _hear(self, verdict: Verdict) -> None:
        self._lock.follow(self._board.standing())
        if self.is_running:
            self._soon()

    def _on_seen(self, seen: object) -> None:
        if isinstance(seen, Snapshot) and (self.works or self._board.standing()):
            self._soon()

    def _on_order_event(self, event: OrderEvent) -> None:
        if isinstance(event, OrderRejected | OrderDenied) and is_closers(
            event.client_order_id.value
        ):
            key = Key(owner_key(event.strategy_id), event.instrument_id.value)
            self._trouble[key] = event.reason
        if self.works:
            self._soon()

    def _on_time(self, event: object = None) -> None:
        self._coming = False
        with self._going_on("it could not look"):
            self._evaluate()

    def _soon(self) -> None:
        """Look once the engine is done with what it is at: strategies hear the same news."""
        self._wake_at(self._now() + 1)

    def _wake_at(self, moment: int) -> None:
        if self._is_live:
            # The timer comes several times a second; only news is worth more.
            if moment <= self._now() + 1 and self.is_running and not self._coming:
                assert self._loop is not None
                self._coming = True
                self._loop.call_soon(self._on_time)
            return
        if "wake" in self.clock.timer_names:
            if self.clock.next_time_ns("wake") <= moment:
                return
            self.clock.cancel_timer("wake")
        self.clock.set_time_alert_ns("wake", moment, self._on_time)

    # How it looks ------------------------------------------------------------------------------

    def _evaluate(self) -> None:
        if self._looking or not self.is_running:
            return
        standing = self._board.standing()
        self._lock.follow(standing)
        if not standing and not self.works:
            return
        self._looking = True
        try:
            for _ in range(_ROUNDS):
                view = self._view(self._board.standing())
                self._memory, acts = step(self._memory, view, self._policy)
                for act in acts:
                    with self._going_on(f"{act} failed"):
                        self._do(act)
                if not any(isinstance(act, Cancel | Close) for act in acts):
                    break
        finally:
            self._looking = False
        if not self.works:
            self._trouble.clear()
            self._venue = None
            return
        self._ask_venue()
        self._plan()

    def _plan(self) -> None:
        if self._is_live:
            return
        now = self._now()
        moment = next_look(self._memory, self._policy, now)
        began = self._memory.began
        # Past the deadline simulated time waits for the next prices: a gap may last for days.
        patient = now + self._policy.deadline_ns if began is None else began
        if moment is not None and moment <= patient + self._policy.deadline_ns:
            self._wake_at(moment)

    def _view(self, standing: list[Verdict]) -> View:
        assert self._sight is not None
        assert self._hands is not None
        positions = self._sight.positions()
        return View(
            now=self._now(),
            verdicts=tuple(standing),
            positions=positions,
            orders=tuple(self._sight.under_way(self._hands.sent)),
            terms=self._sight.terms({key.instrument for key in positions}),
            venue=self._venue,
            reachable=self._reachable is None or self._reachable(),
            trouble=self._trouble,
        )

    # What it does ------------------------------------------------------------------------------

    def _do(self, act: Cancel | Close | Say) -> None:
        if isinstance(act, Say):
            self._tell(act)
            return
        assert self._hands is not None
        if isinstance(act, Cancel):
            self._hands.cancel(act, self._now())
        else:
            self._hands.close(act, self._now())

    def _tell(self, said: Say) -> None:
        (self.log.error if said.kind in ("not_flat", "resting") else self.log.warning)(said.text)
        if self._on_news is None:
            return
        try:
            self._on_news(said.kind, said.text)
        except Exception:
            if not self._is_live:
                raise
            # What could not be told, or written down, must still be closed.
            self.log.error(f"That could not be told: {traceback.format_exc()}")

    @contextmanager
    def _going_on(self, what: str) -> Iterator[None]:
        """Raise an alarm of what fails, live, and go on: the rest must be closed all the same."""
        try:
            yield
        except Exception as error:
            if not self._is_live:
                raise
            self.log.error(traceback.format_exc())
            text = f"the closer: {what}: {type(error).__name__}: {error}; it goes on"
            self._tell(Say("not_flat", text))

    # What the venue says -----------------------------------------------------------------------

    def _ask_venue(self) -> None:
        state, now = self._memory, self._now()
        if self._verify is None or not state.flatten or state.flat:
            return
        if now < self._asked_at + _ASK_EVERY or (self._asking and not self._asking.done()):
            return
        if state.clear is None and not state.attempts:
            return
        self._asked_at = now
        self._asking = asyncio.get_running_loop().create_task(self._hear_venue(self._verify))

    async def _hear_venue(self, verify: Verify) -> None:
        with self._going_on("the venue could not be checked"):
            try:
                self._venue = await verify()
            except DeskError as error:
                self.log.warning(f"The venue could not be asked what is left: {error}")
                return
            self._evaluate()
