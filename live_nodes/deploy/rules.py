"""Rules of a release that runs: its first days, and what it may not drop. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Literal, NamedTuple

import msgspec

from config.documents import Node
from config.durations import DAY_NS
from config.universe import select
from live_nodes.deploy.study import Band
from live_nodes.local.releases import Move
from strategies.messages import Action, Verdict

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


class Judgement(NamedTuple):
    """What becomes of a canary; ``on`` is nothing yet."""

    state: CanaryState
    word: Literal["on", "full", "revert"]
    why: str


def canary_verdict(move: Move) -> Verdict | None:
    """Return what keeps the positions of a canary small, None for a release of full size."""
    if not move.days:
        return None
    reason = f"release {move.number} is a canary for {move.days} days"
    return Verdict(action=Action.SHRINK, multiplier=move.size, guard=GUARD, reason=reason)


def judged(state: CanaryState, move: Move, band: Band, result: Decimal) -> Judgement:
    """Judge the end of each day once: outside the band reverts, inside on the last is full size.

    The band is of full size, so the return is divided by the canary's. Between the ends of days
    nothing is judged: the band is of ends, and guards watch what happens in between.
    """
    day = min(state.lived // DAY_NS, move.days)
    if day <= state.day:
        return Judgement(state, "on", "")
    pct = 100.0 * float((result - state.result) / state.equity) / move.size
    state = msgspec.structs.replace(state, day=day, pct=pct)
    lower, upper = band.lower_pct[day - 1], band.upper_pct[day - 1]
    assert lower is not None
    assert upper is not None
    words = (
        f"{pct:+.2f} % at the end of day {day}, for full size; the study's Monte Carlo band is "
        f"{lower:+.2f} to {upper:+.2f} %"
    )
    if not lower <= pct <= upper:
        return Judgement(state, "revert", f"outside: {words}")
    if day >= move.days:
        return Judgement(state, "full", f"inside: {words}")
    return Judgement(state, "on", f"inside: {words}")


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
