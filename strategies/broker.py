"""What a strategy sends: market orders, protective stops, tactics; and how it takes them back.

Engine-specific. The broker knows the engine and the market, not the strategy: it reports through
callbacks. Orders are fetched from the cache whenever they are needed, never held.

A tactic is a pure state machine (`strategies.tactics.maker_first`), one an instrument at a time.
The broker tells it of the book, the clock and its order, saves its state, and then sends and
cancels for it.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

import msgspec
from nautilus_trader.cache.base import CacheFacade
from nautilus_trader.common.component import Clock
from nautilus_trader.common.factories import OrderFactory
from nautilus_trader.model.enums import OrderSide, TimeInForce, TriggerType
from nautilus_trader.model.events import (
    OrderAccepted,
    OrderCanceled,
    OrderCancelRejected,
    OrderDenied,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderRejected,
)
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId, StrategyId
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.model.orders import Order

from config.errors import DeskError
from strategies.desk_config import DeskStrategyConfig
from strategies.market_view import MarketView
from strategies.messages import Executed
from strategies.on_loop import on_loop
from strategies.order_ids import (
    is_closers,
    is_protective,
    numbered,
    order_id,
    owner_of,
    protective,
    session_of,
)
from strategies.order_tags import order_tags
from strategies.refusals import refusal_of
from strategies.sizing.rounding import split
from strategies.state import StateStore
from strategies.tactics import steps
from strategies.tactics.maker_first import State, step
from strategies.tactics.pricing import ZERO, Terms

TICK_NS = 10**9
"""How often tactics get the time."""
CANCEL_PATIENCE_NS = 60 * 10**9
"""How long cancels may take; the engine itself asks after one that is not answered in 5 s."""
_CANCEL_AGAIN_NS = 10**9
_ENDS = (OrderCanceled, OrderDenied, OrderExpired, OrderRejected)


class Engine(Protocol):
    """What the broker needs of the engine; Nautilus's Strategy has it."""

    @property
    def id(self) -> StrategyId:
        """Whose orders these are."""

    @property
    def clock(self) -> Clock:
        """Time and timers."""

    @property
    def cache(self) -> CacheFacade:
        """Holds the orders."""

    @property
    def order_factory(self) -> OrderFactory:
        """Makes orders."""

    def submit_order(self, order: Order) -> None:
        """Send an order."""

    def cancel_order(self, order: Order) -> None:
        """Ask the venue to cancel an order."""


class SavedExecution(msgspec.Struct, frozen=True, kw_only=True):
    """What the store keeps of an execution, under ``tactic.<instrument id>``.

    Parameters
    ----------
    state : State
        Of the tactic.
    goal : Decimal
        Position to be reached, signed base coin: what is left after a crash is the way to it.
    reason : str
        What its orders are for.
    decision_id : str
        The decision that it carries out, empty for none.
    """

    state: State
    goal: Decimal
    reason: str
    decision_id: str = ""


@dataclass(slots=True)
class _Execution:
    """One that is under way."""

    state: State
    goal: Decimal
    reason: str
    decision_id: str
    terms: Terms
    order_id: ClientOrderId | None = None
    paid: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class BrokerEvents:
    """The callbacks by which a broker reports.

    Parameters
    ----------
    order_ended : callable
        An order was filled, cancelled or refused.
    progressed : callable
        Part of an execution was filled; takes the instrument.
    executed : callable
        An execution ended, whether or not all was traded.
    stopping : callable
        Tactics are about to be stopped, all (None) or those in some instruments: what was to follow
        them must stay.
    """

    order_ended: Callable[[], None]
    progressed: Callable[[InstrumentId], None]
    executed: Callable[[Executed], None]
    stopping: Callable[[Container[str] | None], None]


@dataclass(slots=True)
class _Wait:
    """What goes on once own orders are gone."""

    then: Callable[[], None]
    or_else: Callable[[], None]
    instruments: Container[str] | None
    until: int
    cancelling: bool = True


