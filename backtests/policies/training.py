"""Train a policy on a document's window, judge it out of sample, and keep what was earned there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import sklearn

import backtests.policies
import strategies.basis
from backtests.policies import artifacts, fitted_q
from backtests.policies.baselines import best_threshold
from backtests.policies.fitted_q import MARKET, Learner, Settings, joined
from backtests.policies.looks import Looks, Pair, looks_of, pair_of
from backtests.policies.walk_forward import Judged, Tally, judge, scores_of, wishes_of
from config.documents import Backtest
from config.durations import minute_text
from strategies.basis.features import FEATURES
from strategies.basis.policy import Trees, load

ANYTHING = 1e300
"""Range of features of the position: the trees do not read them."""
Tell = Callable[[str, int, int], None]
"""Called with what is done now, how much of it is, and how much there is."""


class Plan(NamedTuple):
    """How a training is judged, and where it is kept."""

    name: str
    root: Path
    settings: Settings = Settings()
    folds: int = 4
    purge_ns: int = 3600 * 10**9
    always_trees: bool = False
    """Keep the trees also where they do not beat the threshold."""


class Trained(NamedTuple):
    """A policy's folder, how all policies did out of sample, and whether trees decide."""

    folder: Path
    judged: Judged
    by_trees: bool


def train(document: Backtest, plan: Plan, tell: Tell, learner: Learner = fitted_q.fit) -> Trained:
    """Judge the learner fold by fold, fit it to the whole window, and write the next version.

    Where it does not beat the best threshold beyond chance, the threshold is what is written. What
    was learned before an interruption is taken up again. Raises InputError as `pair_of` does, and
    where there is too little to learn from.
    """
    pair = pair_of(document)
    facts = _facts(document, pair)
    key = {**facts, "settings": plan.settings._asdict(), "purge_ns": plan.purge_ns}
    words = json.dumps(key | {"folds": plan.folds}, sort_keys=True)
    under_way = artifacts.Training(plan.root, plan.name, hashlib.sha256(words.encode()).hexdigest())
    try:
        return _train(pair, facts, plan, under_way, tell, learner)
    finally:
        under_way.pause()


def _train(
    pair: Pair,
    facts: dict[str, Any],
    plan: Plan,
    under_way: artifacts.Training,
    tell: Tell,
    learner: Learner,
) -> Trained:
    looks = under_way.kept("looks", Looks, partial(_look, pair, tell))
    seeds = plan.settings.seeds
    total, done = (plan.folds + 1) * len(seeds), 0

    def kept(name: str, make: Callable[[], Trees]) -> Trees:
        nonlocal done
        tell(f"learning, {name}", done, total)
        found = under_way.kept(name, Trees, make)
        done += 1
        return found

    judged = judge(looks, learner, plan.settings, plan.folds, plan.purge_ns, kept)
    trees = None
    if judged.learner_wins or plan.always_trees:
        parts = [
            kept(f"whole-seed-{seed}", partial(learner, looks, seed, plan.settings))
            for seed in seeds
        ]
        trees = joined(parts)
    known = looks.features[looks.allowed][:, :MARKET]
    beside = np.full(len(FEATURES) - MARKET, ANYTHING)
    low, high = np.quantile(known, [0.005, 0.995], axis=0)
    ranges = {
        "low": np.concatenate([low, -beside]).tolist(),
        "high": np.concatenate([high, beside]).tolist(),
    }
    facts |= {"seeds": list(seeds), "settings": plan.settings._asdict(), **ranges}
    facts["out_of_sample"] = scores_of(judged) | {"folds": plan.folds, "purge_ns": plan.purge_ns}
    folder = artifacts.write(plan.root, plan.name, best_threshold(looks), trees, facts)
    under_way.over()
    return Trained(folder, judged, trees is not None)


def evaluate(document: Backtest, folder: Path, tell: Tell) -> tuple[Judged, str]:
    """Judge a policy that is kept on a document's window; also what of it is not out of sample.

    Raises GateRefused for a policy that a node would refuse.
    """
    policy, pair = load(folder), pair_of(document)
    looks = _look(pair, tell)
    tally = Tally()
    tally.test(looks, wishes_of(looks, policy.threshold, policy.trees))
    trained = policy.manifest["window"]
    overlaps = pair.start < trained["end_ns"] and trained["start_ns"] < pair.end
    return tally.judged(), (
        f"it was trained on {minute_text(trained['start_ns'])} to "
        f"{minute_text(trained['end_ns'])}, which this window overlaps: that is no test"
        if overlaps
        else ""
    )


def _look(pair: Pair, tell: Tell) -> Looks:
    tell("reading the catalog", 0, 0)
    tape = pair.tape()
    return looks_of(tape, pair, lambda done: tell("looking", done, len(tape.ts)))


def _facts(document: Backtest, pair: Pair) -> dict[str, Any]:
    """Return what a policy's manifest says of its data and of the strategy it was trained for."""
    rules = msgspec.to_builtins(pair.rules)
    left_out = {"policy", "threshold", "instruments", "key", "node"}
    return {
        "document": document.name,
        "window": {"start_ns": pair.start, "end_ns": pair.end},
        "data": {"hash": pair.catalog.data_hash(ids=pair.legs), "market": pair.kind},
        "params": {name: value for name, value in rules.items() if name not in left_out},
        "fees": [str(fee) for fee in pair.fees],
        "equity": str(pair.equity),
        "code": code(),
    }


def code() -> dict[str, str]:
    """Return a digest of the source that a policy comes of, and scikit-learn's version."""
    digest = hashlib.sha256()
    for package in (strategies.basis, backtests.policies):
        for path in sorted(Path(package.__path__[0]).glob("*.py")):
            digest.update(path.read_bytes())
    return {"source": digest.hexdigest(), "scikit-learn": sklearn.__version__}
