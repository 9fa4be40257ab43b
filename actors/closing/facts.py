"""Plain data of the closer: the account, its memory and its actions.

Quantities are exact decimals in base coin, signed (shorts and sells are negative). Times are UNIX
nanoseconds (UTC).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal, NamedTuple

import msgspec

from strategies.messages import Verdict

EXTERNAL = ""
"""Owner of positions and orders that no strategy of this desk owns."""
ZERO = Decimal(0)


class PositionKey(NamedTuple):
    """Owner and instrument of a position or an order."""

    owner: str
    instrument: str


class WorkingOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that may still fill.

    Parameters
    ----------
    owner : str
        The strategy's key, `EXTERNAL` for an unknown owner.
    left : Decimal
        What is left to fill; sells are negative.
    takes : bool
        Whether it takes at once and never rests, as a market order.
    has_left : bool
        Whether it is on its way to the venue; false while it waits here.
    answered : bool
        Whether the venue has acknowledged it.
    since : int
        When it reached its present stage.
    ours : bool
        Whether the closer made it.
    """

    id: str
    owner: str
    instrument: str
    left: Decimal
    reduce_only: bool = False
    takes: bool = False
    has_left: bool = True
    answered: bool = True
    since: int = 0
    ours: bool = False

    @property
    def key(self) -> PositionKey:
        """Its owner and instrument."""
        return PositionKey(self.owner, self.instrument)

    def is_leaving(self, held: Decimal) -> bool:
        """Whether it is an exit that takes at once and can't exceed the position."""
        if not self.takes or self.left * held >= 0:
            return False
        return self.reduce_only or abs(self.left) <= abs(held)

    def could_turn(self, held: Decimal) -> bool:
        """Whether to expect its fill: an exit on its way, or an order without reduce-only."""
        return self.left * held < 0 and (not self.reduce_only or self.is_leaving(held))

    def is_entry(self, held: Decimal) -> bool:
        """Whether it could open or enlarge a position."""
        return not self.reduce_only and (self.left * held >= 0 or abs(self.left) > abs(held))


