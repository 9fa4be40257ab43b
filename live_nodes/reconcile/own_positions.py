"""Calculate own positions from journal and venue executions, without a running node."""

from __future__ import annotations

import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain
from pathlib import Path

from actors.records.coins import coins_moved
from actors.records.journal_reading import read
from actors.records.rows import FillRow
from config.errors import DeskError, InputError
from live_nodes.bybit.facts import TRADES, moves_position
from live_nodes.bybit.rest import VenueRest
from live_nodes.reconcile.recovery import LOST_NS, fill_row, sessions_of_others
from live_nodes.reconcile.recovery_rules import OVERLAP_NS
from strategies.account_value import is_spot
from strategies.order_ids import own_key, session_start

ZERO = Decimal(0)


@dataclass
class OwnPositions:
    """Positions and coins made by our executions, updated by `refresh`; signed base coin.

    `net` is by instrument and owner. `explained` is the part that the journal explains; a first
    start explains what it finds. `since` is UNIX nanoseconds (UTC); `seen` are counted already.
    `moved_by_others` are executions of others since the desk's coins were all there.
    Sessions of `others` are of other nodes with the tag.
    """

    tag: str
    products: tuple[str, ...] = ("LINEAR",)
    net: dict[str, dict[str, Decimal]] = field(default_factory=dict)
    explained: dict[str, Decimal] = field(default_factory=dict)
    since: int = 0
    seen: set[str] = field(default_factory=set)
    moved_by_others: list[FillRow] = field(default_factory=list)
    others: Collection[int] = ()

    def key(self, link_id: str) -> str | None:
        """Return our strategy's key by an order's id, None for orders of others."""
        return None if session_start(link_id) in self.others else own_key(self.tag, link_id)

    def of(self, instrument: str) -> Decimal:
        """Return our part of an instrument's position, signed base coin."""
        return sum(self.net.get(instrument, {}).values(), ZERO)

    def owner(self, instrument: str) -> str:
        """Return the owner's key of the position, empty without one."""
        held = {key: abs(quantity) for key, quantity in self.net.get(instrument, {}).items()}
        return max(held, key=lambda key: held[key]) if any(held.values()) else ""

    async def refresh(self, rest: VenueRest, until_ns: int) -> dict[str, Decimal]:
        """Count new executions; return each order's filled quantity. Raises VenueError."""
        filled: defaultdict[str, Decimal] = defaultdict(Decimal)
        found = [await rest.fills(product, self.since, until_ns) for product in self.products]
        for fill in chain.from_iterable(found):
            key = self.key(fill.order_link_id)
            if not moves_position(fill):
                continue
            is_new = fill.execution_id not in self.seen
            self.seen.add(fill.execution_id)
            if key is None:
                if is_new:
                    self.moved_by_others.append(fill_row(fill, "", ""))
                continue
            filled[fill.order_link_id] += fill.quantity
            if is_new:
                moved = coins_moved(fill_row(fill, key, ""))
                self.add(fill.instrument, key, moved)
                before = self.explained.get(fill.instrument, ZERO)
                self.explained[fill.instrument] = before + moved
        return dict(filled)

    def add(self, instrument: str, owner: str, quantity: Decimal) -> None:
        """Count an execution, signed base coin."""
        held = self.net.setdefault(instrument, {})
        held[owner] = held.get(owner, ZERO) + quantity


def own_positions(
    folder: Path, tag: str, say: Callable[[str], None], products: tuple[str, ...] = ("LINEAR",)
) -> OwnPositions:
    """Return own positions from the journal, or from a month of executions without one.

    `products` are those of the node; its journal may have coins of before.
    """
    found = OwnPositions(tag, products, since=time.time_ns() - LOST_NS)
    try:
        with read(folder) as journal:
            complete = journal.load_state("node", "fills complete")
            fills = journal.fills_since(0)
            found.explained, found.others = journal.own(), sessions_of_others(journal)
            found.moved_by_others = journal.moved_by_others()
    except InputError:
        return found
    except (sqlite3.Error, DeskError) as error:
        say(
            f"the journal can't be read ({error}): the desk's positions are worked out from the "
            "venue's executions"
        )
        return OwnPositions(tag, products, since=found.since)
    for fill in fills:
        found.seen.add(fill.execution_id)
        if fill.strategy and fill.kind in TRADES:
            found.add(fill.instrument, fill.strategy, coins_moved(fill))
    if any(map(is_spot, found.net)):
        found.products = tuple(sorted({*products, "SPOT"}))
    known = int(complete) if complete is not None else max((fill.ts for fill in fills), default=0)
    if known:
        found.since = known - OVERLAP_NS
    return found
