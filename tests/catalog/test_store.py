"""Reading and writing a catalog: merged, versioned, hashed."""

import gc

import numpy as np
import pytest
from nautilus_trader.model.data import Bar
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from catalog.engine import bars_of
from catalog.panel import COLUMNS, panel
from catalog.providers.base import Import
from catalog.storage.store import Catalog
from catalog.storage.writer import CatalogWriter, rebuild
from config.errors import DeskError, InputError
from tests.catalog.market import (
    BTC,
    DAY,
    ETH,
    FOREVER,
    HOUR,
    START,
    candles,
    funding,
    marks,
    told,
    write,
)


def test_where_there_is_no_catalog_the_error_says_how_to_make_one(tmp_path):
    with pytest.raises(InputError, match=r"no catalog here; `perpdesk catalog demo"):
        Catalog(tmp_path)


def test_what_was_written_is_read_back(tmp_path):
    part = Import(
        source="hand",
        source_venue="simulated",
        instruments=[told("BTCUSDT"), told("ETHUSDT")],
        tables={
            ("bars", "1h", BTC): candles(48),
            ("bars", "1d", BTC): candles(2, "1d"),
            ("bars", "1h", ETH): candles(10),
            ("mark", "1h", BTC): marks(48, seed=3),
            ("funding", "", BTC): funding(6),
            ("funding", "", ETH): funding(2),
        },
        note="a note",
    )
    with CatalogWriter(tmp_path) as writer:
        writer.add(part)

    catalog = Catalog(tmp_path)

    assert catalog.intervals() == ["1h", "1d"]
    assert list(catalog.instruments) == [BTC, ETH]
    assert catalog.series("bars", "1h", BTC, 0, FOREVER).equals(candles(48))
    assert catalog.series("mark", "1h", BTC, 0, FOREVER).num_rows == 48
    paid = catalog.funding([ETH, BTC], 0, FOREVER)
    assert paid.column_names == ["ts", "instrument", "rate"]
    assert paid.column("instrument").to_pylist() == [BTC, ETH, BTC, ETH, *[BTC] * 4]
    assert catalog.coverage("bars", "1h")[ETH] == (START + HOUR, START + 10 * HOUR, 10)
    (entry,) = catalog.provenance
    assert (entry.note, entry.source_venue) == ("a note", "simulated")
    assert entry.rows == {"bars/1d": 2, "bars/1h": 58, "funding": 8, "mark/1h": 48}


def test_engine_bars_are_the_candles_and_equal_what_nautilus_reads_from_its_own_files(tmp_path):
    catalog = write(tmp_path, ETHUSDT=candles(3000, seed=2, decimals=5), BTCUSDT=candles(5000))
    span = START + 100 * HOUR, START + 4000 * HOUR
    bars = bars_of(catalog, "1h", [ETH, BTC], *span)
    theirs = ParquetDataCatalog(str(catalog.folder / "nautilus")).query(
        Bar, start=span[0] + 1, end=span[1]
    )
    theirs.sort(key=lambda bar: (bar.ts_init, bar.bar_type.instrument_id.value))
    assert len(bars) == 3900 + 2900
    assert bars == theirs
    # Sorted by time, then instrument; each in its instrument's precision.
    rows = []
    for name in (ETH, BTC):
        table = catalog.series("bars", "1h", name, *span)
        rows += [(row["ts"], name, row["close"]) for row in table.to_pylist()]
    found = [(b.ts_init, b.bar_type.instrument_id.value, float(b.close)) for b in bars]
    assert found == sorted(rows)
    assert (bars[0].close.precision, bars[1].close.precision) == (2, 5)


def test_engine_bars_of_a_range_without_candles_are_none(tmp_path):
    catalog = write(tmp_path, BTCUSDT=candles(10))
    assert bars_of(catalog, "1h", [BTC], START + 10 * HOUR, FOREVER) == []
    assert bars_of(catalog, "1h", ["NONEUSDT-LINEAR.BYBIT"], 0, FOREVER) == []
    assert bars_of(catalog, "1d", [BTC], 0, FOREVER) == []