class ClosingTerms(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's limits for orders in one instrument.

    Minimum value (settlement currency) and quantity are those of an entry. A ``spot`` pair has no
    reduce-only orders and no exits below a minimum. Spot pairs alone have ``price`` (the newest)
    and ``in_wallet`` (the coin in the wallet, None when unknown: fees are paid out of it).
    """

    lot: Decimal
    min_quantity: Decimal = ZERO
    min_notional: Decimal = ZERO
    max_quantity: Decimal | None = None
    spot: bool = False
    price: Decimal | None = None
    in_wallet: Decimal | None = None

    def closable(self, held: Decimal) -> Decimal:
        """Return how much of a position an order of whole lots can close, unsigned.

        Bybit takes reduce-only orders below its minimum value, so of a perpetual only less than a
        lot remains. In spot, an order can sell only what the wallet has, and nothing below a
        minimum.
        """
        size = abs(held)
        if self.spot:
            size = (
                ZERO if held < 0 else min(size, size if self.in_wallet is None else self.in_wallet)
            )
        size = size // self.lot * self.lot
        if self.spot and size < self.min_quantity:
            return ZERO
        if self.spot and self.price is not None and size * self.price < self.min_notional:
            return ZERO
        return size


class AtVenue(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's own view of the account.

    ``queried_at`` is the time before the request left. ``positions`` are the net positions that are
    not flat, by instrument id. ``orders`` are instrument ids by client order id (or the venue's own
    id).
    """

    queried_at: int
    positions: dict[str, Decimal]
    orders: dict[str, str]


class ClosingFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The account at one moment: verdicts, positions, open orders and the venue's newest answer.

    ``terms`` are by instrument id, for all positions. ``reachable`` is whether orders can be sent
    now. ``failures`` are the venue's reasons why the newest closes failed.
    """

    now: int
    verdicts: tuple[Verdict, ...] = ()
    positions: dict[PositionKey, Decimal] = msgspec.field(default_factory=dict)
    orders: tuple[WorkingOrder, ...] = ()
    terms: dict[str, ClosingTerms] = msgspec.field(default_factory=dict)
    venue: AtVenue | None = None
    reachable: bool = True
    failures: dict[PositionKey, str] = msgspec.field(default_factory=dict)

    def held(self, key: PositionKey) -> Decimal:
        """Return the position, zero when it is flat."""
        return self.positions.get(key, ZERO)

    def net(self, instrument: str) -> Decimal:
        """Return the net position of all owners, as the venue shows it."""
        return sum((q for key, q in self.positions.items() if key.instrument == instrument), ZERO)

    def closable(self, key: PositionKey) -> Decimal:
        """Return how much of a position can be closed, zero where its terms are unknown.

        All of a perpetual that is the only one in its instrument, also parts of a lot: the venue
        closes a whole position in any size (`actors.gate.rules.closes_all`).
        """
        terms, held = self.terms.get(key.instrument), self.positions[key]
        if terms is None:
            return ZERO
        is_whole = not terms.spot and held == self.net(key.instrument)
        return abs(held) if is_whole else terms.closable(held)


class ClosingPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a flatten, and which positions and orders a verdict's scope covers.

    Parameters
    ----------
    grace_ns, deadline_ns : int
        How long strategies may leave by themselves, and when all should be closed.
    owners : dict of str to str
        Strategy's key by instrument id.
    external : {"leave", "universe", "all"}
        How to treat others' positions and orders (`config.documents.setup.Risk.external`).
    verifies : bool
        Whether the venue must confirm that all is flat.
    """

    grace_ns: int
    deadline_ns: int
    owners: dict[str, str]
    external: Literal["leave", "universe", "all"] = "universe"
    verifies: bool = False

    def covered_since(self, scopes: Mapping[str, int], key: PositionKey) -> int | None:
        """Return since when a scope covers the position or order, or None."""
        names = ["desk", f"instrument:{key.instrument}"]
        if key.owner != EXTERNAL:
            names.append(f"strategy:{key.owner}")
        elif self.external == "leave" or (
            self.external == "universe" and key.instrument not in self.owners
        ):
            return None
        return min((scopes[name] for name in names if name in scopes), default=None)

    def covers(self, scopes: Mapping[str, int], key: PositionKey) -> bool:
        """Whether a scope covers the position or order."""
        return self.covered_since(scopes, key) is not None

    def covers_at_venue(self, scopes: Mapping[str, int], instrument: str) -> bool:
        """Whether a scope covers the instrument: the venue does not show a position's owner."""
        owner = self.owners.get(instrument)
        if owner is None and self.external != "all":
            return False
        return self.covers(scopes, PositionKey(owner or EXTERNAL, instrument))

    def is_due(self, scopes: Mapping[str, int], key: PositionKey, now: int) -> bool:
        """Whether the grace of a scope that covers the position or order is over."""
        since = self.covered_since(scopes, key)
        return since is not None and now >= since + self.grace_ns


class CloseAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """Progress of closing one position.

    ``since`` is when the closer began, and ``tries`` how many closes in a row failed. It sends
    nothing before ``due``. ``sent`` is when the open close left, if there is one, and ``held`` the
    position at that moment.
    """

    since: int
    tries: int = 0
    due: int = 0
    sent: int | None = None
    held: Decimal = ZERO


class CancelSent(NamedTuple):
    """Since when an order must go, when the last cancel was sent, and how many."""

    since: int
    at: int = 0
    times: int = 0


class ClosingState(msgspec.Struct, frozen=True, kw_only=True):
    """The closer's memory; empty while no verdict needs the closer.

    Parameters
    ----------
    flatten, halts : dict of str to int
        Scopes to leave, and scopes without entries, with the time since when.
    began : int or None
        Start of the flatten whose deadline runs.
    flat : bool
        Whether its end was reported.
    clear : int or None
        Since when our books have shown nothing in those scopes.
    cancels : dict of str to CancelSent
        By client order id.
    lost : frozenset of str
        Closes without an answer that the venue does not know.
    dust : frozenset of PositionKey
        Reported coins that are too few to sell.
    alarmed : int or None
        Time of the last alarm that it is not done.
    """

    flatten: dict[str, int] = msgspec.field(default_factory=dict)
    halts: dict[str, int] = msgspec.field(default_factory=dict)
    began: int | None = None
    flat: bool = False
    clear: int | None = None
    attempts: dict[PositionKey, CloseAttempt] = msgspec.field(default_factory=dict)
    cancels: dict[str, CancelSent] = msgspec.field(default_factory=dict)
    lost: frozenset[str] = frozenset()
    dust: frozenset[PositionKey] = frozenset()
    alarmed: int | None = None


class CancelAct(NamedTuple):
    """Cancel an order."""

    id: str


class CloseAct(NamedTuple):
    """Trade a signed quantity at market, reduce-only except in spot."""

    key: PositionKey
    quantity: Decimal


class ClosingNews(NamedTuple):
    """Report to the trader: ``not_flat`` and ``resting`` are alarms, repeated until they end."""

    kind: Literal["closing", "flat", "not_flat", "resting", "dust", "off"]
    text: str


Act = CancelAct | CloseAct | ClosingNews
