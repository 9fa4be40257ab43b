"""Steps of a flatten: what to cancel and close, and when. Pure.

While a verdict is FLATTEN, every position and order in its scope must go. Strategies leave first.
After their grace the closer cancels every order there, waits a little for the cancels, and closes
the rest at market, until our books and the venue show nothing. It does not wait for answers: the
position shows whether a close worked. A close is reduce-only and never larger than what is held and
not already leaving, so it can't turn a position round.

Under HALT_ENTRIES and REDUCE_ONLY it cancels the desk's open entries: they would fill meanwhile.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from actors.closing.facts import (
    EXTERNAL,
    ZERO,
    Act,
    CancelAct,
    CancelSent,
    CloseAct,
    CloseAttempt,
    ClosingFacts,
    ClosingPolicy,
    ClosingState,
    PositionKey,
    WorkingOrder,
)
from actors.closing.news import ALARM_NS, called_off, news_of, taken_up
from config.durations import SECOND_NS
from strategies.messages import Action
from strategies.sizing.rounding import split
from strategies.verdicts import halted_for_good

PATIENCE_NS = 2 * SECOND_NS
"""How long a close waits for the cancels in its instrument."""
ANSWER_NS = 10 * SECOND_NS
"""An order that the venue does not know after this time never arrived: the adapter waits 5 s for a
link, and Bybit refuses requests that are more than 5 s old."""
RESTS_NS = 2 * SECOND_NS
"""A market order open for longer found too thin a book: it is cancelled and the rest sent."""
_BACKOFF_NS, _LONGEST_NS = SECOND_NS // 2, 8 * SECOND_NS


def backoff(tries: int) -> int:
    """Return the pause before the next try, nanoseconds: 0.5 s, 1, 2, 4, then 8.

    Examples
    --------
    >>> [backoff(tries) / 1e9 for tries in (1, 2, 5, 50)]
    [0.5, 1.0, 8.0, 8.0]
    """
    return min(_BACKOFF_NS << min(tries - 1, 10), _LONGEST_NS)


def next_acts(
    state: ClosingState, facts: ClosingFacts, policy: ClosingPolicy
) -> tuple[ClosingState, tuple[Act, ...]]:
    """Return the closer's new state and what to do now.

    Call it again at once while it returns a cancel or a close: in a backtest the answers may
    already be there.
    """
    flatten = {
        v.scope: state.flatten.get(v.scope, facts.now)
        for v in facts.verdicts
        if v.action == Action.FLATTEN
    }
    halts = {
        v.scope: state.halts.get(v.scope, facts.now)
        for v in facts.verdicts
        if v.action != Action.FLATTEN and halted_for_good([v])
    }
    if not flatten and not halts:
        return ClosingState(), called_off(state, facts)
    begins = state.began is None or (state.flat and flatten.keys() - state.flatten.keys())
    state = replace(
        state,
        flatten=flatten,
        halts=halts,
        began=None if not flatten else facts.now if begins else state.began,
        flat=state.flat and bool(flatten) and not begins,
    )
    idle = not state.attempts
    state, cancels = _cancel(state, facts, policy)
    state, closes = _close(state, facts, policy)
    first = taken_up(state, facts) if idle else []
    state, news = news_of(state, facts, policy)
    return state, (*first, *cancels, *closes, *news)


def next_evaluation(state: ClosingState, policy: ClosingPolicy, now: int) -> int | None:
    """Return when to look again if no event comes before, or None."""
    moments = [
        since + policy.grace_ns for since in (*state.flatten.values(), *state.halts.values())
    ]
    moments += [cancel.at + backoff(cancel.times + 1) for cancel in state.cancels.values()]
    for attempt in state.attempts.values():
        moments += [attempt.due, attempt.since + PATIENCE_NS]
        if attempt.sent is not None:
            moments += [attempt.sent + RESTS_NS, attempt.sent + ANSWER_NS]
    if state.began is not None and not state.flat:
        moments.append(state.began + policy.deadline_ns)
    if state.alarmed is not None:
        moments.append(state.alarmed + ALARM_NS)
    return min((moment for moment in moments if moment > now), default=None)


def _cancel(
    state: ClosingState, facts: ClosingFacts, policy: ClosingPolicy
) -> tuple[ClosingState, list[Act]]:
    wanted = [order for order in facts.orders if _must_go(state, facts, policy, order)]
    sent = {order.id: state.cancels.get(order.id, CancelSent(facts.now)) for order in wanted}
    acts: list[Act] = []
    for order in sorted(wanted, key=lambda order: order.id):
        before = sent[order.id]
        is_due = before.times == 0 or facts.now >= before.at + backoff(before.times + 1)
        if facts.reachable and is_due:
            sent[order.id] = before._replace(at=facts.now, times=before.times + 1)
            acts.append(CancelAct(order.id))
    return replace(state, cancels=sent), acts


def _must_go(
    state: ClosingState, facts: ClosingFacts, policy: ClosingPolicy, order: WorkingOrder
) -> bool:
    held, now = facts.held(order.key), facts.now
    if policy.is_due(state.flatten, order.key, now):
        if order.reduce_only and held and not facts.closable(order.key):
            # No close can leave: what protects the position stays.
            return False
        if order.ours and order.is_leaving(held):
            return order.answered and now >= order.since + RESTS_NS
        return order.answered or not order.is_leaving(held)
    # A halt leaves others' orders alone; only a flatten may cover them.
    halted = order.owner != EXTERNAL and policy.is_due(state.halts, order.key, now)
    return halted and order.is_entry(held)


def _close(
    state: ClosingState, facts: ClosingFacts, policy: ClosingPolicy
) -> tuple[ClosingState, list[Act]]:
    attempts: dict[PositionKey, CloseAttempt] = {}
    lost = state.lost & {order.id for order in facts.orders}
    acts: list[Act] = []
    for key, held in sorted(facts.positions.items()):
        if not policy.is_due(state.flatten, key, facts.now) or not facts.closable(key):
            continue
        orders = [order for order in facts.orders if order.key == key]
        lost |= {order.id for order in orders if _never_arrived(order, held, facts)}
        attempt = state.attempts.get(key) or CloseAttempt(since=facts.now)
        attempt = _judged(attempt, held, [o for o in orders if o.id not in lost], facts.now)
        quantities = _sizes(attempt, key, orders, lost, facts)
        if quantities:
            attempt = replace(attempt, sent=facts.now, held=held)
            sign = -1 if held > 0 else 1
            acts += [CloseAct(key, sign * quantity) for quantity in quantities]
        attempts[key] = attempt
    return replace(state, attempts=attempts, lost=lost), acts


def _never_arrived(order: WorkingOrder, held: Decimal, facts: ClosingFacts) -> bool:
    """Whether an exit got no answer, and the venue, queried late enough, does not know it."""
    if order.answered or not order.has_left or not order.is_leaving(held):
        return False
    venue = facts.venue
    return (
        venue is not None
        and venue.queried_at >= order.since + ANSWER_NS
        and order.id not in venue.orders
    )


def _judged(
    attempt: CloseAttempt, held: Decimal, orders: list[WorkingOrder], now: int
) -> CloseAttempt:
    """Return the attempt after its close ended; if the position shrank, it continues at once."""
    if attempt.sent is None or any(order.ours for order in orders):
        return attempt
    helped = abs(held) < abs(attempt.held) or held * attempt.held < 0
    tries = 0 if helped else attempt.tries + 1
    return replace(attempt, sent=None, tries=tries, due=now if helped else now + backoff(tries))


def _sizes(
    attempt: CloseAttempt,
    key: PositionKey,
    orders: list[WorkingOrder],
    lost: frozenset[str],
    facts: ClosingFacts,
) -> list[Decimal]:
    """Return the quantities to close now; empty while something is awaited."""
    if attempt.sent is not None or facts.now < attempt.due or not facts.reachable:
        return []
    held, terms = facts.positions[key], facts.terms[key.instrument]
    alive = [order for order in orders if order.id not in lost]
    resting = any(not order.is_leaving(held) or order.answered for order in alive)
    if resting and facts.now < attempt.since + PATIENCE_NS:
        return []
    room = min(facts.closable(key), _same_side(facts.net(key.instrument), held))
    room -= sum((abs(order.left) for order in alive if order.could_turn(held)), ZERO)
    if len(alive) < len(orders) and facts.venue is not None and not terms.spot:
        # A close that seemed lost may have filled, but not be in our books yet.
        at_venue = facts.venue.positions.get(key.instrument, ZERO)
        room = min(room, _same_side(at_venue, held))
    is_whole = not terms.spot and room == abs(held)
    size = room if is_whole else room // terms.lot * terms.lot
    return split(size, terms.lot, terms.max_quantity) if size > 0 else []


def _same_side(position: Decimal, held: Decimal) -> Decimal:
    return abs(position) if position * held > 0 else ZERO
