"""Account mismatch: differences between the venue's account and the desk's books. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from actors.guards.core.drill import Plan, Scene, Step, Strange, Wait, plan, stage
from actors.guards.core.examples import COIN, NOON, Example
from actors.guards.core.guard import Guard, Measured, Readings
from actors.guards.core.limits import Reading, limit_reading
from actors.guards.core.params import GuardParams, Span, span_ns
from actors.guards.core.snapshot import DeskEvent, Mismatch, Snapshot

Kind = Literal[
    "ghost_order",
    "lost_order",
    "never_arrived",
    "foreign_order",
    "unknown_fill",
    "position_differs",
    "external_position",
    "other_node",
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
    """A difference: its time (UNIX nanoseconds, UTC), kind, and text."""

    ts: int
    kind: str
    detail: str


class Differences(msgspec.Struct, frozen=True):
    """The newest differences in the window, at most as many as the limit, oldest first."""

    found: tuple[Difference, ...] = ()


class AccountMismatch(Guard[AccountMismatchParams, Differences]):
    """Stops entries when the venue's account differs from the books, until the trader's release."""

    Config = AccountMismatchParams
    State = Differences
    unit = "differences"
    events = frozenset({Mismatch})
    only_events = True
    example = Example(
        AccountMismatchParams(count=3),
        lambda count: tuple(
            Mismatch(ts=NOON + n, kind="unknown_fill", instrument=COIN, detail="?")
            for n in range(int(count))
        ),
        (2, 3, 4),
        clear=2,
    )

    def measure(self, state: Differences, snapshot: Snapshot) -> Measured[Differences]:
        """Count the differences in the window; one exactly as old as the window is out.

        After the clock went back, a difference with a later time still counts.
        """
        return self._counted(state, snapshot.now)

    def on_event(self, state: Differences, event: DeskEvent) -> tuple[Differences, Readings]:
        """Add a difference of a kind that counts."""
        params = self.params
        if not isinstance(event, Mismatch) or event.kind not in params.kinds:
            return state, None
        words = f"{event.instrument}: {event.detail}" if event.instrument else event.detail
        found = (*state.found, Difference(event.ts, event.kind, words))[-params.count :]
        return self._counted(Differences(found), event.ts)

    def _counted(self, state: Differences, now: int) -> Measured[Differences]:
        window = span_ns(self.params.window)
        young = tuple(one for one in state.found if now - one.ts < window)
        if len(young) != len(state.found):
            state = Differences(young)
        return state, (_reading(young, self.params),)

    def released(self, state: Differences, snapshot: Snapshot, scope: str) -> Differences:
        """Reset the count to zero."""
        return Differences()

    def drill(self, scene: Scene) -> Plan:
        """Trade by hand on the account, as often as the limit."""
        # None in the last instrument: in the others the node itself halts entries.
        *others, last = scene.instruments
        within, by_hand = 2 * scene.sweep_s + 10.0, list[Step]()
        for number in range(self.params.count):
            if number >= len(others):
                # The next in the same instrument is another difference once this one is known.
                by_hand.append(Wait(within))
            by_hand.append(Strange(others[number % len(others)], 0.01))
        words = f"{self.params.count} trades by hand, which the desk's books have not"
        halt = stage(self.params, scene.desk, *by_hand, within=within)
        return plan(self.params, words, last, halt)


def _reading(found: tuple[Difference, ...], params: AccountMismatchParams) -> Reading:
    number = len(found)
    over = number >= params.count
    newest = f", the newest {found[-1].kind}: {found[-1].detail}" if found else ""
    return limit_reading(
        params,
        "desk",
        float(number),
        float(params.count),
        over,
        f"{number} differences to the venue within {params.window}{newest}",
    )
