"""Longer candles from shorter ones."""

import json
from math import nan

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.recordings import AUDIT, COLUMNS
from catalog.resampling import longer_candles, resample
from catalog.series import BARS, TICKERS, TRADES
from catalog.storage.store import Catalog
from catalog.storage.writer import CatalogWriter
from config.durations import MINUTE_NS
from config.errors import InputError
from tests.catalog.market import BTC, ETH, FOREVER, HOUR, START, candles, marks, write
from tests.catalog.test_catalog_commands import run


def test_four_hours_make_one_candle_and_an_incomplete_one_is_left_out():
    #              open high low close volume turnover
    rows = [
        (1, 10.0, 12, 9, 11, 1.1, 10),
        (2, 11.0, 15, 10, 14, 0.1, 20),
        (3, 14.0, 14, 8e-9, 9, 0.2, 30),
        (4, 9.0, 10, 9, 10, 0.3, 40),
        (5, 10.0, 99, 1, 10, 5.0, 50),
        (7, 10.0, 99, 1, 10, 5.0, 50),
        (8, 10.0, 99, 1, 10, 5.0, 50),
    ]
    hours, *values = zip(*rows, strict=True)
    table = pa.table([[START + h * HOUR for h in hours], *values], schema=BARS)
    (made,) = longer_candles(table, HOUR, 4 * HOUR).to_pylist()
    assert list(made.values()) == [START + 4 * HOUR, 10.0, 15, 8e-9, 10, 1.7, 100]


