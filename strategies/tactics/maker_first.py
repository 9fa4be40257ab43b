"""Maker first: rest near the touch, follow it a few times, take what is left at a deadline.

A tactic (see `strategies.tactics.tactic`) with at most one order out at a time. To follow, it
cancels, waits for the answer and places a new order: an amended order loses its place in the queue
anyway, and after a lost answer to an amend two prices are possible.

    no book ──BookChanged──> resting ──follow──> cancelling ──Ended──> resting
                                └──deadline──> cancelling ──Ended──> taking ──> Done | GiveUp

An order that still waits for its turn to leave is cancelled by a refusal, ``withdrawn``, in place
of Ended. When others move the position so that less is left, an order too large is cancelled.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec.structs import replace

from config.durations import duration_ns
from strategies.tactics.execution import Execution
from strategies.tactics.pricing import (
    ZERO,
    Terms,
    TopOfBook,
    portion,
    resting_price,
    stands_at_best,
    worst_price,
)
from strategies.tactics.tactic import (
    Accepted,
    Action,
    BookChanged,
    Cancel,
    CancelRefused,
    Done,
    Ended,
    Event,
    Filled,
    GiveUp,
    OrderReport,
    PlaceIOC,
    PlacePostOnly,
    Refused,
    Resumed,
    Stop,
    Tactic,
    TacticState,
)

GRACE_NS = 10 * 10**9
"""Longest time for taking orders after the deadline, at most `MAX_TAKES` of them."""
MAX_TAKES = 3
MAX_BUSY = 5
"""How often it tries again when the venue is too busy."""


class WorkingOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Open order: unsigned quantities, and when it was sent (UNIX nanoseconds)."""

    name: str = ""
    quantity: Decimal
    price: Decimal
    sent: int
    takes: bool
    filled: Decimal = ZERO
    accepted: bool = False
    cancelling: bool = False


class MakerFirstState(TacticState, frozen=True, kw_only=True):
    """State of one execution.

    ``arrival`` is the mid when the first best prices came. ``placed`` counts its orders, ``busy``
    how often the venue was too busy for one. ``rested`` means that an order was in the market,
    ``spent`` that none rests any more before the deadline. It sends nothing before ``not_before``.
    """

    top: TopOfBook | None = None
    arrival: Decimal | None = None
    order: WorkingOrder | None = None
    placed: int = 0
    busy: int = 0
    rested: bool = False
    spent: bool = False
    not_before: int = 0
    stopping: bool = False


Result = tuple[MakerFirstState, tuple[Action, ...]]


def work_maker_first(
    state: MakerFirstState, event: Event, rules: Execution, terms: Terms
) -> Result:
    """Return the state after an event, and the actions in their order."""
    if state.ended is not None:
        return state, ()
    order = state.order
    if isinstance(event, OrderReport) and (order is None or event.order != order.name):
        if not isinstance(event, Filled):
            return state, ()
        order = None
    after = _after(state, order, event, rules)
    if after.ended is not None:
        return after, (GiveUp(after.ended),)
    if after.order is not None:
        return _watch(after, after.order, event.now, rules, terms)
    return _send(after, event.now, rules, terms)


def _after(
    state: MakerFirstState, order: WorkingOrder | None, event: Event, rules: Execution
) -> MakerFirstState:
    match event:
        case BookChanged():
            arrival = event.top.mid if state.arrival is None else state.arrival
            return replace(state, top=event.top, arrival=arrival)
        case Filled():
            state = replace(state, filled=state.filled + event.quantity)
            if order is None:
                return state
            order = replace(order, filled=order.filled + event.quantity, accepted=True)
            if order.filled < order.quantity:
                return replace(state, order=order)
            return _freed(state, event.now, rules)
        case Stop():
            return replace(state, stopping=True)
        case Resumed():
            return _resume(state, event, rules)
        case _ if order is None:
            return state
        case Accepted():
            return replace(state, rested=True, order=replace(order, accepted=True))
        case CancelRefused():
            again = event.now + rules.pace_ns
            return replace(state, order=replace(order, cancelling=False), not_before=again)
        case Ended():
            if order.cancelling:
                return _freed(state, event.now, rules)
            # Not cancelled here: an IOC that found nothing, or another one's cancel.
            state = replace(state, order=None, not_before=event.now + rules.pace_ns)
            return state if order.takes else _followed(state, rules)
        case Refused() if event.refusal.code == "withdrawn" and order.cancelling:
            # It never left. Who doesn't take at the deadline may rest for all of it from then on.
            if rules.at_deadline == "give_up" and not state.rested:
                state = replace(state, started=event.now)
            return _freed(state, event.now, rules)
        case Refused():
            return _refused(replace(state, order=None), event, rules, taking=order.takes)
    return state


def _freed(state: MakerFirstState, now: int, rules: Execution) -> MakerFirstState:
    # An answer that was late is no reason to give up: the time for taking begins with it.
    deadline = duration_ns(rules.deadline)
    if not state.takes and now >= state.started + deadline + GRACE_NS:
        state = replace(state, started=now - deadline)
    return replace(state, order=None)


