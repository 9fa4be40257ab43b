"""Ticks and lots that are inferred from candles, in a run: only from candles until then."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from backtests.run import Prepared, RunOutcome, prepare, run
from catalog.inference import decimals_of_each
from catalog.providers.base import Import
from catalog.storage.writer import CatalogWriter
from config.load import load
from tests.backtests.planned import write_planned
from tests.builders_engine import A, B, at

CLOSES = {A: [100, *[100.3] * 9, *[100.12345] * 14], B: [*[50.0] * 5, *[0.25] * 19]}
PLAN = [(2, A, "10"), (8, B, "30"), (14, A, "-10")]
TEN_BPS = {"model": "fixed_bps", "bps": 10}


def played(folder: Path, hours: int) -> tuple[Prepared, RunOutcome]:
    """Run on candles of the first hours; B begins at the fifth. Volumes get decimals at the end."""
    file = write_planned(folder, CLOSES, PLAN, {}, slippage=TEN_BPS)
    bars = {}
    for name, closes in CLOSES.items():
        first = 5 if name == B else 0
        close = np.array(closes, dtype=float)
        opened = np.concatenate(([close[first]], close[first : hours - 1]))
        close, ts = close[first:hours], np.array([at(n + 1) for n in range(first, hours)])
        volume = np.where(np.arange(first, hours) < 10, 1e6, 1e6 + 0.125)
        low, high = np.minimum(opened, close), np.maximum(opened, close)
        names = ("ts", "open", "high", "low", "close", "volume", "turnover")
        columns = (ts, opened, high, low, close, volume, close * volume)
        bars["bars", "1h", name] = pa.table(dict(zip(names, columns, strict=True)))
    with CatalogWriter(folder / "inferred") as writer:
        writer.add(Import("by hand", "bybit", [], bars))
    end = f"window.end=2023-11-15T{hours:02}:00:00" if hours < 24 else "window.end=2023-11-16"
    prepared = prepare(load(file, [f"catalog={folder / 'inferred'}", end]).document)
    return prepared, run(prepared)


def traded(outcome: RunOutcome) -> list[tuple[str, str]]:
    return [(row["price"], row["quantity"]) for row in outcome.tables["fills"].to_pylist()]


def test_later_candles_change_no_fill_before_them(tmp_path: Path) -> None:
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    prepared, whole = played(tmp_path / "whole", 24)
    _, cut = played(tmp_path / "cut", 10)
    assert {info.lot for info in prepared.market.infos} == {"1"}
    # 100.3 x 1.001 = 100.4003, on the tick of 0.1 known by then. B's 0.25 makes 0.25025, on the
    # tick of 0.01 of its first candle.
    assert traded(cut) == traded(whole)[:2] == [("100.5", "10"), ("0.26", "30")]
    # From the tenth candle on there are five decimals: 100.12345 x 0.999 = 100.02332655.
    assert traded(whole)[2:] == [("100.02332", "10")]
    (warning,) = [words for words in whole.warnings if "inferred tick" in words]
    assert "BBBUSDT was up to 400 bps" in warning
    # A lot of 1, as volumes were whole: 100 of the 1,000 USDT of the account.
    (warning,) = [words for words in whole.warnings if "inferred lot" in words]
    assert "AAAUSDT was worth up to 100," in warning


@pytest.mark.parametrize(
    ("value", "decimals"),
    [(100.0, 0), (0.1 + 0.2, 1), (1 / 3, 5), (np.nan, 0), (250, 0), (0.025, 3)],
)
def test_decimals_of_each_number(value: float, decimals: int) -> None:
    assert decimals_of_each(np.array([value]), 5).tolist() == [decimals]
