"""The closer: carries a flatten through where strategies do not, or not in time. Engine-specific.

A thin shell around `actors.rules.closing`: it shows the rules the account, and sends what they ask
for in the name of whose position it is, through RiskEngine and order gate like any other order. One
of it serves a node or a backtest. It needs nothing from before a restart: as long as a guard's
FLATTEN stands, or is said again, it goes on.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from nautilus_trader.common.actor import Actor
from nautilus_trader.common.component import LiveClock
from nautilus_trader.common.config import ActorConfig
from nautilus_trader.model.enums import OrderStatus
from nautilus_trader.model.events import OrderDenied, OrderEvent, OrderRejected
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.orders import Order

from actors.closing_orders import EXTERNAL_KEY, cancel, close, owner_key, terms_of, under_way
from actors.gate import AccountView, OrderGate
from actors.order_facts import OrderFacts
from actors.rules.closing import next_look, step, works_on
from actors.rules.closing_facts import (
    EXTERNAL,
    SECOND,
    AtVenue,
    Cancel,
    Close,
    Key,
    Policy,
    Say,
    State,
    Terms,
    UnderWay,
    View,
)
from actors.rules.facts import Pulse
from actors.second_lock import SecondLock
from config.errors import DeskError
from config.risk import Risk
from strategies.messages import Verdict
from strategies.order_ids import BACKTEST_TAG, closers_session, is_closers, order_id, owner_of
from strategies.turns import in_turn
from strategies.verdicts import Verdicts

SEEN = "risk.seen"
Verify = Callable[[], Awaitable[AtVenue]]
"""Asks the venue what it shows; may mend our books first. Raises `DeskError` when it can't."""
News = Callable[[str, str], None]
"""Hears ``(kind, text)``; the kinds are `actors.rules.closing_facts.News`."""
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
        self._verdicts = Verdicts()
        self._memory = State()
        self._session = ""
        self._made = 0
        self._own: set[ClientOrderId] = set()
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
        """Return why an order must not leave now: an `actors.order_facts.Hold`, of exits too.

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
        self.msgbus.subscribe("verdicts.*", self._hear)

    def on_start(self) -> None:
        """Begin, with whatever stands already."""
        if self._is_live:
            self._loop = asyncio.get_running_loop()
        self._session = closers_session(self._now())
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
        self._verdicts.hear(verdict)
        self._lock.follow(self._verdicts.standing(self._now()))
        if self.is_running:
            self._soon()

    def _on_seen(self, seen: object) -> None:
        if isinstance(seen, Pulse) and (self.works or self._verdicts.standing(seen.now)):
            self._soon()

    def _on_order_event(self, event: OrderEvent) -> None:
        if event.client_order_id in self._own and isinstance(event, OrderRejected | OrderDenied):
            key = Key(owner_key(event.strategy_id), event.instrument_id.value)
            self._trouble[key] = event.reason
        if self.works:
            self._soon()

    def _on_time(self, event: object = None) -> None:
        self._coming = False
        with self._going_on("it could not look"):
            self._look()

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

    def _look(self) -> None:
        if self._looking or not self.is_running:
            return
        standing = self._verdicts.standing(self._now())
        self._lock.follow(standing)
        if not standing and not self.works:
            return
        self._looking = True
        try:
            for _ in range(_ROUNDS):
                self._memory, acts = step(self._memory, self._view(), self._policy)
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

    def _view(self) -> View:
        positions: dict[Key, Decimal] = {}
        for position in self.cache.positions_open():
            key = Key(owner_key(position.strategy_id), position.instrument_id.value)
            positions[key] = positions.get(key, Decimal(0)) + position.signed_decimal_qty()
        positions = {key: held for key, held in positions.items() if held}
        return View(
            now=self._now(),
            verdicts=tuple(self._verdicts.standing(self._now())),
            positions=positions,
            orders=tuple(self._under_way()),
            terms=self._terms({key.instrument for key in positions}),
            venue=self._venue,
            reachable=self._reachable is None or self._reachable(),
            trouble=self._trouble,
        )

    def _terms(self, names: Iterable[str]) -> dict[str, Terms]:
        found = {}
        for name in names:
            instrument = self.cache.instrument(InstrumentId.from_str(name))
            if isinstance(instrument, CurrencyPair):
                account = self.cache.account_for_venue(instrument.id.venue)
                total = None if account is None else account.balance_total(instrument.base_currency)
                there = None if total is None else total.as_decimal()
                found[name] = terms_of(instrument, self._account.price(name), there)
            elif instrument is not None:
                found[name] = terms_of(instrument, None, None)
        return found

    def _under_way(self) -> list[UnderWay]:
        cache = self.cache
        found: dict[ClientOrderId, Order] = {
            order.client_order_id: order
            for orders in (cache.orders_open(), cache.orders_inflight(), cache.orders_emulated())
            for order in orders
        }
        # What waits for its turn, or for the engines' queues, is none of these yet.
        for names in self._gate.under_way.values():
            for name in names:
                order = cache.order(ClientOrderId(name))
                if order is not None:
                    found[order.client_order_id] = order
        for client_order_id in list(self._own):
            order = cache.order(client_order_id)
            if order is None or order.is_closed:
                self._own.discard(client_order_id)
            else:
                found[client_order_id] = order
        return [
            under_way(order, self._owner_of(order), ours=is_closers(order.client_order_id.value))
            for order in found.values()
            if not order.is_closed
        ]

    def _owner_of(self, order: Order) -> str:
        """Return whose it is; a claim on an instrument brings others' orders to its strategy."""
        key = owner_key(order.strategy_id)
        if self._tag == BACKTEST_TAG:
            return key
        made = owner_of(order.client_order_id.value)
        return key if made is not None and made.tag == self._tag else EXTERNAL

    # What it does ------------------------------------------------------------------------------

    def _do(self, act: Cancel | Close | Say) -> None:
        if isinstance(act, Cancel):
            self._cancel(act)
        elif isinstance(act, Close):
            self._close(act)
        else:
            self._tell(act)

    def _tell(self, said: Say) -> None:
        (self.log.error if said.kind in ("not_flat", "resting") else self.log.warning)(said.text)
        if self._on_news is not None:
            self._on_news(said.kind, said.text)

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

    def _cancel(self, act: Cancel) -> None:
        order = self.cache.order(ClientOrderId(act.id))
        if order is None or order.is_closed:
            return
        emulated = order.status == OrderStatus.EMULATED
        endpoint = "OrderEmulator.execute" if emulated else "ExecEngine.execute"
        self.msgbus.send(endpoint=endpoint, msg=cancel(order, self._now()))

    def _close(self, act: Close) -> None:
        key = act.key
        instrument = self.cache.instrument(InstrumentId.from_str(key.instrument))
        position = next(
            position
            for position in self.cache.positions_open(instrument_id=instrument.id)
            if owner_key(position.strategy_id) == key.owner
        )
        self._made += 1
        name = key.owner if key.owner != EXTERNAL else EXTERNAL_KEY
        command = close(
            self.trader_id,
            position.strategy_id,
            instrument,
            act.quantity,
            order_id=order_id(self._tag, name, self._session, self._made),
            position_id=position.id,
            now=self._now(),
        )
        self._own.add(command.order.client_order_id)
        self.cache.add_order(command.order, position.id)
        small = instrument.min_quantity is not None and (
            command.order.quantity < instrument.min_quantity
        )
        # The RiskEngine denies what the venue may well take: the whole of a small position.
        self.msgbus.send(endpoint=f"{'Exec' if small else 'Risk'}Engine.execute", msg=command)

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
            self._look()
