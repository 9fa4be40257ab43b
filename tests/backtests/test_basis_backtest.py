"""The basis arbitrage in a backtest, on hours of invented quotes whose law is known."""

from __future__ import annotations

import json
from decimal import Decimal as D
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
import yaml

from backtests.results.result import Result, read
from backtests.session import backtest_document
from config.errors import GateRefused
from strategies.basis.policy import ARRAYS
from strategies.basis_arbitrage import BasisConfig
from strategies.desk_config import DeskStrategyConfig
from strategies.messages import Decision
from tests.backtests.test_every_parameter import with_value
from tests.strategies.basis.test_policy import saved, stump

ROOT = Path(__file__).resolve().parents[2]
SPOT, PERP = "BTCUSDT-SPOT.BYBIT", "BTCUSDT-LINEAR.BYBIT"


def played(catalog: Path, folder: Path, **params: Any) -> Result:
    document = yaml.safe_load((ROOT / "backtests/runs/basis_demo.yaml").read_text())
    document["extends"] = [str(ROOT / "backtests/runs" / name) for name in document["extends"]]
    document |= {"catalog": str(catalog)}
    document["window"] = {"start": "2025-03-03 00:00", "end": "2025-03-03 09:00"}
    document["strategies"]["basis"]["params"] |= params
    file = folder / "run.yaml"
    file.write_text(yaml.safe_dump(document))
    return read(backtest_document(file, out=folder / "result"))


