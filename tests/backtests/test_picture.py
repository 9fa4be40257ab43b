"""`perpdesk report DIR --at TIME`: levels, trades, own orders and fills around a moment."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from backtests.report.picture import bands, read_picture
from backtests.results.result import read, write
from backtests.session import backtest_document
from catalog.storage.store import Catalog
from config.durations import second_text
from perpdesk import build_app
from tests.backtests.book_runs import NAMES, document, write_books
from tests.backtests.report_pages import charts_of, without_plotly
from tests.builders import small_record
from tests.builders_engine import SECOND, at


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("picture")
    write_books(folder, ("book", "trades", "quotes"))
    return {
        market: backtest_document(document(folder, market=market), out=folder / market)
        for market in ("book", "quotes")
    }


def report(folder: Path, *options: Any) -> Result:
    return CliRunner().invoke(build_app(), ["report", str(folder), *map(str, options)])


def test_bands_are_whole_ticks_with_a_level_in_the_middle() -> None:
    assert bands(99.9, 100.1, 0.1)[[0, 1, -1]] == pytest.approx([99.35, 99.45, 100.65])
    wide = bands(100, 200, 0.1)
    assert len(wide) <= 121
    assert np.diff(wide) == pytest.approx([0.9] * (len(wide) - 1))


def test_the_picture_has_the_book_and_what_was_ours(runs: dict[str, Path]) -> None:
    result = read(runs["book"])
    made = [f for f in result.table("fills").to_pylist() if f["liquidity"] == "MAKER"]
    moment = made[0]["ts"]
    picture = read_picture(result, moment, 20 * SECOND)
    name = picture.instrument
    traded: Counter[str] = Counter()
    for fill in made:
        if abs(fill["ts"] - moment) <= 10 * SECOND:
            traded[fill["instrument"]] += float(fill["notional"])
    assert name == traded.most_common(1)[0][0]
    catalog = Catalog(runs["book"].parent / "catalog")
    for step in (0, 100, 239):
        standing = catalog.book_at(name, int(picture.edges[step + 1])).to_pylist()
        low, *_, high = picture.prices
        for row, side in enumerate((1, -1)):
            own = [r for r in standing if r["side"] == side and low < r["price"] < high]
            drawn = picture.sizes[row, :, step]
            assert drawn.sum() == pytest.approx(sum(r["size"] for r in own))
            best = own[0]
            (band,) = np.flatnonzero(abs(picture.prices[:-1] + 0.005 - best["price"]) < 0.004)
            assert drawn[band] == best["size"]
    done = report(runs["book"], "--at", second_text(moment), "--window", "20s", "--json")
    page = Path(json.loads(done.stdout)["report"]).read_text("utf-8")
    (spec,) = charts_of(without_plotly(page)).values()
    drawn = {trace["name"]: trace for trace in spec["data"]}
    assert {"Bids", "Asks", "Best bid", "Best ask", "Own orders"} <= set(drawn)
    # An axis without a type shows the day alone under the pointer.
    assert spec["layout"]["xaxis"]["type"] == "date"
    sides = ["@good" if fill["side"] == "BUY" else "@bad" for fill in picture.fills]
    assert drawn["Own fills"]["marker"]["color"] == sides
    first = picture.orders[0]
    assert drawn["Own orders"]["y"][:3] == [float(first["limit_price"])] * 2 + [None]


def test_a_run_on_quotes_has_a_picture_without_levels(runs: dict[str, Path]) -> None:
    done = report(runs["quotes"], "--at", "2023-11-15 03:30:00", "--symbol", "BBBUSDT", "--json")
    file = Path(json.loads(done.stdout)["report"])
    assert file.name == "picture-BBBUSDT-LINEAR-2023-11-15T033000.html"
    (spec,) = charts_of(without_plotly(file.read_text("utf-8"))).values()
    assert {"Best bid", "Best ask"} <= {t["name"] for t in spec["data"]} - {"Bids", "Asks"}
    quote = Catalog(runs["quotes"].parent / "catalog").series(
        "quotes", "", NAMES[1], 0, at(3) + 1800 * SECOND
    )
    assert quote["bid"][-1].as_py() in spec["data"][0]["y"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--at", "2023-11-15 02:59:59"], "the run goes from 2023-11-15 03:00:00 to 2023-11-15 05"),
        (["--symbol", "AAAUSDT"], "give --at TIME, too"),
        (["--at", "half past three"], "--at: must be a UTC date"),
        (["--at", "2023-11-15 03:30", "--window", "1"], "--window: expected a duration such as"),
        (["--at", "2023-11-15 03:30", "--window", "2h"], "--window: at most 1h"),
        (["--at", "2023-11-15 03:30", "--symbol", "ABC"], f"choose one of {', '.join(NAMES)}"),
    ],
)
def test_what_cannot_be_drawn_says_what_would_be_right(
    runs: dict[str, Path], options: list[str], words: str
) -> None:
    done = report(runs["book"], *options)
    assert done.exit_code != 0
    assert words in str(done.exception)


def test_candles_and_a_catalog_elsewhere_are_told(runs: dict[str, Path], tmp_path: Path) -> None:
    candles = write(small_record(), tmp_path / "candles").path
    assert "met candles" in str(report(candles, "--at", "2023-11-15 03:30").exception)
    moved = shutil.copytree(runs["book"], tmp_path / "moved")
    text = (moved / "config.yaml").read_text()
    (moved / "config.yaml").write_text(text.replace(str(runs["book"].parent), "elsewhere"))
    found = str(report(moved, "--at", "2023-11-15 03:30").exception)
    assert found.startswith("elsewhere/catalog: the catalog that")
