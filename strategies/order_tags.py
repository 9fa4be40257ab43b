"""An order's tags: what it is for, and which decision it carries out. Pure."""

from __future__ import annotations

from collections.abc import Iterable

_DECISION = "decision="


def order_tags(reason: str, decision_id: str = "") -> list[str]:
    """Return the tags of an order.

    Parameters
    ----------
    reason : str
        What it is for, in words for the trader.
    decision_id : str
        `strategies.messages.Decision.id` of the decision that it carries out, empty for none.
    """
    return [reason, f"{_DECISION}{decision_id}"] if decision_id else [reason]


def reason_of(tags: Iterable[str] | None) -> str:
    """Return what an order with these tags is for."""
    return ", ".join(tag for tag in tags or () if not tag.startswith(_DECISION))


def decision_of(tags: Iterable[str] | None) -> str:
    """Return the id of the decision that an order with these tags carries out, empty for none."""
    found = (tag.removeprefix(_DECISION) for tag in tags or () if tag.startswith(_DECISION))
    return next(found, "")
