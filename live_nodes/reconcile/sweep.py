"""Compare venue and own books regularly, and act on lasting differences.

Pure functions find differences and choose actions; `Sweep` requests and acts. nautilus_trader
1.231.0 leaves ghost orders at the venue, hides errors of its start-up reconciliation, and loses
fills while a link is down; and people trade by hand.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum

from actors.records.journal_schema import FOLLOWED
from config.documents.watch import Policies, WatchSettings
from live_nodes.bybit.facts import (
    VenueFill,
    VenueOrder,
    is_attached,
    moves_position,
    order_text,
    signed_quantity,
)
from live_nodes.reconcile.recovery import OTHER_NODE, TAKE_OVER, Recovery
from live_nodes.reconcile.recovery_rules import OVERLAP_NS
from strategies.account_value import is_spot


class FindingKind(StrEnum):
    """Kinds of differences; each has a counter of its name."""

    GHOST_ORDER = "ghost_order"
    """Own order, open at the venue, closed or unknown in our books."""
    LOST_ORDER = "lost_order"
    """Open in our books, not at the venue."""
    NEVER_ARRIVED = "never_arrived"
    """Sent long ago without an answer, unknown at the venue."""
    FOREIGN_ORDER = "foreign_order"
    """Open at the venue, not ours."""
    UNKNOWN_FILL = "unknown_fill"
    """Own execution, missing in our books."""
    POSITION_DIFFERS = "position_differs"
    """The venue's position differs from our books."""
    EXTERNAL_POSITION = "external_position"
    """The venue's position differs from our own executions."""
    OTHER_NODE = "other_node"
    """An order of another node with our tag."""


@dataclass(frozen=True, slots=True)
class EngineBooks:
    """Our side of the comparison; net positions of all owners, signed base coin.

    `open_orders` and `unanswered` map client order ids to instruments. Only `confirmed` orders
    (accepted, not being cancelled) must be at the venue; its own ids (`venue_ids`) name also those
    given without an id. `unanswered` ones are too old to arrive. `explained` are the
    positions of our own executions, coins in whole lots.
    """

    open_orders: Mapping[str, str]
    confirmed: Collection[str]
    executions: Collection[str]
    positions: Mapping[str, Decimal]
    explained: Mapping[str, Decimal]
    unanswered: Mapping[str, str] = field(default_factory=dict)
    venue_ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VenueBooks:
    """The venue's side: open orders, recent executions, net positions and own coins.

    `unknown` are our unanswered orders that it does not know.
    """

    orders: tuple[VenueOrder, ...]
    fills: tuple[VenueFill, ...]
    positions: Mapping[str, Decimal]
    unknown: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class SweepFinding:
    """One difference; `key` identifies it while it stays the same."""

    kind: FindingKind
    key: str
    instrument: str
    detail: str
    order: VenueOrder | None = None
    fill: VenueFill | None = None


