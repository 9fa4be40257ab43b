"""Messages of strategies and guards: verdicts, decisions, executions.

They are frozen plain data without nautilus_trader types, so that they outlive the engine version
and the vectorised screen can make the same ones.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import msgspec


class Action(IntEnum):
    """Action that a Verdict demands, in rising strictness: the larger one wins."""

    NONE = 0
    SHRINK = 1
    HALT_ENTRIES = 2
    REDUCE_ONLY = 3
    FLATTEN = 4


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A guard's demand on the desk, a strategy or an instrument.

    ``guard`` is the guard's key, ``reason`` a text for the trader. ``scope`` is ``desk``,
    ``strategy:<key>`` or ``instrument:<id>``. ``multiplier`` is the size of new positions as a
    fraction of the normal one; ``SHRINK`` uses it. ``measured`` and ``limit`` are the value
    measured and the limit that it reached.

    ``until`` (UNIX nanoseconds, UTC; None for no time) is when the guard checks again. It is for
    readers only: a verdict stands until its guard withdraws it. A ``transient`` verdict ends by
    itself: orders that it holds back are tried again, not given up. Journals have it as
    ``passing``. With ``covers_decision`` the next decision is held back, so that none waits for its
    end.
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
    covers_decision: bool = False


NOTHING_STANDS = Verdict(action=Action.NONE)


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """What a scalper knows of an instrument's scores; moves are basis points of the mid.

    ``weights`` and ``edges`` are by signal, edges after costs at each of ``horizons_s``.
    ``calibration`` has the steps of the fused score that have samples: the least score, samples,
    and the mean move in its direction at each horizon. ``cost_bps`` is that of a round trip now.
    """

    horizons_s: tuple[float, ...]
    cost_bps: float
    weights: dict[str, float]
    edges: dict[str, tuple[float, ...]]
    calibration: tuple[tuple[float, float, tuple[float, ...]], ...]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument's line in a Decision: score, position, target and order.

    Quantities are decimal strings in units of the base coin (signed, short is negative), exactly as
    sent to the venue. ``weight`` is a fraction of equity, after caps. ``reason`` is why the
    instrument was left out, skipped or raised; empty when nothing unusual happened.
    ``held_back_by`` is the key of the guard whose verdict replaced the order, ``wanted`` the
    position without a verdict that held back an entry; both absent without one. ``parts`` has the
    target of each pair that shares the instrument, by the pair's name; absent without pairs.
    ``scores`` has those of a scalper's signals, None while they warm up; ``learned`` is what it has
    learned, in decisions of kind ``wait`` alone.
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
    wanted: str | msgspec.UnsetType = msgspec.UNSET
    parts: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    scores: dict[str, float | None] | msgspec.UnsetType = msgspec.UNSET
    learned: Learned | msgspec.UnsetType = msgspec.UNSET


SHRINK = "shrink"
"""Kind of the Decision that records an entry which a `shrink` verdict made smaller, or dropped."""


def decision_id(strategy: str, ts: int) -> str:
    """Return the id of a strategy's decision at a time (UNIX nanoseconds, UTC).

    Guards may make one strategy leave several instruments at the same time: these decisions share
    the id, and each has orders in other instruments.
    """
    return f"{strategy}@{ts}"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy's decision at one time: what it saw, scored and wants.

    ``strategy`` is the component's key in the document. ``ts`` is the time of the decision,
    ``data_ts`` the close time of the newest complete candle used; UNIX nanoseconds (UTC). ``kind``
    is ``rebalance``, ``flatten``, ``scalp`` (an entry or an exit of one instrument), ``wait``
    (nothing done; ``note`` has the reason) or `SHRINK` (what a verdict left of an entry that a
    strategy sent, whose ``multiplier`` it has; not decided by the strategy). ``equity`` is
    what it sized on, a decimal string in the settlement currency. ``multiplier`` is that of the
    strictest standing Verdict. ``gross`` and ``net`` are the sums of absolute weights and of
    weights: those wanted, before verdicts, the no-trade band and lots change the orders.

    ``targets`` are sorted by instrument. They contain every instrument of the universe that has had
    a candle so far, also those left out. One that is listed later must not appear: the past can't
    know it. A scalper's contain its instruments with a price; ``refusals`` counts, by their codes,
    the looks since its last decision at which it did not enter (`strategies.scalping.decide`).
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
    refusals: dict[str, int] | msgspec.UnsetType = msgspec.UNSET

    @property
    def id(self) -> str:
        """Id of the decision in orders and fills (see `decision_id`)."""
        return decision_id(self.strategy, self.ts)


class PairEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to a strategy's pairs; published on ``pairs.<key>``.

    ``kind`` and the fields of ``facts``: ``enter`` and ``leave`` when it is decided
    (`strategies.hedged.rules.Enter`, `.Leave`), ``ended`` when both legs are where they should be
    (`strategies.hedged.book.Ended`), ``selected`` (`PairSelection` of
    `strategies.signals.cointegration`, ``chosen`` by name),
    ``skipped`` an entry that can't be sized (`strategies.hedged.rules.SKIPS` by ``reason``);
    ``candle`` has ``z``, the z-score of each pair at the close at ``ts``, and ``spread``, in
    logarithms of price, less its mean.
    """

    strategy: str
    ts: int
    kind: str
    facts: dict[str, Any]


class Executed(msgspec.Struct, frozen=True, kw_only=True):
    """Result of one instrument's order by a tactic; published on ``executions.<key>``.

    ``ts`` is its end, UNIX nanoseconds (UTC). ``wanted`` and ``filled`` are signed base coin,
    decimal strings, since the start or since the restart that resumed it. ``notional`` is the money
    paid (positive) or received, settlement currency, without fees. ``reprices`` and ``takes`` count
    how often it followed the market and how often it took. ``reason`` is why something is left;
    empty when nothing is.
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
    """Return the strictest verdict; an empty list gives one with action NONE.

    The larger action wins; between equal actions the smaller multiplier.
    """
    if not verdicts:
        return NOTHING_STANDS
    return max(verdicts, key=lambda v: (v.action, -v.multiplier))
