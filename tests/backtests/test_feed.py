"""The feed: what a slice holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from backtests.engine.feed import PRINT_DELAY_NS, Settlement
from backtests.run import prepare, run
from catalog.panel import panel
from catalog.providers.base import Import
from catalog.storage.store import Catalog
from config.errors import DeskError
from config.load import load
from tests.conftest import WriteRun, written

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
    assert feed._marked(ts, low, high, Marks(), 0)[0].tolist() == [[94.0], [95.0]]
    assert feed._marked(ts, low, high, Marks(), 0)[1].tolist() == [[106.0], [105.0]]


def test_the_extremes_of_the_windows_end_are_of_its_own_hours_in_slices_of_any_length(
    write_run: WriteRun,
) -> None:
    # Daily candles: six hours are left after the last, in one slice of three alone.
    window = {"start": "2023-02-01", "end": "2023-02-15T06:00"}
    file = write_run(window=window, venue={"execution_interval": "1d"})
    found = []
    for days in (7, 3660):
        feed = prepare(load(file, [f"slice_days={days}"]).document).feed
        *_, last = feed.slices()
        found.append((last.grid.low[-1], last.grid.high[-1]))
    hours = panel(feed.catalog, "1h", feed.market.ids, last.end - 6 * HOUR, last.end, kind="mark")
    for low, high in found:
        assert low == pytest.approx(np.fmin.reduce(hours.low))
        assert high == pytest.approx(np.fmax.reduce(hours.high))


def settlements(file: Path) -> list[Settlement]:
    """Return the settlements of a document's feed, the same for slices of any length."""
    found = []
    for days in (1, 7, 3660):
        feed = prepare(load(file, [f"slice_days={days}"]).document).feed
        found.append([settlement for part in feed.slices() for settlement in part.settlements])
    assert found[0] == found[1] == found[2]
    return found[0]


def test_each_funding_stamp_settles_also_without_mark_prices_and_on_daily_candles(
    tmp_path: Path, demo_market: Import, write_run: WriteRun
) -> None:
    # The stamps at 08:00 and 16:00 lie before a one-day slice's only close.
    tables = {key: table for key, table in demo_market.tables.items() if key[0] != "mark"}
    catalog = written(tmp_path / "bare", demo_market, tables=tables)
    file = write_run(catalog=str(catalog), venue={"execution_interval": "1d"})
    assert len(settlements(file)) > 59 * 3


def test_where_mark_prices_end_closes_drive_funding_from_a_day_later_on(
    tmp_path: Path, demo_market: Import, write_run: WriteRun
) -> None:
    """Marks of 7 end on 5 February; one instrument misses the last row, where others have one."""
    ends = np.datetime64("2023-02-05", "ns").astype(int)

    def cut(key: tuple[str, str, str], table: pa.Table) -> pa.Table:
        if key[0] != "mark":
            return table
        for name in ("open", "high", "low", "close"):
            place = table.column_names.index(name)
            table = table.set_column(place, name, pa.array(np.full(len(table), 7.0)))
        last = ends - HOUR if key[2] == "BTCUSDT-LINEAR.BYBIT" else ends
        return table.filter(pa.array(table.column("ts").to_numpy() <= last))

    tables = {key: cut(key, table) for key, table in demo_market.tables.items()}
    file = write_run(catalog=str(written(tmp_path / "marks", demo_market, tables=tables)))
    found = settlements(file)
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
    tmp_path: Path,
    demo_market: Import,
    write_run: WriteRun,
    column: str,
    factor: float | None,
    words: str,
) -> None:
    key = ("bars", "1h", "BTCUSDT-LINEAR.BYBIT")
    table = demo_market.tables[key]
    values = table.column(column).to_numpy().copy()
    values[1000:1002] = values[1000:1002] + 60 * 10**9 if factor is None else values[0] * factor
    broken = table.set_column(table.column_names.index(column), column, pa.array(values))
    tables = {**demo_market.tables, key: broken}
    catalog = written(tmp_path / "broken", demo_market, tables=tables)
    feed = prepare(load(write_run(catalog=str(catalog))).document).feed
    with pytest.raises(DeskError, match=rf"BTCUSDT-LINEAR.BYBIT: the 1h candle of .*{words}"):
        list(feed.slices())
