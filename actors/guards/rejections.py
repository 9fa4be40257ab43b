"""Rejections: the venue rejected so many requests in a row that something must be wrong."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from actors.guards.core.guard import Readings, Rule
from actors.guards.core.limits import Reading, inside
from actors.guards.core.params import GuardParams, scope_of
from actors.guards.core.snapshot import Input, Snapshot, VenueResponse


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


class Rows(msgspec.Struct, frozen=True):
    """Rejections in a row, and the newest one's reason, by scope; none where there are none."""

    count: dict[str, int]
    reason: dict[str, str]


def start(params: RejectionsParams, snapshot: Snapshot) -> Rows:
    """Begin with none."""
    return Rows({}, {})


def step(state: Rows, seen: Input, params: RejectionsParams) -> tuple[Rows, Readings]:
    """Count answers; a reading for each scope with a row that has not ended, in rejections."""
    if isinstance(seen, VenueResponse):
        state = _answered(state, seen, params)
    elif not isinstance(seen, Snapshot):
        return state, None
    return state, tuple(_reading(scope, count, state, params) for scope, count in _rows(state))


def released(state: Rows, snapshot: Snapshot, scope: str, params: RejectionsParams) -> Rows:
    """End the scope's row."""
    return _without(state, scope)


def _answered(state: Rows, answer: VenueResponse, params: RejectionsParams) -> Rows:
    scope = scope_of(params.of, answer.strategy, answer.instrument)
    if answer.accepted:
        return _without(state, scope) if scope in state.count else state
    words = answer.reason.lower()
    if any(word.lower() in words for word in params.ignore):
        return state
    return Rows(
        {**state.count, scope: state.count.get(scope, 0) + 1},
        {**state.reason, scope: answer.reason},
    )


def _without(state: Rows, scope: str) -> Rows:
    return Rows(
        {name: count for name, count in state.count.items() if name != scope},
        {name: reason for name, reason in state.reason.items() if name != scope},
    )


def _rows(state: Rows) -> list[tuple[str, int]]:
    return sorted(state.count.items())


def _reading(scope: str, count: int, state: Rows, params: RejectionsParams) -> Reading:
    over = count >= params.limit
    return Reading(
        scope=scope,
        measured=count,
        limit=params.limit,
        over=over,
        clear=not over and inside(count, params.limit, params.hysteresis),
        action=params.asks,
        multiplier=params.multiplier,
        reason=f"{count} rejections in a row, the last: {state.reason[scope]}" if over else "",
    )


RULE = Rule(
    state=Rows,
    start=start,
    step=step,
    released=released,
    events=frozenset({VenueResponse}),
)
