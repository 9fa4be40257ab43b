"""The sweep: asks the venue now and then, holds its answer against our books, acts on what stands.

A thin shell: what is a finding and what is done about it is decided in ``sweep_rules.py``.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Protocol

from actors.records.journal import Journal
from config.documents.watch import Watch
from live_nodes.bybit.facts import VenueFill
from live_nodes.bybit.rest import VenueRest
from live_nodes.reconcile.recovery import Recovery
from live_nodes.reconcile.recovery_rules import OVERLAP_NS
from live_nodes.reconcile.sweep_rules import (
    Books,
    CancelAtVenue,
    Finding,
    Halt,
    Kind,
    Repair,
    Ripening,
    VenueBooks,
    compare,
    deeds,
    own_by,
)


class Repairs(Protocol):
    """Brings the engine's books to what the venue says."""

    def repair(self, finding: Finding) -> Awaitable[bool]:
        """Ask and reconcile."""


class Sweep:
    """Compares the venue with our books, one look at a time.

    Parameters
    ----------
    rest : VenueRest
        Entered.
    journal : Journal
        Of the node.
    recovery : Recovery
        Takes executions into the journal and cancels at the venue.
    repairs : Repairs
        Mends the engine's books.
    books : callable
        Reads our side: executions in, `Books` out.
    tag : str
        The node's tag in order ids.
    products : sequence of str
        ``LINEAR``, ``SPOT``.
    watch : Watch
        Of the document.
    clock_ns : callable
        Time, UNIX nanoseconds.
    hurried : callable, optional
        Whether books that are right matter more than requests now, as while all is being closed.
    """

    def __init__(
        self,
        rest: VenueRest,
        journal: Journal,
        recovery: Recovery,
        repairs: Repairs,
        books: Callable[[tuple[VenueFill, ...]], Books],
        tag: str,
        products: Sequence[str],
        watch: Watch,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
        hurried: Callable[[], bool] | None = None,
    ) -> None:
        self._hurried = hurried
        self._rest, self._journal, self._recovery = rest, journal, recovery
        self._repairs, self._books, self._products = repairs, books, products
        self._watch = watch
        self._clock_ns = clock_ns
        self._is_own = own_by(tag, lambda name: journal.order(name) is not None)
        self._ripening = Ripening()
        self._began = clock_ns()
        self._acted = False
        self.halts: list[Finding] = []
        """Findings that stop entries in their instruments for as long as they stand."""

    @property
    def pause(self) -> float:
        """Seconds until the next look: shorter while something unproven stands or was put right,
        or all is being closed.
        """
        unripe = len(self._ripening.since) > len(self._ripening.told)
        settle = max(self._watch.sweep_settle, 0.5)
        soon = unripe or self._acted or (self._hurried is not None and self._hurried())
        return min(self._watch.sweep_every, settle) if soon else self._watch.sweep_every

    async def look(self) -> list[Finding]:
        """Look once; returns the findings that ripened now, which were acted upon.

        Raises
        ------
        VenueError
            If the venue could not be asked: nothing is concluded then.
        """
        venue = await self._ask()
        books = self._books(venue.fills)
        venue = replace(venue, unknown=await self._unknown(books))
        findings = compare(books, venue, self._is_own)
        settle_ns = round(self._watch.sweep_settle * 1e9)
        self._ripening, fresh, ripe = self._ripening.seen(findings, self._clock_ns(), settle_ns)
        self._journal.count("sweeps")
        self._acted = bool(fresh)
        policies = self._watch.policies
        # Before anything is repaired, and until the next look has seen that it helped.
        self.halts = [f for f in ripe if any(isinstance(d, Halt) for d in deeds(f, policies))]
        for finding in fresh:
            self._journal.count(finding.kind)
            self._journal.note(finding.kind, finding.detail)
            await self._act(finding)
        return fresh

    async def _ask(self) -> VenueBooks:
        complete = self._recovery.fills_complete()
        since = self._began if complete is None else complete
        # In this order: what fills in between shows as a difference that does not stand.
        orders = [o for product in self._products for o in await self._rest.open_orders(product)]
        fills = await self._recovery.take_fills(max(0, since - OVERLAP_NS), "sweep")
        held = await self._rest.positions() if "LINEAR" in self._products else {}
        return VenueBooks(
            orders=tuple(orders),
            # Those from before the start reached the engine's books by reconciliation.
            fills=tuple(fill for fill in fills if fill.ts_ns >= self._began),
            positions={name: position.quantity for name, position in held.items()},
        )

    async def _unknown(self, books: Books) -> frozenset[str]:
        answers = {
            name: await self._rest.order(instrument, name)
            for name, instrument in books.unanswered.items()
        }
        return frozenset(name for name, answer in answers.items() if answer is None)

    async def _act(self, finding: Finding) -> None:
        for deed in deeds(finding, self._watch.policies):
            if isinstance(deed, CancelAtVenue) and finding.order is not None:
                await self._recovery.cancel([finding.order])
                self._journal.count(f"{finding.kind}_cancelled")
            elif isinstance(deed, Repair) and await self._repairs.repair(finding):
                self._journal.count(f"{finding.kind}_repaired")
        if (
            finding.kind is Kind.EXTERNAL_POSITION
            and self._watch.policies.external_positions == "report"
        ):
            # Reported once, and from here on part of what is there.
            held = (await self._rest.positions()).get(finding.instrument)
            there = Decimal(0) if held is None else held.quantity
            self._journal.explain({finding.instrument: there})
