"""Fitted Q-iteration: learn from looks how much more it is worth to be in than to be out. Pure.

Ernst, Geurts and Wehenkel (2005), "Tree-Based Batch Mode Reinforcement Learning": Q is a mean over
extremely randomised trees; with the trees' structure frozen, the iteration is a contraction and
converges. Here Q is the one number D (`backtests.policies.baselines` reduces both Q functions), all
four transitions of each look are known, as the position moves no market, and a round is:

1. grow trees on a first guess of D: in round 1 what foresight would have earned from each look on,
   then what the policy of the round before would have;
2. iterate D = E[change + clip(D', 0, c')] over these trees until no estimate moves.

Each seed learns from a stationary bootstrap of the looks, so that seeds differ by the chance in the
data too, not by that of the trees alone. An entry must be worth its cost and so many `deviations`
between the seeds. D takes every position to be free to leave; that one opened for funding waits for
it (`decide.awaits_funding`) counts in the scores alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.ensemble import ExtraTreesRegressor

from actors.measures import Floats, Integers
from backtests.policies.baselines import Signals, followed, foreseen
from backtests.policies.looks import Looks
from backtests.studies.bootstrap import resample
from config.durations import HOUR_NS, SECOND_NS
from config.errors import InputError
from strategies.basis.features import FEATURES
from strategies.basis.policy import Trees
from strategies.basis.threshold import EXIT

MARKET = FEATURES.index("position")
"""Features from here on are of the position, which D does not depend on."""
ROUNDS = 2
CONVERGED_BPS = 1e-3
MOST_ITERATIONS = 10_000
LEAST_LOOKS = 100


class Settings(NamedTuple):
    """How to learn and to judge."""

    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    every_ns: int = 30 * SECOND_NS
    """Time between two looks that are learned from; decisions are taken at all of them."""
    trees: int = 25
    least_leaf: int = 20
    """Looks in a leaf at least."""
    deviations: float = 1.0
    folds: int = 4
    """Stretches that are tested, one after the other."""
    purge_ns: int = HOUR_NS
    """Left out between a training and its test; mean length of a seed's bootstrapped stretches."""


Learner = Callable[[Looks, int, Settings], Trees]
"""Learns from looks with one seed; `joined` puts seeds together. Another learner has this shape."""


def fit(looks: Looks, seed: int, settings: Settings) -> Trees:
    """Learn from looks with one seed.

    Raises InputError when they are too few.
    """
    sample = thinned(looks, settings.every_ns)
    count = len(sample.ts)
    # The last look has no next one.
    usable = sample.allowed & np.append(sample.allowed[1:], False)[:count]
    if usable.sum() < LEAST_LOOKS:
        raise InputError(
            f"{usable.sum()} looks with all features are known, and learning takes {LEAST_LOOKS}: "
            "give a longer window or a shorter --every"
        )
    rng = np.random.default_rng(seed)
    apart = float(np.median(np.diff(sample.ts)))
    length = max(1.0, settings.purge_ns / apart)
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
        grown = joined([_one_tree(one.tree_, settings) for one in forest.estimators_])
        roots = grown.roots.T
        values, worth = _iterated(forest.apply(market) + roots, len(grown.value), weights, sample)
        guess = followed(sample, worth)
    return grown._replace(value=values, roots=roots)


def _one_tree(tree: Any, settings: Settings) -> Trees:
    feature, root = np.maximum(tree.feature, -1), np.zeros((1, 1), np.int32)
    sides = tree.children_left, tree.children_right
    return Trees(feature, tree.threshold, *sides, tree.value.ravel(), root, settings.deviations)


def _iterated(leaves: Integers, nodes: int, weights: Floats, looks: Looks) -> tuple[Floats, Floats]:
    """Return values of nodes, and D at each look, when iterating no longer moves them."""
    count, trees = leaves.shape
    ends = np.arange(0, leaves.size + 1, trees, dtype=np.int32)
    is_in = csr_array(
        (np.ones(leaves.size), leaves.ravel().astype(np.int32), ends), shape=(count, nodes)
    )
    mass, worth = is_in.T @ weights, np.zeros(count)
    most = np.where(looks.allowed, looks.cost, np.inf)
    for _ in range(MOST_ITERATIONS):
        after = np.append(np.clip(worth, 0.0, most)[1:], 0.0)
        sums = is_in.T @ ((looks.change + after) * weights)
        values = np.divide(sums, mass, out=np.zeros(nodes), where=mass > 0.0)
        before, worth = worth, is_in @ values / trees
        if np.abs(worth - before).max() < CONVERGED_BPS:
            break
    return values, worth


def joined(parts: list[Trees]) -> Trees:
    """Return several trees, or those of several seeds, together."""
    offsets = np.cumsum([0, *(len(part.feature) for part in parts[:-1])])

    def column(name: str, moved: bool = False) -> NDArray[Any]:
        by = offsets if moved else np.zeros_like(offsets)
        return np.concatenate([getattr(p, name) + o for p, o in zip(parts, by, strict=True)])

    return Trees(
        column("feature").astype(np.int32),
        column("threshold"),
        column("left", moved=True).astype(np.int32),
        column("right", moved=True).astype(np.int32),
        column("value"),
        column("roots", moved=True).astype(np.int32),
        parts[0].deviations,
    )


def by_trees(looks: Looks, trees: Trees, close_bps: float) -> Signals:
    """Open where the lower bound of D exceeds a round trip's cost, close where D is below zero.

    An entry needs the edge to the level of closing that stands beside the trees, and that level
    closes where a feature is not known, as in `strategies.basis.policy`.
    """
    mean, spread = trees.estimate(looks.features)
    lower = mean - trees.deviations * spread
    opens = (lower > looks.cost) & (looks.margin > close_bps)
    at_level = looks.features[:, EXIT] <= close_bps
    closes = np.where(np.isnan(looks.features).any(axis=1), at_level, mean < 0.0)
    return Signals(opens, closes, looks.locked <= close_bps)


def thinned(looks: Looks, every_ns: int) -> Looks:
    """Return the first look of each stretch of time, with the changes until the next of them."""
    _, first = np.unique(looks.ts // every_ns, return_index=True)
    change = np.add.reduceat(looks.change, first) if len(first) else looks.change[:0]
    change[-1:] = 0.0
    picked = Looks._make(column[first] for column in looks)
    return picked._replace(change=change)