def compare(
    books: EngineBooks,
    venue: VenueBooks,
    is_own: Callable[[str], bool],
    coming: Callable[[str], bool] = lambda execution: False,
) -> list[SweepFinding]:
    """Return every difference between two sides taken at nearly the same time.

    Own executions that are ``coming`` into our books explain a difference of positions.
    """
    found: list[SweepFinding] = []
    at_venue = {name for order in venue.orders for name in (order.order_link_id, order.order_id)}
    for order in venue.orders:
        own = is_own(order.order_link_id)
        if is_attached(order) or not order.is_open:
            continue
        if own and order.order_link_id in books.open_orders:
            continue
        if own:
            kind, key = FindingKind.GHOST_ORDER, order.order_link_id
        else:
            kind, key = FindingKind.FOREIGN_ORDER, order.order_id
        found.append(SweepFinding(kind, key, order.instrument, order_text(order), order=order))
    for link_id in sorted(books.confirmed):
        if at_venue.isdisjoint((link_id, books.venue_ids.get(link_id))):
            detail = f"{link_id} is open in our books and not at the venue"
            found.append(
                SweepFinding(FindingKind.LOST_ORDER, link_id, books.open_orders[link_id], detail)
            )
    for link_id in sorted(venue.unknown):
        detail = f"{link_id} was never answered, and the venue knows no such order"
        found.append(
            SweepFinding(FindingKind.NEVER_ARRIVED, link_id, books.unanswered[link_id], detail)
        )
    ours, buying = dict(books.positions), set[str]()
    for fill in venue.fills:
        if (
            moves_position(fill)
            and is_own(fill.order_link_id)
            and fill.execution_id not in books.executions
        ):
            moved = f"{signed_quantity(fill):+f} at {fill.price}"
            detail = f"{moved} of {fill.order_link_id} ({fill.execution_id})"
            key = fill.execution_id
            found.append(
                SweepFinding(FindingKind.UNKNOWN_FILL, key, fill.instrument, detail, fill=fill)
            )
            if coming(key) and fill.instrument in ours:
                ours[fill.instrument] += signed_quantity(fill)
                if is_spot(fill.instrument):
                    buying.add(fill.instrument)
    # Until it is booked, nobody knows what a fee in coins leaves in whole lots.
    ours = {name: held for name, held in ours.items() if name not in buying}
    # The engine's books lack untraded instruments, so only the explained positions count there.
    traded = {name: held for name, held in venue.positions.items() if name in ours}
    found += _positions(FindingKind.POSITION_DIFFERS, ours, traded, "our books hold")
    return [*found, *_external(books.explained, venue.positions)]


def _is_same(differs: SweepFinding, books: EngineBooks, findings: Iterable[SweepFinding]) -> bool:
    # The books of perpetuals follow trades by hand, those of coins do not.
    name = differs.instrument
    return (
        differs.kind is FindingKind.POSITION_DIFFERS
        and books.positions.get(name, Decimal(0)) == books.explained.get(name, Decimal(0))
        and any((f.kind, f.instrument) == (FindingKind.EXTERNAL_POSITION, name) for f in findings)
    )


def _external(ours: Mapping[str, Decimal], theirs: Mapping[str, Decimal]) -> list[SweepFinding]:
    found = _positions(FindingKind.EXTERNAL_POSITION, ours, theirs, "our orders made")
    return [replace(finding, detail=f"{finding.detail}; {TAKE_OVER}") for finding in found]


def _positions(
    kind: FindingKind, ours: Mapping[str, Decimal], theirs: Mapping[str, Decimal], whose: str
) -> Iterable[SweepFinding]:
    zero = Decimal(0)
    for name in sorted({*ours, *theirs}):
        here, there = ours.get(name, zero), theirs.get(name, zero)
        if here != there:
            # The numbers are part of the key: a difference that moves is trading, not a fault.
            yield SweepFinding(
                kind, f"{name} {here} {there}", name, f"the venue holds {there}, {whose} {here}"
            )


@dataclass(frozen=True, slots=True)
class Ripening:
    """Tracks since when (UNIX nanoseconds) each finding stands, as messages overlap briefly."""

    since: Mapping[tuple[FindingKind, str], int] = field(default_factory=dict)
    acted: frozenset[tuple[FindingKind, str]] = frozenset()

    def seen(
        self, findings: list[SweepFinding], now: int, settle_ns: int
    ) -> tuple[Ripening, list[SweepFinding], list[SweepFinding]]:
        """Return the next state, the findings that are newly ripe, and all ripe findings."""
        since = {(f.kind, f.key): self.since.get((f.kind, f.key), now) for f in findings}
        ripe = [f for f in findings if now - since[f.kind, f.key] >= settle_ns]
        fresh = [f for f in ripe if (f.kind, f.key) not in self.acted]
        acted = frozenset((f.kind, f.key) for f in ripe)
        return Ripening(since, acted), fresh, ripe


