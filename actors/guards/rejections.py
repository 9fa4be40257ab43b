"""Rejections: the venue rejected too many requests in a row."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from actors.guards.core.drill import Mended, Plan, Rejects, Scene, plan, stage
from actors.guards.core.examples import COIN, NOON, Example
from actors.guards.core.guard import Guard, Measured, Readings
from actors.guards.core.limits import Reading, limit_reading
from actors.guards.core.params import GuardParams, counted_scope
from actors.guards.core.snapshot import DeskEvent, Snapshot, VenueResponse


class RejectionsParams(GuardParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many rejections in a row stop entries; any request that is accepted ends the row.

    Parameters
    ----------
    limit : int
        Rejections.
    of : {"strategies", "desk"}
        Whether each strategy's requests are counted by themselves, or all together.
    ignore : list of str
        Words of reasons that count neither as rejection nor as acceptance, in any case: to miss the
        book is a passive order's daily bread.
    """

    limit: Annotated[int, Meta(ge=1, le=1000)] = 5
    of: Literal["strategies", "desk"] = "strategies"
    ignore: tuple[Annotated[str, Meta(min_length=1)], ...] = ("post_only", "postonly", "post-only")


class Rejected(msgspec.Struct, frozen=True):
    """Rejections in a row and the newest reason, by scope; only scopes with rejections."""

    count: dict[str, int]
    reason: dict[str, str]


class Rejections(Guard[RejectionsParams, Rejected]):
    """Stops a strategy after too many rejected requests in a row."""

    Config = RejectionsParams
    State = Rejected
    unit = "rejections"
    events = frozenset({VenueResponse})
    only_events = True
    example = Example(
        RejectionsParams(limit=10),
        lambda count: tuple(
            VenueResponse(ts=NOON, strategy="a", instrument=COIN, accepted=False, reason="no")
            for _ in range(int(count))
        ),
        (9, 10, 11),
        clear=9,
        scope="strategy:a",
    )

    def start(self, snapshot: Snapshot) -> Rejected:
        """Return a state without rejections."""
        return Rejected({}, {})

    def measure(self, state: Rejected, snapshot: Snapshot) -> Measured[Rejected]:
        """Return the number of rejections in a row, for each scope with any."""
        return state, self._readings(state)

    def on_event(self, state: Rejected, event: DeskEvent) -> tuple[Rejected, Readings]:
        """Count the venue's responses."""
        if isinstance(event, VenueResponse):
            state = _counted(state, event, self.params)
        return state, self._readings(state)

    def _readings(self, state: Rejected) -> tuple[Reading, ...]:
        params, found = self.params, []
        for scope, count in sorted(state.count.items()):
            words = f"{count} rejections in a row, the last: {state.reason[scope]}"
            over = count >= params.limit
            reading = limit_reading(params, scope, count, params.limit, over, words if over else "")
            found.append(reading)
        return tuple(found)

    def released(self, state: Rejected, snapshot: Snapshot, scope: str) -> Rejected:
        """Reset the scope's rejections to zero."""
        return _without(state, scope)

    def drill(self, scene: Scene) -> Plan:
        """Let the venue reject as many orders in a row as the limit."""
        limit, scope = self.params.limit, scene.counted_scope(self.params.of)
        halt = stage(self.params, scope, Rejects(scene.first, limit, weight=0.005))
        words = f"{limit} rejections in a row"
        return plan(self.params, words, scene.first, halt, after=(Mended(),))


def _counted(state: Rejected, answer: VenueResponse, params: RejectionsParams) -> Rejected:
    scope = counted_scope(params.of, answer.strategy, answer.instrument)
    if answer.accepted:
        return _without(state, scope) if scope in state.count else state
    words = answer.reason.lower()
    if any(word.lower() in words for word in params.ignore):
        return state
    return Rejected(
        {**state.count, scope: state.count.get(scope, 0) + 1},
        {**state.reason, scope: answer.reason},
    )


def _without(state: Rejected, scope: str) -> Rejected:
    return Rejected(
        {name: count for name, count in state.count.items() if name != scope},
        {name: reason for name, reason in state.reason.items() if name != scope},
    )
