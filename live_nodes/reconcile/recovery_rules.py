"""Decide the outcome of open requests, and whose an order is. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection
from decimal import Decimal
from typing import NamedTuple

from actors.records.journal_schema import NEVER_ARRIVED
from actors.records.rows import OrderRow
from live_nodes.bybit.facts import STATUS_WORDS, VenueOrder, reason_of
from strategies.order_ids import own_key, session_start


class Settled(NamedTuple):
    """Outcome of an order for the journal, with the venue's details."""

    status: str
    venue_order_id: str = ""
    filled: Decimal | None = None
    quantity: Decimal | None = None
    reason: str = ""


def conclude(answer: VenueOrder | None, missed_ns: int, patience_ns: int) -> Settled | None:
    """Return the outcome that the venue's answer proves; None where it must be asked again.

    An unknown order (no answer) may still be under way: only two misses that are `patience_ns`
    apart prove that it never arrived. Bybit refuses a request that is older than its receive window
    (5 s). `missed_ns` is the time since the first miss.
    """
    if answer is not None:
        return Settled(
            STATUS_WORDS[answer.status],
            venue_order_id=answer.order_id,
            filled=answer.filled,
            quantity=answer.quantity,
            reason=reason_of(answer),
        )
    if missed_ns < patience_ns:
        return None
    return Settled(NEVER_ARRIVED, reason="the venue was asked twice and knows no such order")


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


LATE_NS = 10_000_000_000
"""The last request of a killed node may arrive so late: 5 s of receive window, and clocks."""


def made_since(link_id: str, made_ns: int, began_ns: int) -> bool:
    """Whether an order, or its session, is younger than a run; times are UNIX nanoseconds (UTC).

    Not those of closers: a flatten beside the node may have given them.
    """
    session = session_start(link_id)
    return session is not None and (session > began_ns or made_ns > began_ns + LATE_NS)


def within(part: Decimal, whole: Decimal) -> Decimal:
    """Return as much of `part` as lies in `whole`: on its side of zero and no larger.

    >>> [within(Decimal(part), Decimal(-3)) for part in (-5, -2, 1)]
    [Decimal('-3'), Decimal('-2'), Decimal('0')]
    """
    if part * whole <= 0:
        return Decimal(0)
    return part if abs(part) < abs(whole) else whole


def own_by(
    tag: str, journaled: Callable[[str], bool], others: Collection[int] = ()
) -> Callable[[str], bool]:
    """Return the test for this node's orders: its tag in the id, or an intent in the journal.

    Sessions of `others` (`session_start`) are of other nodes with the tag.
    """

    def is_own(link_id: str) -> bool:
        if own_key(tag, link_id) is not None and session_start(link_id) not in others:
            return True
        return bool(link_id) and journaled(link_id)

    return is_own
