"""Trade two legs that hedge each other: both or none, (state, event) -> state.

Pure, without candles. One `TwoLeg` is one change of a pair's position, an entry or an exit. What
each leg should hold now, and how urgently, are `wants` of its state; the caller trades the distance
and reports what was traded, so that nothing is sent twice after a crash.

An entry sends both legs at once, or the thin one first and the other as it fills. Once the value
that stands unhedged, summed over time, exceeds the budget, the leg ahead stops and the other is
chased. Beyond twice the budget, at the deadline, or when a leg is refused for good, the entry is
cut to what both legs have. An exit is never given up, and never held back by the budget. What is
lost to others, as by a liquidation, is not bought again: the other leg is cut to match.

    entry ──both filled──> done        exit ──both filled──> done
      └──cut──> exit                     └──lost to others──> exit, of less
"""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from config.durations import SECOND_NS, duration_ns
from config.parameter_types import BasisPoints, TimeSpan, about
from strategies.sizing.rounding import whole_lots
from strategies.tactics.unhedged_value import ZERO, UnhedgedValue, hedged, measured, total_at

Legs = tuple[Decimal, Decimal]
Cut = Literal["", "refused", "budget", "deadline", "lost", "halted"]
"""Why an entry was cut; ``refused`` and ``halted``: a leg can't be traded; ``lost``: to others."""
NONE: Legs = (ZERO, ZERO)


class TwoLegRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How both legs of a pair reach the market."""

    first: Annotated[
        Literal["both", "thin"],
        about(
            "both: the legs are sent together. thin: that with less value displayed first, the "
            "other as it fills; on candles, which display none, both."
        ),
    ] = "both"
    budget: Annotated[
        float,
        Meta(gt=0.0, le=1e12),
        about(
            "Unhedged value times seconds, settlement currency, after which the leg that lags is "
            "chased; 20,000 is 1,000 for 20 s. At twice as much an entry is cut to what both legs "
            "have. Where a halt of entries refuses an exit that was netted with another pair's "
            "position, that pair leaves too: at once, or beyond the budget if the halt passes by "
            "itself."
        ),
    ] = 20_000.0
    max_slippage_bps: Annotated[
        BasisPoints,
        about("Worst price of an entry's chase, basis points from the other side's best."),
    ] = 20.0
    deadline: Annotated[TimeSpan, about("An entry is cut to what both legs have by then.")] = "5m"

    @property
    def limit(self) -> Decimal:
        """The budget in value times nanoseconds."""
        return Decimal(repr(self.budget)) * SECOND_NS


class Haste(IntEnum):
    """How a leg is traded: by the document's tactic, taking within a cap, or at market."""

    TACTIC = 0
    CHASE = 1
    MARKET = 2


class Want(NamedTuple):
    """Position that a leg should have now, signed base coin."""

    quantity: Decimal
    haste: Haste


