"""The basis arbitrage in a backtest, on hours of invented quotes whose law is known."""

from __future__ import annotations

from decimal import Decimal as D
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from backtests.results.result import Result, read
from backtests.session import backtest_document
from catalog.demo.basis import BasisParams
from catalog.providers.demo_basis import generate
from catalog.storage.writer import CatalogWriter
from strategies.messages import Decision

ROOT = Path(__file__).resolve().parents[2]
SPOT, PERP = "BTCUSDT-SPOT.BYBIT", "BTCUSDT-LINEAR.BYBIT"


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Quotes from 2025-03-03 00:00 for nine hours: a settlement at eight."""
    folder = tmp_path_factory.mktemp("basis") / "catalog"
    with CatalogWriter(folder) as writer:
        writer.add(generate(BasisParams(hours=9)))
    return folder


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
def result(catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return played(catalog, tmp_path_factory.mktemp("run"))


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


def test_a_position_over_a_settlement_receives_its_funding(catalog: Path, tmp_path: Path) -> None:
    """Opened once volatility is known, held beyond the eighth hour: 0.01 % of the short."""
    found = played(
        catalog, tmp_path, threshold={"open_bps": 10, "close_bps": -500}, max_position=3000
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