def test_reading_slice_after_slice_keeps_memory_flat(tmp_path):
    catalog = write(tmp_path, **{f"A{k:02}USDT": candles(2000, seed=k) for k in range(20)})
    ids = list(catalog.instruments)

    def resident() -> float:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096 / 1e6

    for _ in range(3):
        bars_of(catalog, "1h", ids, 0, FOREVER)
    gc.collect()
    before = resident()
    for _ in range(8):
        assert len(bars_of(catalog, "1h", ids, 0, FOREVER)) == 40_000

    # 320,000 bars of some 250 bytes each went by.
    assert resident() - before < 40


def test_a_longer_range_extends_and_a_shorter_one_takes_nothing_away(tmp_path):
    long = candles(50)
    write(tmp_path, BTCUSDT=long.slice(20, 10))
    extended = write(tmp_path, BTCUSDT=long)
    again = write(tmp_path, BTCUSDT=long.slice(0, 7))
    assert len(again.provenance) == 2
    assert extended.provenance[-1].rows == {"bars/1h": 40}
    assert extended.provenance[-1].replaced == 0
    assert again.version == extended.version
    assert again.series("bars", "1h", BTC, 0, FOREVER).equals(long)
    assert len(bars_of(again, "1h", [BTC], 0, FOREVER)) == 50


def test_rows_that_differ_in_another_source_are_replaced_and_counted(tmp_path):
    write(tmp_path, BTCUSDT=candles(10, seed=1))
    catalog = write(tmp_path, BTCUSDT=candles(4, seed=2))
    assert catalog.provenance[-1].replaced == 4
    closes = catalog.series("bars", "1h", BTC, 0, FOREVER).column("close").to_pylist()
    assert closes[:4] == candles(4, seed=2).column("close").to_pylist()
    assert [float(b.close) for b in bars_of(catalog, "1h", [BTC], 0, FOREVER)] == closes


def test_the_hash_depends_on_the_data_alone(tmp_path):
    table = candles(30)
    whole = write(tmp_path / "whole", BTCUSDT=table, ETHUSDT=table)
    write(tmp_path / "parts", ETHUSDT=table.slice(10, 20))
    write(tmp_path / "parts", BTCUSDT=table, ETHUSDT=table.slice(0, 15))
    parts = Catalog(tmp_path / "parts")
    other = write(tmp_path / "other", BTCUSDT=table, ETHUSDT=candles(30, seed=9))

    assert whole.data_hash() == parts.data_hash()
    assert whole.data_hash() != other.data_hash()
    assert whole.data_hash([BTC]) == other.data_hash([BTC])


def test_guessed_facts_sharpen_with_more_candles_and_yield_to_known_ones(tmp_path):
    coarse = write(tmp_path, BTCUSDT=candles(10, decimals=1))
    assert coarse.instruments[BTC].tick == "0.1"

    def precision(catalog):
        return {b.open.precision for b in bars_of(catalog, "1h", [BTC], 0, FOREVER)}

    fine = write(tmp_path, BTCUSDT=candles(10, start=START + 10 * HOUR, decimals=3))
    assert fine.instruments[BTC].tick == "0.001"
    assert precision(fine) == {3}

    with CatalogWriter(tmp_path) as writer:
        writer.add_instruments([told("BTCUSDT", tick="0.01")])
    known = Catalog(tmp_path)
    assert not known.instruments[BTC].inferred
    assert precision(known) == {2}

    later = write(tmp_path, BTCUSDT=candles(10, start=START + 20 * HOUR, decimals=4))
    assert later.instruments[BTC] == told("BTCUSDT", tick="0.01")


def test_funding_of_an_instrument_that_nobody_knows_is_refused(tmp_path):
    words = r"neither candles.* or the venue's instruments-info"
    with pytest.raises(InputError, match=words), CatalogWriter(tmp_path) as writer:
        writer.add_rows("funding", "", BTC, funding(3))
    with pytest.raises(InputError, match="no catalog here"):
        Catalog(tmp_path)


