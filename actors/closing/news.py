"""The closer's reports to the trader: started, flat, or not flat and why. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from msgspec.structs import replace

from actors.closing.facts import (
    ZERO,
    ClosingFacts,
    ClosingNews,
    ClosingPolicy,
    ClosingState,
    PositionKey,
    WorkingOrder,
)
from config.durations import SECOND_NS
from strategies.order_ids import owner_of

ALARM_NS = 10 * SECOND_NS
"""Pause between two alarms of the same problem."""
_NAMED = 5
"""A report names this many open positions and orders, and counts the others."""
Positions = dict[PositionKey, Decimal]


def called_off(state: ClosingState, facts: ClosingFacts) -> tuple[ClosingNews, ...]:
    """Report a flatten that was released before all was flat."""
    if state.began is None or state.flat:
        return ()
    text = f"the flatten was released after {_after(state, facts)}, before all was closed"
    return (ClosingNews("off", text),)


def taken_up(state: ClosingState, facts: ClosingFacts) -> list[ClosingNews]:
    """Report what the closer starts to close."""
    if not state.attempts:
        return []
    held = {key: facts.positions[key] for key in state.attempts}
    text = f"the desk closes what is left: {_what_is_left(held, [], [], facts)}"
    return [ClosingNews("closing", text)]


def news_of(
    state: ClosingState, facts: ClosingFacts, policy: ClosingPolicy
) -> tuple[ClosingState, list[ClosingNews]]:
    """Report dust, the end of a flatten and delays; return the new state and the reports."""
    state, news = _dust(state, facts, policy)
    held = _left(state, facts, policy)
    orders = [o for o in facts.orders if policy.covers(state.flatten, o.key)]
    is_clear = not held and not orders
    clear = (facts.now if state.clear is None else state.clear) if is_clear else None
    state = replace(state, clear=clear)
    elsewhere = _unconfirmed(state, facts, policy) if is_clear else []
    if state.began is not None and is_clear and not elsewhere and not state.flat:
        news.append(ClosingNews("flat", f"flat after {_after(state, facts)}"))
        state = replace(state, flat=True, alarmed=None)
    elif state.flat and not is_clear:
        # A flat scope has a new position or order: the deadline starts again.
        words = _what_is_left(held, orders, [], facts)
        news.append(ClosingNews("not_flat", f"NOT flat any more: {words}"))
        state = replace(state, flat=False, began=facts.now, alarmed=facts.now)
    if state.alarmed is not None and facts.now < state.alarmed + ALARM_NS:
        return state, news
    if state.began is not None and not state.flat:
        if facts.now >= state.began + policy.deadline_ns:
            words = _what_is_left(held, orders, elsewhere, facts)
            text = f"NOT flat after {_after(state, facts)}: {words}"
            news.append(ClosingNews("not_flat", text))
            state = replace(state, alarmed=facts.now)
        return state, news
    # Not from the halt on: a spot stop must go once less is held than it sells.
    patience, wanted = policy.deadline_ns - policy.grace_ns, state.cancels
    overdue = {name for name, sent in wanted.items() if facts.now >= sent.since + patience}
    late = [order for order in facts.orders if order.id in overdue]
    if late:
        words = _listed([f"{order.instrument}: order {order.id}" for order in late])
        text = f"entries are halted, and some would not be cancelled: {words}"
        news.append(ClosingNews("resting", text))
    return replace(state, alarmed=facts.now if late else None), news


def _left(state: ClosingState, facts: ClosingFacts, policy: ClosingPolicy) -> Positions:
    """Return the positions that must go; a net of zero is flat at the venue."""
    return {
        key: held
        for key, held in sorted(facts.positions.items())
        if policy.covers(state.flatten, key)
        and key not in state.dust
        and (key.instrument not in facts.terms or facts.net(key.instrument))
    }


def _dust(
    state: ClosingState, facts: ClosingFacts, policy: ClosingPolicy
) -> tuple[ClosingState, list[ClosingNews]]:
    found = frozenset(
        key
        for key in facts.positions
        if policy.covers(state.flatten, key)
        and key.instrument in facts.terms
        and facts.terms[key.instrument].spot
        and not facts.closable(key)
        # What an order sells may have left the wallet before its fill is known.
        and not any(one.key == key and one.left * facts.positions[key] < 0 for one in facts.orders)
    )
    words = "is too little to be closed; it stays, and counts as flat"
    news = [
        ClosingNews("dust", f"{key.instrument}: {facts.positions[key]:f} {words}")
        for key in sorted(found - state.dust)
    ]
    return replace(state, dust=found), news


def _unconfirmed(state: ClosingState, facts: ClosingFacts, policy: ClosingPolicy) -> list[str]:
    """Return why the venue does not confirm that all is flat; empty where it does."""
    if not policy.verifies:
        return []
    venue, scopes = facts.venue, state.flatten
    if venue is None or state.clear is None or venue.queried_at < state.clear:
        return ["the venue has not confirmed it yet"]
    found = []
    for name, quantity in sorted(venue.positions.items()):
        if not policy.covers_at_venue(scopes, name):
            continue
        stays = sum(
            (
                held
                for key, held in facts.positions.items()
                if key.instrument == name and (key in state.dust or not policy.covers(scopes, key))
            ),
            ZERO,
        )
        terms = facts.terms.get(name)
        if abs(quantity - stays) >= (ZERO if terms is None else terms.lot) and quantity != stays:
            found.append(f"{name}: the venue holds {quantity:f}, our books {stays:f}")
    for order_id, name in sorted(venue.orders.items()):
        ours = owner_of(order_id) is not None
        if policy.covers_at_venue(scopes, name) and (ours or policy.external != "leave"):
            found.append(f"{name}: order {order_id} is still open at the venue")
    return found


def _after(state: ClosingState, facts: ClosingFacts) -> str:
    assert state.began is not None
    return f"{(facts.now - state.began) / 1e9:.1f} s"


def _what_is_left(
    held: Positions, orders: Sequence[WorkingOrder], elsewhere: Sequence[str], facts: ClosingFacts
) -> str:
    found = [] if facts.reachable else ["the venue can't be reached"]
    for key, quantity in held.items():
        whose = f" of {key.owner}" if key.owner else ", which is not the desk's own,"
        failure = facts.failures.get(key, "")
        if key.instrument in facts.terms and not facts.closable(key):
            failure = (
                f"less than a lot of {facts.terms[key.instrument].lot:f}, beside others' position: "
                "close both at the venue, or by `perpdesk risk flatten` with risk.external: all"
            )
        why = f" ({failure})" if failure else ""
        found.append(f"{key.instrument}: {quantity:f}{whose} is held{why}")
    for order in orders:
        where = "is on its way" if order.ours else "still stands"
        found.append(f"{order.instrument}: order {order.id} {where}")
    return _listed([*found, *elsewhere])


def _listed(found: Sequence[str]) -> str:
    more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return "; ".join(found[:_NAMED]) + more
