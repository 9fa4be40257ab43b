"""Frozen messages that strategies and guards exchange, journal and write to results.

They are plain data: no nautilus_trader type appears here, so that they outlive the engine version
and the vectorised screen can make the very same ones.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec


class Action(IntEnum):
    """What a Verdict asks for, in rising strictness: the larger one wins."""

    NONE = 0
    SHRINK = 1
    HALT_ENTRIES = 2
    REDUCE_ONLY = 3
    FLATTEN = 4


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a guard asks of the desk.

    Parameters
    ----------
    action : Action
        What must happen.
    multiplier : float
        Size of new positions as a fraction of the normal one; used by ``SHRINK``.
    scope : str
        ``desk``, ``strategy:<key>`` or ``instrument:<id>``.
    until : int or None
        UNIX nanoseconds (UTC) at which its guard looks whether it goes on, for whoever reads it: it
        stands until it is taken back. ``None`` where no time ends it.
    guard, reason : str
        Who says so, and why, in words for the trader.
    measured, limit : float or None
        The value that was measured and the limit that it met.
    transient : bool
        Whether it ends by itself, as its maker says: what it holds back is tried again, not given
        up. Journals have it as ``passing``.
    """

    action: Action
    scope: str = "desk"
    multiplier: float = 1.0
    until: int | None = None
    guard: str = ""
    reason: str = ""
    measured: float | None = None
    limit: float | None = None
    transient: bool = msgspec.field(default=False, name="passing")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument's line in a Decision: what was seen, wanted and done.

    Quantities are decimal strings in units of the base coin (signed, short is negative), exactly as
    sent to the venue. ``weight`` is a fraction of equity, after caps. ``reason`` says why the
    instrument was left out, skipped or bumped; empty when nothing unusual happened.
    ``held_back_by`` is the key of the guard whose verdict replaced the order; absent where none
    did.
    """

    instrument: str
    price: float | None = None
    score: float | None = None
    rank: int | None = None
    weight: float = 0.0
    current: str = "0"
    target: str = "0"
    order: str = "0"
    reason: str = ""
    held_back_by: str | msgspec.UnsetType = msgspec.UNSET


def decision_id(strategy: str, ts: int) -> str:
    """Return the id of the decision that a strategy made at a moment (UNIX nanoseconds, UTC).

    Guards may make one strategy leave several instruments at the very same moment: the decisions
    to do so share the id, each with orders in instruments of its own.
    """
    return f"{strategy}@{ts}"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What a strategy saw, scored and wants, at one moment.

    Parameters
    ----------
    strategy : str
        The component's key in the document.
    ts : int
        Time of the decision, UNIX nanoseconds (UTC).
    data_ts : int
        Close time of the newest complete candle that it used, UNIX nanoseconds (UTC).
    kind : str
        ``rebalance``, ``flatten`` or ``wait`` (nothing done; ``note`` says why).
    equity : str
        Equity that it sized on, decimal string in the settlement currency.
    multiplier : float
        Size multiplier of the strictest standing Verdict.
    gross, net : float
        Sum of absolute weights and of weights.
    targets : tuple of Target
        Sorted by instrument; every instrument of the universe that has shown a candle so far
        appears, also those left out. One that is listed later must not: the past can't know it.
    note : str
        Anything that concerns the decision as a whole.
    """

    strategy: str
    ts: int
    data_ts: int
    kind: str
    equity: str
    multiplier: float = 1.0
    gross: float = 0.0
    net: float = 0.0
    targets: tuple[Target, ...] = ()
    note: str = ""

    @property
    def id(self) -> str:
        """What its orders and their fills name it by (see `decision_id`)."""
        return decision_id(self.strategy, self.ts)


class Executed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one instrument's order by a tactic; published on ``executions.<key>``.

    Parameters
    ----------
    strategy, instrument : str
        The component's key in the document, and the instrument's id.
    ts : int
        When it ended, UNIX nanoseconds (UTC).
    wanted, filled : str
        Signed base coin, decimal strings: what was to be traded since the start, or since the
        restart that resumed it, and what was.
    notional : str
        What that cost (positive) or brought, settlement currency, without fees.
    reprices, takes : int
        How often it followed the market, and how often it took.
    reason : str
        Why something is left; empty when nothing is.
    """

    strategy: str
    instrument: str
    ts: int
    wanted: str
    filled: str
    notional: str
    reprices: int
    takes: int
    reason: str = ""


def encode(message: msgspec.Struct) -> bytes:
    """Return the message as canonical JSON bytes: equal messages give equal bytes."""
    return msgspec.json.encode(message, order="deterministic")


def strictest(verdicts: list[Verdict]) -> Verdict:
    """Return the strictest of the verdicts; with none standing, one that asks for nothing.

    The larger action wins; between equal actions the smaller multiplier.
    """
    if not verdicts:
        return Verdict(action=Action.NONE)
    return max(verdicts, key=lambda v: (v.action, -v.multiplier))