def test_a_failing_writer_leaves_the_catalog_as_it_was(tmp_path):
    before = write(tmp_path, BTCUSDT=candles(10)).data_hash()
    with pytest.raises(InputError, match="no column low"):
        write(tmp_path, BTCUSDT=candles(99), ETHUSDT=candles(99).drop_columns(["low"]))
    assert Catalog(tmp_path).data_hash() == before
    assert [p.name for p in (tmp_path / "versions").iterdir()] == ["1"]


def test_a_second_writer_at_once_is_refused(tmp_path):
    with CatalogWriter(tmp_path) as writer:
        writer.add_rows("bars", "1h", BTC, candles(5))
        with pytest.raises(DeskError, match="another import is writing"), CatalogWriter(tmp_path):
            pass


def test_a_reader_keeps_its_version_while_writers_go_on(tmp_path):
    reader = write(tmp_path, BTCUSDT=candles(10))
    for count in (20, 30, 40):
        write(tmp_path, BTCUSDT=candles(count))
    assert reader.series("bars", "1h", BTC, 0, FOREVER).num_rows == 10
    assert len(bars_of(reader, "1h", [BTC], 0, FOREVER)) == 10
    assert sorted(p.name for p in (tmp_path / "versions").iterdir()) == ["1", "3", "4"]
    del reader
    gc.collect()
    write(tmp_path, BTCUSDT=candles(50))
    assert sorted(p.name for p in (tmp_path / "versions").iterdir()) == ["4", "5"]


def test_unchanged_files_are_shared_between_versions(tmp_path):
    first = write(tmp_path, BTCUSDT=candles(10))
    second = write(tmp_path, ETHUSDT=candles(10))
    name = f"raw/bars/1h/{BTC}.parquet"
    assert (first.folder / name).samefile(second.folder / name)


def test_the_engines_files_can_be_made_anew_from_the_raw_ones(tmp_path):
    catalog = write(tmp_path, BTCUSDT=candles(100), ETHUSDT=candles(50))
    bars = bars_of(catalog, "1h", [BTC, ETH], 0, FOREVER)
    for file in (catalog.folder / "nautilus").rglob("*.parquet"):
        file.unlink()
    assert rebuild(tmp_path) == 2
    anew = Catalog(tmp_path)
    assert bars_of(anew, "1h", [BTC, ETH], 0, FOREVER) == bars
    assert anew.data_hash() == catalog.data_hash()


def test_a_panel_has_a_row_a_time_and_nan_where_there_is_no_candle(tmp_path):
    catalog = write(tmp_path, BTCUSDT=candles(4), ETHUSDT=candles(2, start=START + 3 * HOUR))
    cut = panel(catalog, "1h", [ETH, BTC, "NONEUSDT-LINEAR.BYBIT"], START + HOUR, START + DAY)
    assert cut.ids == (BTC, ETH, "NONEUSDT-LINEAR.BYBIT")
    assert ((cut.ts - START) // HOUR).tolist() == [2, 3, 4, 5]
    assert np.isnan(cut.close[:, 0]).tolist() == [False, False, False, True]
    assert np.isnan(cut.volume[:, 1]).tolist() == [True, True, False, False]
    assert np.isnan(cut.open[:, 2]).all()
    assert cut.close[:3, 0].tolist() == candles(4).column("close").to_pylist()[1:]
    assert not any(getattr(cut, name).flags.writeable for name in COLUMNS)  # strategies share them


@pytest.mark.parametrize(("left", "words"), [(0, "is missing"), (100, "cannot be read")])
def test_a_file_that_was_removed_or_damaged_is_named_with_the_way_out(tmp_path, left, words):
    write(tmp_path / "c", BTCUSDT=candles(48))
    (file,) = (tmp_path / "c").glob("versions/*/raw/bars/1h/*.parquet")
    whole = file.read_bytes()
    file.unlink()
    if left:
        file.write_bytes(whole[:left])
    with pytest.raises(DeskError, match=rf"{file.name}: {words}.*`perpdesk catalog check` lists"):
        Catalog(tmp_path / "c").series("bars", "1h", BTC, 0, FOREVER)
