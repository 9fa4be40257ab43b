"""Order tags: reason, role and decision of an order. Pure.

Tags live as long as the node: the venue keeps none. What must survive a restart is in the order's
id (see `strategies.order_ids`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from strategies.account_value import is_spot
from strategies.order_ids import is_protective

Role = Literal["entry", "exit", "protective"]
"""Effect on a position: open or enlarge, shrink, or rest at the venue to shrink it."""

_DECISION = "decision="
_ROLE = "role="
_ROLES: dict[str, Role] = {
    f"{_ROLE}entry": "entry",
    f"{_ROLE}exit": "exit",
    f"{_ROLE}protective": "protective",
}


def order_tags(reason: str, decision_id: str = "", role: Role | None = None) -> list[str]:
    """Return the tags of an order.

    ``reason`` is a text for the trader; ``decision_id`` is empty without a decision; without a
    ``role``, `role_of` derives it from the order.
    """
    tags = [reason]
    if decision_id:
        tags.append(f"{_DECISION}{decision_id}")
    if role is not None:
        tags.append(f"{_ROLE}{role}")
    return tags


def reason_of(tags: Iterable[str] | None) -> str:
    """Return the reason in an order's tags."""
    return ", ".join([tag for tag in tags or () if not tag.startswith((_DECISION, _ROLE))])


def decision_of(tags: Iterable[str] | None) -> str:
    """Return the decision's id in an order's tags, empty without one."""
    for tag in tags or ():
        if tag.startswith(_DECISION):
            return tag.removeprefix(_DECISION)
    return ""


def only_shrinks(client_order_id: str, instrument: str, *, sells: bool, reduce_only: bool) -> bool:
    """Whether an order can only shrink what is held.

    Spot has no reduce-only orders and is never sold short: there, a stop or a take-profit is a sale
    of coins that are held.
    """
    return reduce_only or (sells and is_spot(instrument) and is_protective(client_order_id))


def role_of(client_order_id: str, tags: Iterable[str] | None, reduce_only: bool) -> Role:
    """Return the role of an order.

    After a restart there are no tags: the id shows whether it is protective, the flag whether it
    can only shrink. An exit on spot, which has no such flag, then counts as an entry, as at the
    gate.
    """
    if reduce_only and is_protective(client_order_id):
        return "protective"
    found = next((_ROLES[tag] for tag in tags or () if tag in _ROLES), None)
    return found or ("exit" if reduce_only else "entry")
