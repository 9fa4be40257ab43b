"""Decide on a score: enter, leave, take back an entry, or why not; and the size. Pure.

What keeps an entry from being made is a code, which is counted. Guards' verdicts are one of them:
the order gate would refuse the entry in any case.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Literal, NamedTuple, get_args

from strategies.messages import Action, Verdict
from strategies.scalper import ScalperConfig
from strategies.signals.fusion import round_trip_bps
from strategies.sizing.rounding import ZERO, whole_lots
from strategies.tactics.pricing import Terms, portion

Refused = Literal[
    "warm_up",
    "extreme",
    "threshold",
    "uncalibrated",
    "cost",
    "position",
    "under_way",
    "pause",
    "halted",
    "bracket",
    "too_small",
]
"""Why nothing is entered: signals or volatility not known yet; the extreme regime; a score below
the threshold; no expected move known; one below cost; a position there already; orders under way;
a pause after the last; a guard's halt; a bracket that is not whole; a size below the exchange's
minimum, or no equity."""
REFUSALS: tuple[Refused, ...] = get_args(Refused)
EXTREME = 3


class Seen(NamedTuple):
    """An instrument at one moment; ``value`` is NaN, and ``regime`` -1, while not known.

    ``held`` and ``entering``, the rest of an entry under way, are signed base coin; ``exiting``
    says that an exit is. ``entry`` and ``exit`` are the thresholds of the regime.
    """

    value: float
    regime: int
    entry: float
    exit: float
    expected_bps: float
    cost_bps: float
    held: Decimal = ZERO
    entering: Decimal = ZERO
    exiting: bool = False


class Enter(NamedTuple):
    """Open a position: 1 buys, -1 sells."""

    side: int


class Leave(NamedTuple):
    """Close the position; ``reason`` is for the order's tag."""

    reason: str


class Withdraw(NamedTuple):
    """Take back the entry under way: its score has gone."""


Wish = Enter | Leave | Withdraw | Refused


def wish(seen: Seen) -> Wish:
    """Return what the score asks for, before guards and size."""
    side = seen.entering or seen.held
    if side:
        # NaN is below nothing: what is not known leaves a position to its bracket.
        is_gone = (seen.value if side > ZERO else -seen.value) < seen.exit
        if seen.entering:
            return Withdraw() if is_gone else "under_way"
        if seen.exiting:
            return "under_way"
        return (
            Leave("score gone" if seen.regime != EXTREME else "extreme") if is_gone else "position"
        )
    if seen.exiting:
        return "under_way"
    if math.isnan(seen.value) or seen.regime < 0:
        return "warm_up"
    if seen.regime == EXTREME:
        return "extreme"
    if abs(seen.value) < seen.entry or seen.value == 0.0:
        return "threshold"
    if math.isnan(seen.expected_bps):
        return "uncalibrated"
    if seen.expected_bps <= seen.cost_bps:
        return "cost"
    return Enter(1 if seen.value > 0.0 else -1)


def held_back(
    verdict: Verdict, *, paused: bool, whole: bool, stop: Decimal | None
) -> Refused | None:
    """Return why an entry is not made though the score asks for it, None where it is.

    ``whole`` says that the bracket is: no order of it is missing, on its way or left over. ``stop``
    is the distance of the stop, None while volatility is not known; one of zero protects nothing.
    """
    if paused:
        return "pause"
    if verdict.action >= Action.HALT_ENTRIES:
        return "halted"
    if not whole:
        return "bracket"
    return None if stop else "warm_up"


def expected_bps(rules: ScalperConfig, learned: float, value: float) -> float:
    """Return the expected move, learned or else declared; NaN for neither."""
    declared = rules.declared_bps(abs(value)) if math.isnan(learned) else None
    return learned if declared is None else declared


def cost_bps(rules: ScalperConfig, maker: float, taker: float, spread_bps: float) -> float:
    """Return what a round trip costs, basis points; fees are fractions of value.

    The exit takes. An entry that may take counts as one that does; one that can only rest pays no
    spread, but what it gains by that counts for nothing: fills come when the price goes through.
    """
    rests = rules.execution.tactic == "maker_first" and rules.execution.at_deadline == "give_up"
    entry, crossed = (maker, 0.5) if rests else (taker, 1.0)
    return round_trip_bps(entry * 1e4, taker * 1e4, spread_bps, rules.slippage_bps, crossed)


def size(
    rules: ScalperConfig,
    equity: Decimal,
    mid: Decimal,
    stop: Decimal,
    taker: Decimal,
    displayed: float,
    multiplier: float,
    terms: Terms,
) -> Decimal:
    """Return the quantity of an entry, base coin; zero where the exchange's minimum is larger.

    At its stop, with fees of both ways, it loses the part of equity that is risked, and the book
    displays some times as much (``displayed``, base coin), so that the exit does not walk far.
    """
    if equity <= ZERO:
        return ZERO
    risked = equity * Decimal(repr(rules.risk)) / (stop + 2 * taker * mid)
    most = equity * Decimal(repr(rules.max_weight)) / mid
    shown = Decimal(repr(displayed)) * Decimal(repr(rules.max_of_book))
    wanted = min(min(risked, most) * Decimal(repr(multiplier)), shown)
    if terms.max_quantity is not None:
        wanted = min(wanted, terms.max_quantity)
    return portion(whole_lots(wanted, terms.step), mid, None, terms)
