"""Steps from target weights to the next ones, beside what earlier decisions remember. Pure.

Arrays have shape (N,); weights are signed fractions of equity.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from config.durations import duration_ns
from strategies.rebalance.blocks import LossStreak, Partial
from strategies.rebalance.config import PanelRebalancerConfig
from strategies.rebalance.memory import Recall
from strategies.signals.universe import Standing

Floats = NDArray[np.float64]


def _which(*standings: Standing) -> NDArray[np.bool_]:
    """Return a table to look standings up in: which of all are these."""
    return np.isin(list(Standing), standings)


_NO_FILTER = _which(
    Standing.IN,
    Standing.NO_CANDLE,
    Standing.EXCLUDED,
    Standing.NO_SCORE,
    Standing.ENTRY_OVER,
)
"""Standings that no filter gives; a name without a candle or a score can't be kept for one."""
CUTS = _which(Standing.LOSS_EXIT, Standing.HELD_TOO_LONG)
"""Standings that close a position against its score."""
_LEAVES = CUTS | _which(Standing.NO_CANDLE, Standing.EXCLUDED)
"""Standings that close a position whatever its age."""


def leave_out(
    rules: PanelRebalancerConfig, known: Recall, standings: NDArray[np.int8]
) -> NDArray[np.int8]:
    """Return the standings with the exits of held names, and the pauses of others."""
    result, held = standings.copy(), known.weight != 0.0
    free = ~held & (standings == Standing.IN)
    if rules.loss_streak is not None:
        result[free & _on_a_losing_streak(known, rules.loss_streak)] = Standing.LOSING_STREAK
    result[free & (known.wait_ns > 0.0)] = Standing.COOLING_DOWN
    if rules.hold is not None and rules.hold.most is not None:
        result[held & (known.age_ns >= duration_ns(rules.hold.most))] = Standing.HELD_TOO_LONG
    if rules.loss_exit is not None:
        result[held & (known.gain <= -rules.loss_exit.loss)] = Standing.LOSS_EXIT
    return result


def _on_a_losing_streak(known: Recall, streak: LossStreak) -> NDArray[np.bool_]:
    most = streak.losses
    lost = [len(each) >= most and max(each[-most:]) < 0.0 for each in known.results]
    return np.array(lost, np.bool_) & (known.since_exit_ns < duration_ns(streak.pause))


def cooldowns(rules: PanelRebalancerConfig, standings: NDArray[np.int8]) -> NDArray[np.int64]:
    """Return for how long nothing is entered after the exits of a decision, nanoseconds."""
    result = np.zeros(standings.shape, np.int64)
    if rules.stop_cooldown is not None:
        result[standings == Standing.HELD_TOO_LONG] = duration_ns(rules.stop_cooldown)
    if rules.loss_exit is not None:
        result[standings == Standing.LOSS_EXIT] = duration_ns(rules.loss_exit.cooldown)
    return result


def next_weights(
    rules: PanelRebalancerConfig, known: Recall, standings: NDArray[np.int8], target: Floats
) -> tuple[Floats, NDArray[np.int8]]:
    """Return the weights now, on the way from the last ones to the target, and the standings.

    Positions that are kept count toward the caps: others then get less.
    """
    last, leaves = known.weight, _LEAVES[standings]
    if not target.any() and not rules.flatten_on_empty_targets:
        target = np.where(leaves, 0.0, last)
    kept = np.zeros(last.shape, np.bool_)
    if rules.dropped == "keep":
        kept |= (last != 0.0) & ~leaves & ~_NO_FILTER[standings]
    if rules.hold is not None and rules.hold.least is not None:
        young = (last != 0.0) & ~leaves & (known.age_ns < duration_ns(rules.hold.least))
        ends = young & ~kept & (target * last <= 0.0)
        standings = np.where(ends & (standings == Standing.IN), Standing.HELD_BRIEFLY, standings)
        kept |= ends
    again = known.taken & (target * last > 0.0) & (np.abs(target) > np.abs(last))
    standings = np.where(again & (standings == Standing.IN), Standing.PROFIT_TAKEN, standings)
    weight = np.where(kept | again, last, target)
    if rules.partial is not None:
        # From what was decided also where nothing was entered: small steps add up to an order.
        planned = known.planned
        near = (weight != 0.0) & (weight != planned) & is_near(planned, weight, rules.partial)
        standings = np.where(near & (standings == Standing.IN), Standing.NEAR_TARGET, standings)
        weight = part_of_the_way(planned, weight, rules.partial)
    if rules.turnover_budget is not None:
        weight = within_turnover(last, weight, rules.turnover_budget)
    gross, largest = (
        rules.gross_leverage * rules.allocation,
        rules.max_weight * rules.allocation,
    )
    return within_gross(last, np.clip(weight, -largest, largest), gross), standings


def is_near(last: Floats, target: Floats, partial: Partial) -> NDArray[np.bool_]:
    """Return where the target is too near to the last weight to change it."""
    return np.abs(target - last) < partial.min_change


def part_of_the_way(last: Floats, target: Floats, partial: Partial) -> Floats:
    """Return the last weights, moved toward the target by a fraction; exits are whole."""
    moved = last + partial.fraction * (target - last)
    moved = np.where(is_near(last, target, partial), last, moved)
    return np.where(target == 0.0, 0.0, moved)


def within_turnover(last: Floats, weight: Floats, budget: float) -> Floats:
    """Return the weights with all changes cut alike to a turnover; exits are exempt."""
    change = np.where(weight == 0.0, 0.0, weight - last)
    turnover = np.abs(change).sum()
    if turnover <= budget:
        return weight
    return np.where(weight == 0.0, 0.0, last + change * (budget / turnover))


def within_gross(last: Floats, weight: Floats, gross: float) -> Floats:
    """Return the weights with all increases cut alike, so that the gross is kept.

    Where what is kept exceeds it alone, everything is cut.
    """
    size = np.abs(weight)
    if size.sum() <= gross:
        return weight
    kept = np.where(last * weight > 0.0, np.minimum(size, np.abs(last)), 0.0)
    room, more = gross - kept.sum(), size - kept
    if room <= 0.0:
        return np.sign(weight) * kept * (gross / kept.sum())
    return np.sign(weight) * (kept + more * (room / more.sum()))
