"""What the closer tells the trader. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from actors.closing.facts import Act, Key, Say, State, UnderWay, View

_NAMED = 5
"""How many of the things that are left are named; the others are counted."""


def after(pause_ns: int) -> str:
    """Return a pause in words.

    Examples
    --------
    >>> after(2_345_000_000)
    '2.3 s'
    """
    return f"{pause_ns / 1e9:.1f} s"


def left_in_words(
    held: Mapping[Key, Decimal], orders: Sequence[UnderWay], elsewhere: Sequence[str], view: View
) -> str:
    """Return what is left, and why as far as that is known."""
    found = [_of_position(key, quantity, view) for key, quantity in held.items()]
    found += [
        f"{order.instrument}: order {order.id} {'is on its way' if order.ours else 'still stands'}"
        for order in orders
    ]
    found += elsewhere
    if not view.reachable:
        found.insert(0, "the venue can't be reached")
    return _listed(found)


def resting_in_words(orders: Sequence[UnderWay]) -> str:
    """Return which entries rest although a guard wants none."""
    found = [f"{order.instrument}: order {order.id}" for order in orders]
    return f"entries are halted, and some would not be cancelled: {_listed(found)}"


def called_off(state: State, view: View) -> tuple[Act, ...]:
    """Return what is said when a flatten is released before it was done."""
    if state.began is None or state.flat:
        return ()
    seconds = after(view.now - state.began)
    return (Say("off", f"the flatten was released after {seconds}, before all was closed"),)


def _of_position(key: Key, quantity: Decimal, view: View) -> str:
    whose = f" of {key.owner}" if key.owner else ", which is not the desk's own,"
    trouble = view.trouble.get(key, "")
    why = f" ({trouble})" if trouble else ""
    return f"{key.instrument}: {quantity:f}{whose} is held{why}"


def _listed(found: Sequence[str]) -> str:
    more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return "; ".join(found[:_NAMED]) + more
