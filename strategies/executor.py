"""Hosts tactics: one execution an instrument, saved before what it asks for leaves.

Engine-specific. The tactic is a pure state machine (`strategies.tactics.maker_first`); this tells
it of the book, the clock and its order, and sends, cancels and saves for it. A strategy has one and
uses it through `DeskStrategy.execute`.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
from nautilus_trader.model.enums import OrderSide, TimeInForce
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
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId
from nautilus_trader.model.objects import Price, Quantity

from config.errors import DeskError
from strategies.messages import Executed
from strategies.order_tags import order_tags
from strategies.refusals import refusal_of
from strategies.tactics import steps
from strategies.tactics.maker_first import State, step
from strategies.tactics.pricing import ZERO, Terms

if TYPE_CHECKING:
    from strategies.base import DeskStrategy

TICK_NS = 10**9
"""How often executions hear that time has passed."""


class Saved(msgspec.Struct, frozen=True, kw_only=True):
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


class Executor:
    """The executions of one strategy.

    Parameters
    ----------
    strategy : DeskStrategy
        Whose orders it sends; its ``execution`` parameters hold for all.
    """

    def __init__(self, strategy: DeskStrategy) -> None:
        self._strategy = strategy
        self._rules = strategy.config.execution
        self._live: dict[InstrumentId, _Execution] = {}
        self._orders: dict[ClientOrderId, InstrumentId] = {}

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
            if left and not self._strategy.shrinks(instrument_id, left):
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
        now = self._strategy.clock.timestamp_ns()
        goal = self._strategy.holding(instrument_id) + quantity
        state = State(quantity=quantity, started=now)
        self._begin(instrument_id, state, goal, reason, steps.Clock(now))

    def resume(self, instrument_id: InstrumentId, goal: Decimal, reason: str) -> None:
        """Go on toward a position, from the state that a crash left, or anew when there is none.

        The position is what counts, not the fills that were heard: some may have come since.
        """
        saved = self.saved(instrument_id)
        left = goal - self._strategy.holding(instrument_id)
        if left == ZERO:
            self._save(instrument_id, None)
        elif saved is None or saved.goal != goal or saved.state.quantity * left < ZERO:
            self.start(instrument_id, left, reason)
        else:
            now = self._strategy.clock.timestamp_ns()
            resumed = steps.Resumed(now, left)
            self._begin(instrument_id, saved.state, goal, saved.reason, resumed, saved.decision_id)

    def saved(self, instrument_id: InstrumentId) -> Saved | None:
        """Return what the store knows of an execution that had not ended.

        Raises
        ------
        DeskError
            When it can't be read.
        """
        store = self._strategy.store
        raw = None if store is None else store.load(_name(instrument_id))
        if not raw:
            return None
        try:
            return msgspec.json.decode(raw, type=Saved)
        except msgspec.MsgspecError as error:
            raise DeskError(
                f"strategy {self._strategy.config.key}: its saved state {_name(instrument_id)!r} "
                f"can't be read ({error}); restore the journal from a backup, or move it aside"
            ) from error

    def forget(self, instrument_id: InstrumentId) -> None:
        """Drop what a crash left of an execution."""
        if self.saved(instrument_id) is not None:
            self._save(instrument_id, None)

    def stop(self, instruments: Container[str] | None = None) -> None:
        """Let executions go no further, all or those in some instruments."""
        now = self._strategy.clock.timestamp_ns()
        for instrument_id in list(self._live):
            if instruments is None or instrument_id.value in instruments:
                self._hear(instrument_id, steps.Stop(now))

    def _begin(
        self,
        instrument_id: InstrumentId,
        state: State,
        goal: Decimal,
        reason: str,
        first: steps.Event,
        decision_id: str | None = None,
    ) -> None:
        strategy = self._strategy
        decision = strategy.decision_id if decision_id is None else decision_id
        strategy.watch_touch(instrument_id)
        found, lot = strategy.instrument(instrument_id), strategy.lot(instrument_id)
        largest = found.max_quantity
        terms = Terms(
            tick=found.price_increment.as_decimal(),
            step=lot.step,
            min_quantity=lot.min_quantity,
            min_notional=lot.min_notional,
            max_quantity=None if largest is None else largest.as_decimal(),
            exits=strategy.shrinks(instrument_id, goal - strategy.holding(instrument_id)),
        )
        self._live[instrument_id] = _Execution(state, goal, reason, decision, terms)
        if self._timer not in strategy.clock.timer_names:
            strategy.clock.set_timer_ns(
                self._timer,
                interval_ns=TICK_NS,
                start_time_ns=strategy.clock.timestamp_ns(),
                stop_time_ns=0,
                callback=strategy.in_turn(self._on_timer),
            )
        self._hear(instrument_id, first)
        self._look(instrument_id, first.now)

    def _end(self, instrument_id: InstrumentId) -> None:
        ended = self._live.pop(instrument_id)
        for order_id in [key for key, owner in self._orders.items() if owner == instrument_id]:
            del self._orders[order_id]
        if not self._live:
            self.drop_timer()
        self._save(instrument_id, None)
        state, strategy = ended.state, self._strategy
        strategy.end_execution(
            Executed(
                strategy=strategy.config.key,
                instrument=instrument_id.value,
                ts=strategy.clock.timestamp_ns(),
                wanted=f"{state.quantity:f}",
                filled=f"{state.filled if state.buy else -state.filled:f}",
                notional=f"{ended.paid:f}",
                reprices=state.reprices,
                takes=state.takes,
                reason=state.ended or "",
            )
        )

    def drop_timer(self) -> None:
        """Hear of time no more, as at the strategy's stop."""
        if self._timer in self._strategy.clock.timer_names:
            self._strategy.clock.cancel_timer(self._timer)

    # What happens ------------------------------------------------------------------------------

    def on_touch(self, instrument_id: InstrumentId) -> None:
        """Hear that a book or a quote has changed."""
        if instrument_id in self._live:
            self._look(instrument_id, self._strategy.clock.timestamp_ns())

    def on_order_event(self, event: OrderEvent) -> None:
        """Hear what became of an order."""
        instrument_id = self._orders.get(event.client_order_id)
        if instrument_id is None:
            return
        live = self._live[instrument_id]
        current = event.client_order_id == live.order_id
        now = event.ts_init
        if isinstance(event, OrderFilled):
            quantity = event.last_qty.as_decimal()
            paid = quantity * event.last_px.as_decimal()
            live.paid += paid if event.order_side == OrderSide.BUY else -paid
            self._hear(instrument_id, steps.Filled(now, quantity, late=not current))
            self._strategy.on_execution_progress(instrument_id)
        elif not current:
            return
        elif isinstance(event, OrderAccepted):
            self._hear(instrument_id, steps.Accepted(now))
        elif isinstance(event, OrderCancelRejected):
            self._hear(instrument_id, steps.CancelRefused(now))
        elif isinstance(event, OrderCanceled | OrderExpired):
            live.order_id = None
            self._hear(instrument_id, steps.Ended(now))
        elif isinstance(event, OrderDenied | OrderRejected):
            live.order_id = None
            denied = isinstance(event, OrderDenied)
            post_only = not denied and event.due_post_only
            refusal = refusal_of(event.reason, denied=denied, post_only=post_only)
            self._hear(instrument_id, steps.Refused(now, refusal))

    def _on_timer(self, event: object) -> None:
        now = self._strategy.clock.timestamp_ns()
        for instrument_id in list(self._live):
            self._look(instrument_id, now, sizes=True)
            if instrument_id in self._live:
                self._hear(instrument_id, steps.Clock(now))

    def _look(self, instrument_id: InstrumentId, now: int, *, sizes: bool = False) -> None:
        """Show the execution the touch, if prices have changed, or ``sizes`` count as well."""
        live = self._live.get(instrument_id)
        touch = None if live is None else self._strategy.touch(instrument_id)
        if live is None or touch is None:
            return
        seen = live.state.touch
        if seen is None or (seen.bid, seen.ask) != (touch.bid, touch.ask) or sizes:
            self._hear(instrument_id, steps.Touched(now, touch))

    def _hear(self, instrument_id: InstrumentId, event: steps.Event) -> None:
        live = self._live[instrument_id]
        live.state, actions = step(live.state, event, self._rules, live.terms)
        for action in actions:
            if isinstance(action, steps.Done | steps.GiveUp):
                self._end(instrument_id)
                continue
            self._save(instrument_id, live)
            if isinstance(action, steps.Cancel):
                order = self._strategy.cache.order(live.order_id)
                if order is not None and not order.is_closed and not order.is_pending_cancel:
                    self._strategy.cancel_order(order)
            else:
                self._send(instrument_id, live, action)

    def _send(
        self,
        instrument_id: InstrumentId,
        live: _Execution,
        action: steps.PlacePostOnly | steps.PlaceIOC,
    ) -> None:
        strategy = self._strategy
        found = strategy.instrument(instrument_id)
        shrinks = strategy.shrinks(instrument_id, action.quantity)
        live.order_id = strategy.next_order_id()
        self._orders[live.order_id] = instrument_id
        takes = isinstance(action, steps.PlaceIOC)
        strategy.send(
            strategy.order_factory.limit(
                instrument_id,
                OrderSide.BUY if action.quantity > ZERO else OrderSide.SELL,
                Quantity(abs(action.quantity), found.size_precision),
                Price(action.price, found.price_precision),
                time_in_force=TimeInForce.IOC if takes else TimeInForce.GTC,
                post_only=not takes,
                reduce_only=shrinks and not strategy.is_spot(instrument_id),
                tags=order_tags(live.reason, live.decision_id),
                client_order_id=live.order_id,
            )
        )

    # What is kept ------------------------------------------------------------------------------

    def _save(self, instrument_id: InstrumentId, live: _Execution | None) -> None:
        store = self._strategy.store
        if store is None:
            return
        value = b""
        if live is not None:
            saved = Saved(
                state=live.state, goal=live.goal, reason=live.reason, decision_id=live.decision_id
            )
            value = msgspec.json.encode(saved)
        store.save(_name(instrument_id), value)

    @property
    def _timer(self) -> str:
        return f"tactic.{self._strategy.config.key}"


def _name(instrument_id: InstrumentId) -> str:
    return f"tactic.{instrument_id.value}"
