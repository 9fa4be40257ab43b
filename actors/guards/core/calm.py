"""Bounds within which a guard is far inside its limits, so that it need not measure. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple, Protocol

from actors.guards.core.exposure import sizes_of
from actors.guards.core.lazy import UnpricedMarkets, unpriced_markets
from actors.guards.core.positions import Holdings, OpenPositions
from actors.guards.core.snapshot import ZERO, Snapshot, once

MOST = Decimal("1e30")
NEVER = 2**63


class Facts(NamedTuple):
    """What guards compare of a snapshot; the same objects while nothing of them changes.

    Without the snapshot, which keeps them: both would wait for the garbage collector.
    """

    now: int
    equity: Decimal
    flows: Decimal
    maintenance: str
    gross: Decimal
    largest: Decimal  # of the instruments' absolute net values
    markets: UnpricedMarkets
    positions: OpenPositions | None
    results: Mapping[str, Decimal]  # by instrument


@once
def facts_of(snapshot: Snapshot) -> Facts:
    """Return the facts of a snapshot."""
    held = snapshot.holdings
    positions = held.positions if isinstance(held, Holdings) else None
    return Facts(
        snapshot.now,
        snapshot.equity,
        snapshot.flows,
        snapshot.maintenance,
        *sizes_of(snapshot),
        unpriced_markets(snapshot),
        positions,
        snapshot.results_by_instrument,
    )


class Calm(Protocol):
    """What keeps a guard quiet while its state does not change (`Guard.calm`)."""

    def holds(self, facts: Facts) -> bool:
        """Whether all readings are clear, and none changes the state."""


class Bounds(NamedTuple):
    """Bounds of equity (above ``least``), sizes (below) and time; perhaps of some markets alone.

    A share is a part of equity.
    """

    least: Decimal = -MOST
    most: Decimal = MOST
    gross: Decimal = MOST
    largest: Decimal = MOST
    gross_share: Decimal = MOST
    largest_share: Decimal = MOST
    until: int = NEVER  # UNIX nanoseconds (UTC)
    flows: Decimal = ZERO  # of the desk, as the snapshot's
    markets: UnpricedMarkets | None = None
    positions: OpenPositions | None = None  # for bounds that hold for these only

    def holds(self, facts: Facts) -> bool:
        """Whether the facts are inside; not while the venue is closed."""
        now, equity, flows, maintenance, gross, largest, markets, positions, _ = facts
        return (
            self.least < equity <= self.most
            and gross < self.gross_share * equity
            and largest < self.largest_share * equity
            and gross < self.gross
            and largest < self.largest
            and now < self.until
            and flows == self.flows
            and (self.markets is None or self.markets is markets)
            and (self.positions is None or self.positions is positions)
            and not maintenance
        )


def narrowest(all_of: Sequence[Bounds]) -> Bounds:
    """Return the bounds inside all of some, which hold for the same facts now.

    Examples
    --------
    >>> narrowest([Bounds(least=Decimal(5)), Bounds(least=Decimal(3), until=9)])[::6]
    (Decimal('5'), 9)
    """
    columns = list(zip(*all_of, strict=True)) or [(value,) for value in Bounds()]
    return Bounds(
        max(columns[0]),
        *map(min, columns[1:7]),
        *(next((one for one in column if one is not None), None) for column in columns[7:]),
    )
