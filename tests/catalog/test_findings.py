"""Each check on candles made to fail it, and a sound catalog that passes them all."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog import findings
from catalog.findings import INFO, WRONG, SeriesRows
from catalog.series import MARKS, PRICES
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


@pytest.mark.parametrize(
    ("check", "stamps", "found"),
    [
        (findings.gaps, hours(1, 2, 6, 7), (WRONG, "gap", 3, *hours(3, 5))),
        (findings.off_grid, hours(1, 2) + 1, (WRONG, "off_grid", 2, *hours(1, 2) + 1)),
        (findings.order, hours(1, 2, 2, 3), (WRONG, "duplicate", 1, *hours(2, 2))),
    ],
)
def test_a_wrong_stamp_is_found(check, stamps, found):
    (one,) = check(hourly(stamps))
    assert (one.severity, one.check, one.count, one.first, one.last) == found


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
    assert findings.impossible(hourly(hours(1), candle())) == []


@pytest.mark.parametrize(("still", "found"), [(2, 0), (3, 1), (9, 1)])
def test_three_still_hours_are_stale_and_two_are_not(still, found):
    close = np.concatenate(([9.0, 10.0], np.full(still, 10.0), [11.0]))
    moving = {"open": close, "high": close, "low": close, "close": close}
    volume = np.concatenate(([1.0, 1.0], np.zeros(still), [1.0]))
    stale = findings.stale(hourly(hours(*range(1, still + 4)), {**moving, "volume": volume}))
    assert [finding.count for finding in stale] == [still] * found
    # Still prices with trades are not stale.
    traded = {**moving, "volume": np.ones(still + 3)}
    assert findings.stale(hourly(hours(*range(1, still + 4)), traded)) == []


def test_a_last_candle_that_was_not_over_at_its_import_is_unfinished():
    (found,) = findings.unfinished(hourly(hours(1), candle(), imported_ns=START + HOUR // 2))
    assert (found.severity, found.check) == (WRONG, "unfinished")


def test_a_last_candle_with_hardly_any_volume_may_be_cut_short():
    columns = {"volume": np.array([100.0] * 25 + [1.0])}
    (found,) = findings.unfinished(
        hourly(hours(*range(1, 27)), columns, imported_ns=START + DAY * 9)
    )
    assert (found.severity, found.last) == (INFO, hours(26)[0])


def test_prices_finer_than_the_tick_are_noted():
    columns = candle(close=10.123)
    (found,) = findings.off_tick(hourly(hours(1), columns, decimals=2))
    assert (found.severity, found.count) == (INFO, 1)
    assert findings.off_tick(hourly(hours(1), columns, decimals=3)) == []


@pytest.mark.parametrize(
    ("at_hours", "jitter_ms", "rate", "found"),
    [
        ([0, 8, 16], 17, 1e-4, [(INFO, "jitter", 3)]),
        ([0, 8, 24, 32], 0, 1e-4, [(WRONG, "gap", 1)]),
        ([0, 4, 8, 16, 20], 0, 1e-4, [(WRONG, "gap", 1), (INFO, "interval", 5)]),
        ([0, 8, 16, 24, 28, 32], 0, 1e-4, [(INFO, "interval", 6)]),
    ],
)
def test_settlements_are_jittered_missing_changed_or_impossible(at_hours, jitter_ms, rate, found):
    ts = START + np.array(at_hours, dtype=np.int64) * HOUR
    columns = {"ts_source": ts + jitter_ms * 1_000_000, "rate": np.full(len(ts), rate)}
    got = findings.settlements(hourly(ts, columns))
    assert [(f.severity, f.check, f.count) for f in got] == found
    assert ("17 ms" in got[0].words) is (jitter_ms == 17)


@pytest.mark.parametrize(
    ("rate", "found"), [(1e-4, []), (0.01, ["percent"]), (0.33, ["impossible", "percent"])]
)
def test_rates_in_percent_or_beyond_belief_are_found(rate, found):
    got = findings.rates(hourly(hours(0, 8), {"rate": np.array([rate, -rate])}))
    assert [f.check for f in got] == found


@pytest.mark.parametrize(
    ("step", "block", "count", "found"),
    [
        (1, 8, 48, [WRONG]),
        (1, 4, 24, [WRONG]),
        (2, 8, 48, [WRONG]),
        (4, 8, 24, [WRONG]),
        (1, 1000, 48, [INFO]),  # One rate for two days.
        (1, 1, 48, []),
        (8, 8, 48, []),
    ],
)
@pytest.mark.parametrize("shift", [0, 1])
def test_rates_filled_forward_are_found(step, block, count, found, shift):
    number = np.arange(count) * step
    rate = np.round(1e-4 + number // block * 1e-6, 9)
    got = findings.repeated(hourly(hours(*(number + shift)), {"rate": rate}))
    assert [f.severity for f in got] == found


def test_settlements_less_than_an_hour_apart_are_wrong():
    ts = hours(0, 8, 16)
    ts[1] = ts[0] + HOUR // 2
    got = findings.settlements(hourly(ts, {"ts_source": ts, "rate": np.full(3, 1e-4)}))
    assert (WRONG, "frequent", 1) in [(f.severity, f.check, f.count) for f in got]


@pytest.mark.parametrize(
    ("prices", "found"),
    [
        ([10, 12, 11, 10], []),
        ([10, 10, 30, 30], [("jump", 1)]),
        ([30, 30, 10, 10], [("jump", 1)]),
        ([10, 10, 29, 10], []),
    ],
)
def test_a_threefold_jump_from_one_candle_to_the_next_is_noted(prices, found):
    flat = dict.fromkeys(("open", "high", "low", "close"), np.array(prices, dtype=float))
    got = findings.jumps(hourly(hours(1, 2, 3, 4), flat))
    assert [(f.check, f.count) for f in got] == found
    assert {f.severity for f in got} <= {INFO}


@pytest.mark.parametrize(("name", "price"), [("high", 30.0), ("low", 3.0)])
def test_a_high_or_low_threefold_beyond_its_neighbours_is_noted(name, price):
    flat = {n: np.full(4, 10.0) for n in ("open", "high", "low", "close")}
    flat[name][2] = price
    (got,) = findings.jumps(hourly(hours(1, 2, 3, 4), flat))
    assert (got.severity, got.check, got.first) == (INFO, "spike", hours(3)[0])


def test_marks_a_fifth_off_the_last_prices_are_wrong_and_an_import_warns(tmp_path):
    own = candles(50)
    hundredth = [own.column("ts"), *(np.round(own.column(n).to_numpy() / 100, 4) for n in PRICES)]
    with CatalogWriter(tmp_path) as writer:
        writer.add_rows("bars", "1h", BTC, own)
        writer.add_rows("mark", "1h", BTC, pa.table(hundredth, schema=MARKS), file="mark.csv")
        writer.provenance("hand", "bybit")
    (warning,) = writer.warnings
    assert warning.startswith("mark.csv: ")
    assert "50 mark prices over 20% off the last price" in warning
    found = [f for f in verify(Catalog(tmp_path)) if f.check == "off_mark"]
    assert [(f.severity, f.series, f.count) for f in found] == [(WRONG, "mark/1h", 50)]


def test_a_sound_catalog_has_nothing_wrong(tmp_path):
    with CatalogWriter(tmp_path) as writer:
        writer.add_instruments([told()])
        writer.add_rows("bars", "1h", BTC, candles(100))
        writer.add_rows("mark", "1h", BTC, marks(100))
        writer.add_rows("funding", "", BTC, funding(12))
    assert verify(Catalog(tmp_path)) == []


def test_candles_that_stop_early_and_perps_without_mark_prices_or_funding_are_noted(tmp_path):
    catalog = write(tmp_path, BTCUSDT=candles(100), ETHUSDT=candles(90))
    found = verify(catalog)
    assert {f.check for f in found} == {"ends_early", "no_funding", "no_mark"}
    (early,) = [f for f in found if f.check == "ends_early"]
    assert (early.severity, early.count) == (INFO, 1)
    assert "ETHUSDT" in early.words


def test_mark_prices_and_funding_that_are_shorter_than_the_candles_are_noted(tmp_path):
    with CatalogWriter(tmp_path) as writer:
        writer.add_instruments([told()])
        writer.add_rows("bars", "1h", BTC, candles(100))
        writer.add_rows("mark", "1h", BTC, marks(75))
        writer.add_rows("funding", "", BTC, funding(9, start=START + 32 * HOUR))
    assert [(f.check, f.series, f.severity) for f in verify(Catalog(tmp_path))] == [
        ("begins_late", "funding", INFO),
        ("ends_early", "mark/1h", INFO),
    ]


def test_a_file_that_changed_or_cannot_be_read_is_damaged_and_the_check_goes_on(tmp_path):
    catalog = write(tmp_path, BTCUSDT=candles(100))
    path = next((catalog.folder / "raw").rglob("*.parquet"))
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.set_column(4, "close", pa.array(np.full(100, 7.0))), path)
    checks = {f.check for f in verify(catalog) if f.severity == WRONG}
    assert checks == {"damaged", "impossible"}
    path.write_bytes(b"nothing")
    assert [f.check for f in verify(catalog) if f.severity == WRONG] == ["damaged"]


def test_missing_engine_files_are_found_with_the_cure(tmp_path):
    catalog = write(tmp_path, BTCUSDT=candles(100))
    for file in (catalog.folder / "nautilus").rglob("*.parquet"):
        file.unlink()
    (found,) = [f for f in verify(catalog) if f.severity == WRONG]
    assert "catalog rebuild" in found.words
