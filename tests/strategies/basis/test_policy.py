"""What policies do, and which folders are refused."""

from __future__ import annotations

import hashlib
import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import ExtraTreesRegressor

from config.errors import GateRefused
from strategies.basis.edge import Book, Costs, Edge, Funding, best_prices, edge_of, prices_of
from strategies.basis.features import FEATURES
from strategies.basis.policy import (
    ARRAYS,
    MANIFEST,
    Drift,
    Policy,
    Trees,
    check_training,
    load,
    manifest_hash,
)
from strategies.basis.threshold import BASIS, EXIT, Act, Threshold
from tests.strategies.basis.test_decide import LEGS, rules

ETHER = "ETHUSDT-SPOT.BYBIT", "ETHUSDT-LINEAR.BYBIT"
TRAINED = msgspec.to_builtins(rules(half_life="1m", look="1s"))
RULE = Threshold(open_bps=30.0, close_bps=2.0)


def edge(basis: float = 40.0) -> Edge:
    return edge_of(basis, 2.0, Costs(0.001, 0.0005), Funding(), 0, 1)  # four fees: 30 bps


def at(basis: float = 40.0, exit_: float = 44.0, **more: float) -> np.ndarray:
    found = np.zeros(len(FEATURES))
    found[BASIS], found[EXIT] = basis, exit_
    for name, value in more.items():
        found[FEATURES.index(name)] = value
    return found


def stump(*values: tuple[float, float], deviations: float = 1.0) -> Trees:
    """Return one tree a seed: its first value up to a z of 1, its second above."""
    count = len(values)
    return Trees(
        feature=np.array([2, -1, -1] * count, np.int32),
        threshold=np.array([1.0, 0.0, 0.0] * count),
        left=np.array([p for s in range(count) for p in (3 * s + 1, 0, 0)], np.int32),
        right=np.array([p for s in range(count) for p in (3 * s + 2, 0, 0)], np.int32),
        value=np.array([v for low, high in values for v in (0.0, low, high)]),
        roots=np.arange(0, 3 * count, 3, dtype=np.int32).reshape(-1, 1),
        deviations=deviations,
    )


def saved(folder: Path, trees: Trees, **about: Any) -> Path:
    where = folder / "demo" / "1"
    where.mkdir(parents=True)
    arrays = trees._asdict() | {"deviations": np.array([trees.deviations])}
    np.savez(where / ARRAYS, **arrays)
    bounds = {"low": [-1.0] * len(FEATURES), "high": [1.0] * len(FEATURES)}
    made: dict[str, Any] = {
        "format": 1, "kind": "trees", "features": list(FEATURES), **bounds,
        "threshold": {"open_bps": 30.0, "close_bps": 2.0},
        "params": TRAINED, "fees": ["0.0001", "0.0001"],
        "sha256": hashlib.sha256((where / ARRAYS).read_bytes()).hexdigest(),
    } | about  # fmt: skip
    (where / MANIFEST).write_text(json.dumps(made | {"hash": manifest_hash(made)}))
    return where


@pytest.mark.parametrize(
    ("position", "basis", "exit_", "act"),
    [
        (0, 30.0, 34.0, Act.OPEN), (0, 29.9, 34.0, Act.HOLD), (0, np.nan, 34.0, Act.HOLD),
        (1, -9.0, 2.0, Act.CLOSE), (1, 90.0, 2.1, Act.HOLD), (1, 90.0, np.nan, Act.HOLD),
    ],
)  # fmt: skip
def test_the_threshold_opens_from_one_basis_and_closes_at_another(
    position: int, basis: float, exit_: float, act: Act
) -> None:
    assert RULE.act(at(basis, exit_), position, edge()) is act


def test_the_threshold_reads_the_basis_where_the_features_have_it() -> None:
    assert (FEATURES[BASIS], FEATURES[EXIT]) == ("basis_bps", "exit_bps")


