"""What the closer knows of the account, what it remembers and what it asks for. Plain data.

Quantities are exact decimals in base coin, signed (short, and what sells, is negative); times are
UNIX nanoseconds (UTC).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal, NamedTuple

import msgspec

from strategies.messages import Verdict

EXTERNAL = ""
"""Owner of positions and orders of nobody on this desk."""
SECOND = 1_000_000_000
ZERO = Decimal(0)


class PositionKey(NamedTuple):
    """Whose position, or order, in which instrument."""

    owner: str
    instrument: str


class WorkingOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that may still fill.

    Parameters
    ----------
    owner, instrument : str
        The strategy's key (`EXTERNAL` for nobody's), and the instrument's id.
    left : Decimal
        What is left to fill; sells are negative.
    reduce_only : bool
        Whether the venue lets it only shrink a position.
    takes : bool
        Whether it takes at once and never rests, as a market order.
    has_left : bool
        Whether it is on its way to the venue; false while it waits for its turn here.
    answered : bool
        Whether the venue has acknowledged it.
    since : int
        When it came to where it is now.
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
        """Whose it is, and in what."""
        return PositionKey(self.owner, self.instrument)

    def is_leaving(self, held: Decimal) -> bool:
        """Whether it is an exit that takes at once and can't be more than the position."""
        if not self.takes or self.left * held >= 0:
            return False
        return self.reduce_only or abs(self.left) <= abs(held)

    def could_turn(self, held: Decimal) -> bool:
        """Whether its fill has to be counted on: an exit on its way, or one without a cap."""
        return self.left * held < 0 and (not self.reduce_only or self.is_leaving(held))

    def is_entry(self, held: Decimal) -> bool:
        """Whether it could open or enlarge a position."""
        return not self.reduce_only and (self.left * held >= 0 or abs(self.left) > abs(held))


class ClosingTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue asks of an order in one instrument.

    Parameters
    ----------
    lot, min_quantity, min_notional : Decimal
        Step and smallest quantity, smallest value (settlement currency) of an entry.
    spot : bool
        Whether it is a spot pair, which knows no reduce-only order and no exit below a minimum.
    price : Decimal or None
        Newest price; spot only.
    in_wallet : Decimal or None
        What the wallet has of the coin, where that is known: fees are paid out of it. Spot only.
    """

    lot: Decimal
    min_quantity: Decimal = ZERO
    min_notional: Decimal = ZERO
    max_quantity: Decimal | None = None
    spot: bool = False
    price: Decimal | None = None
    in_wallet: Decimal | None = None

    def closable(self, held: Decimal) -> Decimal:
        """Return how much of a position an order can close, unsigned; zero for dust.

        Bybit takes reduce-only orders below its minimum value, so a perpetual leaves nothing but
        less than a lot. In spot only what the wallet has can be sold, and nothing below a minimum.
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
    """What the venue itself shows of the account.

    Parameters
    ----------
    queried_at : int
        When it was queried, before the request left.
    positions : dict of str to Decimal
        Net position by instrument id, those that are not flat.
    orders : dict of str to str
        Instrument id by client order id (the venue's own id where it has none) of open orders.
    """

    queried_at: int
    positions: dict[str, Decimal]
    orders: dict[str, str]


class ClosingFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The account at one moment: the verdicts that stand, positions that are not flat, all orders
    that may still fill, and the venue's newest answer.

    Parameters
    ----------
    terms : dict of str to ClosingTerms
        By instrument id, of all instruments of positions.
    reachable : bool
        Whether orders can be sent now.
    failures : dict of PositionKey to str
        Why the newest close failed, in the venue's words.
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
        """Return the position that the venue shows, which nets all owners' positions."""
        return sum((q for key, q in self.positions.items() if key.instrument == instrument), ZERO)

    def closable(self, key: PositionKey) -> Decimal:
        """Return how much of a position can be closed, zero where its terms are not known."""
        terms = self.terms.get(key.instrument)
        return ZERO if terms is None else terms.closable(self.positions[key])


class ClosingPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How a flatten is carried through, and which positions and orders a verdict's scope covers.

    Parameters
    ----------
    grace_ns, deadline_ns : int
        How long strategies leave by themselves, and when all should be closed.
    owners : dict of str to str
        Who trades each instrument of the universe: strategy's key by instrument id.
    external : {"leave", "universe", "all"}
        What a flatten does about positions and orders of others
        (`config.documents.setup.Risk.external`).
    verifies : bool
        Whether the venue must confirm it before all is flat.
    """

    grace_ns: int
    deadline_ns: int
    owners: dict[str, str]
    external: Literal["leave", "universe", "all"] = "universe"
    verifies: bool = False

    def covered_since(self, scopes: Mapping[str, int], key: PositionKey) -> int | None:
        """Return since when a scope covers the position or order, None when none does."""
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
        """Whether a scope covers the instrument: the venue does not say whose a position is."""
        owner = self.owners.get(instrument)
        if owner is None and self.external != "all":
            return False
        return self.covers(scopes, PositionKey(owner or EXTERNAL, instrument))

    def is_due(self, scopes: Mapping[str, int], key: PositionKey, now: int) -> bool:
        """Whether the grace of a scope that covers the position or order is over."""
        since = self.covered_since(scopes, key)
        return since is not None and now >= since + self.grace_ns


class CloseAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """How the closing of one position goes.

    ``since`` is when the closer took it up, and ``tries`` how often in a row nothing came of it;
    nothing is sent before ``due``. ``sent`` is when the close under way was sent, if one is, and
    ``held`` the position at that moment.
    """

    since: int
    tries: int = 0
    due: int = 0
    sent: int | None = None
    held: Decimal = ZERO


class CancelSent(NamedTuple):
    """When a cancel was sent last, and how often."""

    at: int
    times: int


class ClosingState(msgspec.Struct, frozen=True, kw_only=True):
    """What the closer remembers; empty while no verdict asks for anything.

    Parameters
    ----------
    flatten, halts : dict of str to int
        Scopes that must be left, or entered no more, and since when.
    began : int or None
        When the flatten began that is timed.
    flat : bool
        Whether it was reported as done.
    clear : int or None
        Since when our books have shown nothing in those scopes.
    attempts : dict of PositionKey to CloseAttempt
        Of each position that the closer closes.
    cancels : dict of str to CancelSent
        By client order id.
    lost : frozenset of str
        Closes without an answer that the venue does not know.
    dust : frozenset of PositionKey
        What is too little to be closed, and was reported.
    alarmed : int or None
        When it last raised an alarm that it is not done.
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
