"""Maker first: rest near the touch, follow it a few times, take what is left at a deadline.

A pure state machine, (state, event) -> (state, actions). Its host (`strategies.broker`) sends
what it asks for, saves the state before that leaves, and tells it what came of it. At most one
order is out at a time: following is cancel, wait for the answer, place anew, as an amended order
loses its place in the queue anyway and a lost answer to an amend leaves two prices possible.

    no touch ──Touched──> resting ──follow──> cancelling ──Ended──> resting
                             └──deadline──> cancelling ──Ended──> taking ──> Done | GiveUp
"""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec.structs import replace

from config.durations import duration_ns
from strategies.tactics import steps
from strategies.tactics.execution import Execution
from strategies.tactics.pricing import (
    ZERO,
    Terms,
    Touch,
    portion,
    resting_price,
    stands_at_touch,
    worst_price,
)

PAUSE_NS = 10**9
"""Before it tries again what was refused or came to nothing."""
GRACE_NS = 10 * 10**9
"""After the deadline it takes for so long at most, as often as … """
MAX_TAKES = 3
MAX_BUSY = 5
"""How often a venue that is too busy for an order is asked again."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """The order that is out: unsigned quantities, and when it was sent (UNIX nanoseconds)."""

    quantity: Decimal
    price: Decimal
    sent: int
    takes: bool
    filled: Decimal = ZERO
    accepted: bool = False
    cancelling: bool = False


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Where one execution stands.

    Parameters
    ----------
    quantity : Decimal
        Wanted, signed.
    started : int
        When, UNIX nanoseconds (UTC).
    filled : Decimal
        Traded so far, unsigned.
    touch, arrival : Touch, Decimal or None
        Newest best prices, and the mid when the first ones were seen.
    order : Order or None
        What is out.
    reprices, takes, busy : int
        How often it followed or would have crossed, took, and was turned away.
    spent : bool
        Whether it rests no more before the deadline.
    not_before : int
        It sends nothing earlier than this.
    stopping : bool
        Whether it was told to stop.
    ended : str or None
        None while it goes on; then why something is left, empty when nothing is.
    """

    quantity: Decimal
    started: int
    filled: Decimal = ZERO
    touch: Touch | None = None
    arrival: Decimal | None = None
    order: Order | None = None
    reprices: int = 0
    takes: int = 0
    busy: int = 0
    spent: bool = False
    not_before: int = 0
    stopping: bool = False
    ended: str | None = None

    @property
    def buy(self) -> bool:
        """Whether it buys."""
        return self.quantity > ZERO

    @property
    def left(self) -> Decimal:
        """What is left to be traded, unsigned."""
        return abs(self.quantity) - self.filled


Result = tuple[State, tuple[steps.Action, ...]]


def step(state: State, event: steps.Event, rules: Execution, terms: Terms) -> Result:
    """Return the state after an event and what is to be done, in this order.

    Parameters
    ----------
    state : State
        As it was; a new execution begins as ``State(quantity=…, started=…)``.
    event : Event
        What happened.
    rules : Execution
        The document's parameters.
    terms : Terms
        The exchange's rules for the instrument.
    """
    if state.ended is not None:
        return state, ()
    heard = _hear(state, event, rules)
    if heard.ended is not None:
        return heard, (steps.GiveUp(heard.ended),)
    if heard.order is not None:
        return _watch(heard, heard.order, event.now, rules, terms)
    return _send(heard, event.now, rules, terms)


def _hear(state: State, event: steps.Event, rules: Execution) -> State:
    order = state.order
    match event:
        case steps.Touched():
            arrival = event.touch.mid if state.arrival is None else state.arrival
            return replace(state, touch=event.touch, arrival=arrival)
        case steps.Filled():
            if order is not None and not event.late:
                order = replace(order, filled=order.filled + event.quantity, accepted=True)
                if order.filled >= order.quantity:
                    order = None
            return replace(state, filled=state.filled + event.quantity, order=order)
        case steps.Stop():
            return replace(state, stopping=True)
        case steps.Resumed():
            return _resume(state, event, rules)
        case _ if order is None:
            return state
        case steps.Accepted():
            return replace(state, order=replace(order, accepted=True))
        case steps.CancelRefused():
            again = event.now + PAUSE_NS
            return replace(state, order=replace(order, cancelling=False), not_before=again)
        case steps.Ended():
            if order.cancelling:
                return replace(state, order=None)
            # Nobody here asked for it: an IOC that found nothing, or somebody else's cancel.
            state = replace(state, order=None, not_before=event.now + PAUSE_NS)
            return state if order.takes else _followed(state, rules)
        case steps.Refused():
            return _refused(replace(state, order=None), event, rules, taking=order.takes)
    return state


