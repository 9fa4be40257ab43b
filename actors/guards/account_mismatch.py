"""Account mismatch: the venue says something else of the account than our books. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from actors.guards.core.guard import Readings, Rule
from actors.guards.core.limits import Reading, inside
from actors.guards.core.params import GuardParams, Span, span_ns
from actors.guards.core.snapshot import Input, Mismatch, Snapshot

Kind = Literal[
    "ghost_order",
    "lost_order",
    "never_arrived",
    "foreign_order",
    "unknown_fill",
    "position_differs",
    "external_position",
]
"""The findings of a node's sweep (``live_nodes.reconcile.sweep.FindingKind``)."""


class AccountMismatchParams(GuardParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many differences between venue and books are borne; the reading is on ``desk``.

    Parameters
    ----------
    kinds : tuple of str
        Which differences count.
    count : int
        The number within the window at which it acts.
    window : str
        Length of the window, such as ``10m``.
    """

    kinds: Annotated[tuple[Kind, ...], Meta(min_length=1)] = (
        "position_differs",
        "external_position",
        "unknown_fill",
    )
    count: Annotated[int, Meta(ge=1, le=100)] = 1
    window: Span = "10m"


class Difference(msgspec.Struct, frozen=True):
    """One that was found: when (UNIX nanoseconds, UTC), of which kind, and in words."""

    ts: int
    kind: str
    detail: str


class Differences(msgspec.Struct, frozen=True):
    """Those in the window, as many as the limit at most: the newest, oldest first."""

    found: tuple[Difference, ...] = ()


def start(params: AccountMismatchParams, snapshot: Snapshot) -> Differences:
    """Begin with none."""
    return Differences()


def step(
    state: Differences, seen: Input, params: AccountMismatchParams
) -> tuple[Differences, Readings]:
    """Count what differs; what is exactly as old as the window counts no more.

    After the clock went back, one that lies ahead still counts.
    """
    window = span_ns(params.window)
    if isinstance(seen, Mismatch):
        if seen.kind not in params.kinds:
            return state, None
        words = f"{seen.instrument}: {seen.detail}" if seen.instrument else seen.detail
        found = (*state.found, Difference(seen.ts, seen.kind, words))[-params.count :]
        state, now = Differences(found), seen.ts
    elif isinstance(seen, Snapshot):
        now = seen.now
    else:
        return state, None
    young = tuple(one for one in state.found if now - one.ts < window)
    if len(young) != len(state.found):
        state = Differences(young)
    return state, (_reading(young, params),)


def released(
    state: Differences, snapshot: Snapshot, scope: str, params: AccountMismatchParams
) -> Differences:
    """Count from none."""
    return Differences()


def _reading(found: tuple[Difference, ...], params: AccountMismatchParams) -> Reading:
    number = len(found)
    over = number >= params.count
    newest = f", the newest {found[-1].kind}: {found[-1].detail}" if found else ""
    return Reading(
        scope="desk",
        measured=float(number),
        limit=float(params.count),
        over=over,
        clear=not over and inside(number, params.count, params.hysteresis),
        action=params.asks,
        multiplier=params.multiplier,
        reason=f"{number} differences to the venue within {params.window}{newest}",
    )


RULE = Rule(
    state=Differences,
    start=start,
    step=step,
    released=released,
    events=frozenset({Mismatch}),
)
