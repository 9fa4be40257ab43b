"""Broker of a strategy: runs tactics, sends orders, cancels them and waits until they are gone.

Engine-specific. It reports through callbacks and does not depend on the strategy. It runs tactics
(`strategies.tactics.tactic`), one execution an instrument at a time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec
from msgspec.structs import replace
from nautilus_trader.model.enums import OrderSide, TimeInForce
from nautilus_trader.model.events import (
    OrderAccepted,
    OrderCanceled,
    OrderCancelRejected,
    OrderDenied,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderInitialized,
    OrderRejected,
)
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.model.orders import Order

from strategies.desk_config import DeskStrategyConfig
from strategies.market_view import MarketView
from strategies.messages import Executed
from strategies.on_loop import on_loop
from strategies.order_sender import Engine, OrderSender
from strategies.order_tags import order_tags
from strategies.protector import Protector
from strategies.refusals import Refusal, refusal_of
from strategies.state import StateStore, decoded, unreadable
from strategies.tactics import tactic as protocol
from strategies.tactics.maker_first import MAKER_FIRST
from strategies.tactics.pricing import ZERO, Terms, TopOfBook
from strategies.tactics.tactic import Tactic, TacticState

CANCEL_PATIENCE_NS = 60 * 10**9
"""How long cancels may take; the engine itself queries one that has no answer in 5 s."""
_CANCEL_AGAIN_NS = 10**9
OVERTAKEN = "the position reached the goal without it"
"""Why an execution ended whose rest others traded."""


class SavedExecution[S: TacticState](msgspec.Struct, frozen=True, kw_only=True):
    """Saved state of an execution, stored under ``tactic.<instrument id>``.

    ``goal`` is the position to reach, signed base coin: after a crash the distance to it is traded.
    ``reason`` is for the orders' tags. ``decision_id`` is empty without a decision. ``exits`` says
    that it is an exit, and stays one. Older journals have no ``tactic``: they know maker_first
    alone.
    """

    state: S
    goal: Decimal
    reason: str
    decision_id: str = ""
    exits: bool = False
    tactic: str = MAKER_FIRST.name


class _SavedName(msgspec.Struct):
    tactic: str = MAKER_FIRST.name


@dataclass(slots=True)
class _Execution:
    """``wanted`` is what it may trade, signed, and ``traded`` what it has, unsigned base coin.

    ``out`` has the quantities that the tactic ordered by orders that have not ended, ``refused``
    the names of orders that were not sent, for a report.
    """

    tactic: Tactic[Any, Any]
    state: TacticState
    goal: Decimal
    reason: str
    decision_id: str
    terms: Terms
    exits: bool
    wanted: Decimal
    orders: dict[str, ClientOrderId] = field(default_factory=dict)
    out: dict[ClientOrderId, Decimal] = field(default_factory=dict)
    refused: dict[str, Refusal] = field(default_factory=dict)
    traded: Decimal = ZERO
    seen: TopOfBook | None = None
    paid: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class BrokerEvents:
    """Callbacks of a broker.

    ``order_ended``: an order was filled, cancelled or refused. ``progressed``: part of an execution
    was filled. ``executed``: an execution ended, fully traded or not. ``stopping``: tactics are
    about to be stopped, all (None) or those in some instruments; orders that were to follow must
    not be sent. ``stopped_out``: others than the strategy's own exits closed a protected position.
    """

    order_ended: Callable[[], None]
    progressed: Callable[[InstrumentId], None]
    executed: Callable[[Executed], None]
    stopping: Callable[[Container[str] | None], None]
    stopped_out: Callable[[InstrumentId], None] = lambda instrument_id: None


@dataclass(slots=True)
class _Wait:
    then: Callable[[], None]
    or_else: Callable[[], None]
    instruments: Container[str] | None
    until: int
    cancelling: bool = True


class Broker(OrderSender):
    """Orders and executions of one strategy.

    ``store`` keeps executions so that a restart continues them; None keeps nothing.
    """

    def __init__(
        self, engine: Engine, market: MarketView, config: DeskStrategyConfig, events: BrokerEvents
    ) -> None:
        super().__init__(engine, market, config)
        self._events = events
        self._tactics: dict[str, tuple[Tactic[Any, Any], Any]] = {}
        self._live: dict[InstrumentId, _Execution] = {}
        self._executions: dict[ClientOrderId, tuple[InstrumentId, str]] = {}
        self._wait: _Wait | None = None
        self._clear_timer = f"clear.{config.key}"
        self.store: StateStore | None = None
        pace = config.execution.pace_ns
        self.host(dataclasses.replace(MAKER_FIRST, timer_ns=pace), config.execution)
        self.protector = (
            None
            if config.protection is None
            else Protector(
                self,
                market,
                config.protection,
                clock=lambda: engine.clock,
                stopped_out=self._on_stopped_out,
            )
        )

    @property
    def trading(self) -> bool:
        """Whether an order, a tactic or a wait for cancels is under way."""
        return bool(self._own or self._live) or self.clearing

    @property
    def protecting(self) -> bool:
        """Whether a protective order waits for the venue's answer."""
        resting = self.protective_orders()
        return any(not order.is_open or order.is_pending_cancel for order in resting)

    def on_order_event(self, event: OrderEvent) -> None:
        """Update orders and executions from an order event."""
        if isinstance(event, OrderInitialized):
            return  # It has yet to leave, and must not wait.
        is_own = event.client_order_id in self._own
        ended = self._track(event)
        if self.protector is not None:
            self.protector.on_order_event(event)
        if event.client_order_id in self._executions:
            self._report_to_tactic(event)
        elif isinstance(event, OrderFilled):
            # By a stop, or by hand: less may be left to trade.
            if not is_own:
                self._shrink_waiting(event)
            if event.instrument_id in self._live:
                # Not the fill's time: it may be of before the order that it makes too large.
                now = self._engine.clock.timestamp_ns()
                self._step(event.instrument_id, protocol.TimePassed(now))
        if ended:
            self._check_clear()
            self._events.order_ended()

    def _on_stopped_out(self, instrument_id: InstrumentId) -> None:
        """Stop what would open a position again that a stop has just closed."""
        self._events.stopped_out(instrument_id)
        self.stop({instrument_id.value})
        self.cancel_all({instrument_id.value})
        # One that a crash interrupted, or interrupts now, must not be resumed.
        self._save(instrument_id, None)

    def buys_back(self, instrument_id: InstrumentId, quantity: Decimal) -> bool:
        """Whether a signed quantity would open again what a take-profit has closed."""
        protector = self.protector
        enlarges = self._market.holding(instrument_id) * quantity > ZERO
        return enlarges and protector is not None and protector.has_taken(instrument_id)

    def _attached_stop(self, order: Order) -> dict[str, str] | None:
        if self.protector is None or not self._config.claims or not self.is_entry(order):
            return None
        return self.protector.attached_stop(order)

    # Cancel and wait ---------------------------------------------------------------------------
    # Live, an order may still fill until its cancel is answered: a size taken from the position
    # before would be wrong by that fill.

    @property
    def clearing(self) -> bool:
        """Whether it is waiting until own orders are gone (see `when_clear`)."""
        return self._wait is not None

    def when_clear(
        self,
        then: Callable[[], None],
        *,
        or_else: Callable[[], None],
        instruments: Container[str] | None = None,
    ) -> None:
        """Cancel open orders, all or in some instruments, and continue when they are gone.

        ``then`` is called when none of the orders is left. In the simulated engine that is at once,
        unless one rests on a book; live, it is when the exchange has answered. ``or_else`` is
        called instead when cancels are not answered in a minute. A second call replaces a wait
        under way. ``instruments`` are ids.
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

    def host[S: TacticState, R](self, tactic: Tactic[S, R], rules: R) -> None:
        """Register a tactic and its parameters; call it before `resume`, which may need it."""
        self._tactics[tactic.name] = (tactic, rules)

    @property
    def takes_at_once(self) -> bool:
        """Whether orders go to market at once: by the document, or without best prices."""
        return self._config.execution.tactic == "taker" or not self._market.sees_top_of_book

    def execute(self, instrument_id: InstrumentId, quantity: Decimal, reason: str) -> None:
        """Trade a signed quantity of base coin by the document's tactic.

        Raises
        ------
        ValueError
            If it is less than a lot, or an execution is under way in the instrument (see `stop`).
        """
        left, refusal = self._asked(instrument_id, quantity)
        if refusal is not None:
            self._refuse(instrument_id, quantity, refusal, by_tactic=not self.takes_at_once)
        elif self.takes_at_once or self._is_absurd(instrument_id, left):
            self._send_market(instrument_id, left, reason)
        else:
            self._start(instrument_id, left, reason)

    @property
    def executes(self) -> bool:
        """Whether an execution is under way; a book may change thousands of times a second."""
        return bool(self._live)

    @property
    def live(self) -> tuple[InstrumentId, ...]:
        """Instruments with an execution under way."""
        return tuple(self._live)

    def traded(self, instrument_id: InstrumentId) -> Decimal:
        """Return the money paid (positive) or received by the execution, settlement currency."""
        return self._live[instrument_id].paid

    def entering(self) -> set[str]:
        """Return ids of instruments in which the rest of an execution enlarges a position."""
        found = set()
        for instrument_id, live in self._live.items():
            state = live.state
            left = state.left if state.buy else -state.left
            if left and not (live.exits or self._market.shrinks(instrument_id, left)):
                found.add(instrument_id.value)
        return found

    def leaving(self, instrument_id: InstrumentId) -> Decimal:
        """Return what an exit under way is still to close, unsigned base coin."""
        live, held = self._live.get(instrument_id), self._market.holding(instrument_id)
        if live is None or not live.exits:
            return ZERO
        return max(held - live.goal if held > ZERO else live.goal - held, ZERO)

    def start(
        self,
        instrument_id: InstrumentId,
        quantity: Decimal,
        reason: str,
        *,
        tactic: str = MAKER_FIRST.name,
    ) -> None:
        """Start to trade a signed quantity by a registered tactic, or what verdicts leave of it.

        Raises
        ------
        ValueError
            If it is less than a lot, or one is under way in the instrument: two would trade against
            each other's position.
        """
        left, refusal = self._asked(instrument_id, quantity)
        if refusal is None:
            self._start(instrument_id, left, reason, tactic)
        else:
            self._refuse(instrument_id, quantity, refusal, by_tactic=True)

    def _refuse(
        self, instrument_id: InstrumentId, quantity: Decimal, refusal: Refusal, *, by_tactic: bool
    ) -> None:
        def end() -> None:
            self._events.executed(
                Executed(
                    strategy=self._config.key,
                    instrument=instrument_id.value,
                    ts=self._engine.clock.timestamp_ns(),
                    wanted=f"{quantity:f}",
                    filled="0",
                    notional="0",
                    reprices=0,
                    takes=0,
                    reason=str(refusal),
                )
            )

        if by_tactic:
            self._report_soon(end)
        self._deny(instrument_id, refusal)

    def _start(
        self,
        instrument_id: InstrumentId,
        quantity: Decimal,
        reason: str,
        tactic: str = MAKER_FIRST.name,
    ) -> None:
        if instrument_id in self._live:
            raise ValueError(f"an execution in {instrument_id} is under way: stop it first")
        now = self._engine.clock.timestamp_ns()
        found, _ = self._tactics[tactic]
        execution = self._execution(
            instrument_id,
            found,
            found.state(quantity=quantity, started=now),
            self._market.holding(instrument_id) + quantity,
            reason,
            self._decision(),
        )
        self._begin(instrument_id, execution, protocol.TimePassed(now))

    def resume(self, instrument_id: InstrumentId, goal: Decimal, reason: str) -> None:
        """Continue toward a position from the saved state, or start anew without one.

        The quantity comes from the position, not from the fills seen: some may be newer. An exit
        whose goal others have passed is over.
        """
        saved = self.saved(instrument_id)
        left = goal - self._market.holding(instrument_id)
        if saved is not None and saved.goal != goal:
            saved = None
        turned = saved is not None and saved.state.quantity * left < ZERO
        if left == ZERO or (saved is not None and saved.exits and turned):
            self._save(instrument_id, None)
        elif saved is None or turned:
            self._start(instrument_id, left, reason)
        else:
            found, _ = self._tactics[saved.tactic]
            state = replace(saved.state, dropped=ZERO)
            execution = self._execution(
                instrument_id, found, state, goal, saved.reason, saved.decision_id
            )
            resumed = protocol.Resumed(self._engine.clock.timestamp_ns(), left)
            self._begin(instrument_id, execution, resumed)

    def saved(self, instrument_id: InstrumentId) -> SavedExecution[Any] | None:
        """Return the saved execution that had not ended, None without one.

        Raises
        ------
        DeskError
            When it can't be read, or its tactic is not registered.
        """
        name = _name(instrument_id)
        known = self.load_state(name, _SavedName)
        if known is None:
            return None
        if known.tactic not in self._tactics:
            raise unreadable(self._config.key, name, f"there is no tactic {known.tactic!r}")
        state: Any = self._tactics[known.tactic][0].state
        return self.load_state(name, SavedExecution[state])

    def load_state[T](self, name: str, kind: type[T]) -> T | None:
        """Return a state that the strategy saved, None without one or without a store.

        Raises DeskError when it can't be read.
        """
        raw = None if self.store is None else self.store.load(name)
        return decoded(raw, kind, self._config.key, name)

    def save_state(self, name: str, state: msgspec.Struct | None) -> None:
        """Save a state that must survive a crash, before what follows from it; None deletes it."""
        if self.store is not None:
            self.store.save(name, b"" if state is None else msgspec.json.encode(state))

    def forget(self, instrument_id: InstrumentId) -> None:
        """Delete the saved execution of an instrument."""
        if self.saved(instrument_id) is not None:
            self._save(instrument_id, None)

    def stop(self, instruments: Container[str] | None = None) -> None:
        """Stop executions, all or in some instruments, and cancel their orders."""
        self._events.stopping(instruments)
        now = self._engine.clock.timestamp_ns()
        for instrument_id in list(self._live):
            if instruments is None or instrument_id.value in instruments:
                self._step(instrument_id, protocol.Stop(now))

    def _execution(
        self,
        instrument_id: InstrumentId,
        tactic: Tactic[Any, Any],
        state: TacticState,
        goal: Decimal,
        reason: str,
        decision_id: str,
    ) -> _Execution:
        market = self._market
        left = goal - market.holding(instrument_id)
        exits = market.shrinks(instrument_id, left)
        terms = market.terms(instrument_id, exits=exits)
        return _Execution(tactic, state, goal, reason, decision_id, terms, exits, left)

    def _begin(
        self, instrument_id: InstrumentId, execution: _Execution, first: protocol.Event
    ) -> None:
        clock, pace = self._engine.clock, execution.tactic.timer_ns
        self._market.watch(instrument_id)
        self._live[instrument_id] = execution
        if self._timer_name(pace) not in clock.timer_names:
            clock.set_timer_ns(
                self._timer_name(pace),
                interval_ns=pace,
                start_time_ns=clock.timestamp_ns(),
                stop_time_ns=0,
                callback=on_loop(clock, lambda _: self._on_tactic_timer(pace)),
            )
        if execution.exits and self.protector is not None:
            self.protector.tidy(instrument_id)
            if self._live.get(instrument_id) is not execution:
                # It leaves the position at market, as after a time stop, and has stopped this one.
                return
        self._step(instrument_id, first)
        self._show_book(instrument_id, first.now)

    def _timer_name(self, pace_ns: int) -> str:
        return f"tactic.{self._config.key}.{pace_ns}"

    def _end(self, instrument_id: InstrumentId) -> None:
        ended = self._live.pop(instrument_id)
        for name in [n for n, (where, _) in self._executions.items() if where == instrument_id]:
            del self._executions[name]
        clock, pace = self._engine.clock, ended.tactic.timer_ns
        timer = self._timer_name(pace)
        paces = {live.tactic.timer_ns for live in self._live.values()}
        if pace not in paces and timer in clock.timer_names:
            clock.cancel_timer(timer)
        self._save(instrument_id, None)
        if ended.exits and self.protector is not None:
            self.protector.tidy(instrument_id)
        state = ended.state
        self._events.executed(
            Executed(
                strategy=self._config.key,
                instrument=instrument_id.value,
                ts=clock.timestamp_ns(),
                wanted=f"{state.quantity:f}",
                filled=f"{state.filled_signed:f}",
                notional=f"{ended.paid:f}",
                reprices=state.reprices,
                takes=state.takes,
                reason=state.ended or (OVERTAKEN if state.dropped else ""),
            )
        )

    # Events ------------------------------------------------------------------------------------

    def on_top_of_book(self, instrument_id: InstrumentId) -> None:
        """Report a new quote or book to the tactics."""
        if instrument_id in self._live:
            self._show_book(instrument_id, self._engine.clock.timestamp_ns())

    def _report_to_tactic(self, event: OrderEvent) -> None:
        instrument_id, name = self._executions[event.client_order_id]
        now, live = event.ts_init, self._live[instrument_id]
        order = self._engine.cache.order(event.client_order_id)
        asked = live.out.get(event.client_order_id, ZERO)
        if order is not None and order.is_closed:
            live.out.pop(event.client_order_id, None)
        if isinstance(event, OrderFilled):
            quantity = event.last_qty.as_decimal()
            live.traded += quantity
            paid = quantity * event.last_px.as_decimal()
            live.paid += paid if event.order_side == OrderSide.BUY else -paid
            self._step(instrument_id, protocol.Filled(now, name, quantity))
            self._events.progressed(instrument_id)
            # The venue cuts what is reduce-only to what other such orders leave, and then fills it.
            cut = order is not None and order.is_closed and order.quantity.as_decimal() < asked
            if cut and event.client_order_id in self._executions:
                self._step(instrument_id, protocol.Ended(now, name))
        elif isinstance(event, OrderAccepted):
            # The engine asks for an order whose cancel has no answer, and reports it as accepted.
            is_lost = self._lost_cancel(event.client_order_id, self._engine.clock.timestamp_ns())
            report = protocol.CancelRefused if is_lost else protocol.Accepted
            self._step(instrument_id, report(now, name))
        elif isinstance(event, OrderCancelRejected):
            self._step(instrument_id, protocol.CancelRefused(now, name))
        elif isinstance(event, OrderCanceled | OrderExpired):
            self._step(instrument_id, protocol.Ended(now, name))
        elif isinstance(event, OrderDenied | OrderRejected):
            denied = isinstance(event, OrderDenied)
            post_only = not denied and event.due_post_only
            refusal = refusal_of(event.reason, denied=denied, post_only=post_only)
            self._step(instrument_id, protocol.Refused(now, name, refusal))

    def _on_tactic_timer(self, pace_ns: int) -> None:
        now = self._engine.clock.timestamp_ns()
        for instrument_id, live in list(self._live.items()):
            if live.tactic.timer_ns != pace_ns or self._live.get(instrument_id) is not live:
                continue
            self._show_book(instrument_id, now, sizes=True)
            refused = [protocol.Refused(now, *found) for found in live.refused.items()]
            live.refused = {}
            for event in (*refused, protocol.TimePassed(now)):
                if self._live.get(instrument_id) is live:
                    self._step(instrument_id, event)

    def _show_book(self, instrument_id: InstrumentId, now: int, *, sizes: bool = False) -> None:
        live = self._live.get(instrument_id)
        top = None if live is None else self._market.top_of_book(instrument_id)
        if live is None or top is None:
            return
        seen = live.seen
        if seen is None or (seen.bid, seen.ask) != (top.bid, top.ask) or sizes:
            if live.exits and self.protector is not None and self.protector.crowds(instrument_id):
                return
            live.seen = top
            self._step(instrument_id, protocol.BookChanged(now, top))

    def _step(self, instrument_id: InstrumentId, event: protocol.Event) -> None:
        live = self._live[instrument_id]
        _, rules = self._tactics[live.tactic.name]
        if not isinstance(event, protocol.Resumed):
            live.state = self._within_goal(instrument_id, live, event)
        live.state, actions = live.tactic.step(live.state, event, rules, live.terms)
        for action in actions:
            if self._live.get(instrument_id) is not live:
                # An order of the same step was refused at once, which ended the tactic.
                return
            if isinstance(action, protocol.Done | protocol.GiveUp):
                self._end(instrument_id)
                continue
            self._save(instrument_id, live)
            if isinstance(action, protocol.Cancel):
                order = self._engine.cache.order(live.orders[action.order])
                if order is not None and not order.is_closed:
                    self.cancel(order)
            else:
                self._place(instrument_id, live, action)

    def _within_goal(
        self, instrument_id: InstrumentId, live: _Execution, event: protocol.Event
    ) -> TacticState:
        """Return the state with no more left than lies between what is held now and the goal."""
        state = live.state
        to_goal = live.goal - self._market.holding(instrument_id)
        filled = state.filled
        if isinstance(event, protocol.Filled):
            filled += event.quantity
        left = abs(state.quantity) - filled
        dropped = max(left - max(to_goal if state.buy else -to_goal, ZERO), ZERO)
        return state if dropped == state.dropped else replace(state, dropped=dropped)

    def _room(self, live: _Execution) -> Decimal:
        """Return what an execution may still order, unsigned: not what is out or was traded."""
        out = [(asked, self._engine.cache.order(name)) for name, asked in live.out.items()]
        left = [asked if o is None else o.leaves_qty.as_decimal() for asked, o in out]
        return max(abs(live.wanted) - live.traded - sum(left, ZERO), ZERO)

    def _place(self, instrument_id: InstrumentId, live: _Execution, action: protocol.Place) -> None:
        market, takes = self._market, isinstance(action, protocol.PlaceIOC)
        found, asked, room = market.instrument(instrument_id), action.quantity, self._room(live)
        size = min(asked.copy_sign(asked * live.wanted), room)
        if size < abs(asked):
            text = (
                f"{instrument_id}: the tactic {live.tactic.name} orders {asked:f}, and "
                f"{room:f} of {live.wanted:f} is left to it"
            )
            self._engine.log.error(text)
            if size <= ZERO:
                # With the timer: at once, a tactic that repeats it would not come to an end.
                live.refused[action.order] = Refusal(code="gate", text=text)
                return
        shrinks = live.exits or market.shrinks(instrument_id, asked)
        name = live.orders[action.order] = self.next_order_id()
        self._executions[name] = (instrument_id, action.order)
        live.out[name] = abs(asked)
        self._submit(
            self._engine.order_factory.limit(
                instrument_id,
                OrderSide.BUY if action.quantity > ZERO else OrderSide.SELL,
                Quantity(size, found.size_precision),
                Price(action.price, found.price_precision),
                time_in_force=TimeInForce.IOC if takes else TimeInForce.GTC,
                post_only=not takes,
                reduce_only=shrinks and not market.is_spot(instrument_id),
                tags=order_tags(live.reason, live.decision_id, "exit" if shrinks else "entry"),
                client_order_id=name,
            )
        )

    def _save(self, instrument_id: InstrumentId, live: _Execution | None) -> None:
        saved = None
        if live is not None and self.store is not None:
            saved = SavedExecution(
                state=live.state,
                goal=live.goal,
                reason=live.reason,
                decision_id=live.decision_id,
                tactic=live.tactic.name,
                exits=live.exits,
            )
        self.save_state(_name(instrument_id), saved)


def _name(instrument_id: InstrumentId) -> str:
    return f"tactic.{instrument_id.value}"