@given(missing=st.sets(st.integers(0, 95), max_size=6))
def test_resampling_in_two_steps_is_resampling_at_once(missing):
    table = candles(96).take([row for row in range(96) if row not in missing])
    at_once = longer_candles(table, HOUR, 24 * HOUR)
    stepwise = longer_candles(longer_candles(table, HOUR, 4 * HOUR), 4 * HOUR, 24 * HOUR)
    assert at_once.column("ts").equals(stepwise.column("ts"))
    assert at_once.num_rows == 4 - len({row // 24 for row in missing})
    for name in BARS.names:
        pairs = (at_once.column(name).to_numpy(), stepwise.column(name).to_numpy())
        assert np.allclose(*pairs, rtol=1e-12, atol=1e-8)


def test_candles_off_the_grid_make_none():
    assert longer_candles(candles(48, start=START + 1), HOUR, 4 * HOUR).num_rows == 0


def test_a_catalog_gains_days_of_candles_and_marks_and_keeps_its_own(tmp_path):
    own = candles(1, "1d", start=START + 24 * HOUR, seed=9)
    with CatalogWriter(tmp_path) as writer:
        for name in (BTC, ETH):
            writer.add_rows("bars", "1h", name, candles(60))
        writer.add_rows("bars", "1d", BTC, own)
        writer.add_rows("mark", "1h", BTC, marks(60))
        writer.provenance("hand", "bybit")
    assert run("resample", "1d", "--catalog", tmp_path, "--symbols", "BTCUSDT").exit_code == 0
    catalog = Catalog(tmp_path)
    assert catalog.coverage("bars", "1d").keys() == {BTC}
    days = catalog.series("bars", "1d", BTC, 0, FOREVER)
    assert days.slice(1).equals(own)
    assert days.column("high")[0].as_py() == max(candles(60).column("high").to_pylist()[:24])
    assert catalog.coverage("mark", "1d")[BTC].rows == 2
    assert catalog.provenance[-1].source_venue == "bybit"
    again = json.loads(run("resample", "1d", "--catalog", tmp_path, "--json").stdout)
    assert (again["changed"], again["rows"]) == (True, {"bars/1d": 2})


def test_what_is_left_out_is_counted_and_nothing_at_all_is_refused_with_the_reason(tmp_path):
    write(tmp_path / "part", BTCUSDT=candles(60).take([*range(5), *range(6, 60)]))
    assert resample(tmp_path / "part", "4h", ()).warnings == [
        "1 4h candles left out, since a part of each is missing"
    ]
    write(tmp_path / "off", BTCUSDT=candles(48, start=START + 17 * MINUTE_NS))
    with pytest.raises(InputError, match=r"no 4h candle can be made: 48 shorter .* off the grid"):
        resample(tmp_path / "off", "4h", ())
    write(tmp_path / "short", BTCUSDT=candles(3))
    with pytest.raises(InputError, match="no 4h candle can be made: 1 4h candles left out"):
        resample(tmp_path / "short", "4h", ())


def test_days_that_no_longer_candle_covers_come_from_shorter_ones(tmp_path):
    with CatalogWriter(tmp_path) as writer:
        writer.add_rows("bars", "1h", BTC, candles(72))
        late = longer_candles(candles(72), HOUR, 4 * HOUR).slice(12)
        writer.add_rows("bars", "4h", BTC, late)
        writer.provenance("hand", "bybit")
    resample(tmp_path, "1d", ())
    days = Catalog(tmp_path).series("bars", "1d", BTC, 0, FOREVER)
    assert days.column("ts").to_pylist() == [START + n * 24 * HOUR for n in (1, 2, 3)]


def test_what_cannot_be_made_is_said_and_what_can_be_is_hinted(tmp_path):
    catalog = write(tmp_path, BTCUSDT=candles(60))
    assert catalog.resample_hint("1d").endswith(
        f"`perpdesk catalog resample 1d --catalog {tmp_path}`"
    )
    assert catalog.resample_hint("5m") == ""
    with pytest.raises(InputError, match="no candles of which 5m ones are made; there are 1h"):
        resample(tmp_path, "5m", ())
    with pytest.raises(InputError, match="no candles of ETHUSDT, SOLUSDT of which 1d"):
        resample(tmp_path, "1d", ("BTCUSDT", "SOLUSDT", "ETHUSDT"))
    assert Catalog(tmp_path).intervals() == ["1h"]


def test_recorded_trades_and_tickers_make_candles_marks_and_funding(tmp_path):
    deals = [(-30, 90, 1, 1), (0, 100, 2, 1), (20, 103, 1, -1), (59.999, 99, 0.5, 1)]
    deals += [(120, 98, 1, -1), (200, 97, 1, 1), (250, 96, 1, 1), (500, 95, 1, 1), (540, 94, 1, 1)]
    moments = [t for t in range(-35, 601, 5) if not 310 < t < 480]
    told = [(t, 100 + t / 1000, 0.0001 if t < 0 else 0.0003, 0 if t < 0 else 8) for t in moments]
    with CatalogWriter(tmp_path) as writer:
        writer.add_rows("trades", "", BTC, ticks(deals, TRADES))
        rows = [(t, nan, m, nan, r, START + hours * HOUR) for t, m, r, hours in told]
        writer.add_rows("tickers", "", BTC, ticks(rows, TICKERS))
        writer.provenance("hand", "bybit")
    noted = ("2024-01-01T00:03:25.000+00:00", "2024-01-01T00:03:26.000+00:00", "1", BTC, "1", "9")
    (tmp_path / AUDIT).write_text(f"{','.join(COLUMNS)}\n{','.join(noted)},connection lost\n")
    # Of each kind minute -1, minute 3 (a hole), and 5 to 7 (silent).
    left_out = "10 1m candles left out, since the recording lacks a part"
    assert resample(tmp_path, "1m", ()).warnings == [left_out]
    catalog = Catalog(tmp_path)
    bars = catalog.series("bars", "1m", BTC, 0, FOREVER).to_pylist()
    assert [((b.pop("ts") - START) // MINUTE_NS - 1, *b.values()) for b in bars] == [
        (0, 100, 103, 99, 99, 3.5, 352.5),
        (1, 99, 99, 99, 99, 0, 0),
        (2, 98, 98, 98, 98, 1, 98),
        (4, 96, 96, 96, 96, 1, 96),
        (8, 95, 95, 95, 95, 1, 95),
        (9, 94, 94, 94, 94, 1, 94),
    ]
    assert catalog.coverage("mark", "1m")[BTC].rows == 6
    (settled,) = catalog.series("funding", "", BTC, 0, FOREVER).to_pylist()
    assert (settled["ts"], settled["rate"]) == (START, 0.0001)
    assert not resample(tmp_path, "1m", ()).changed


def test_a_day_without_a_trade_is_flat_and_what_is_there_is_not_missing(tmp_path):
    midnight = 24 * 3600
    moments = range(midnight - 120, midnight + 181, 5)
    with CatalogWriter(tmp_path) as writer:
        writer.add_rows("trades", "", BTC, ticks([(midnight - 90, 100, 1, 1)], TRADES))
        rows = [(t, nan, nan, nan, nan, START) for t in moments if t != midnight + 60]
        writer.add_rows("tickers", "", BTC, ticks(rows, TICKERS))
        writer.provenance("hand", "bybit")
    noted = f"2024-01-02T00:01:00.000+00:00,2024-01-02T00:01:01.000+00:00,1,{BTC},1,9,lost"
    (tmp_path / AUDIT).write_text(f"{','.join(COLUMNS)}\n{noted}\n")
    left_out = "2 1m candles left out, since the recording lacks a part"
    assert resample(tmp_path, "1m", ()).warnings == [left_out]
    bars = Catalog(tmp_path).series("bars", "1m", BTC, 0, FOREVER)
    seconds = (bars["ts"].to_numpy() - START) / 1e9 - midnight
    assert seconds.tolist() == [-60, 0, 60]
    assert set(bars["close"].to_pylist()) == {100}
    own = candles(2, "1m", start=START + midnight * 10**9 + MINUTE_NS)
    with CatalogWriter(tmp_path) as writer:
        writer.add_rows("bars", "1m", BTC, own)
        writer.provenance("hand", "bybit")
    assert resample(tmp_path, "1m", ()).warnings == []


def ticks(rows, schema):
    """Rows of (seconds after START, values …)."""
    at = [START + int(row[0] * 1_000) * 1_000_000 for row in rows]
    columns = zip(*(row[1:] for row in rows), strict=True)
    return pa.table([at, range(len(rows)), at, *map(list, columns)], schema.names).cast(schema)