def test_trees_open_where_all_that_seeds_differ_by_still_beats_a_round_trip() -> None:
    """A round trip costs the spreads, 4, and four fees, 30; seeds estimate 36 and 40 above z 1."""
    trees = stump((0.0, 36.0), (0.0, 40.0))
    assert trees.estimate(at(basis_z=2.0)[None]) == (38.0, math.sqrt(8))
    assert trees.act(at(basis_z=2.0), 0, edge()) is Act.OPEN  # 38 - 2.83 > 34
    assert trees._replace(deviations=2.0).act(at(basis_z=2.0), 0, edge()) is Act.HOLD
    assert trees.act(at(basis_z=1.0), 0, edge()) is Act.HOLD


def test_trees_close_where_out_is_worth_more_than_in_and_hold_what_they_do_not_know() -> None:
    trees = stump((-1.0, 1.0))
    assert trees.act(at(basis_z=0.0), 1, edge()) is Act.CLOSE
    assert trees.act(at(basis_z=2.0), 1, edge()) is Act.HOLD
    assert trees.act(at(basis_z=0.0, volatility_bps=np.nan), 1, edge()) is Act.HOLD


def test_what_trees_do_not_know_the_threshold_beside_them_closes_but_does_not_open() -> None:
    policy = Policy(RULE, stump((99.0, 99.0)))
    for name in ("volatility_bps", "basis_z"):
        unknown = {name: np.nan}
        assert policy.act(at(-9.0, 2.0, **unknown), 1, edge()) is Act.CLOSE
        assert policy.act(at(-9.0, 2.1, **unknown), 1, edge()) is Act.HOLD
        assert policy.act(at(90.0, 94.0, **unknown), 0, edge()) is Act.HOLD
    # What trees know, they decide.
    assert policy.act(at(-9.0, 2.0), 1, edge()) is Act.HOLD


def test_trees_estimate_what_scikit_learn_does() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(400, len(FEATURES)))
    model = ExtraTreesRegressor(5, max_depth=6, random_state=1).fit(x, x[:, 0] * x[:, 1])
    parts = [one.tree_ for one in model.estimators_]
    first = np.cumsum([0] + [part.node_count for part in parts[:-1]])

    def joined(name: str, kind: type, *, shift: bool = False) -> Any:
        found = [getattr(p, name) + (o if shift else 0) for p, o in zip(parts, first, strict=True)]
        return np.concatenate(found).astype(kind)

    trees = Trees(
        np.maximum(joined("feature", np.int32), -1), joined("threshold", float),
        joined("children_left", np.int32, shift=True),
        joined("children_right", np.int32, shift=True),
        np.concatenate([part.value[:, 0, 0] for part in parts]),
        first.astype(np.int32).reshape(1, -1), 1.0,
    )  # fmt: skip
    found, _ = trees.estimate(x[:50])
    assert found.tolist() == pytest.approx(model.predict(x[:50]).tolist())


@given(
    spot=st.floats(99.0, 101.0), perp=st.floats(99.0, 101.0), quantity=st.floats(0.001, 9.0),
    sizes=st.tuples(*[st.floats(0.01, 3.0)] * 4), position=st.integers(0, 1),
)  # fmt: skip
def test_where_the_best_prices_rule_an_act_out_the_threshold_does_nothing(
    spot: float, perp: float, quantity: float, sizes: Any, position: int
) -> None:
    def book(mid: float, bid: float, ask: float) -> Book:
        return Book([(mid - 0.1, bid), (mid - 0.2, 9.0)], [(mid + 0.1, ask), (mid + 0.3, 9.0)])

    books = book(spot, *sizes[:2]), book(perp, *sizes[2:])
    prices = prices_of(*books, quantity)
    policy = Policy(RULE)
    if not policy.may_act(best_prices(*books), position):
        seen = at(prices.basis_bps, prices.exit_bps)
        assert policy.act(seen, position, edge()) is Act.HOLD
    assert Policy(RULE, stump((0.0, 1.0))).may_act(best_prices(*books), position)


def test_a_policy_is_read_as_it_was_saved(tmp_path: Path) -> None:
    found = load(saved(tmp_path, stump((-1.0, 50.0))))
    assert found.threshold == RULE
    assert found.act(at(basis_z=2.0), 0, edge()) is Act.OPEN
    assert found.act(at(20.0, 22.0, basis_z=2.0), 0, edge(), drifted=True) is Act.HOLD
    assert load(saved(tmp_path / "b", stump((0.0, 0.0)), kind="threshold")).trees is None


