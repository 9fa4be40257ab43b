"""Fitted Q-iteration: learn from looks how much more it is worth to be in than to be out. Pure.

Ernst, Geurts and Wehenkel (2005), "Tree-Based Batch Mode Reinforcement Learning": Q is a mean over
extremely randomised trees; with the trees' structure frozen, the iteration is a contraction and
converges. Here Q is the one number D (`backtests.policies.baselines` reduces both Q functions), all
four transitions of each look are known, as the position moves no market, and a round is:

1. grow trees on a first guess of D: what came (round 1), then what the policy so far would have
   earned from each look on, which knows nothing of the future that its decisions do not;
2. iterate D = E[change + clip(D', 0, c')] over these trees until no estimate moves.

Each seed learns from a stationary bootstrap of the looks, so that seeds differ by what chance there
is in the data, and not by the trees' own alone. An entry must pay for seeds that doubt it
(`Trees.deviations`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor

from backtests.policies.baselines import Wishes, foreseen
from backtests.policies.looks import Looks
from backtests.studies.bootstrap import resample
from config.errors import InputError
from strategies.basis.features import FEATURES
from strategies.basis.policy import Trees, _means

Floats = NDArray[np.float64]
MARKET = FEATURES.index("position")
"""Features from here on are of the position, which D does not depend on."""
ROUNDS = 2
CONVERGED_BPS = 1e-3
MOST_ITERATIONS = 10_000
LEAST_LOOKS = 100


class Settings(NamedTuple):
    """How to learn."""

    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    every_ns: int = 30 * 10**9
    """Time between two looks that are learned from; decisions are taken at all of them."""
    trees: int = 25
    least_leaf: int = 20
    """Looks in a leaf at least."""
    deviations: float = 1.0
    block_ns: int = 3600 * 10**9
    """Mean length of the stretches that a seed's bootstrap is made of."""


Learner = Callable[[Looks, int, Settings], Trees]
"""Learns from looks with one seed; `joined` puts seeds together. Another learner has this shape."""


def fit(looks: Looks, seed: int, settings: Settings) -> Trees:
    """Learn from looks with one seed.

    Raises InputError when they are too few.
    """
    sample = thinned(looks, settings.every_ns)
    count = len(sample.ts)
    # The last look has no next one.
    usable = sample.allowed.copy()
    usable[:-1] &= sample.allowed[1:]
    usable[-1:] = False
    if usable.sum() < LEAST_LOOKS:
        raise InputError(
            f"{usable.sum()} looks with all features are known, and learning takes {LEAST_LOOKS}: "
            "give a longer window or a shorter --every"
        )
    rng = np.random.default_rng(seed)
    apart = float(np.median(np.diff(sample.ts)))
    length = max(1.0, settings.block_ns / apart)
    weights = np.bincount(resample(rng, count, length), minlength=count).astype(float)
    weights[~usable] = 0.0
    chosen = weights > 0.0
    market = np.nan_to_num(sample.features[:, :MARKET]).astype(np.float32)
    guess = foreseen(sample)
    for _ in range(ROUNDS):
        forest = ExtraTreesRegressor(
            settings.trees, min_samples_leaf=settings.least_leaf, random_state=seed
        )
        forest.fit(market[chosen], guess[chosen], weights[chosen])
        grown = [tree.tree_ for tree in forest.estimators_]
        offsets = np.cumsum([0, *(tree.node_count for tree in grown)])
        leaves = forest.apply(market) + offsets[:-1]
        places = leaves.astype(np.int64)
        values, worth = _iterated(
            places, int(offsets[-1]), weights, sample.change, sample.cost, sample.allowed
        )
        guess = _followed(worth, sample.change, sample.cost, sample.allowed)
    inner = np.concatenate([tree.feature for tree in grown]) >= 0
    children = []
    for side in ("children_left", "children_right"):
        moved = [getattr(t, side) + o for t, o in zip(grown, offsets[:-1], strict=True)]
        children.append(np.where(inner, np.concatenate(moved), 0).astype(np.int32))
    left, right = children
    return Trees(
        np.where(inner, np.concatenate([t.feature for t in grown]), -1).astype(np.int32),
        np.concatenate([tree.threshold for tree in grown]),
        left,
        right,
        values,
        offsets[None, :-1].astype(np.int32),
        settings.deviations,
    )


