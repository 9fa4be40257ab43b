"""The sweep's judgement: the venue's orders, executions and positions against our books. Pure.

Facts go in, findings come out; findings that stand long enough become actions by the document's
policies. Why each exists: ../shared/nautilus/live.md section 4 (ghost orders 4.4, start-up
reconciliation that hides errors 4.5, lost fills 4.10, manual trades 4.11).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from config.documents.watch import Policies
from live_nodes.bybit.facts import VenueFill, VenueOrder
from live_nodes.bybit.terms import described, is_attached, moves_position, signed
from strategies.order_ids import owner_of


class Kind(StrEnum):
    """What can be wrong between the venue and us; each has a counter of its name."""

    GHOST_ORDER = "ghost_order"
    """Open at the venue, ours, and closed or unknown in our books."""
    LOST_ORDER = "lost_order"
    """Open in our books, and not at the venue."""
    NEVER_ARRIVED = "never_arrived"
    """Sent long ago, without an answer, and the venue knows no such order."""
    FOREIGN_ORDER = "foreign_order"
    """Open at the venue and of nobody here."""
    UNKNOWN_FILL = "unknown_fill"
    """An execution of an order of ours that our books lack."""
    POSITION_DIFFERS = "position_differs"
    """The venue's position is not the one in our books."""
    EXTERNAL_POSITION = "external_position"
    """The venue's position is not what our own orders made of it."""


@dataclass(frozen=True, slots=True)
class Books:
    """Our side.

    Parameters
    ----------
    open_orders : mapping of str to str
        Client order ids that are open or under way, each with its instrument; only those that the
        venue has confirmed may be missed there (`confirmed`).
    confirmed : collection of str
        Those of them that the venue accepted, and that are not being cancelled.
    executions : collection of str
        Ids of the executions we know.
    positions : mapping of str to Decimal
        Net position of every perpetual that the node trades, all owners, signed base coin.
    explained : mapping of str to Decimal
        Position that our own executions explain (`Baseline`); linear only.
    unanswered : mapping of str to str
        Orders that were sent so long ago that the venue takes them no more, and that it has neither
        accepted nor refused; each with its instrument.
    """

    open_orders: Mapping[str, str]
    confirmed: Collection[str]
    executions: Collection[str]
    positions: Mapping[str, Decimal]
    explained: Mapping[str, Decimal]
    unanswered: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VenueBooks:
    """The venue's side: open orders, executions since a while, net linear positions.

    `unknown` are those of our unanswered orders that it knows neither as open nor as past ones.
    """

    orders: tuple[VenueOrder, ...]
    fills: tuple[VenueFill, ...]
    positions: Mapping[str, Decimal]
    unknown: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference. ``key`` names it as long as it stays the same."""

    kind: Kind
    key: str
    instrument: str
    detail: str
    order: VenueOrder | None = None
    fill: VenueFill | None = None


def compare(books: Books, venue: VenueBooks, is_own: Callable[[str], bool]) -> list[Finding]:
    """Return every difference between the venue and our books.

    Parameters
    ----------
    books, venue : Books, VenueBooks
        The two sides, taken as close to each other in time as can be.
    is_own : callable
        Whether a client order id is this node's.
    """
    found: list[Finding] = []
    at_venue = {order.order_link_id for order in venue.orders}
    for order in venue.orders:
        if is_attached(order) or not order.is_open or order.order_link_id in books.open_orders:
            continue
        if is_own(order.order_link_id):
            kind, key = Kind.GHOST_ORDER, order.order_link_id
        else:
            kind, key = Kind.FOREIGN_ORDER, order.order_id
        found.append(Finding(kind, key, order.instrument, described(order), order=order))
    for link_id in sorted(books.confirmed):
        if link_id not in at_venue:
            detail = f"{link_id} is open in our books and not at the venue"
            found.append(Finding(Kind.LOST_ORDER, link_id, books.open_orders[link_id], detail))
    for link_id in sorted(venue.unknown):
        detail = f"{link_id} was never answered, and the venue knows no such order"
        found.append(Finding(Kind.NEVER_ARRIVED, link_id, books.unanswered[link_id], detail))
    for fill in venue.fills:
        if (
            moves_position(fill)
            and is_own(fill.order_link_id)
            and fill.execution_id not in books.executions
        ):
            detail = (
                f"{signed(fill):+f} at {fill.price} of {fill.order_link_id} ({fill.execution_id})"
            )
            key = fill.execution_id
            found.append(Finding(Kind.UNKNOWN_FILL, key, fill.instrument, detail, fill=fill))
    # What the node does not trade is not in the engine's books, so only the second speaks of it.
    traded = {name: held for name, held in venue.positions.items() if name in books.positions}
    found += _positions(Kind.POSITION_DIFFERS, books.positions, traded, "our books hold")
    found += _positions(Kind.EXTERNAL_POSITION, books.explained, venue.positions, "our orders made")
    return found


def _positions(
    kind: Kind, ours: Mapping[str, Decimal], theirs: Mapping[str, Decimal], whose: str
) -> Iterable[Finding]:
    zero = Decimal(0)
    for name in sorted({*ours, *theirs}):
        here, there = ours.get(name, zero), theirs.get(name, zero)
        if here != there:
            # The numbers are part of the key: a difference that moves is trading, not a fault.
            yield Finding(
                kind, f"{name} {here} {there}", name, f"the venue holds {there}, {whose} {here}"
            )


def _said(order: VenueOrder) -> str:
    price = "" if order.price is None else f" at {order.price}"
    return (
        f"{order.side.lower()} {order.quantity - order.filled}{price} in {order.instrument} "
        f"({order.order_link_id or order.order_id})"
    )


@dataclass(frozen=True, slots=True)
class Ripening:
    """Which findings stand, and since when: pushes and answers cross, so a moment proves nothing.

    Parameters
    ----------
    since : mapping
        First time each finding (kind, key) was seen in an unbroken row, UNIX nanoseconds.
    told : frozenset
        Those that were acted upon already.
    """

    since: Mapping[tuple[Kind, str], int] = field(default_factory=dict)
    told: frozenset[tuple[Kind, str]] = frozenset()

    def seen(
        self, findings: list[Finding], now: int, settle_ns: int
    ) -> tuple[Ripening, list[Finding], list[Finding]]:
        """Return the next state, the findings that ripened just now, and all that are ripe."""
        since = {(f.kind, f.key): self.since.get((f.kind, f.key), now) for f in findings}
        ripe = [f for f in findings if now - since[f.kind, f.key] >= settle_ns]
        fresh = [f for f in ripe if (f.kind, f.key) not in self.told]
        told = frozenset((f.kind, f.key) for f in ripe)
        return Ripening(since, told), fresh, ripe


@dataclass(frozen=True, slots=True)
class CancelAtVenue:
    """Cancel an order at the venue by our own request, whatever the engine believes."""

    finding: Finding


@dataclass(frozen=True, slots=True)
class Repair:
    """Let the engine ask the venue for the instrument's orders, fills and position."""

    finding: Finding


