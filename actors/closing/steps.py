"""How a flatten is carried through: what is cancelled, closed and said, moment by moment. Pure.

As long as a verdict says FLATTEN, whatever is held or rests in its scope must go. Strategies leave
first; after their grace the closer cancels every order there, waits a little for the cancels, and
closes at market what is left, until our books and the venue show nothing. It remembers no outcome:
whether a close helped is seen from the position, so that no answer is waited for in vain. A close
never asks for more than what is held and not on its way out already, and it is reduce-only, so
nothing can turn a position round.

Under HALT_ENTRIES and REDUCE_ONLY it takes entries back that rest: they would fill into the halt.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from actors.closing.facts import (
    SECOND,
    Act,
    Asked,
    Attempt,
    Cancel,
    Close,
    Key,
    Policy,
    Say,
    State,
    UnderWay,
    View,
)
from actors.closing.scope import covering, covers, left_at_venue
from actors.closing.sizes import closable, could_turn, is_entry, is_leaving, offset
from actors.closing.texts import after, called_off, left_in_words, resting_in_words
from strategies.messages import PASSING, Action
from strategies.sizing.rounding import split

PATIENCE_NS = 2 * SECOND
"""How long a close waits for the cancels in its instrument."""
ANSWER_NS = 10 * SECOND
"""Without an answer for so long an order that the venue does not know never arrived: the adapter
waits 5 s for a link, and Bybit refuses requests that are more than 5 s old."""
RESTS_NS = 2 * SECOND
"""A market order that still stands then found too thin a book: it is taken back, the rest sent."""
ALARM_NS = 10 * SECOND
"""Pause between two alarms of the same trouble."""
_BACKOFF_NS, _LONGEST_NS = SECOND // 2, 8 * SECOND


def backoff(tries: int) -> int:
    """Return the pause before the next try, nanoseconds: 0.5 s, 1, 2, 4, then 8.

    Examples
    --------
    >>> [backoff(tries) / 1e9 for tries in (1, 2, 5, 50)]
    [0.5, 1.0, 8.0, 8.0]
    """
    return min(_BACKOFF_NS << min(tries - 1, 10), _LONGEST_NS)


def step(state: State, view: View, policy: Policy) -> tuple[State, tuple[Act, ...]]:
    """Return what follows from the account as it is now: the new state, and what is to be done.

    To be called again at once as long as it asks for a cancel or a close: in a backtest they may be
    answered already.
    """
    flatten = _scopes(view, state.flatten, flat=True)
    halts = _scopes(view, state.halts, flat=False)
    if not flatten and not halts:
        return State(), called_off(state, view)
    begins = state.began is None or (state.flat and flatten.keys() - state.flatten.keys())
    state = msgspec.structs.replace(
        state,
        flatten=flatten,
        halts=halts,
        began=None if not flatten else view.now if begins else state.began,
        flat=state.flat and bool(flatten) and not begins,
    )
    idle = not state.attempts
    state, cancels = _cancel(state, view, policy)
    state, closes = _close(state, view, policy)
    taken = _taken_up(state, view) if idle else []
    state, said = _say(state, view, policy)
    return state, (*taken, *cancels, *closes, *said)


def works_on(state: State, key: Key) -> bool:
    """Whether the closer is closing this position: others' orders could turn it round meanwhile."""
    return key in state.attempts


def next_look(state: State, policy: Policy, now: int) -> int | None:
    """Return when something may be due by time alone, None when nothing is."""
    moments = [
        since + policy.grace_ns for since in (*state.flatten.values(), *state.halts.values())
    ]
    moments += [asked.sent + backoff(asked.times + 1) for asked in state.cancels.values()]
    for attempt in state.attempts.values():
        moments += [attempt.due, attempt.since + PATIENCE_NS]
        if attempt.sent is not None:
            moments += [attempt.sent + RESTS_NS, attempt.sent + ANSWER_NS]
    if state.began is not None and not state.flat:
        moments.append(state.began + policy.deadline_ns)
    if state.alarmed is not None:
        moments.append(state.alarmed + ALARM_NS)
    return min((moment for moment in moments if moment > now), default=None)


def _scopes(view: View, before: dict[str, int], *, flat: bool) -> dict[str, int]:
    """Return the scopes that must be left, or not be entered, and since when."""
    found = {}
    for verdict in view.verdicts:
        passing = verdict.passing or verdict.guard in PASSING
        halts = verdict.action in (Action.HALT_ENTRIES, Action.REDUCE_ONLY) and not passing
        if verdict.action == Action.FLATTEN if flat else halts:
            found[verdict.scope] = before.get(verdict.scope, view.now)
    return found