class TwoLeg(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a pair's position.

    Quantities are signed base coin of both legs: ``goal`` to reach, ``held``, and ``full``, which
    hedge each other. ``prices`` are those at the start, by which a ratio of values is fixed, and
    ``steps`` the lots. ``enters`` for an entry; ``lead`` is the leg that goes first. ``forced``
    exits take at market. ``naked`` is what stands unhedged. ``value_ns`` and ``naked_ns`` are the
    unhedged value times nanoseconds, and nanoseconds, of the whole change until ``at``.
    """

    goal: Legs
    held: Legs
    full: Legs
    prices: Legs
    steps: Legs
    started: int
    at: int
    enters: bool
    lead: int | None = None
    forced: bool = False
    naked: UnhedgedValue | None = None
    value_ns: Decimal = ZERO
    naked_ns: int = 0
    cut: Cut = ""

    @property
    def done(self) -> bool:
        """Whether both legs are where they should be."""
        return self.held == self.goal


class Event(msgspec.Struct, frozen=True):
    """Event with its time, UNIX nanoseconds (UTC)."""

    now: int


class Traded(Event, frozen=True):
    """A signed quantity of a leg (0 or 1) was traded, by whomever."""

    leg: int
    quantity: Decimal
    price: Decimal


class Blocked(Event, frozen=True):
    """A leg can't be traded further: it was refused for good, or entries are halted."""

    leg: int
    reason: Cut = "refused"


class Passed(Event, frozen=True):
    """Time passed."""


def begun(change: TwoLeg) -> TwoLeg:
    """Return a change that begins, with what stands unhedged by then."""
    first, second = _values(change.held, change.full, change.prices)
    naked = None if hedged(first, second) else UnhedgedValue(change.at, first + second, ZERO)
    return replace(change, naked=naked)


def step(state: TwoLeg, event: Event, rules: TwoLegRules) -> TwoLeg:
    """Return the state after an event."""
    now = max(event.now, state.at)
    total = total_at(state.naked, now)
    if state.naked is not None:
        state = replace(
            state,
            naked=UnhedgedValue(now, state.naked.net, total),
            value_ns=state.value_ns + total - state.naked.total,
            naked_ns=state.naked_ns + now - state.naked.at,
        )
    state = replace(state, at=now)
    if isinstance(event, Traded):
        state = _traded(state, event, now)
    if not state.enters:
        return _without_loss(state, blocked=isinstance(event, Blocked))
    if state.done:
        return state
    if isinstance(event, Blocked) and state.held[event.leg] != state.goal[event.leg]:
        return _cut(state, event.reason)
    if total > 2 * rules.limit:
        return _cut(state, "budget")
    if now >= state.started + duration_ns(rules.deadline):
        return _cut(state, "deadline")
    return state


def wants(state: TwoLeg, rules: TwoLegRules) -> tuple[Want, Want]:
    """Return what each leg should hold now."""
    late = over_budget(state, rules)
    if not state.enters:
        haste = Haste.MARKET if late or state.forced else Haste.TACTIC
        return Want(state.goal[0], haste), Want(state.goal[1], haste)
    parts = [have / all_ for have, all_ in zip(state.held, state.full, strict=True)]
    ahead = 0 if parts[0] >= parts[1] else 1
    found = [Want(quantity, Haste.TACTIC) for quantity in state.goal]
    if late:
        found[ahead] = Want(state.held[ahead], Haste.TACTIC)
        found[1 - ahead] = Want(_like(state, ahead), Haste.CHASE)
    elif state.lead is not None:
        follows = 1 - state.lead
        # Never back: what the follower has already is kept.
        quantity = max(_like(state, state.lead), state.held[follows], key=abs)
        found[follows] = Want(quantity, Haste.TACTIC)
    return found[0], found[1]


def over_budget(state: TwoLeg, rules: TwoLegRules) -> bool:
    """Whether what stands unhedged, summed over time, exceeds the budget."""
    return total_at(state.naked, state.at) > rules.limit


def budget_passed(state: TwoLeg, rules: TwoLegRules) -> int | None:
    """Return when an entry's unhedged value passes the budget or, after that, twice the budget.

    UNIX nanoseconds (UTC); None while both legs hedge each other.
    """
    naked = state.naked
    if naked is None or not state.enters or not naked.net:
        return None
    limit = 2 * rules.limit if over_budget(state, rules) else rules.limit
    left = limit - naked.total
    return naked.at + int(left / abs(naked.net)) + 1


def matched(held: Legs, full: Legs, prices: Legs, steps: Legs) -> Legs:
    """Return the most of a position that is hedged, in whole lots; none when a leg has nothing."""
    if any(have * all_ <= ZERO for have, all_ in zip(held, full, strict=True)):
        return NONE
    short = min(held[0], full[0], key=abs), min(held[1], full[1], key=abs)
    if short == held and hedged(*_values(held, full, prices)):
        return held
    least = 0 if short[0] / full[0] <= short[1] / full[1] else 1
    other = whole_lots(short[least] * full[1 - least] / full[least], steps[1 - least])
    # The coarser lots decide: what they leave over is taken from the other leg as well.
    again = min(
        whole_lots(other * full[least] / full[1 - least], steps[least]), short[least], key=abs
    )
    if abs(short[least]) - abs(again) < steps[least] * 2:
        again = short[least]
    if other == ZERO or again == ZERO:
        return NONE
    return (again, other) if least == 0 else (other, again)


def _traded(state: TwoLeg, event: Traded, now: int) -> TwoLeg:
    first, second = state.held
    value = event.quantity * event.price
    if event.leg == 0:
        first += event.quantity
    else:
        second += event.quantity
        value *= _ratio(state.full, state.prices)
    net = value + (ZERO if state.naked is None else state.naked.net)
    covered = hedged(*_values((first, second), state.full, state.prices))
    naked = None if covered else measured(state.naked, net, now)
    return replace(state, held=(first, second), naked=naked)


def _without_loss(state: TwoLeg, *, blocked: bool) -> TwoLeg:
    """Return an exit that does not trade back what others took, nor what is refused and hedged."""
    most = matched(state.held, state.full, state.prices, state.steps)
    lost = any(
        goal != ZERO and (have * goal <= ZERO or abs(have) < abs(goal))
        for have, goal in zip(state.held, state.goal, strict=True)
    )
    if lost or (blocked and state.goal != NONE and most == state.held):
        return replace(state, goal=most)
    return state


def _cut(state: TwoLeg, reason: Cut) -> TwoLeg:
    goal = matched(state.held, state.full, state.prices, state.steps)
    return replace(state, goal=goal, enters=False, cut=reason, forced=True)


def _like(state: TwoLeg, leg: int) -> Decimal:
    """Return what the other leg should have beside this one."""
    other = 1 - leg
    if state.held[leg] == state.goal[leg]:
        return state.goal[other]
    return whole_lots(state.held[leg] * state.full[other] / state.full[leg], state.steps[other])


def _ratio(full: Legs, prices: Legs) -> Decimal:
    return -(full[0] * prices[0]) / (full[1] * prices[1])


def _values(held: Legs, full: Legs, prices: Legs) -> Legs:
    return held[0] * prices[0], held[1] * prices[1] * _ratio(full, prices)