class SweepAction(StrEnum):
    """Actions on a finding."""

    CANCEL = "cancel"
    """Cancel the order at the venue by our own request."""
    REPAIR = "repair"
    """Let the engine fetch the instrument's orders, fills and position."""
    HALT = "halt"
    """Refuse entries in the instrument while the finding stands."""


def actions_for(kind: FindingKind, policies: Policies) -> tuple[SweepAction, ...]:
    """Return the actions that the policies request; every finding is also reported."""
    cancel, repair, halt = SweepAction.CANCEL, SweepAction.REPAIR, SweepAction.HALT
    halts = policies.external_positions == "halt"
    match kind:
        case FindingKind.GHOST_ORDER:
            return (cancel,) if policies.ghost_orders == "cancel" else ()
        case FindingKind.FOREIGN_ORDER:
            if policies.foreign_orders == "cancel":
                return (cancel,)
            return (repair,) if policies.foreign_orders == "adopt" else ()
        case FindingKind.UNKNOWN_FILL:
            return (repair,) if policies.unknown_fills == "recover" else ()
        case FindingKind.LOST_ORDER | FindingKind.NEVER_ARRIVED:
            return (repair,)
        case FindingKind.POSITION_DIFFERS:
            return (repair, halt) if halts else (repair,)
        case FindingKind.EXTERNAL_POSITION:
            return (halt,) if halts else ()
        case FindingKind.OTHER_NODE:
            # It halts all entries, not those of an instrument.
            return ()


