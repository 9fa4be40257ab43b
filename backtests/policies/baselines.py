"""What a learner is measured against: never, above cost, the best threshold, foresight. Pure.

Being in the position is worth D more than being out of it, in basis points of its value. As it
moves no market and its entry price is sunk, both Q functions reduce to this one number::

    D(x) = E[change + clip(D(x'), 0, c(x'))]

with the change of what closing brings until the next look x', and the cost c of a round trip at
once: x' is left where D(x') < 0, and entered where D(x') > c(x'). It is optimal switching with
costs (Brekke and Oksendal 1994, "Optimal switching in an economic activity under uncertainty"), and
the same recursion gives the learner (expectations by trees) and perfect foresight (the change that
came).
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from actors.measures import Floats
from backtests.policies.looks import Looks
from strategies.basis.threshold import BASIS, EXIT, Threshold

Flags = NDArray[np.bool_]
LEVELS = 24
"""Levels of each of the two thresholds that are tried."""


class Played(NamedTuple):
    """A policy over looks: the gain from each look to the next, bps of the value, and its entries.

    The cost of the whole round trip counts at the entry; what is open at the end is closed.
    """

    gains: Floats
    trades: int
    held: float
    """Share of looks after which it is held."""


class Signals(NamedTuple):
    """Where a policy would open while flat, and close while in the position; shape (T,) each.

    ``for_funding`` says where an entry is for funding, which is then waited for.
    """

    opens: Flags
    closes: Flags
    for_funding: Flags


def play(looks: Looks, signals: Signals) -> Played:
    """Follow a policy from flat; what its gates refuse is not opened."""
    opens = signals.opens & looks.allowed
    since = np.where(signals.for_funding, looks.ts, -1)
    gains, trades, held = _play(
        opens, signals.closes, since, looks.awaited_since, looks.cost, looks.change
    )
    return Played(gains, int(trades), held / max(len(gains), 1))


@njit(cache=True)
def _play(opens, closes, since, awaited_since, cost, change):
    gains = np.zeros(len(opens))
    trades = held = position = entered = 0
    for look in range(len(opens)):
        if position:
            if closes[look] and entered < awaited_since[look]:
                position = 0
        elif opens[look] and look + 1 < len(opens):
            position, entered = 1, since[look]
            trades += 1
            gains[look] -= cost[look]
        if position:
            held += 1
            gains[look] += change[look]
    return gains, trades, held


def never(looks: Looks) -> Signals:
    """Stay out."""
    nowhere = np.zeros(len(looks.ts), np.bool_)
    return Signals(nowhere, nowhere, nowhere)


def above_cost(looks: Looks) -> Signals:
    """Open wherever the basis alone pays a round trip by the time it is zero; close there."""
    return by_threshold(looks, Threshold(open_bps=float(np.median(looks.cost)), close_bps=0.0))


def by_threshold(looks: Looks, threshold: Threshold) -> Signals:
    """Open and close at fixed levels, where the edge to the level of closing suffices."""
    basis, exit_basis = looks.features[:, BASIS], looks.features[:, EXIT]
    opens = (basis >= threshold.open_bps) & (looks.margin > threshold.close_bps)
    closes = exit_basis <= threshold.close_bps
    return Signals(opens, closes, looks.locked <= threshold.close_bps)


def foresight(looks: Looks) -> Signals:
    """Trade as if all that comes were known: the most that any policy could have earned."""
    worth = foreseen(looks)
    # It knows what funding comes, and waits for none.
    return Signals(worth > looks.cost, worth < 0.0, np.zeros(len(worth), np.bool_))


def foreseen(looks: Looks) -> Floats:
    """Return D at each look with the changes that came, by dynamic programming."""
    worth = np.zeros(len(looks.ts))
    return _followed(worth, worth, looks.change, looks.cost, looks.allowed)


def followed(looks: Looks, estimate: Floats) -> Floats:
    """Return what being in was worth from each look on, with the decisions of an estimate of D."""
    worth = np.zeros(len(looks.ts))
    return _followed(worth, estimate, looks.change, looks.cost, looks.allowed)


@njit(cache=True)
def _followed(worth, estimate, change, cost, allowed):
    for look in range(len(worth) - 2, -1, -1):
        after = worth[look + 1]
        if estimate[look + 1] < 0.0:
            after = 0.0
        elif allowed[look + 1] and estimate[look + 1] > cost[look + 1]:
            after = cost[look + 1]
        worth[look] = change[look] + after
    return worth


def best_threshold(looks: Looks, levels: int = LEVELS) -> Threshold:
    """Return the pair of levels that earned most on these looks.

    Levels tried are quantiles of the basis at opening and at closing; of pairs that earned the same
    the one with the highest opening is taken. Where none earned anything, the levels are such that
    it would not have opened, and opens elsewhere only where the fall to its closing pays its costs.
    """
    known = looks.features[looks.allowed]
    if not len(known):
        return Threshold()
    parts = np.linspace(0.0, 1.0, levels + 1)
    opens, closes = (np.unique(np.quantile(known[:, column], parts)) for column in (BASIS, EXIT))
    pays = float(closes[0] + looks.cost.max()) + 1.0
    best, found = 0.0, (max(float(opens[-1]) + 1.0, pays), float(closes[0]))
    for open_bps, close_bps in product(opens[::-1].tolist(), closes.tolist()):
        if close_bps < open_bps:
            tried = Threshold(open_bps=open_bps, close_bps=close_bps)
            earned = float(play(looks, by_threshold(looks, tried)).gains.sum())
            if earned > best:
                best, found = earned, (open_bps, close_bps)
    return Threshold(open_bps=found[0], close_bps=found[1])