class Broker:
    """The orders and executions of one strategy.

    Parameters
    ----------
    engine : Engine
        Sends and cancels.
    market : MarketView
        Instruments, best prices and positions.
    config : DeskStrategyConfig
        Names of orders, and the ``execution`` parameters.
    events : BrokerEvents
        Where it reports.

    Attributes
    ----------
    store : StateStore or None
        Keeps executions, so that a restart goes on with them; None keeps nothing.
    decision_id : str
        Id of the decision that orders carry out from now on, empty before the first.
    adopts_orders : bool
        Whether orders that others placed in its instruments are worked like its own.
    """

    def __init__(
        self, engine: Engine, market: MarketView, config: DeskStrategyConfig, events: BrokerEvents
    ) -> None:
        self._engine = engine
        self._market = market
        self._config = config
        self._rules = config.execution
        self._events = events
        self._id_prefix = ""
        self._made = 0
        self._own: set[ClientOrderId] = set()
        self._protecting: set[ClientOrderId] = set()
        self._replaced: dict[ClientOrderId, list[ClientOrderId]] = {}
        self._live: dict[InstrumentId, _Execution] = {}
        self._executions: dict[ClientOrderId, InstrumentId] = {}
        self._wait: _Wait | None = None
        self._tactic_timer = f"tactic.{config.key}"
        self._clear_timer = f"clear.{config.key}"
        self.store: StateStore | None = None
        self.decision_id = ""
        self.adopts_orders = False

    def begin_session(self) -> None:
        """Name the orders from now on after this start."""
        config = self._config
        session = session_of(self._engine.clock.timestamp_ns())
        self._id_prefix = order_id(config.node, config.key, session, 0)[:-1]

    @property
    def trading(self) -> bool:
        """Whether an order or a tactic is under way, or cancels are awaited."""
        return bool(self._own or self._live) or self.clearing

    # Orders ------------------------------------------------------------------------------------

    def next_order_id(self) -> ClientOrderId:
        """Return the id of the next order; live, the gate refuses any that is not made here."""
        self._made += 1
        return ClientOrderId(numbered(self._id_prefix, self._made))

    def send(self, order: Order) -> None:
        """Send an order and remember that it is under way."""
        self._own.add(order.client_order_id)
        self._engine.submit_order(order)

    def send_market(
        self,
        instrument_id: InstrumentId,
        quantity: Decimal,
        reason: str,
        *,
        decision_id: str | None = None,
    ) -> None:
        """Send a market order for a signed quantity of base coin, whatever the tactic.

        It is reduce-only when it can only shrink the position, and several orders of about the same
        size when the venue takes no single one so large. It carries out the newest decision, unless
        another one is named (an empty id for none).
        """
        market, engine = self._market, self._engine
        found = market.instrument(instrument_id)
        largest = None if found.max_quantity is None else found.max_quantity.as_decimal()
        reduce_only = market.shrinks(instrument_id, quantity) and not market.is_spot(instrument_id)
        tags = order_tags(reason, self.decision_id if decision_id is None else decision_id)
        for size in split(abs(quantity), found.size_increment.as_decimal(), largest):
            self.send(
                engine.order_factory.market(
                    instrument_id,
                    OrderSide.BUY if quantity > ZERO else OrderSide.SELL,
                    Quantity(size, found.size_precision),
                    reduce_only=reduce_only,
                    tags=tags,
                    client_order_id=self.next_order_id(),
                )
            )

    def under_way(self, instruments: Container[str] | None = None) -> list[Order]:
        """Return the orders that may still fill, of earlier sessions too, without protective ones.

        Sorted by instrument, then in the order they were made.
        """
        return [o for o in self._all_open(instruments) if not _protects(o)]

    def _all_open(self, instruments: Container[str] | None) -> list[Order]:
        cache, mine = self._engine.cache, self._engine.id
        found = {order.client_order_id: order for order in cache.orders_open(strategy_id=mine)}
        for order in cache.orders_inflight(strategy_id=mine):
            found[order.client_order_id] = order
        # Live, one that was just sent is none of these before the engines' queues have passed it.
        for name in self._own | self._protecting:
            order = cache.order(name)
            if order is not None and not order.is_closed:
                found[name] = order
        return sorted(
            (
                o
                for o in found.values()
                if (instruments is None or o.instrument_id.value in instruments)
                and self._is_mine(o)
            ),
            key=lambda o: (
                o.instrument_id,
                o.ts_init,
                len(o.client_order_id.value),
                o.client_order_id,
            ),
        )

    def _is_mine(self, order: Order) -> bool:
        """Whether it is to be worked: the closer's is not, nor what a claim brings in of others."""
        if is_closers(order.client_order_id.value):
            return False
        config = self._config
        if self.adopts_orders or not config.claims:
            return True
        owner = owner_of(order.client_order_id.value)
        return owner is not None and owner == (config.node, config.key)

    # Protective orders rest at the venue while a position is open. They make nobody busy, are not
    # cancelled before a rebalance or at a stop of the node; the order gate counts none of them, as
    # they can only shrink a position.

    def place_stop(
        self, instrument_id: InstrumentId, trigger: Decimal, reason: str = "stop"
    ) -> ClientOrderId:
        """Rest a reduce-only stop-market order for the whole position at the venue.

        One that stands already is cancelled once the venue has accepted the new one, so that the
        position is never without: the adapter's amend would lose the trigger price.

        Parameters
        ----------
        instrument_id : InstrumentId
            A perpetual in which a position is open.
        trigger : Decimal
            Last price at which it sells a long position, or buys a short one back; on the tick.
        reason : str
            Tag of the order.

        Raises
        ------
        ValueError
            Where nothing is held, or on spot, which has no reduce-only orders.
        """
        held, found = self._market.holding(instrument_id), self._market.instrument(instrument_id)
        if held == ZERO or self._market.is_spot(instrument_id):
            raise ValueError(f"no position in a perpetual to protect: {instrument_id}")
        self._made += 1
        name = ClientOrderId(protective(self._id_prefix, self._made))
        self._replaced[name] = [
            order.client_order_id for order in self.protective_orders({instrument_id.value})
        ]
        self._protecting.add(name)
        self._engine.submit_order(
            self._engine.order_factory.stop_market(
                instrument_id,
                OrderSide.SELL if held > ZERO else OrderSide.BUY,
                Quantity(abs(held), found.size_precision),
                Price(trigger, found.price_precision),
                trigger_type=TriggerType.LAST_PRICE,
                reduce_only=True,
                tags=order_tags(reason, self.decision_id),
                client_order_id=name,
            )
        )
        return name

    def protective_orders(self, instruments: Container[str] | None = None) -> list[Order]:
        """Return the protective orders that rest or are on their way, in the same order."""
        return [o for o in self._all_open(instruments) if _protects(o)]

    def withdraw_protection(self, instrument_id: InstrumentId) -> None:
        """Cancel the protective orders of an instrument, as when its position is closed."""
        for order in self.protective_orders({instrument_id.value}):
            self.cancel(order)

    def _follow_protective(self, event: OrderEvent) -> None:
        if isinstance(event, OrderAccepted):
            for name in self._replaced.pop(event.client_order_id, ()):
                order = self._engine.cache.order(name)
                if order is not None and not order.is_closed:
                    self.cancel(order)
        elif isinstance(event, _ENDS):
            self._replaced.pop(event.client_order_id, None)

    def is_entry(self, order: Order) -> bool:
        """Whether what is left of an order could enlarge a position or open one."""
        left = order.quantity.as_decimal() - order.filled_qty.as_decimal()
        signed = left if order.side == OrderSide.BUY else -left
        return not order.is_reduce_only and not self._market.shrinks(order.instrument_id, signed)

    def cancel(self, order: Order) -> None:
        """Cancel an order, unless that is asked already."""
        if not order.is_pending_cancel:
            self._engine.cancel_order(order)

    def cancel_all(self, instruments: Container[str] | None = None) -> None:
        """Cancel every order that is under way, or those in some instruments.

        One by one: the exchange's cancel-all would take orders with it that are not ours.
        """
        for order in self.under_way(instruments):
            self.cancel(order)

    def on_order_event(self, event: OrderEvent) -> None:
        """Take in what became of an order."""
        if isinstance(event, OrderFilled):
            order = self._engine.cache.order(event.client_order_id)
            ended = order is not None and order.is_closed
        else:
            ended = isinstance(event, _ENDS)
        if self._replaced:
            self._follow_protective(event)
        if ended:
            self._own.discard(event.client_order_id)
            self._protecting.discard(event.client_order_id)
        if event.client_order_id in self._executions:
            self._tell_tactic(event)
        if ended:
            self._check_clear()
            self._events.order_ended()

    # Cancel and wait ---------------------------------------------------------------------------
    # In the simulated engine a cancel is done when the call returns; live it takes a round trip in
    # which the order may still fill, and a size taken from the position too early would be wrong
    # by that fill.

    @property
    def clearing(self) -> bool:
        """Whether it waits until its own orders are gone (see `when_clear`)."""
        return self._wait is not None

    def when_clear(
        self,
        then: Callable[[], None],
        *,
        or_else: Callable[[], None],
        instruments: Container[str] | None = None,
    ) -> None:
        """Cancel what is under way, all or in some instruments, and go on once it is gone.

        Parameters
        ----------
        then : callable
            Called when none of the orders is left: at once in the simulated engine, unless one
            rests on a book, and when the exchange has answered live.
        or_else : callable
            Called in place of it when cancels are not answered in a minute.
        instruments : container of str, optional
            Ids; all by default. A call while one waits takes its place.
        """
        self._drop_wait()
        now = self._engine.clock.timestamp_ns()
        wait = self._wait = _Wait(then, or_else, instruments, now + CANCEL_PATIENCE_NS)
        self.stop(instruments)
        self.cancel_all(instruments)
        wait.cancelling = False
        if self._check_clear():
            return
        self._engine.clock.set_timer_ns(
            self._clear_timer,
            interval_ns=_CANCEL_AGAIN_NS,
            start_time_ns=now,
            stop_time_ns=0,
            callback=on_loop(self._engine.clock, self._on_clear_timer),
        )

    def _check_clear(self) -> bool:
        """Go on when the last order is gone; return whether it was."""
        wait = self._wait
        if wait is None or wait.cancelling or self.under_way(wait.instruments):
            return False
        self._drop_wait()
        wait.then()
        return True

    def _drop_wait(self) -> None:
        self._wait = None
        if self._clear_timer in self._engine.clock.timer_names:
            self._engine.clock.cancel_timer(self._clear_timer)

    def _on_clear_timer(self, event: object) -> None:
        wait = self._wait
        if wait is None:
            return
        if self._engine.clock.timestamp_ns() < wait.until:
            # A cancel may have been refused, or have come before its order reached the venue.
            self.cancel_all(wait.instruments)
            self._check_clear()
            return
        self._drop_wait()
        wait.or_else()

    # Executions --------------------------------------------------------------------------------

    @property
    def takes_at_once(self) -> bool:
        """Whether orders go to market at once: by the document, or as no book is to be had."""
        return self._rules.tactic == "taker" or not self._market.sees_touches

    def execute(self, instrument_id: InstrumentId, quantity: Decimal, reason: str) -> None:
        """Trade a signed quantity of base coin by the document's tactic.

        Raises
        ------
        ValueError
            If maker_first is under way in the instrument (see `stop`).
        """
        if self.takes_at_once:
            self.send_market(instrument_id, quantity, reason)
        else:
            self.start(instrument_id, quantity, reason)

    @property
    def live(self) -> tuple[InstrumentId, ...]:
        """Instruments with an execution under way."""
        return tuple(self._live)

    def traded(self, instrument_id: InstrumentId) -> Decimal:
        """Return what the execution under way has paid (positive) or got, settlement currency."""
        return self._live[instrument_id].paid

    def entering(self) -> set[str]:
        """Return the ids of instruments in which what is left to trade enlarges a position."""
        found = set()
        for instrument_id, live in self._live.items():
            state = live.state
            left = state.quantity - (state.filled if state.buy else -state.filled)
            if left and not self._market.shrinks(instrument_id, left):
                found.add(instrument_id.value)
        return found

    # Begin and end -----------------------------------------------------------------------------

    def start(self, instrument_id: InstrumentId, quantity: Decimal, reason: str) -> None:
        """Begin to trade a signed quantity.

        Raises
        ------
        ValueError
            If one is under way in the instrument: two would trade against each other's position.
        """
        if instrument_id in self._live:
            raise ValueError(f"an execution in {instrument_id} is under way: stop it first")
        now = self._engine.clock.timestamp_ns()
        goal = self._market.holding(instrument_id) + quantity
        state = State(quantity=quantity, started=now)
        self._begin(instrument_id, state, goal, reason, steps.Clock(now))

    def resume(self, instrument_id: InstrumentId, goal: Decimal, reason: str) -> None:
        """Go on toward a position, from the state that a crash left, or anew when there is none.

        The position is what counts, not the fills that were heard: some may have come since.
        """
        saved = self.saved(instrument_id)
        left = goal - self._market.holding(instrument_id)
        if left == ZERO:
            self._save(instrument_id, None)
        elif saved is None or saved.goal != goal or saved.state.quantity * left < ZERO:
            self.start(instrument_id, left, reason)
        else:
            now = self._engine.clock.timestamp_ns()
            resumed = steps.Resumed(now, left)
            self._begin(instrument_id, saved.state, goal, saved.reason, resumed, saved.decision_id)

    def saved(self, instrument_id: InstrumentId) -> SavedExecution | None:
        """Return what the store knows of an execution that had not ended.

        Raises
        ------
        DeskError
            When it can't be read.
        """
        store = self.store
        raw = None if store is None else store.load(_name(instrument_id))
        if not raw:
            return None
        try:
            return msgspec.json.decode(raw, type=SavedExecution)
        except msgspec.MsgspecError as error:
            raise DeskError(
                f"strategy {self._config.key}: its saved state {_name(instrument_id)!r} "
                f"can't be read ({error}); restore the journal from a backup, or move it aside"
            ) from error

    def forget(self, instrument_id: InstrumentId) -> None:
        """Drop what a crash left of an execution."""
        if self.saved(instrument_id) is not None:
            self._save(instrument_id, None)

    def stop(self, instruments: Container[str] | None = None) -> None:
        """Let executions go no further, all or those in some instruments; their orders go too."""
        self._events.stopping(instruments)
        now = self._engine.clock.timestamp_ns()
        for instrument_id in list(self._live):
            if instruments is None or instrument_id.value in instruments:
                self._step(instrument_id, steps.Stop(now))

    def _begin(
        self,
        instrument_id: InstrumentId,
        state: State,
        goal: Decimal,
        reason: str,
        first: steps.Event,
        decision_id: str | None = None,
    ) -> None:
        market, clock = self._market, self._engine.clock
        market.watch(instrument_id)
        left = goal - market.holding(instrument_id)
        terms = market.terms(instrument_id, exits=market.shrinks(instrument_id, left))
        decision = self.decision_id if decision_id is None else decision_id
        self._live[instrument_id] = _Execution(state, goal, reason, decision, terms)
        if self._tactic_timer not in clock.timer_names:
            clock.set_timer_ns(
                self._tactic_timer,
                interval_ns=TICK_NS,
                start_time_ns=clock.timestamp_ns(),
                stop_time_ns=0,
                callback=on_loop(clock, self._on_tactic_timer),
            )
        self._step(instrument_id, first)
        self._look(instrument_id, first.now)

    def _end(self, instrument_id: InstrumentId) -> None:
        ended = self._live.pop(instrument_id)
        for name in [key for key, owner in self._executions.items() if owner == instrument_id]:
            del self._executions[name]
        clock = self._engine.clock
        if not self._live and self._tactic_timer in clock.timer_names:
            clock.cancel_timer(self._tactic_timer)
        self._save(instrument_id, None)
        state = ended.state
        self._events.executed(
            Executed(
                strategy=self._config.key,
                instrument=instrument_id.value,
                ts=clock.timestamp_ns(),
                wanted=f"{state.quantity:f}",
                filled=f"{state.filled if state.buy else -state.filled:f}",
                notional=f"{ended.paid:f}",
                reprices=state.reprices,
                takes=state.takes,
                reason=state.ended or "",
            )
        )

    # What happens ------------------------------------------------------------------------------

    def on_touch(self, instrument_id: InstrumentId) -> None:
        """Hear that a book or a quote has changed."""
        if instrument_id in self._live:
            self._look(instrument_id, self._engine.clock.timestamp_ns())

    def _tell_tactic(self, event: OrderEvent) -> None:
        instrument_id = self._executions[event.client_order_id]
        live = self._live[instrument_id]
        current = event.client_order_id == live.order_id
        now = event.ts_init
        if isinstance(event, OrderFilled):
            quantity = event.last_qty.as_decimal()
            paid = quantity * event.last_px.as_decimal()
            live.paid += paid if event.order_side == OrderSide.BUY else -paid
            self._step(instrument_id, steps.Filled(now, quantity, late=not current))
            self._events.progressed(instrument_id)
        elif not current:
            return
        elif isinstance(event, OrderAccepted):
            self._step(instrument_id, steps.Accepted(now))
        elif isinstance(event, OrderCancelRejected):
            self._step(instrument_id, steps.CancelRefused(now))
        elif isinstance(event, OrderCanceled | OrderExpired):
            live.order_id = None
            self._step(instrument_id, steps.Ended(now))
        elif isinstance(event, OrderDenied | OrderRejected):
            live.order_id = None
            denied = isinstance(event, OrderDenied)
            post_only = not denied and event.due_post_only
            refusal = refusal_of(event.reason, denied=denied, post_only=post_only)
            self._step(instrument_id, steps.Refused(now, refusal))

    def _on_tactic_timer(self, event: object) -> None:
        now = self._engine.clock.timestamp_ns()
        for instrument_id in list(self._live):
            self._look(instrument_id, now, sizes=True)
            if instrument_id in self._live:
                self._step(instrument_id, steps.Clock(now))

    def _look(self, instrument_id: InstrumentId, now: int, *, sizes: bool = False) -> None:
        """Show the execution the touch, if prices have changed, or ``sizes`` count as well."""
        live = self._live.get(instrument_id)
        touch = None if live is None else self._market.touch(instrument_id)
        if live is None or touch is None:
            return
        seen = live.state.touch
        if seen is None or (seen.bid, seen.ask) != (touch.bid, touch.ask) or sizes:
            self._step(instrument_id, steps.Touched(now, touch))

    def _step(self, instrument_id: InstrumentId, event: steps.Event) -> None:
        live = self._live[instrument_id]
        live.state, actions = step(live.state, event, self._rules, live.terms)
        for action in actions:
            if isinstance(action, steps.Done | steps.GiveUp):
                self._end(instrument_id)
                continue
            self._save(instrument_id, live)
            if isinstance(action, steps.Cancel):
                order = self._engine.cache.order(live.order_id)
                if order is not None and not order.is_closed and not order.is_pending_cancel:
                    self._engine.cancel_order(order)
            else:
                self._send(instrument_id, live, action)

    def _send(
        self,
        instrument_id: InstrumentId,
        live: _Execution,
        action: steps.PlacePostOnly | steps.PlaceIOC,
    ) -> None:
        market, takes = self._market, isinstance(action, steps.PlaceIOC)
        found = market.instrument(instrument_id)
        shrinks = market.shrinks(instrument_id, action.quantity)
        live.order_id = self.next_order_id()
        self._executions[live.order_id] = instrument_id
        self.send(
            self._engine.order_factory.limit(
                instrument_id,
                OrderSide.BUY if action.quantity > ZERO else OrderSide.SELL,
                Quantity(abs(action.quantity), found.size_precision),
                Price(action.price, found.price_precision),
                time_in_force=TimeInForce.IOC if takes else TimeInForce.GTC,
                post_only=not takes,
                reduce_only=shrinks and not market.is_spot(instrument_id),
                tags=order_tags(live.reason, live.decision_id),
                client_order_id=live.order_id,
            )
        )

    # What is kept ------------------------------------------------------------------------------

    def _save(self, instrument_id: InstrumentId, live: _Execution | None) -> None:
        store = self.store
        if store is None:
            return
        value = b""
        if live is not None:
            saved = SavedExecution(
                state=live.state, goal=live.goal, reason=live.reason, decision_id=live.decision_id
            )
            value = msgspec.json.encode(saved)
        store.save(_name(instrument_id), value)


def _protects(order: Order) -> bool:
    return is_protective(order.client_order_id.value)


def _name(instrument_id: InstrumentId) -> str:
    return f"tactic.{instrument_id.value}"