def joined(parts: list[Trees]) -> Trees:
    """Return the trees of several seeds together."""
    offsets = np.cumsum([0, *(len(part.feature) for part in parts)]).astype(np.int32)

    def all_of(name: str, moved: bool = False) -> NDArray[Any]:
        columns = [getattr(part, name) for part in parts]
        if moved:
            columns = [c + offset for c, offset in zip(columns, offsets[:-1], strict=True)]
        return np.concatenate(columns)

    plain = [all_of(name) for name in ("feature", "threshold", "value")]
    left, right, roots = (all_of(name, moved=True) for name in ("left", "right", "roots"))
    return Trees(plain[0], plain[1], left, right, plain[2], roots, parts[0].deviations)


def by_trees(looks: Looks, trees: Trees, close_bps: float) -> Wishes:
    """Open where the lower bound of D exceeds a round trip's cost, close where D is below zero.

    An entry needs the edge to the level of closing that stands beside the trees, as in
    `strategies.basis.policy`.
    """
    found = _all_means(looks.features.astype(np.float32), *trees[:6])
    mean = found.mean(axis=1)
    spread = found.std(axis=1, ddof=1) if found.shape[1] > 1 else np.zeros(len(mean))
    lower = mean - trees.deviations * spread
    known = looks.allowed
    return Wishes((lower > looks.cost) & (looks.margin > close_bps) & known, (mean < 0.0) & known)


def thinned(looks: Looks, every_ns: int) -> Looks:
    """Return the first look of each stretch of time, with the changes until the next of them."""
    _, first = np.unique(looks.ts // every_ns, return_index=True)
    change = np.add.reduceat(looks.change, first) if len(first) else looks.change[:0]
    change[-1:] = 0.0
    picked = Looks._make(column[first] for column in looks)
    return picked._replace(change=change)


@njit(cache=True)
def _all_means(features, feature, threshold, left, right, value, roots):
    found = np.empty((len(features), roots.shape[0]))
    for look in range(len(features)):
        found[look] = _means(features[look], feature, threshold, left, right, value, roots)
    return found


@njit(cache=True)
def _iterated(leaves, nodes, weights, change, cost, allowed):
    """Return values of nodes, and D at each look, when iterating no longer moves them."""
    count, trees = leaves.shape
    mass, values = np.zeros(nodes), np.zeros(nodes)
    for look in range(count):
        for tree in range(trees):
            mass[leaves[look, tree]] += weights[look]
    worth = np.zeros(count)
    for _ in range(MOST_ITERATIONS):
        sums = np.zeros(nodes)
        for look in range(count - 1):
            if weights[look] > 0.0:
                after = max(worth[look + 1], 0.0)
                if allowed[look + 1]:
                    after = min(after, cost[look + 1])
                target = (change[look] + after) * weights[look]
                for tree in range(trees):
                    sums[leaves[look, tree]] += target
        for node in range(nodes):
            if mass[node] > 0.0:
                values[node] = sums[node] / mass[node]
        moved = 0.0
        for look in range(count):
            total = 0.0
            for tree in range(trees):
                total += values[leaves[look, tree]]
            moved = max(moved, abs(total / trees - worth[look]))
            worth[look] = total / trees
        if moved < CONVERGED_BPS:
            break
    return values, worth


@njit(cache=True)
def _followed(worth, change, cost, allowed):
    """Return what being in was worth from each look on, with the decisions of an estimate of D."""
    found = np.zeros(len(worth))
    for look in range(len(worth) - 2, -1, -1):
        after = found[look + 1]
        if worth[look + 1] < 0.0:
            after = 0.0
        elif allowed[look + 1] and worth[look + 1] > cost[look + 1]:
            after = cost[look + 1]
        found[look] = change[look] + after
    return found
