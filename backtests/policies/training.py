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
from backtests.policies.looks import Looks, Pair, looks_of, pair_of, tape_of
from backtests.policies.walk_forward import Judged, judge, scored, scores_of, signals_of
from config.documents import Backtest
from config.durations import minute_text
from strategies.basis.features import FEATURES
from strategies.basis.policy import Trees, check_training, load

ANYTHING = 1e300
"""Range of features of the position: the trees do not read them."""
Progress = Callable[[str, int, int], None]
"""Called with what is done now, how much of it is, and how much there is."""


class Trained(NamedTuple):
    """A policy's folder, how all policies did out of sample, and whether trees decide."""

    folder: Path
    judged: Judged
    by_trees: bool


def train(
    document: Backtest,
    root: Path,
    name: str,
    settings: Settings,
    progress: Progress,
    *,
    learner: Learner = fitted_q.fit,
    always_trees: bool = False,
) -> Trained:
    """Judge the learner fold by fold, fit it to the whole window, and write the next version.

    Where it does not beat the best threshold beyond chance, the threshold is written, unless
    ``always_trees``. What was learned before an interruption is taken up again. Raises InputError
    as `pair_of` does, and where there is too little to learn from.
    """
    pair = pair_of(document)
    facts = _facts(document, pair) | {"settings": settings._asdict()}
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    total, done = (settings.folds + 1) * len(settings.seeds), 0
    with artifacts.under_way(root, name, key) as folder:

        def learn(what: str, part: Looks) -> Trees:
            nonlocal done
            trees = []
            for seed in settings.seeds:
                progress(f"learning, {what}, seed {seed}", done, total)
                make = partial(learner, part, seed, settings)
                trees.append(artifacts.kept(folder, f"{what}-seed-{seed}", Trees, make))
                done += 1
            return joined(trees)

        looks = artifacts.kept(folder, "looks", Looks, partial(_look, pair, progress))
        judged = judge(looks, learn, settings.folds, settings.purge_ns)
        trees = learn("whole", looks) if judged.learner_wins or always_trees else None
        known = looks.features[looks.allowed][:, :MARKET]
        beside = [ANYTHING] * (len(FEATURES) - MARKET)
        low, high = np.quantile(known, [0.005, 0.995], axis=0).tolist()
        facts |= {"low": low + [-one for one in beside], "high": high + beside}
        facts["out_of_sample"] = scores_of(judged)
        made = artifacts.write(root, name, best_threshold(looks), trees, facts)
    return Trained(made, judged, trees is not None)


def evaluate(document: Backtest, folder: Path, progress: Progress) -> tuple[Judged, str]:
    """Judge a policy that is kept on a document's window; also what makes that doubtful.

    Raises GateRefused for a policy that a node would refuse.
    """
    policy, pair = load(folder), pair_of(document)
    check_training(folder, policy, pair.rules)
    doubts = "" if policy.training is None else policy.training.doubts(pair.rules, pair.fees)
    looks = _look(pair, progress)
    judged = scored([(looks, signals_of(looks, policy.threshold, policy.trees))])
    trained = policy.manifest["window"]
    overlaps = pair.start < trained["end_ns"] and trained["start_ns"] < pair.end
    no_test = (
        f"it was trained on {minute_text(trained['start_ns'])} to "
        f"{minute_text(trained['end_ns'])}, which this window overlaps: that is no test"
    )
    return judged, "; ".join(filter(None, [doubts, no_test if overlaps else ""]))


def _look(pair: Pair, progress: Progress) -> Looks:
    tape = tape_of(pair)
    return looks_of(tape, pair, lambda done: progress("looking", done, len(tape.ts)))


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
        "code": _code(),
    }


def _code() -> dict[str, str]:
    """Return a digest of the source that a policy comes from, and scikit-learn's version."""
    digest = hashlib.sha256()
    for package in (strategies.basis, backtests.policies):
        for path in sorted(Path(package.__path__[0]).glob("*.py")):
            digest.update(path.read_bytes())
    return {"source": digest.hexdigest(), "scikit-learn": sklearn.__version__}
