"""Policies of the basis: open and close at thresholds, or by trained trees. Pure; no engine.

A trained policy is a folder of plain arrays and a manifest, read by `load`, which refuses what is
missing, altered, of a newer format or of other features; `check_training` refuses it for another
coin and the like. `watch` compares what it sees with the ranges of its training, and lets the
threshold decide where they differ too often.
"""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numba import njit
from numpy.typing import NDArray

from config.errors import GateRefused
from strategies.basis.edge import Edge, Prices
from strategies.basis.features import FEATURES, Vector
from strategies.basis.threshold import BASIS, EXIT, Act, Threshold
from strategies.basis.training import Fees, Training
from strategies.basis_arbitrage import BasisConfig

FORMAT = 1
"""Newest format of a policy's folder that is read."""
ARRAYS, MANIFEST = "policy.npz", "manifest.json"


class Trees(NamedTuple):
    """Trees that estimate, in basis points, how much more it is worth to be in than to be out.

    Arrays are by node: the ``feature`` compared (-1 in a leaf), and where to go, ``left`` when it
    is not above the ``threshold``; ``value`` is a leaf's. ``roots`` has shape (seeds, trees). At an
    entry, the estimate less so many ``deviations`` between seeds exceeds a round trip's cost.
    """

    feature: NDArray[np.int32]
    threshold: Vector
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: Vector
    roots: NDArray[np.int32]
    deviations: float

    def estimate(self, features: NDArray[np.float64]) -> tuple[Vector, Vector]:
        """Return the mean of all seeds and the deviation between them, at each of T looks.

        ``features`` has shape (T, 16); where one is not known (NaN), neither is the estimate.
        """
        mean, spread = _estimate(features, *self[:6])
        return mean, spread

    def act(self, features: Vector, position: int, edge: Edge) -> Act:
        """Return what to do; where a feature is not known, nothing."""
        (mean,), (spread,) = self.estimate(features[None])
        if position:
            return Act.CLOSE if mean < 0.0 else Act.HOLD
        round_trip = features[EXIT] - features[BASIS] + edge.fees_bps + edge.slippage_bps
        return Act.OPEN if mean - self.deviations * spread > round_trip else Act.HOLD


@njit(cache=True)
def _estimate(
    features: Any, feature: Any, threshold: Any, left: Any, right: Any, value: Any, roots: Any
) -> tuple[Any, Any]:
    seeds, trees = roots.shape
    mean, spread = np.full(len(features), np.nan), np.full(len(features), np.nan)
    found = np.empty(seeds)
    for look in range(len(features)):
        # As scikit-learn compares: features are singles, thresholds doubles.
        seen = features[look].astype(np.float32)
        if np.isnan(seen).any():
            continue
        for seed in range(seeds):
            total = 0.0
            for node in roots[seed]:
                while feature[node] >= 0:
                    goes_left = seen[feature[node]] <= threshold[node]
                    node = left[node] if goes_left else right[node]
                total += value[node]
            found[seed] = total / trees
        mean[look] = found.mean()
        spread[look] = np.sqrt(((found - mean[look]) ** 2).sum() / max(seeds - 1, 1))
    return mean, spread


# Drift -----------------------------------------------------------------------------------------


class Drift(NamedTuple):
    """Share of the last looks in which each feature was out of the range of training."""

    shares: Vector = np.zeros(len(FEATURES))
    drifted: bool = False

    def worst(self) -> str:
        """Return the feature that is out of its range most often, with the share."""
        index = int(np.argmax(self.shares))
        return f"{FEATURES[index]} out of the range of training in {self.shares[index]:.0%}"


class Policy(NamedTuple):
    """A policy as loaded: ``trees`` where one was trained, and the threshold beside it.

    ``low`` and ``high`` are the ranges of the features in training. ``manifest`` is all that is
    known of the training.
    """

    threshold: Threshold
    trees: Trees | None = None
    low: Vector = np.full(len(FEATURES), -math.inf)
    high: Vector = np.full(len(FEATURES), math.inf)
    manifest: Mapping[str, Any] = MappingProxyType({})
    training: Training | None = None

    def act(self, features: Vector, position: int, edge: Edge, *, drifted: bool = False) -> Act:
        """Return what to do; by the threshold alone where features have drifted.

        What is held where a feature is not known, as after a restart, is closed by the threshold.
        """
        unknown = bool(position) and bool(np.isnan(features).any())
        if self.trees is None or drifted or unknown:
            return self.threshold.act(features, position, edge)
        return self.trees.act(features, position, edge)

    def watch(self, drift: Drift, features: Vector, looks: int, most: float) -> Drift:
        """Return the drift after a look, judged over about so many looks.

        It has drifted when a feature is out of its range in more than ``most`` of them, until none
        is in more than half as many.
        """
        if self.trees is None:
            return drift
        # What is not known is neither in the range nor out of it.
        out = (features < self.low) | (features > self.high)
        moved = drift.shares + (out - drift.shares) / looks
        shares = np.where(np.isnan(features), drift.shares, moved)
        return Drift(shares, shares.max() > (most / 2 if drift.drifted else most))

    def may_act(self, best: Prices, position: int) -> bool:
        """Whether it may open or close where executable prices are no better than these.

        A threshold knows without the features; trees don't, and may always.
        """
        if self.trees is not None:
            return True
        if position:
            return best.exit_bps <= self.threshold.close_bps
        return best.basis_bps >= self.threshold.open_bps