def _resume(state: MakerFirstState, event: Resumed, rules: Execution) -> MakerFirstState:
    if event.now >= state.started + duration_ns(rules.deadline):
        # After a stop longer than the deadline the arrival price is outdated: start over.
        return MakerFirstState(quantity=event.left, started=event.now, placed=state.placed)
    return replace(state, quantity=event.left, filled=ZERO, order=None, top=None, stopping=False)


def _refused(
    state: MakerFirstState, event: Refused, rules: Execution, *, taking: bool
) -> MakerFirstState:
    state = replace(state, not_before=event.now + rules.pace_ns)
    match event.refusal.code:
        case "post_only":
            return _followed(state, rules)
        case "nothing_to_take" if taking:
            return state
        case "busy" if state.busy < MAX_BUSY:
            return replace(state, busy=state.busy + 1)
    return replace(state, ended=f"refused: {event.refusal.words}")


def _followed(state: MakerFirstState, rules: Execution) -> MakerFirstState:
    if state.reprices >= rules.max_reprices:
        return replace(state, spent=True)
    return replace(state, reprices=state.reprices + 1)


def _watch(
    state: MakerFirstState, order: WorkingOrder, now: int, rules: Execution, terms: Terms
) -> Result:
    if order.cancelling or order.takes or now < state.not_before:
        return state, ()
    due = now >= state.started + duration_ns(rules.deadline)
    too_large = order.quantity - order.filled > state.left
    if not (state.stopping or due or too_large):
        enough = state.reprices >= rules.max_reprices
        if enough or not order.accepted or not _should_follow(state, order, now, rules, terms):
            return state, ()
        state = _followed(state, rules)
    return replace(state, order=replace(order, cancelling=True)), (Cancel(order.name),)


def _should_follow(
    state: MakerFirstState, order: WorkingOrder, now: int, rules: Execution, terms: Terms
) -> bool:
    if state.top is None or stands_at_best(state.buy, order.price, state.top):
        return False
    wanted = resting_price(state.buy, state.top, terms.tick, rules.place, rules.ticks)
    if wanted == order.price:
        return False
    rested = now - order.sent
    moved = abs(wanted - order.price) >= order.price * Decimal(repr(rules.move_bps)) / 10_000
    return rested >= duration_ns(rules.least_rest if moved else rules.reprice_every)


def _send(state: MakerFirstState, now: int, rules: Execution, terms: Terms) -> Result:
    """Decide what to do while no order is out."""
    if state.left <= ZERO:
        return replace(state, ended=""), (Done(),)
    if state.stopping:
        return _give_up(state, "stopped")
    deadline = state.started + duration_ns(rules.deadline)
    if now >= deadline + GRACE_NS:
        return _give_up(state, _why_nothing(state, rules))
    if now >= deadline and rules.at_deadline == "give_up":
        return _give_up(state, "not filled by the deadline")
    top, buy = state.top, state.buy
    if now < state.not_before or top is None:
        return state, ()
    if now >= deadline:
        if state.takes >= MAX_TAKES:
            return _give_up(state, _why_nothing(state, rules))
        price = _worst(state, top, rules, terms)
        other = top.best(not buy)
        if (price < other) if buy else (price > other):
            return state, ()
        size = portion(state.left, price, None, terms)
        make: type[PlaceIOC | PlacePostOnly] = PlaceIOC
        state = replace(state, takes=state.takes + 1)
    elif state.spent:
        return state, ()
    else:
        price = resting_price(buy, top, terms.tick, rules.place, rules.ticks)
        most = None
        if rules.participation is not None:
            most = Decimal(repr(rules.participation)) * top.size(buy)
        size = portion(state.left, price, most, terms)
        make = PlacePostOnly
    if size == ZERO:
        return _give_up(state, f"{state.left:f} is left, below the exchange's minimum")
    name = str(state.placed)
    order = WorkingOrder(name=name, quantity=size, price=price, sent=now, takes=make is PlaceIOC)
    state = replace(state, order=order, placed=state.placed + 1)
    return state, (make(name, size if buy else -size, price),)


def _worst(state: MakerFirstState, top: TopOfBook, rules: Execution, terms: Terms) -> Decimal:
    reference = top.best(not state.buy)
    if rules.slippage_from == "arrival":
        assert state.arrival is not None
        reference = state.arrival
    return worst_price(state.buy, reference, rules.max_slippage_bps, terms.tick)


def _why_nothing(state: MakerFirstState, rules: Execution) -> str:
    if state.top is None:
        return "no best bid and ask were seen"
    return (
        f"not filled by the deadline, nor then within {rules.max_slippage_bps:g} bps of the "
        f"{rules.slippage_from}"
    )


def _give_up(state: MakerFirstState, reason: str) -> Result:
    return replace(state, ended=reason), (GiveUp(reason),)


MAKER_FIRST = Tactic("maker_first", MakerFirstState, work_maker_first)