def test_policies_that_are_missing_altered_newer_or_of_other_features_are_refused(
    tmp_path: Path,
) -> None:
    def refused(folder: Path, words: str) -> None:
        with pytest.raises(GateRefused, match=words):
            load(folder)

    refused(tmp_path / "demo" / "1", "No such file")
    refused(saved(tmp_path / "a", stump((0.0, 1.0)), format=2), "format 2, this version reads 1")
    other = saved(tmp_path / "b", stump((0.0, 1.0)), features=[*FEATURES[1:], "moon"])
    refused(other, "other features")
    where = saved(tmp_path / "c", stump((0.0, 1.0)))
    raw = where.joinpath(ARRAYS).read_bytes()
    where.joinpath(ARRAYS).write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    refused(where, "altered")
    where.joinpath(ARRAYS).write_bytes(raw)
    manifest = where / MANIFEST
    whole = manifest.read_text()
    manifest.write_text(whole.replace('"open_bps": 30.0', '"open_bps": 3.0'))
    refused(where, "altered")
    manifest.write_text(whole[:20])
    refused(where, "can't be read")
    endless = stump((0.0, 1.0))._replace(left=np.zeros(3, np.int32))
    refused(saved(tmp_path / "d", endless), "no trees")
    bold = stump((0.0, 1.0), deviations=-5.0)
    refused(saved(tmp_path / "e", bold), "no trees")
    for number, about in enumerate(
        ({"features": None}, {"kind": "magic"}, {"threshold": {"open_bps": 1.0, "close_bps": 2.0}})
    ):
        refused(saved(tmp_path / str(number), stump((0.0, 1.0)), **about), "other|kind|close_bps")
    manifest.write_text(whole.replace('"open_bps": 30.0', '"open_bps": NaN'))
    refused(where, "can't be read")
    manifest.write_text("[" * 100_000)
    refused(where, "can't be read")


@pytest.mark.parametrize(
    ("params", "fee", "words"),
    [
        ({"pairs": (ETHER,)}, None, "trained on BTCUSDT, not ETHUSDT"),
        ({"pairs": (LEGS, ETHER)}, None, "trained on BTCUSDT, not ETHUSDT"),
        ({"look": "5s"}, None, "trained with look 1s, not 5s"),
        ({"half_life": "10m"}, None, "trained with half_life 1m, not 10m"),
        ({}, "0.0002", "trained with fees of 4 bps a round trip, not 6"),
    ],
)
def test_a_policy_that_was_trained_for_another_market_is_refused(
    tmp_path: Path, params: Any, fee: str | None, words: str
) -> None:
    where = saved(tmp_path, stump((0.0, 1.0)))
    traded = rules(**({"half_life": "60s"} | params))
    with pytest.raises(GateRefused, match=f"policy demo 1: it was {words}: train one"):
        check_training(where, load(where), traded, fee and (Decimal(fee), Decimal("0.0001")))


def test_what_differs_little_from_the_training_is_said(tmp_path: Path) -> None:
    where = saved(tmp_path, stump((0.0, 1.0)))
    training, low = load(where).training, Decimal("0.00005")
    assert training is not None
    assert training.doubts(rules(half_life="60s"), (Decimal("0.0001"),) * 2) == ""
    assert training.doubts(rules(half_life="1m", horizon="1d"), (low, low)) == (
        "it was trained with horizon 8h, not 1d; "
        "it was trained with fees of 4 bps a round trip, not 2"
    )


def test_a_feature_out_of_its_range_too_often_has_drifted_until_it_is_back() -> None:
    bounds = np.full(len(FEATURES), 50.0)
    policy = Policy(RULE, stump((0.0, 1.0)), -bounds, bounds)
    drift = Drift()
    for _ in range(20):
        drift = policy.watch(drift, at(basis_z=60.0), 100, 0.15)
    assert drift.drifted
    assert drift.worst().startswith("basis_z out of the range of training in 18%")
    for _ in range(20):
        drift = policy.watch(drift, at(basis_z=np.nan), 100, 0.15)
    assert drift.drifted
    for _ in range(90):
        drift = policy.watch(drift, at(), 100, 0.15)
    assert not drift.drifted
