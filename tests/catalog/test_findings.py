"""Each check on candles made to fail it, and a sound catalog that passes them all."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog import findings
from catalog.findings import INFO, WRONG, SeriesRows
from catalog.storage.manifest import SeriesKey
from catalog.storage.store import Catalog
from catalog.storage.writer import CatalogWriter
from catalog.verify import verify
from tests.catalog.market import BTC, DAY, HOUR, START, candles, funding, marks, told, write


def hourly(ts: np.ndarray, columns=None, **more) -> SeriesRows:
    """A series of hourly candles as checks see it."""
    return SeriesRows(
        name="bars/1h", instrument=BTC, interval="1h", ts=ts, columns=columns or {}, **more
    )


def hours(*numbers: int) -> np.ndarray:
    """Closes of the candles of these numbers, counted from one."""
    return START + HOUR * np.array(numbers, dtype=np.int64)


def candle(open_=10.0, high=11.0, low=9.0, close=10.5, volume=1.0, turnover=10.0):
    """One candle as columns."""
    names = ("open", "high", "low", "close", "volume", "turnover")
    values = (open_, high, low, close, volume, turnover)
    return {name: np.array([value]) for name, value in zip(names, values, strict=True)}


def test_a_gap_tells_its_missing_candles():
    (gap,) = findings.grid(hourly(hours(1, 2, 6, 7)))
    assert (gap.severity, gap.check, gap.count) == (WRONG, "gap", 3)
    assert (gap.first, gap.last) == tuple(hours(3, 5))


def test_a_close_off_the_grid_is_found():
    (off,) = findings.grid(hourly(hours(1, 2) + 1))
    assert (off.check, off.count) == ("off_grid", 2)


def test_a_stamp_that_comes_twice_is_found():
    (twice,) = findings.order(hourly(hours(1, 2, 2, 3)))
    assert (twice.check, twice.count, twice.first) == ("duplicate", 1, hours(2)[0])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"low": 12.0}, "low above high"),
        ({"close": 11.5}, "open or close outside low and high"),
        ({"open_": 8.0}, "open or close outside low and high"),
        ({"low": 0.0}, "a price that is not above 0"),
        ({"high": np.nan}, "a price that is not above 0"),
        ({"volume": -1.0}, "volume below 0 or none"),
        ({"turnover": np.nan}, "turnover below 0 or none"),
    ],
)
def test_a_candle_that_cannot_be_is_found(wrong, words):
    found = findings.impossible(hourly(hours(1), candle(**wrong)))
    assert words in {finding.words for finding in found}


def test_a_sound_candle_passes():
    assert findings.impossible(hourly(hours(1), candle())) == []


@pytest.mark.parametrize(("still", "found"), [(2, 0), (3, 1), (9, 1)])
def test_three_still_hours_are_stale_and_two_are_not(still, found):
    close = np.concatenate(([9.0, 10.0], np.full(still, 10.0), [11.0]))
    moving = {"open": close, "high": close, "low": close, "close": close}
    volume = np.concatenate(([1.0, 1.0], np.zeros(still), [1.0]))
    stale = findings.stale(hourly(hours(*range(1, still + 4)), {**moving, "volume": volume}))
    assert [finding.count for finding in stale] == [still] * found


def test_still_prices_with_trades_are_not_stale():
    flat = np.full(10, 10.0)
    columns = dict.fromkeys(("open", "high", "low", "close", "volume"), flat)
    assert findings.stale(hourly(hours(*range(1, 11)), columns)) == []


def test_a_last_candle_that_was_not_over_at_its_import_is_unfinished():
    (found,) = findings.unfinished(hourly(hours(1), candle(), imported_ns=START + HOUR // 2))
    assert (found.severity, found.check) == (WRONG, "unfinished")


def test_a_last_candle_with_hardly_any_volume_may_be_cut_short():
    columns = {"volume": np.array([100.0] * 25 + [1.0])}
    (found,) = findings.unfinished(
        hourly(hours(*range(1, 27)), columns, imported_ns=START + DAY * 9)
    )
    assert (found.severity, found.last) == (INFO, hours(26)[0])


def test_prices_finer_than_the_tick_are_told():
    columns = candle(close=10.123)
    (found,) = findings.off_tick(hourly(hours(1), columns, decimals=2))
    assert (found.severity, found.count) == (INFO, 1)
    assert findings.off_tick(hourly(hours(1), columns, decimals=3)) == []


def settled(*at_hours: float, jitter_ms: int = 0, rate: float = 1e-4) -> list[findings.Finding]:
    """Findings on settlements at these hours."""
    ts = START + (np.array(at_hours) * HOUR).astype(np.int64)
    rates = np.full(len(ts), rate)
    columns = {"ts_source": ts + jitter_ms * 1_000_000, "rate": rates}
    return findings.settlements(hourly(ts, columns))


def test_jittered_settlement_stamps_are_explained():
    (found,) = settled(0, 8, 16, jitter_ms=17)
    assert (found.severity, found.check, found.count) == (INFO, "jitter", 3)
    assert "17 ms" in found.words


def test_a_missing_settlement_is_a_gap():
    assert [f.severity for f in settled(0, 8, 24, 32)] == [WRONG]
    assert [f.severity for f in settled(0, 4, 8, 16, 20)] == [WRONG, INFO]


def test_a_changed_settlement_interval_is_explained():
    (found,) = settled(0, 8, 16, 24, 28, 32)
    assert (found.severity, found.check) == (INFO, "interval")


def test_a_settlement_of_a_third_is_impossible():
    assert {f.check for f in settled(0, 8, rate=0.33)} == {"impossible"}


def test_a_sound_catalog_has_nothing_wrong(tmp_path):
    with CatalogWriter(tmp_path) as writer:
        writer.add_instruments([told()])
        writer.add_rows("bars", "1h", BTC, candles(100))
        writer.add_rows("mark", "1h", BTC, marks(100))
        writer.add_rows("funding", "", BTC, funding(12))
    assert verify(Catalog(tmp_path)) == []


def test_perps_without_mark_prices_or_funding_are_told(tmp_path):
    assert [f.check for f in verify(write(tmp_path, BTCUSDT=candles(100)))] == [
        "no_funding",
        "no_mark",
    ]


def test_candles_that_stop_before_the_others_are_told(tmp_path):
    catalog = write(tmp_path, BTCUSDT=candles(100), ETHUSDT=candles(90))
    (early,) = [f for f in verify(catalog) if f.check == "ends_early"]
    assert (early.severity, early.count) == (INFO, 1)
    assert "ETHUSDT" in early.words


def test_a_file_that_somebody_changed_is_damaged(tmp_path):
    catalog = write(tmp_path, BTCUSDT=candles(100))
    path = next((catalog.folder / "raw").rglob("*.parquet"))
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.set_column(4, "close", pa.array(np.full(100, 7.0))), path)
    checks = {f.check for f in verify(catalog) if f.severity == WRONG}
    assert checks == {"damaged", "impossible"}


def test_a_file_that_cannot_be_read_is_damaged_and_the_check_goes_on(tmp_path):
    catalog = write(tmp_path, BTCUSDT=candles(100), ETHUSDT=candles(100))
    for path in catalog.manifest.files:
        if SeriesKey.of_path(path).instrument == BTC:
            (catalog.folder / "raw" / path).write_bytes(b"nothing")
    assert [f.check for f in verify(catalog) if f.severity == WRONG] == ["damaged"]


def test_missing_engine_files_are_told_with_the_cure(tmp_path):
    catalog = write(tmp_path, BTCUSDT=candles(100))
    for file in (catalog.folder / "nautilus").rglob("*.parquet"):
        file.unlink()
    (found,) = [f for f in verify(catalog) if f.severity == WRONG]
    assert "catalog rebuild" in found.words