def _resume(state: State, event: steps.Resumed, rules: Execution) -> State:
    if event.now >= state.started + duration_ns(rules.deadline):
        # The market of the arrival is long gone: whoever slept past the deadline starts over.
        return State(quantity=event.left, started=event.now)
    return replace(state, quantity=event.left, filled=ZERO, order=None, touch=None, stopping=False)


def _refused(state: State, event: steps.Refused, rules: Execution, *, taking: bool) -> State:
    state = replace(state, not_before=event.now + PAUSE_NS)
    match event.refusal.code:
        case "post_only":
            return _followed(state, rules)
        case "nothing_to_take" if taking:
            return state
        case "busy" if state.busy < MAX_BUSY:
            return replace(state, busy=state.busy + 1)
    return replace(state, ended=f"refused: {event.refusal.words}")


def _followed(state: State, rules: Execution) -> State:
    """Count one more placing, or end the resting when there have been enough."""
    if state.reprices >= rules.max_reprices:
        return replace(state, spent=True)
    return replace(state, reprices=state.reprices + 1)


def _watch(state: State, order: Order, now: int, rules: Execution, terms: Terms) -> Result:
    """Take the order back when it has to go, or to follow the market."""
    if order.cancelling or order.takes or now < state.not_before:
        return state, ()
    due = now >= state.started + duration_ns(rules.deadline)
    too_large = order.quantity - order.filled > state.left
    if not (state.stopping or due or too_large):
        enough = state.reprices >= rules.max_reprices
        if enough or not order.accepted or not _should_follow(state, order, now, rules, terms):
            return state, ()
        state = _followed(state, rules)
    return replace(state, order=replace(order, cancelling=True)), (steps.Cancel(),)


def _should_follow(state: State, order: Order, now: int, rules: Execution, terms: Terms) -> bool:
    if state.touch is None or stands_at_touch(state.buy, order.price, state.touch):
        return False
    wanted = resting_price(state.buy, state.touch, terms.tick, rules.place, rules.ticks)
    if wanted == order.price:
        return False
    rested = now - order.sent
    moved = abs(wanted - order.price) >= order.price * Decimal(repr(rules.move_bps)) / 10_000
    return rested >= duration_ns(rules.least_rest if moved else rules.reprice_every)


def _send(state: State, now: int, rules: Execution, terms: Terms) -> Result:
    """Decide what to do while no order is out."""
    if state.left <= ZERO:
        return replace(state, ended=""), (steps.Done(),)
    if state.stopping:
        return _give_up(state, "stopped")
    deadline = state.started + duration_ns(rules.deadline)
    if now >= deadline + GRACE_NS:
        return _give_up(state, _why_nothing(state, rules))
    if now >= deadline and rules.at_deadline == "give_up":
        return _give_up(state, "not filled by the deadline")
    touch, buy = state.touch, state.buy
    if now < state.not_before or touch is None:
        return state, ()
    if now >= deadline:
        if state.takes >= MAX_TAKES:
            return _give_up(state, _why_nothing(state, rules))
        price = _worst(state, touch, rules, terms)
        other = touch.best(not buy)
        if (price < other) if buy else (price > other):
            return state, ()
        size = portion(state.left, price, None, terms)
        make: type[steps.PlaceIOC | steps.PlacePostOnly] = steps.PlaceIOC
        state = replace(state, takes=state.takes + 1)
    elif state.spent:
        return state, ()
    else:
        price = resting_price(buy, touch, terms.tick, rules.place, rules.ticks)
        most = None
        if rules.participation is not None:
            most = Decimal(repr(rules.participation)) * touch.size(buy)
        size = portion(state.left, price, most, terms)
        make = steps.PlacePostOnly
    if size == ZERO:
        return _give_up(state, f"{state.left:f} is left, below the exchange's minimum")
    order = Order(quantity=size, price=price, sent=now, takes=make is steps.PlaceIOC)
    return replace(state, order=order), (make(size if buy else -size, price),)


def _worst(state: State, touch: Touch, rules: Execution, terms: Terms) -> Decimal:
    reference = touch.best(not state.buy)
    if rules.slippage_from == "arrival":
        assert state.arrival is not None
        reference = state.arrival
    return worst_price(state.buy, reference, rules.max_slippage_bps, terms.tick)


def _why_nothing(state: State, rules: Execution) -> str:
    if state.touch is None:
        return "no best bid and ask were seen"
    return (
        f"not filled by the deadline, nor then within {rules.max_slippage_bps:g} bps of the "
        f"{rules.slippage_from}"
    )


def _give_up(state: State, reason: str) -> Result:
    return replace(state, ended=reason), (steps.GiveUp(reason),)