@pytest.fixture(scope="module")
def result(basis: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return played(basis, tmp_path_factory.mktemp("run"))


def decisions(result: Result) -> list[Decision]:
    rows = result.table("decisions").column("payload").to_pylist()
    return [msgspec.json.decode(row, type=Decision) for row in rows]


def test_both_legs_fill_at_one_moment_and_the_fee_leaves_what_is_sold_short(
    result: Result,
) -> None:
    fills = result.table("fills").to_pylist()
    held = {SPOT: D(0), PERP: D(0)}
    moments = sorted({fill["ts"] for fill in fills})
    assert len(moments) >= 4
    for moment in moments:
        for fill in (fill for fill in fills if fill["ts"] == moment):
            sign = 1 if fill["side"] == "BUY" else -1
            held[fill["instrument"]] += sign * D(fill["quantity"])
        assert abs(held[SPOT] + held[PERP]) < D("0.002")
    assert {fill["side"] for fill in fills if fill["instrument"] == SPOT} == {"BUY", "SELL"}


def test_it_opens_and_closes_at_the_thresholds_and_says_the_edge(result: Result) -> None:
    made = [found for found in decisions(result) if found.kind == "rebalance"]
    opened = [found for found in made if ": open, " in found.note]
    assert opened
    for found in opened:
        basis = float(found.note.partition("basis ")[2].partition(" bps")[0])
        assert basis >= 34.0
        (edge,) = {target.score for target in found.targets}
        # Four fees of 31, closed at 0 as planned, and 1 of funding within eight hours.
        assert edge == pytest.approx(basis - 31.0 + 1.0, abs=0.06)
    assert all(": close, " in found.note for found in made if found not in opened)


def test_a_position_over_a_settlement_receives_its_funding(basis: Path, tmp_path: Path) -> None:
    """Opened once volatility is known, held beyond the eighth hour: 0.01 % of the short."""
    found = played(
        basis, tmp_path, threshold={"open_bps": 10, "close_bps": -500}, max_position=3000
    )
    (row,) = found.table("funding").to_pylist()
    short = sum(
        D(fill["quantity"]) * (-1 if fill["side"] == "SELL" else 1)
        for fill in found.table("fills").to_pylist()
        if fill["instrument"] == PERP
    )
    assert short < 0
    assert D(row["amount"]) == -short * D(str(row["mark_price"])) * D("0.0001")
    waits = [one for one in decisions(found) if one.kind == "wait"]
    assert {code for one in waits for code in (one.refusals or {})} == {"warm_up"}


def test_a_pair_that_may_take_all_equity_leaves_cash_for_its_fees(basis: Path) -> None:
    """Coins that can't be paid were refused once the perpetual was sold, again and again."""
    whole = {"max_position": 1e6, "max_of_book": 10.0, "risk": 1.0}
    made = [one for one in decided(basis, json.dumps(QUICK | whole)) if one.kind == "rebalance"]
    assert made[0].targets[1].weight == pytest.approx(0.998, abs=0.001)
    # Its perpetual is liquidated later, as coins are no collateral there.
    assert not [one.note for one in made if "refused" in one.note]


# Every parameter -------------------------------------------------------------------------------

QUICK: dict[str, Any] = {
    "pairs": [[SPOT, PERP]], "threshold": {"open_bps": 10, "close_bps": -5}, "half_life": "1m",
    "max_position": 5000.0, "max_weight": 1.0, "max_gross": 1.0, "max_of_book": 1.0,
}  # fmt: skip
FUNDED: dict[str, Any] = {"threshold": {"open_bps": 0, "close_bps": -1}, "horizon": "400h"}
TABLE: dict[str, tuple[Any, dict[str, Any]]] = {
    "threshold": ({"open_bps": 20, "close_bps": -5}, {}),
    "threshold.open_bps": (20, {}),
    "threshold.close_bps": (-15, {}),
    "look": ("5m", {}),
    "max_age": ("50ms", {}),
    "half_life": ("20m", {}),
    "slippage_bps": (5.0, {}),
    "horizon": ("24h", {}),
    "min_edge_bps": (15.0, {}),
    "funding_alone": (True, FUNDED),
    "risk": (0.00001, {}),
    "deviations": (300.0, {}),
    "max_position": (3000.0, {}),
    "max_weight": (0.02, {}),
    "max_gross": (0.02, {}),
    "max_of_book": (0.01, {}),
    "pause": ("30m", {}),
    "report_every": ("10s", {}),
}
ELSEWHERE = {
    "pairs": "which market it is",
    "cut_pause": "tests.strategies.basis.test_decide: fills in full cut nothing",
    "longest_pause": "as cut_pause",
    "levels": "tests.live_nodes.basis.test_leg_faults: quotes have one",
    "policy": "test_a_policy_decides_until_its_features_drift",
    "two_leg": "tests.strategies.hedged.test_every_parameter",
}


@cache
def decided(catalog: Path, raw: str) -> list[Any]:
    """Return the decisions of the first hour, at a tenth of Bybit's fees and without guards."""
    document = {
        "kind": "backtest", "name": "quick", "catalog": str(catalog),
        "window": {"start": "2025-03-03 00:00", "end": "2025-03-03 01:00"},
        "universe": {"instruments": [SPOT, PERP], "exclude": []},
        "venue": {
            "market": "quotes", "starting_balance": 100_000, "slippage": {"model": "none"},
            "fees": {kind: {"maker": 0, "taker": 0.0001} for kind in ("linear", "spot")},
        },
        "strategies": {
            "basis": {"use": "strategies.basis_arbitrage:BasisArbitrage", "params": json.loads(raw)}
        },
    }  # fmt: skip
    with TemporaryDirectory() as folder:
        file = Path(folder) / "run.yaml"
        file.write_text(yaml.safe_dump(document))
        found = read(backtest_document(file, out=Path(folder) / "result"))
        return decisions(found)


@pytest.mark.parametrize("name", TABLE)
def test_a_parameter_moves_a_decision(basis: Path, name: str) -> None:
    value, needed = TABLE[name]
    before = decided(basis, json.dumps(QUICK | needed))
    after = decided(basis, json.dumps(with_value(QUICK | needed, name, value)))
    assert len(before) >= 2
    assert before != after, f"{name} does nothing"


def test_every_parameter_is_moved() -> None:
    own = set(BasisConfig.__struct_fields__) - set(DeskStrategyConfig.__struct_fields__)
    assert own == {name.partition(".")[0] for name in TABLE} | set(ELSEWHERE)


# A trained policy ------------------------------------------------------------------------------


def test_a_policy_decides_until_its_features_drift(basis: Path, tmp_path: Path) -> None:
    """A tree that opens whatever is seen; in ranges that nothing is in, its threshold decides."""
    wide = saved(tmp_path, stump((99.0, 99.0)), low=[-1e9] * 16, high=[1e9] * 16)
    chosen = {"folder": str(wide.parents[1]), "name": "demo", "version": "1"}
    trusted = decided(basis, json.dumps(QUICK | {"policy": chosen}))
    (opened,) = [found for found in trusted if found.kind == "rebalance"]
    assert opened.ts < trusted[0].ts + 11 * 60 * 10**9
    narrow = saved(tmp_path / "b", stump((99.0, 99.0)), low=[1e9] * 16, high=[2e9] * 16)
    chosen |= {"folder": str(narrow.parents[1]), "drift_looks": 10}
    doubted = decided(basis, json.dumps(QUICK | {"policy": chosen}))
    assert "the threshold decides: basis_bps out of the range of training" in doubted[1].note
    levels = {"open_bps": 30, "close_bps": 2}
    same = decided(basis, json.dumps(QUICK | {"threshold": levels}))
    assert [d.note for d in doubted if d.kind != "wait"] == [
        d.note for d in same if d.kind != "wait"
    ]


def test_a_backtest_says_at_which_fees_its_policy_was_trained(basis: Path, tmp_path: Path) -> None:
    """It refuses none: stressed runs have higher ones."""
    cheap = saved(tmp_path, stump((0.0, 1.0)), fees=["0.00005", "0.0001"])
    chosen = {"folder": str(cheap.parents[1]), "name": "demo", "version": "1"}
    first = decided(basis, json.dumps(QUICK | {"policy": chosen}))[0]
    assert "trained with fees of 3 bps a round trip, not 4" in first.note


def test_a_backtest_refuses_a_policy_that_is_missing_altered_or_of_another_market(
    basis: Path, tmp_path: Path
) -> None:
    chosen = {"folder": str(tmp_path), "name": "demo", "version": "1"}
    with pytest.raises(GateRefused, match="policy demo 1: No such file"):
        decided(basis, json.dumps(QUICK | {"policy": chosen}))
    where = saved(tmp_path, stump((0.0, 1.0)))
    with pytest.raises(GateRefused, match="look 1s, not 5m"):
        decided(basis, json.dumps(QUICK | {"policy": chosen, "look": "5m"}))
    (where / ARRAYS).write_bytes(b"other")
    with pytest.raises(GateRefused, match="altered"):
        decided(basis, json.dumps(QUICK | {"policy": chosen}))