def _is_due(scopes: dict[str, int], key: Key, view: View, policy: Policy) -> bool:
    """Whether the grace of a scope that covers it is over."""
    since = covering(scopes, key, policy)
    return since is not None and view.now >= since + policy.grace_ns


# Cancels ------------------------------------------------------------------------------------------


def _cancel(state: State, view: View, policy: Policy) -> tuple[State, list[Act]]:
    wanted = [order for order in view.orders if _must_go(state, view, policy, order)]
    kept = {order.id: state.cancels[order.id] for order in wanted if order.id in state.cancels}
    acts: list[Act] = []
    for order in sorted(wanted, key=lambda order: order.id):
        asked = kept.get(order.id, Asked(0, 0))
        if view.reachable and (
            asked.times == 0 or view.now >= asked.sent + backoff(asked.times + 1)
        ):
            kept[order.id] = Asked(view.now, asked.times + 1)
            acts.append(Cancel(order.id))
    return msgspec.structs.replace(state, cancels=kept), acts


def _must_go(state: State, view: View, policy: Policy, order: UnderWay) -> bool:
    held = view.positions.get(order.key, Decimal(0))
    if _is_due(state.flatten, order.key, view, policy):
        if order.ours and is_leaving(order, held):
            return order.answered and view.now >= order.since + RESTS_NS
        return order.answered or not is_leaving(order, held)
    return is_entry(order, held) and _is_due(state.halts, order.key, view, policy)


# Closes -------------------------------------------------------------------------------------------


def _close(state: State, view: View, policy: Policy) -> tuple[State, list[Act]]:
    attempts: dict[Key, Attempt] = {}
    lost = state.lost & {order.id for order in view.orders}
    acts: list[Act] = []
    for key, held in sorted(view.positions.items()):
        if not _is_due(state.flatten, key, view, policy):
            continue
        if key.instrument not in view.terms or not closable(held, view.terms[key.instrument]):
            continue
        orders = [order for order in view.orders if order.key == key]
        lost |= {order.id for order in orders if _never_arrived(order, held, view)}
        attempt = state.attempts.get(key) or Attempt(since=view.now)
        attempt = _judged(attempt, held, [o for o in orders if o.id not in lost], view.now)
        quantities = _sizes(attempt, key, held, orders, lost, view)
        if quantities:
            attempt = msgspec.structs.replace(attempt, sent=view.now, held=held)
            sign = -1 if held > 0 else 1
            acts += [Close(key, sign * quantity) for quantity in quantities]
        attempts[key] = attempt
    return msgspec.structs.replace(state, attempts=attempts, lost=lost), acts


def _never_arrived(order: UnderWay, held: Decimal, view: View) -> bool:
    """Whether an exit got no answer, and the venue was asked late enough and does not know it."""
    due = order.since + ANSWER_NS
    if order.answered or not order.left_us or not is_leaving(order, held):
        return False
    return view.venue is not None and view.venue.asked >= due and order.id not in view.venue.orders


def _judged(attempt: Attempt, held: Decimal, orders: list[UnderWay], now: int) -> Attempt:
    """Return the attempt once its close has ended: with something gone it goes on at once."""
    if attempt.sent is None or any(order.ours for order in orders):
        return attempt
    helped = abs(held) < abs(attempt.held) or held * attempt.held < 0
    tries = 0 if helped else attempt.tries + 1
    due = now if helped else now + backoff(tries)
    return msgspec.structs.replace(attempt, sent=None, tries=tries, due=due)


def _sizes(
    attempt: Attempt,
    key: Key,
    held: Decimal,
    orders: list[UnderWay],
    lost: frozenset[str],
    view: View,
) -> list[Decimal]:
    """Return the quantities to close now, none while something must be waited for."""
    alive = [order for order in orders if order.id not in lost]
    if attempt.sent is not None or view.now < attempt.due or not view.reachable:
        return []
    resting = any(not is_leaving(order, held) or order.answered for order in alive)
    if resting and view.now < attempt.since + PATIENCE_NS:
        return []
    terms = view.terms[key.instrument]
    room = min(closable(held, terms), offset(key, held, view))
    room -= sum((abs(order.left) for order in alive if could_turn(order, held)), Decimal(0))
    if len(alive) < len(orders) and view.venue is not None and not terms.spot:
        # One that seemed lost may have filled, and our books not know it yet.
        there = view.venue.positions.get(key.instrument, Decimal(0))
        room = min(room, abs(there) if there * held > 0 else Decimal(0))
    size = room // terms.lot * terms.lot
    return split(size, terms.lot, terms.max_quantity) if size > 0 else []