class Sweep:
    """Compares the venue with our books, one sweep at a time.

    `recovery` journals executions and cancels orders, `repair` corrects the engine's books, `books`
    turns executions into `EngineBooks`. `urgent` says whether correct books matter more than few
    requests, as while all is being closed.
    """

    def __init__(
        self,
        recovery: Recovery,
        repair: Callable[[SweepFinding], Awaitable[bool]],
        books: Callable[[tuple[VenueFill, ...]], EngineBooks],
        watch: WatchSettings,
        *,
        urgent: Callable[[], bool] = lambda: False,
    ) -> None:
        self._recovery, self._rest, self._journal = recovery, recovery.rest, recovery.journal
        self._repair, self._books, self._watch = repair, books, watch
        self._urgent = urgent
        self._products = recovery.products
        self.take_transfers = recovery.take_transfers
        # What the start found halts from the start on, before a strategy sends anything.
        here = {name: ours for name, (ours, _) in recovery.external.items()}
        there = {name: theirs for name, (_, theirs) in recovery.external.items()}
        self.halts = _external(here, there)
        """Findings that halt entries in their instruments."""
        found = [(finding.kind, finding.key) for finding in self.halts]
        self._ripening = Ripening(dict.fromkeys(found, 0), frozenset(found))
        self._give_up(self.halts, recovery.own.lacking)
        # The venue stamps whole milliseconds: a fill of this one came after the start.
        self._began = time.time_ns() // 10**6 * 10**6
        self._acted = False
        self._known: set[str] = set()

    @property
    def other_nodes(self) -> list[SweepFinding]:
        """Orders of other nodes with our tag, found in this run."""
        return [
            SweepFinding(FindingKind.OTHER_NODE, link_id, name, f"{link_id} {OTHER_NODE}")
            for link_id, name in self._recovery.other_nodes.values()
        ]

    @property
    def pause(self) -> float:
        """Seconds to the next sweep; short for open or repaired differences, and while closing."""
        unripe = len(self._ripening.since) > len(self._ripening.acted)
        settle = max(self._watch.sweep_settle, 0.5)
        soon = unripe or self._acted or self._urgent()
        return min(self._watch.sweep_every, settle) if soon else self._watch.sweep_every

    async def look(self) -> list[SweepFinding]:
        """Compare once, act on the findings that are newly ripe, and return them.

        Own coins that others took are returned once, as an external position. Raises VenueError if
        the venue gives no answer: nothing is concluded then.
        """
        asked = time.time_ns()
        venue = await self._ask()
        lacking = dict(self._recovery.own.lacking)
        executions = {fill.execution_id for fill in venue.fills}
        # What our books had once they keep, so only the others are looked up.
        fills = tuple(fill for fill in venue.fills if fill.execution_id not in self._known)
        books = self._books(fills)
        self._known = executions & self._known.union(books.executions)
        venue = replace(venue, fills=fills, unknown=await self._unknown(books))
        findings = compare(books, venue, self._recovery.is_own, self._is_coming)
        findings += self.other_nodes
        settle_ns = round(self._watch.sweep_settle * 1e9)
        before = self._ripening.acted
        ripening, fresh, ripe = self._ripening.seen(findings, time.time_ns(), settle_ns)
        # Where the venue falls silent meanwhile, the next sweep acts on all that is still there.
        self._ripening = replace(ripening, acted=ripening.acted & before)
        self._give_up(ripe, lacking)
        if "SPOT" in self._products and not any(lacking.values()):
            self._journal.save_state("node", FOLLOWED, str(asked - OVERLAP_NS).encode())
        self._journal.count("sweeps")
        self._acted = bool(fresh)
        policies = self._watch.policies
        # Hold entries before the repair, until the next sweep confirms it.
        self.halts = [f for f in ripe if SweepAction.HALT in actions_for(f.kind, policies)]
        for finding in fresh:
            self._journal.count(finding.kind)
            self._journal.note(finding.kind, finding.detail)
            await self._act(finding)
        self._ripening = ripening
        return [f for f in fresh if not _is_same(f, books, fresh)]

    def _give_up(self, ripe: Iterable[SweepFinding], lacking: Mapping[str, Decimal]) -> None:
        # Own coins that others took are gone: those that they buy later are theirs.
        for finding in ripe:
            coins = lacking.get(finding.instrument)
            if finding.kind is FindingKind.EXTERNAL_POSITION and coins:
                self._journal.take(finding.instrument, coins)

    def _is_coming(self, execution: str) -> bool:
        # Reported late, or to be repaired; not when a repair did not help.
        return (
            self._watch.policies.unknown_fills == "recover"
            and (FindingKind.UNKNOWN_FILL, execution) not in self._ripening.acted
        )

    async def _ask(self) -> VenueBooks:
        complete = self._recovery.fills_complete()
        since = self._began if complete is None else complete
        # In this order, a fill in between shows as a short difference only.
        orders = await self._rest.open_orders(*self._products)
        fills = await self._recovery.take_fills(max(0, since - OVERLAP_NS), "sweep")
        held = await self._rest.positions()
        return VenueBooks(
            orders=tuple(order for order in orders if not self._recovery.is_others_order(order)),
            # Reconciliation has brought those from before the start into the engine's books.
            fills=tuple(fill for fill in fills if fill.ts_ns >= self._began),
            positions=held,
        )

    async def _unknown(self, books: EngineBooks) -> frozenset[str]:
        answers = {
            name: await self._rest.order(instrument, name)
            for name, instrument in books.unanswered.items()
        }
        return frozenset(name for name, answer in answers.items() if answer is None)

    async def _act(self, finding: SweepFinding) -> None:
        for action in actions_for(finding.kind, self._watch.policies):
            if action is SweepAction.CANCEL and finding.order is not None:
                await self._recovery.cancel([finding.order])
                self._journal.count(f"{finding.kind}_cancelled")
            elif action is SweepAction.REPAIR and await self._repair(finding):
                self._journal.count(f"{finding.kind}_repaired")
        if (
            finding.kind is FindingKind.EXTERNAL_POSITION
            and self._watch.policies.external_positions == "report"
        ):
            # Report it once; from here on it counts as known.
            there = (await self._rest.positions()).get(finding.instrument, Decimal(0))
            await self._recovery.accept({finding.instrument: there})