def policy_of(rules: BasisConfig) -> Policy:
    """Return the policy that parameters name, or that of their threshold.

    Raises GateRefused as `load` and `check_training` do.
    """
    if rules.policy is None:
        return Policy(rules.threshold)
    found = load(rules.policy.path)
    check_training(rules.policy.path, found, rules)
    return found


def check_training(
    folder: Path, policy: Policy, rules: BasisConfig, fees: Fees | None = None
) -> None:
    """Raise GateRefused if it was trained for another coin, look or half-life, or lower fees."""
    if policy.training is not None and (why := policy.training.refusals(rules, fees)):
        raise _refused(folder, "; ".join(why), "train one for what you trade")


# Folders ---------------------------------------------------------------------------------------


def load(folder: Path) -> Policy:
    """Return the policy in a folder ``<name>/<version>``.

    Raises GateRefused where a file is missing or was altered, or the policy is of a newer format or
    of other features than these.
    """
    try:
        raw = (folder / MANIFEST).read_bytes()
        arrays = (folder / ARRAYS).read_bytes()
    except OSError as error:
        raise _refused(folder, f"{error.strerror}: {error.filename}", "train it anew") from error
    try:
        manifest = json.loads(raw)
        known = manifest["format"], manifest["features"], manifest["sha256"], manifest["hash"]
        # Of a NaN there is no digest.
        digests = hashlib.sha256(arrays).hexdigest(), manifest_hash(manifest)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _refused(folder, f"{MANIFEST} can't be read ({error!r})", "train it anew") from error
    if known[0] != FORMAT:
        raise _refused(folder, f"it has format {known[0]}, this version reads {FORMAT}", "update")
    if known[1] != list(FEATURES):
        raise _refused(folder, "it was trained on other features than these", "train it anew")
    if known[2:] != digests:
        raise _refused(folder, "its files were altered since the training", "restore or train anew")
    try:
        return _read(folder, manifest)
    except (ValueError, LookupError, TypeError, zipfile.BadZipFile) as error:
        raise _refused(folder, f"{ARRAYS} can't be read ({error!r})", "train it anew") from error


def manifest_hash(manifest: dict[str, Any]) -> str:
    """Return the digest of a manifest without its own ``hash``."""
    rest = {key: value for key, value in manifest.items() if key != "hash"}
    words = json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(words.encode()).hexdigest()


def _read(folder: Path, manifest: dict[str, Any]) -> Policy:
    low, high = (np.array(manifest[name], np.float64) for name in ("low", "high"))
    if low.shape != (len(FEATURES),) or high.shape != low.shape:
        raise ValueError("low and high have one number a feature")
    threshold = msgspec.convert(manifest["threshold"], Threshold)
    for _, words in threshold.check():
        raise ValueError(f"close_bps {words}")
    training = msgspec.convert(manifest["params"] | {"fees": manifest["fees"]}, Training)
    if manifest["kind"] == "threshold":
        return Policy(threshold, None, low, high, manifest, training)
    if manifest["kind"] != "trees":
        raise ValueError(f"kind is {manifest['kind']}")
    with np.load(folder / ARRAYS, allow_pickle=False) as found:
        trees = Trees(
            found["feature"].astype(np.int32),
            found["threshold"].astype(np.float64),
            found["left"].astype(np.int32),
            found["right"].astype(np.int32),
            found["value"].astype(np.float64),
            found["roots"].astype(np.int32),
            float(found["deviations"][0]),
        )
    _check(trees)
    return Policy(threshold, trees, low, high, manifest, training)


def _check(trees: Trees) -> None:
    """Raise ValueError where a walk would leave the arrays or never end."""
    nodes = np.arange(len(trees.feature))
    inner = trees.feature >= 0
    children = np.concatenate([trees.left[inner], trees.right[inner]])
    # Children stand behind their parents, so that every walk ends.
    parents = np.concatenate([nodes[inner], nodes[inner]])
    same = {len(a) for a in (trees.feature, trees.threshold, trees.left, trees.right, trees.value)}
    if (
        len(same) != 1
        or trees.roots.ndim != 2
        or not trees.roots.size
        or (trees.feature >= len(FEATURES)).any()
        or (children <= parents).any()
        or (children >= len(nodes)).any()
        or (trees.roots < 0).any()
        or (trees.roots >= len(nodes)).any()
        or not np.isfinite(trees.value).all()
        or not np.isfinite(trees.threshold).all()
        or not 0.0 <= trees.deviations < math.inf
    ):
        raise ValueError("these arrays are no trees")


def _refused(folder: Path, what: str, remedy: str) -> GateRefused:
    return GateRefused(f"policy {folder.parent.name} {folder.name}: {what}: {remedy}")
