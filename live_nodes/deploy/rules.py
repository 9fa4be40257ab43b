"""Rules of a release that runs: its first days, and what it may not drop. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import msgspec

from config.documents import Node
from config.durations import DAY_NS
from config.errors import some_of
from config.universe import select
from live_nodes.local.releases import Move
from strategies.messages import Action, Verdict
from strategies.schedule import next_fire

GUARD = "node.release"
OWNER, STATE = "release", "canary"
"""Where the journal keeps the state."""


class CanaryState(msgspec.Struct, frozen=True, kw_only=True):
    """How far a canary is; it survives a restart.

    `move` is the time of its move. `equity` and `result` (the strategies' profit since the desk's
    first start) are of its beginning, USDT. `lived` is how long it ran, nanoseconds, `day` the last
    of its days that was judged and `pct` the return then, at full size.
    """

    move: int
    equity: Decimal
    result: Decimal
    lived: int = 0
    day: int = 0
    pct: float = 0.0


def canary_verdict(move: Move) -> Verdict | None:
    """Return what keeps the positions of a canary small, None for a release of full size."""
    if not move.days:
        return None
    reason = f"release {move.number} is a canary for {move.days} days"
    return Verdict(action=Action.SHRINK, multiplier=move.size, guard=GUARD, reason=reason)


def first_decided(since: int, schedules: Iterable[tuple[int, int] | None]) -> int:
    """Return when all strategies have decided since some time, each by its schedule if it has one.

    Until then they hold positions of the size before, by which no canary can be judged.
    """
    return max((next_fire(since, *schedule) for schedule in schedules if schedule), default=since)


def judged(
    state: CanaryState, move: Move, band: Sequence[tuple[float, float]], result: Decimal
) -> tuple[CanaryState, bool, str]:
    """Judge a canary at the end of a day: return its state, whether it is inside, and why.

    `band` has the ends of each day. It is of full size, so the return is divided by the canary's.
    Between the ends of days nothing is judged: the band is of ends, and guards watch what happens
    in between.
    """
    day = day_of(state, move)
    pct = 100.0 * float((result - state.result) / state.equity) / move.size
    lower, upper = band[day - 1]
    inside = lower <= pct <= upper
    why = (
        f"{'inside' if inside else 'outside'}: {pct:+.2f} % at the end of day {day}, for full "
        f"size; the study's Monte Carlo band is {lower:+.2f} to {upper:+.2f} %"
    )
    return msgspec.structs.replace(state, day=day, pct=pct), inside, why


def day_of(state: CanaryState, move: Move) -> int:
    """Return how many days of its own a canary has behind it."""
    return min(state.lived // DAY_NS, move.days)


def dropped(
    old: Node,
    new: Node,
    standing: Iterable[Verdict],
    held: Mapping[str, Mapping[str, Decimal]],
) -> str:
    """Return in words what a new document may not drop: halts, positions; empty for nothing."""
    if lost := lost_halts(old, new, standing):
        return f"it lacks {some_of(lost)}, which holds back now: until you release that"
    if left := orphans(old, new, held):
        return f"it would not own {some_of(left)}: until that is closed"
    return ""


def lost_halts(old: Node, new: Node, standing: Iterable[Verdict]) -> list[str]:
    """Return the guards that hold something back, and that a new document lacks or replaces."""

    def stays(key: str) -> bool:
        before, now = old.actors.get(key), new.actors.get(key)
        return before is None or (now is not None and now.enabled and now.use == before.use)

    return sorted({verdict.guard for verdict in standing if not stays(verdict.guard)})


def orphans(old: Node, new: Node, held: Mapping[str, Mapping[str, Decimal]]) -> list[str]:
    """Return the open positions that a new document would leave to nobody, or to another class.

    `held` are positions by strategy's key and instrument id.
    """

    def owner(node: Node) -> tuple[object, ...]:
        return node.tag, node.account.name, node.account.keys, node.venue_urls

    found = []
    for key, positions in held.items():
        component, owned = new.strategies.get(key), list[str]()
        same = component is not None and component.use == old.strategies[key].use
        if component is not None and same and component.enabled and owner(old) == owner(new):
            owned = select(positions, new.universe, component)
        found += [f"{key}'s {name}" for name in sorted(positions.keys() - owned)]
    return found
