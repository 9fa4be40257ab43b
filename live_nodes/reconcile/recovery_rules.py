"""Decide the outcome of open requests, and which open orders stay at a start. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from decimal import Decimal

from actors.records.journal_schema import NEVER_ARRIVED
from actors.records.rows import OrderRow
from config.documents.watch import Policies
from live_nodes.bybit.facts import STATUS_WORDS, VenueOrder, is_attached, is_protective, reason_of
from strategies.order_ids import own_key


@dataclass(frozen=True, slots=True)
class Settled:
    """Outcome of an order for the journal, with the venue's details."""

    status: str
    venue_order_id: str = ""
    filled: Decimal | None = None
    quantity: Decimal | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AskAgain:
    """The order is unknown now; a request may still be under way."""

    missed_ns: int


def conclude(
    answer: VenueOrder | None, now_ns: int, missed_ns: int | None, patience_ns: int
) -> Settled | AskAgain:
    """Return the outcome that the venue's answer proves; None is an unknown order.

    Two misses must be `patience_ns` apart to prove that the order never arrived: Bybit refuses a
    request that is older than its receive window (5 s). Times are UNIX nanoseconds.
    """
    if answer is None:
        if missed_ns is not None and now_ns - missed_ns >= patience_ns:
            return Settled(
                NEVER_ARRIVED, reason="the venue was asked twice and knows no such order"
            )
        return AskAgain(now_ns if missed_ns is None else missed_ns)
    return Settled(
        STATUS_WORDS[answer.status],
        venue_order_id=answer.order_id,
        filled=answer.filled,
        quantity=answer.quantity,
        reason=reason_of(answer),
    )


@dataclass(frozen=True, slots=True)
class SortedOrders:
    """The venue's open orders at a start, by what is done about each.

    Protective ones are `kept`, own entries (`leftovers`) cancelled. `foreign_cancelled` are
    cancelled by policy. `attached` are the venue's own take-profits and stop-losses.
    """

    kept: tuple[VenueOrder, ...]
    leftovers: tuple[VenueOrder, ...]
    foreign: tuple[VenueOrder, ...]
    foreign_cancelled: tuple[VenueOrder, ...]
    attached: tuple[VenueOrder, ...]


def sort_open_orders(
    orders: Collection[VenueOrder],
    own: Collection[str],
    policies: Policies,
) -> SortedOrders:
    """Sort the venue's open orders at a start; `own` are this node's link ids."""
    attached = tuple(order for order in orders if is_attached(order))
    mine = [order for order in orders if order.order_link_id in own and not is_attached(order)]
    foreign = tuple(
        order for order in orders if order.order_link_id not in own and not is_attached(order)
    )
    return SortedOrders(
        kept=tuple(order for order in mine if is_protective(order)),
        leftovers=tuple(order for order in mine if not is_protective(order)),
        foreign=foreign,
        foreign_cancelled=foreign if policies.foreign_orders == "cancel" else (),
        attached=attached,
    )


OVERLAP_NS = 60_000_000_000
"""A new execution may be missing from the venue's list for a moment."""


def since_when(
    unsettled: Collection[OrderRow], complete: int | None, known: Collection[int | None]
) -> int | None:
    """Return the time since which executions must be fetched, UNIX nanoseconds.

    `complete` is the time until which a sweep had every execution. `known` are other journal times,
    of which the oldest counts. None means an empty journal: earlier executions belong to the
    operator.
    """
    bases = [ts for ts in known if ts is not None] if complete is None else [complete]
    moments = bases + [order.created for order in unsettled]
    return max(0, min(moments) - OVERLAP_NS) if moments else None


def own_by(tag: str, journaled: Callable[[str], bool]) -> Callable[[str], bool]:
    """Return the test for this node's orders: its tag in the id, or an intent in the journal."""

    def is_own(link_id: str) -> bool:
        return own_key(tag, link_id) is not None or (bool(link_id) and journaled(link_id))

    return is_own
