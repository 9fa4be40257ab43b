"""What is not in the data yet can't matter: runs on catalogs that end at a cut, or go on otherwise.

`test_screen_decisions` cuts the window; here the data themselves are cut, so that nothing of the
future (a delisting, a listing, a column more in an array) is there to leak.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
import yaml

from backtests.run import RunOutcome, prepare
from backtests.run import run as run_prepared
from catalog.instruments import InstrumentInfo, decimals
from catalog.providers.base import Import
from catalog.providers.demo import DemoParams, generate
from catalog.storage.writer import CatalogWriter
from config.load import load
from tests.backtests.raw_truth import DAY, HOUR

PARAMS = DemoParams(days=75, perps=16, listed_share=0.19, delisted_share=0.19)
"""Three perpetuals are listed and three delisted on the way."""

START = PARAMS.start_ns + 10 * DAY
END = PARAMS.start_ns + 70 * DAY
CUTS = [
    START + int(hours) * HOUR for hours in sorted(np.random.default_rng(4).integers(72, 1400, 3))
]
RULES: dict[str, dict[str, Any]] = {
    "everyone": {"fraction": 0.5},
    "choosy": {
        "weighting": "inverse_volatility",
        "volatility_lookback": 8,
        "top_n": 9,
        "turnover_lookback": 5,
        "min_age_days": 5,
        "no_trade_band": 0.01,
    },
    "on hours": {"interval": "1h", "every": "8h", "at": "00:10", "lookback": 24},
}


def write(market: Import, path: Path) -> Path:
    with CatalogWriter(path) as writer:
        writer.add(market)
    return path


def cut_off(market: Import, cut: int) -> Import:
    """Return what could be known at a time: no later row, listing or delisting."""
    known = [_without_future(info, cut) for info in market.instruments if info.listed_ns < cut]
    ids = {info.id for info in known}

    def before(table: pa.Table) -> pa.Table:
        return table.filter(pa.array(table.column("ts").to_numpy() <= cut))

    tables = {key: before(table) for key, table in market.tables.items() if key[2] in ids}
    return dataclasses.replace(market, instruments=known, tables=tables)


def another_future(market: Import, cut: int, seed: int) -> Import:
    """Return the market with other prices, volumes and rates after a time.

    The second and the third perpetual also stop to trade an hour after it, and nothing is listed
    any more.
    """
    random = np.random.default_rng(seed)
    perps = sorted(info.id for info in market.instruments if info.product == "LINEAR")
    gone = {perps[1], perps[2]}
    known = [info for info in market.instruments if info.listed_ns < cut]
    places = {info.id: decimals(info.tick) for info in known}

    def changed(table: pa.Table, name: str) -> pa.Table:
        ts = table.column("ts").to_numpy()
        factor = np.where(ts > cut, random.uniform(0.8, 1.25, len(ts)), 1.0)
        for field in ("open", "high", "low", "close"):
            moved = np.round(table.column(field).to_numpy() * factor, places[name])
            moved = np.maximum(moved, 10.0 ** -places[name])
            table = table.set_column(table.column_names.index(field), field, pa.array(moved))
        if "volume" in table.column_names:
            place, swapped = table.column_names.index("volume"), table.column("volume").to_numpy()
            swapped = np.where(ts > cut, random.permutation(swapped), swapped)
            table = table.set_column(place, "volume", pa.array(swapped))
        return table.filter(pa.array((ts <= cut + HOUR) | (name not in gone)))

    def other_rates(table: pa.Table) -> pa.Table:
        ts = table.column("ts").to_numpy()
        rates = np.where(ts > cut, -3.0, 1.0) * table.column("rate").to_numpy()
        return table.set_column(1, "rate", pa.array(rates))

    tables = {
        key: other_rates(table) if key[0] == "funding" else changed(table, key[2])
        for key, table in market.tables.items()
        if key[2] in places
    }
    instruments = [_without_future(info, cut) for info in known]
    return dataclasses.replace(market, instruments=instruments, tables=tables)


def _without_future(info: InstrumentInfo, cut: int) -> InstrumentInfo:
    if info.delisted_ns is None or info.delisted_ns <= cut:
        return info
    return msgspec.structs.replace(info, delisted_ns=None)


@pytest.fixture(scope="module")
def market() -> Import:
    return generate(PARAMS)


@pytest.fixture(scope="module")
def run_on(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., RunOutcome]:
    """Return a function that runs rules on a catalog up to a time; uncut ones run only once."""
    known: dict[tuple[Path, str, int], RunOutcome] = {}
    folder = tmp_path_factory.mktemp("documents")

    def run(catalog: Path, rules: str, end: int) -> RunOutcome:
        if (catalog, rules, end) not in known:
            start, stop = (f"{np.datetime64(ts, 's')}Z" for ts in (START // 10**9, end // 10**9))
            use = {"use": "strategies.xs_reversal:XSReversal", "params": RULES[rules]}
            document = {
                "kind": "backtest",
                "name": "cut",
                "catalog": str(catalog),
                "window": {"start": start, "end": stop},
                "slice_days": 20,
                "strategies": {"reversal": use},
            }
            file = folder / "cut.yaml"
            file.write_text(yaml.safe_dump(document), encoding="utf-8")
            known[catalog, rules, end] = run_prepared(prepare(load(file).document))
        return known[catalog, rules, end]

    return run


@pytest.fixture(scope="module")
def whole(market: Import, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(market, tmp_path_factory.mktemp("whole") / "catalog")


@pytest.fixture(scope="module", params=range(len(CUTS)))
def cut(request: pytest.FixtureRequest) -> int:
    return CUTS[request.param]


@pytest.fixture(scope="module")
def ended(market: Import, cut: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(cut_off(market, cut), tmp_path_factory.mktemp("ended") / "catalog")


@pytest.fixture(scope="module")
def otherwise(market: Import, cut: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("otherwise") / "catalog"
    return write(another_future(market, cut, seed=cut // HOUR), path)


def until(outcome: RunOutcome, name: str, cut: int) -> list[dict[str, Any]]:
    return [row for row in outcome.tables[name].to_pylist() if row["ts"] < cut]


def payloads(outcome: RunOutcome, cut: int) -> list[bytes]:
    return [row["payload"] for row in until(outcome, "decisions", cut)]


def assert_same_curve(mine: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    """Assert equality but for the last bits: sums of fewer columns go in another order."""
    assert len(mine) > 48
    for one, two in zip(mine, theirs, strict=True):
        assert one == pytest.approx(two, rel=1e-12, abs=1e-6)


def test_the_cuts_leave_listings_and_delistings_on_both_sides(market: Import) -> None:
    for name in ("listed_ns", "delisted_ns"):
        moments = [getattr(info, name) for info in market.instruments]
        inside = [ts for ts in moments if ts is not None and START < ts < END]
        assert any(ts < cut for ts in inside for cut in CUTS)
        assert any(ts > cut for ts in inside for cut in CUTS)


@pytest.mark.parametrize("rules", RULES)
def test_decisions_are_the_same_to_the_byte_when_the_data_end_at_a_cut(
    run_on: Callable[..., RunOutcome], whole: Path, ended: Path, cut: int, rules: str
) -> None:
    full, short = run_on(whole, rules, END), run_on(ended, rules, cut)
    assert payloads(short, cut) == payloads(full, cut)
    assert len(payloads(full, cut)) > 2
    assert short.tables["decisions"].num_rows == len(payloads(full, cut))
    for name in ("fills", "funding"):
        assert until(short, name, cut) == until(full, name, cut)
    assert_same_curve(until(short, "equity", cut), until(full, "equity", cut))


@pytest.mark.parametrize("rules", ["everyone", "choosy"])
def test_another_future_changes_nothing_before_it(
    run_on: Callable[..., RunOutcome], whole: Path, otherwise: Path, cut: int, rules: str
) -> None:
    full, other = run_on(whole, rules, END), run_on(otherwise, rules, END)
    assert payloads(other, cut) == payloads(full, cut)
    for name in ("fills", "funding"):
        assert until(other, name, cut + 1) == until(full, name, cut + 1)
    assert_same_curve(until(other, "equity", cut + 1), until(full, "equity", cut + 1))
    # The future did change, or nothing was tested.
    assert payloads(other, END) != payloads(full, END)
    assert other.ending_equity != full.ending_equity