@dataclass(frozen=True, slots=True)
class Halt:
    """Let no entry leave in the instrument while the finding stands."""

    finding: Finding


Deed = CancelAtVenue | Repair | Halt


def deeds(finding: Finding, policies: Policies) -> tuple[Deed, ...]:
    """Return what the document's policies want done about a finding; it is reported in any case."""
    match finding.kind:
        case Kind.GHOST_ORDER:
            return (CancelAtVenue(finding),) if policies.ghost_orders == "cancel" else ()
        case Kind.FOREIGN_ORDER:
            if policies.foreign_orders == "cancel":
                return (CancelAtVenue(finding),)
            return (Repair(finding),) if policies.foreign_orders == "adopt" else ()
        case Kind.UNKNOWN_FILL:
            return (Repair(finding),) if policies.unknown_fills == "recover" else ()
        case Kind.LOST_ORDER | Kind.NEVER_ARRIVED:
            return (Repair(finding),)
        case Kind.POSITION_DIFFERS:
            halt: tuple[Deed, ...] = (
                (Halt(finding),) if policies.external_positions == "halt" else ()
            )
            return (Repair(finding), *halt)
        case Kind.EXTERNAL_POSITION:
            return (Halt(finding),) if policies.external_positions == "halt" else ()


def own_by(tag: str, journaled: Callable[[str], bool]) -> Callable[[str], bool]:
    """Return the test for this node's orders: its tag in the id, or an intent in its journal."""

    def is_own(link_id: str) -> bool:
        owner = owner_of(link_id)
        return (owner is not None and owner.tag == tag) or (bool(link_id) and journaled(link_id))

    return is_own
