"""The feed: what a slice holds."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from backtests.engine.feed import PRINT_DELAY_NS, Settlement
from backtests.run import prepare, run
from catalog.panel import panel
from catalog.providers.demo import generate
from catalog.storage.store import Catalog
from catalog.storage.writer import CatalogWriter
from config.errors import DeskError
from config.load import load
from tests.conftest import SMALL, WriteRun

HOUR = 3_600_000_000_000


def test_the_grid_has_every_close_of_a_long_slice(write_run: WriteRun) -> None:
    prepared = prepare(
        load(write_run(window={"start": "2023-01-01", "end": "2023-05-01"})).document
    )
    prepared.feed._step = prepared.end - prepared.start
    (part,) = prepared.feed.slices()
    assert len(part.grid.ts) == 120 * 24
    assert part.grid.ts[-1] == prepared.end
    assert set(np.diff(part.grid.ts)) == {HOUR}


def test_slices_bring_each_print_once_at_its_candles_open(
    write_run: WriteRun, demo_catalog: Path
) -> None:
    prepared = prepare(load(write_run(slice_days=7)).document)
    prints = [
        (item.ts_event, item.instrument_id.value, item.price.as_double())
        for part in prepared.feed.slices()
        for item in part.data
        if type(item).__name__ == "TradeTick"
    ]
    ids = prepared.market.ids
    hours = panel(Catalog(demo_catalog), "1h", ids, prepared.start, prepared.end)
    expected = {
        (int(ts) - HOUR + PRINT_DELAY_NS, name, float(hours.open[row, column]))
        for row, ts in enumerate(hours.ts)
        for column, name in enumerate(ids)
        if not np.isnan(hours.open[row, column])
    }
    assert len(prints) == len(expected)
    rounded = {(ts, name, round(price, 9)) for ts, name, price in prints}
    assert rounded == {(ts, name, round(price, 9)) for ts, name, price in expected}


def test_nothing_of_the_window_end_or_later_is_fed(write_run: WriteRun) -> None:
    prepared = prepare(load(write_run(slice_days=7)).document)
    for part in prepared.feed.slices():
        assert all(part.start <= item.ts_init < part.end for item in part.data)
        assert part.grid.ts[-1] <= part.end


def test_a_coarser_mark_candle_bounds_the_extremes_of_the_candles_in_it(
    write_run: WriteRun,
) -> None:
    prepared = prepare(load(write_run()).document)
    ts = np.array([HOUR // 2, HOUR])
    low, high = np.array([[90.0], [95.0]]), np.array([[110.0], [105.0]])

    class Marks:
        ts = np.array([HOUR])
        low = np.array([[94.0]])
        high = np.array([[106.0]])

    feed = prepared.feed
    feed.mark_interval, feed._interval_ns = "1h", HOUR // 2
    assert feed._marked(ts, low, high, Marks())[0].tolist() == [[94.0], [95.0]]
    assert feed._marked(ts, low, high, Marks())[1].tolist() == [[106.0], [105.0]]


def test_each_funding_stamp_settles_also_without_mark_prices_and_on_daily_candles(
    tmp_path: Path, write_run: WriteRun
) -> None:
    # The stamps at 08:00 and 16:00 lie before a one-day slice's only close.
    with CatalogWriter(tmp_path / "bare") as writer:
        made = generate(SMALL)
        tables = {key: table for key, table in made.tables.items() if key[0] != "mark"}
        writer.add(dataclasses.replace(made, tables=tables))
    file = write_run(catalog=str(tmp_path / "bare"), venue={"execution_interval": "1d"})

    def settlements(days: int) -> list[object]:
        feed = prepare(load(file, [f"slice_days={days}"]).document).feed
        return [settlement for part in feed.slices() for settlement in part.settlements]

    assert len(settlements(1)) > 59 * 3
    assert settlements(1) == settlements(7) == settlements(3660)


def test_where_mark_prices_end_closes_drive_funding_from_a_day_later_on(
    tmp_path: Path, write_run: WriteRun
) -> None:
    """Marks of 7 end on 5 February; one instrument misses the last row, where others have one."""
    ends = np.datetime64("2023-02-05", "ns").astype(int)
    made = generate(SMALL)

    def cut(key: tuple[str, str, str], table: pa.Table) -> pa.Table:
        if key[0] != "mark":
            return table
        for name in ("open", "high", "low", "close"):
            place = table.column_names.index(name)
            table = table.set_column(place, name, pa.array(np.full(len(table), 7.0)))
        last = ends - HOUR if key[2] == "BTCUSDT-LINEAR.BYBIT" else ends
        return table.filter(pa.array(table.column("ts").to_numpy() <= last))

    with CatalogWriter(tmp_path / "marks") as writer:
        tables = {key: cut(key, table) for key, table in made.tables.items()}
        writer.add(dataclasses.replace(made, tables=tables))
    file = write_run(catalog=str(tmp_path / "marks"))

    def settlements(days: int) -> list[Settlement]:
        feed = prepare(load(file, [f"slice_days={days}"]).document).feed
        return [settlement for part in feed.slices() for settlement in part.settlements]

    found = settlements(1)
    assert found == settlements(7) == settlements(3660)
    for settlement in found:
        missing = settlement.instrument == "BTCUSDT-LINEAR.BYBIT"
        assert settlement.is_marked == (settlement.ts <= ends + (-1 if missing else 24) * HOUR)
        assert settlement.is_marked == (settlement.mark_price == 7)
    assert {settlement.is_marked for settlement in found} == {True, False}
    outcome = run(prepare(load(file, ["venue.liquidation=false"]).document))
    assert any("valued at closes" in words for words in outcome.warnings)


@pytest.mark.parametrize(
    ("column", "factor", "words"),
    [
        ("close", 0.0, "not above 0"),
        ("low", 100.0, "low above its high"),
        ("ts", None, "closes at no multiple of 1h"),
    ],
)
def test_candles_that_make_nonsense_stop_the_run_and_are_named(
    tmp_path: Path, write_run: WriteRun, column: str, factor: float | None, words: str
) -> None:
    made = generate(SMALL)
    key = ("bars", "1h", "BTCUSDT-LINEAR.BYBIT")
    values = made.tables[key].column(column).to_numpy().copy()
    values[1000:1002] = values[1000:1002] + 60 * 10**9 if factor is None else values[0] * factor
    place = made.tables[key].column_names.index(column)
    broken = made.tables[key].set_column(place, column, pa.array(values))
    with CatalogWriter(tmp_path / "broken") as writer:
        writer.add(dataclasses.replace(made, tables={**made.tables, key: broken}))
    feed = prepare(load(write_run(catalog=str(tmp_path / "broken"))).document).feed
    with pytest.raises(DeskError, match=rf"BTCUSDT-LINEAR.BYBIT: the 1h candle of .*{words}"):
        list(feed.slices())
