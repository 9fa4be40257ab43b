"""What the closer is told of the account, what it remembers and what it asks for. Plain data.

Quantities are exact decimals in base coin, signed (short, and what sells, is negative); times are
UNIX nanoseconds (UTC).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, NamedTuple

import msgspec

from strategies.messages import Verdict

EXTERNAL = ""
"""Owner of what is nobody's of this desk."""
SECOND = 1_000_000_000


class Key(NamedTuple):
    """Whose position, or order, in which instrument."""

    owner: str
    instrument: str


class UnderWay(msgspec.Struct, frozen=True, kw_only=True):
    """An order that may still fill.

    Parameters
    ----------
    id : str
        Client order id.
    owner, instrument : str
        The strategy's key (`EXTERNAL` for nobody's), and the instrument's id.
    left : Decimal
        What is left to fill; sells are negative.
    reduce_only : bool
        Whether the venue lets it only shrink a position.
    takes : bool
        Whether it takes at once and never rests, as a market order.
    left_us : bool
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
    left_us: bool = True
    answered: bool = True
    since: int = 0
    ours: bool = False

    @property
    def key(self) -> Key:
        """Whose it is, and in what."""
        return Key(self.owner, self.instrument)


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue asks of an order in one instrument.

    Parameters
    ----------
    lot, min_quantity, min_notional : Decimal
        Step and smallest quantity, smallest value (settlement currency) of an entry.
    max_quantity : Decimal or None
        Largest order.
    spot : bool
        Whether it is a spot pair, which knows no reduce-only order and no exit below a minimum.
    price : Decimal or None
        Newest price; spot only.
    there : Decimal or None
        What the wallet has of the coin, where that is known: fees are paid out of it. Spot only.
    """

    lot: Decimal
    min_quantity: Decimal = Decimal(0)
    min_notional: Decimal = Decimal(0)
    max_quantity: Decimal | None = None
    spot: bool = False
    price: Decimal | None = None
    there: Decimal | None = None


class AtVenue(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue itself shows of the account.

    Parameters
    ----------
    asked : int
        When it was asked, before the request left.
    positions : dict of str to Decimal
        Net position by instrument id, those that are not flat.
    orders : dict of str to str
        Instrument id by client order id (the venue's own id where it has none) of open orders.
    """

    asked: int
    positions: dict[str, Decimal]
    orders: dict[str, str]


class View(msgspec.Struct, frozen=True, kw_only=True):
    """The account at one moment.

    Parameters
    ----------
    now : int
        Time.
    verdicts : tuple of Verdict
        All that stand.
    positions : dict of Key to Decimal
        Those that are not flat.
    orders : tuple of UnderWay
        All that may still fill, whoever's.
    terms : dict of str to Terms
        By instrument id, of all instruments of positions.
    venue : AtVenue or None
        The venue's newest answer.
    reachable : bool
        Whether orders can be sent now.
    trouble : dict of Key to str
        Why the newest close failed, in the venue's words.
    """

    now: int
    verdicts: tuple[Verdict, ...] = ()
    positions: dict[Key, Decimal] = msgspec.field(default_factory=dict)
    orders: tuple[UnderWay, ...] = ()
    terms: dict[str, Terms] = msgspec.field(default_factory=dict)
    venue: AtVenue | None = None
    reachable: bool = True
    trouble: dict[Key, str] = msgspec.field(default_factory=dict)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How a flatten is carried through.

    Parameters
    ----------
    grace_ns, deadline_ns : int
        How long strategies leave by themselves, and when it should be done.
    owners : dict of str to str
        Who trades each instrument of the universe: strategy's key by instrument id.
    external : {"leave", "universe", "all"}
        What a flatten does about positions and orders of others
        (`config.documents.setup.Risk.external`).
    verifies : bool
        Whether the venue must say so too, before all is flat.
    """

    grace_ns: int
    deadline_ns: int
    owners: dict[str, str]
    external: Literal["leave", "universe", "all"] = "universe"
    verifies: bool = False


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """How the closing of one position goes.

    Parameters
    ----------
    since : int
        When the closer took it up.
    tries : int
        How often in a row nothing came of it.
    due : int
        Before then nothing is sent.
    sent : int or None
        When the close under way was sent; None with none.
    held : Decimal
        Position at that moment.
    """

    since: int
    tries: int = 0
    due: int = 0
    sent: int | None = None
    held: Decimal = Decimal(0)


class Asked(NamedTuple):
    """A cancel: when it was sent last, and how often."""

    sent: int
    times: int


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What the closer remembers; empty while no verdict asks for anything.

    Parameters
    ----------
    flatten, halts : dict of str to int
        Scopes that must be left, or entered no more, and since when.
    began : int or None
        When the flatten began that is timed.
    flat : bool
        Whether it was said to be done.
    clear : int or None
        Since when our books have shown nothing in those scopes.
    attempts : dict of Key to Attempt
        Of each position that the closer closes.
    cancels : dict of str to Asked
        By client order id.
    lost : frozenset of str
        Closes without an answer that the venue does not know.
    dust : frozenset of Key
        What is too little to be closed, and was reported.
    alarmed : int or None
        When it was last said that it is not done.
    """

    flatten: dict[str, int] = msgspec.field(default_factory=dict)
    halts: dict[str, int] = msgspec.field(default_factory=dict)
    began: int | None = None
    flat: bool = False
    clear: int | None = None
    attempts: dict[Key, Attempt] = msgspec.field(default_factory=dict)
    cancels: dict[str, Asked] = msgspec.field(default_factory=dict)
    lost: frozenset[str] = frozenset()
    dust: frozenset[Key] = frozenset()
    alarmed: int | None = None


class Cancel(NamedTuple):
    """Take an order back."""

    id: str


class Close(NamedTuple):
    """Trade a signed quantity at market, reduce-only but in spot."""

    key: Key
    quantity: Decimal


News = Literal["closing", "flat", "not_flat", "resting", "dust", "off"]
"""``not_flat`` and ``resting`` are alarms, said again and again until they are over."""


class Say(NamedTuple):
    """Tell the trader."""

    kind: News
    text: str


Act = Cancel | Close | Say