# What is said -------------------------------------------------------------------------------------


def _taken_up(state: State, view: View) -> list[Act]:
    if not state.attempts:
        return []
    held = {key: view.positions[key] for key in state.attempts}
    return [Say("closing", f"the desk closes what is left: {left_in_words(held, [], [], view)}")]


def _say(state: State, view: View, policy: Policy) -> tuple[State, list[Act]]:
    acts: list[Act] = []
    state, dust = _dust(state, view, policy)
    acts += dust
    held = _left(state, view, policy)
    orders = [o for o in view.orders if covers(state.flatten, o.key, policy)]
    is_clear = not held and not orders
    clear = (view.now if state.clear is None else state.clear) if is_clear else None
    state = msgspec.structs.replace(state, clear=clear)
    elsewhere = _unconfirmed(state, view, policy) if clear is not None else []
    done = state.began is not None and clear is not None and not elsewhere
    if done and not state.flat:
        assert state.began is not None
        acts.append(Say("flat", f"flat after {after(view.now - state.began)}"))
        state = msgspec.structs.replace(state, flat=True, alarmed=None)
    elif state.flat and not is_clear:
        # Something came into a scope that was flat: the clock runs anew.
        words = left_in_words(held, orders, [], view)
        acts.append(Say("not_flat", f"NOT flat any more: {words}"))
        state = msgspec.structs.replace(state, flat=False, began=view.now, alarmed=view.now)
    return _alarm(state, view, policy, held, orders, elsewhere, acts)


def _alarm(
    state: State,
    view: View,
    policy: Policy,
    held: dict[Key, Decimal],
    orders: list[UnderWay],
    elsewhere: list[str],
    acts: list[Act],
) -> tuple[State, list[Act]]:
    now = view.now
    if state.alarmed is not None and now < state.alarmed + ALARM_NS:
        return state, acts
    if state.began is not None and not state.flat:
        if now >= state.began + policy.deadline_ns:
            words = left_in_words(held, orders, elsewhere, view)
            acts.append(Say("not_flat", f"NOT flat after {after(now - state.began)}: {words}"))
            state = msgspec.structs.replace(state, alarmed=now)
        return state, acts
    late = [
        order
        for order in view.orders
        if (since := covering(state.halts, order.key, policy)) is not None
        and is_entry(order, view.positions.get(order.key, Decimal(0)))
        and now >= since + policy.deadline_ns
    ]
    if late:
        acts.append(Say("resting", resting_in_words(late)))
    return msgspec.structs.replace(state, alarmed=now if late else None), acts


def _left(state: State, view: View, policy: Policy) -> dict[Key, Decimal]:
    """Return what our books hold that must go."""
    return {
        key: held
        for key, held in sorted(view.positions.items())
        if covers(state.flatten, key, policy)
        and key not in state.dust
        and (key.instrument not in view.terms or offset(key, held, view, even=True))
    }


def _dust(state: State, view: View, policy: Policy) -> tuple[State, list[Act]]:
    found = {
        key: held
        for key, held in view.positions.items()
        if covers(state.flatten, key, policy)
        and key.instrument in view.terms
        and not closable(held, view.terms[key.instrument])
    }
    acts = _of_dust((key, found[key]) for key in sorted(found.keys() - state.dust))
    return msgspec.structs.replace(state, dust=frozenset(found)), acts


def _of_dust(new: Iterable[tuple[Key, Decimal]]) -> list[Act]:
    words = "is too little to be closed; it stays, and counts as flat"
    return [Say("dust", f"{key.instrument}: {held:f} {words}") for key, held in new]


def _unconfirmed(state: State, view: View, policy: Policy) -> list[str]:
    """Return what keeps our books from being believed, in words."""
    if not policy.verifies:
        return []
    if view.venue is None or state.clear is None or view.venue.asked < state.clear:
        return ["the venue has not confirmed it yet"]
    return left_at_venue(state.flatten, state.dust, view, policy)
