"""Tables as exchanges and tools save them: columns, dates, symbols, archives and faults."""

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.providers.base import Import, ImportOptions, read_files
from catalog.providers.files import Columns, infer_interval, read_mapping
from catalog.providers.symbols import parse_market, resolve
from catalog.providers.tables import load_tables
from catalog.storage.store import Catalog
from catalog.storage.writer import CatalogWriter
from config.errors import InputError
from tests.catalog.market import BTC, FOREVER, HOUR, START, told

SPOT = "BTCUSDT-SPOT.BYBIT"
S = START // 10**9
"""2024-01-01 00:00 UTC in seconds."""
ROWS = "1,2,0.5,1.5,10", "1.5,3,1,2,20"
"""Open, high, low, close, volume of two candles; turnovers are 15 and 40."""
NAMES = "open,high,low,close,volume"


def parts(path: Path, content: str | bytes, **options: object) -> list[Import]:
    """Write a file and read it as a table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_files("ohlcv_table", [path], ImportOptions(**options)))


def table(header: str, *dates: object, rows: tuple[str, ...] = ROWS, end: str = "") -> str:
    """A CSV of the two candles, the dates in front, more cells at the end."""
    lines = [f"{date},{row}{end}" for date, row in zip(dates, rows, strict=True)]
    return "\n".join([header, *lines]) + "\n"


TWO = table(f"date,{NAMES}", "2024-01-01 00:00", "2024-01-01 01:00")
BINANCE = (
    f"{S}000,1,2,0.5,1.5,10,{S + 3599}999,15,7,1,1,0\n"
    f"{S + 3600}000000,1.5,3,1,2,20,{S + 7199}999999,40,7,1,1,0\n"
)


@pytest.mark.parametrize(
    ("name", "text", "instrument"),
    [
        (
            "BTCUSDT.csv",
            table(f"Date,Time,{NAMES}", "2024-01-01,00:00:00", "2024-01-01,01:00"),
            BTC,
        ),
        ("BTCUSDT.csv", table(f"<DATE>,<TIME>,{NAMES}", "20240101,000000", "20240101,010000"), BTC),
        ("BTCUSDT.csv", table(f"timestamp,{NAMES}", S, (S + 3600) * 1000), BTC),
        ("BTCUSDT.csv", table(f"ts,{NAMES}", S * 10**6, (S + 3600) * 10**9), BTC),
        ("BTCUSDT.csv", table(f"time,{NAMES}", "2024-01-01T01:00+01:00", f"{S + 3600}.0"), BTC),
        ("BTCUSDT.csv", TWO.replace(",", ";"), BTC),
        ("BTCUSDT.csv", TWO.replace("date", "").replace(":00,", ":00 UTC,"), BTC),
        ("BTC_USDT-1h.csv", TWO, SPOT),
        ("BTC_USDT_USDT-1h-futures.csv", TWO, BTC),
        ("BTC-USDT_hourly.csv", TWO, BTC),
        ("BINANCE_BTCUSDT.P, 60.csv", TWO.replace("date", "time").replace("vol", "Vol"), BTC),
        ("BINANCE_BTCUSDT, 60.csv", TWO.replace("date", "time"), SPOT),
        ("BTCUSDT-1h-2024-01.csv", BINANCE, BTC),
        ("spot/BTCUSDT-1h-2024-01.csv", BINANCE, SPOT),
        ("BTCUSDT.json", f"[[{S}000,1,2,0.5,1.5,10],[{S + 3600}000,1.5,3,1,2,20]]", BTC),
        (
            "ccxt.json",
            f'{{"BTC/USDT:USDT": [[{S},1,2,0.5,1.5,10],[{S + 3600},1.5,3,1,2,20]]}}',
            BTC,
        ),
        (
            "Binance_BTCUSDT_1h.csv",
            "https://www.CryptoDataDownload.com\n"
            f"unix,date,symbol,open,high,low,close,Volume BTC,Volume USDT\n"
            f"{S + 3600},2024-01-01 01:00:00,BTC/USDT,1.5,3,1,2,20,40\n"
            f"{S}000,2024-01-01 00:00:00,BTC/USDT,1,2,0.5,1.5,10,15\n",
            SPOT,
        ),
        (
            "gemini.csv",
            "Date,Symbol,Open,High,Low,Close,Vol,Quote Volume\n2024-01-01 12-AM,BTCUSDT-SPOT,1,2,"
            "0.5,1.5,10,15\n2024-01-01 01-AM,BTCUSDT-SPOT,1.5,3,1,2,20,40\n",
            SPOT,
        ),
    ],
)
def test_two_hourly_candles_are_read_from_every_dialect(tmp_path, name, text, instrument):
    (part,) = parts(tmp_path / name, text)
    (key,) = part.tables
    assert key == ("bars", "1h", instrument)
    rows = part.tables[key].sort_by("ts").to_pydict()
    assert rows["ts"] == [START + HOUR, START + 2 * HOUR]
    assert (rows["open"], rows["high"], rows["low"]) == ([1, 1.5], [2, 3], [0.5, 1])
    assert (rows["close"], rows["volume"]) == ([1.5, 2], [10, 20])
    assert rows["turnover"] in ([None, None], [15, 40])


def test_days_without_dashes_are_days_and_a_single_volume_in_quote_is_divided(tmp_path):
    header = f"date,{NAMES.replace('volume', 'quote_volume')}"
    text = table(header, 20240101, 20240102, rows=("1,2,0.5,1.5,15", "1.5,3,1,2,40"))
    (part,) = parts(tmp_path / "BTCUSDT.csv", text)
    rows = part.tables["bars", "1d", BTC].to_pydict()
    assert rows["ts"] == [START + 24 * HOUR, START + 48 * HOUR]
    assert (rows["volume"], rows["turnover"]) == ([10, 20], [15, 40])
    assert "turnover / close" in part.warnings[0]


@given(at=st.integers(10**9, 4 * 10**9), unit=st.sampled_from([1, 10**3, 10**6, 10**9]))
def test_a_stamp_is_told_by_its_own_size_in_whatever_unit(at, unit):
    import pyarrow as pa

    for column in (pa.array([at * unit, S]), pa.array([str(at * unit), "2024-01-01"])):
        found = Columns(pa.table({"time": column}), "x").stamps()
        assert found.tolist() == [at * 10**9, START]


@pytest.mark.parametrize(
    ("text", "symbol", "product"),
    [
        ("btcusdt", "BTCUSDT", None),
        ("BTC/USDT", "BTCUSDT", "SPOT"),
        ("BTC/USDT:USDT", "BTCUSDT", "LINEAR"),
        ("BTC_USDT_USDT", "BTCUSDT", "LINEAR"),
        ("BINANCE:BTCUSDT.P", "BTCUSDT", "LINEAR"),
        ("BTC-USDT-SWAP", "BTCUSDT", "LINEAR"),
        ("1000PEPEUSDT-LINEAR.BYBIT", "1000PEPEUSDT", "LINEAR"),
        ("ETHBTC", "ETHBTC", "SPOT"),
    ],
)
def test_a_symbol_says_its_product(text, symbol, product):
    assert parse_market(text)[:2] == (symbol, product)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("BTC/USDT:USDT-241227", "a dated future"),
        ("BTCUSDT-27DEC24", "a dated future"),
        ("BTCUSDH25", "a dated future"),
        ("BTC/USDT:USDT-241227-50000-C", "an option"),
        ("BTC/USD:BTC", "an inverse contract"),
        ("BTC_USD_BTC", "an inverse contract"),
        ("XBTUSD", "an inverse contract"),
        ("BTCUSD_PERP", "an inverse contract"),
        ("BTC/FDUSD", "quote coin FDUSD is not known"),
        ("BTC/USDT/X/Y", "is not like BTCUSDT"),
    ],
)
def test_other_contracts_are_refused_with_the_reason(tmp_path, text, words):
    cells = table(f"symbol,date,{NAMES}", f"{text},2024-01-01", f"{text},2024-01-02")
    with pytest.raises(InputError, match=rf"data\.csv: row 1: symbol .*{words}"):
        parts(tmp_path / "data.csv", cells)


def test_spot_and_perpetual_are_two_instruments_or_refused():
    assert resolve("BTC/USDT", None, None)[0] == SPOT
    assert (
        resolve("BTC/USDT", None, "LINEAR")[0] == resolve("BTC/USDT:USDT", None, "SPOT")[0] == BTC
    )
    assert resolve("BTCUSDT", None, "SPOT") == (SPOT, False)
    assert resolve("BTCUSDT", None, None) == (BTC, True)
    with pytest.raises(ValueError, match="linear, but --product says spot"):
        resolve("BTC/USDT:USDT", "SPOT", None)


def test_two_symbols_of_one_id_and_all_unknown_ones_are_named_at_once(tmp_path):
    header = f"symbol,date,{NAMES}"
    symbols = ("BTC/USDT", "BTCUSDT.P", "BTCXYZ", "ABC")
    text = table(header, *(f"{s},2024-01-01" for s in symbols), rows=ROWS * 2)
    with pytest.raises(InputError) as caught:
        parts(tmp_path / "data.csv", text, product="LINEAR", interval="1d")
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == ["row 2", "row 3", "row 4"]
    assert "BTC/USDT and BTCUSDT.P are both BTCUSDT-LINEAR" in lines[0]

    (part,) = parts(tmp_path / "data.csv", text, symbols=("BTCUSDT-SPOT*",), interval="1d")
    assert list(part.tables) == [("bars", "1d", SPOT)]
    with pytest.raises(InputError, match="--symbols: nothing there matches ETHUSDT"):
        parts(tmp_path / "data.csv", text, symbols=("BTCUSDT", "ETHUSDT"), interval="1d")


@pytest.mark.parametrize("folder", ["spot", "linear"])
def test_files_of_one_import_that_contradict_each_other_are_refused(tmp_path, folder):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "BTCUSDT.csv").write_text(TWO)
    other = tmp_path / folder / "BTCUSDT.csv"
    other.parent.mkdir()
    other.write_text(TWO.replace("1.5", "1.6"))
    found = read_files("ohlcv_table", [tmp_path / "a", tmp_path / folder], ImportOptions())
    with CatalogWriter(tmp_path / "catalog") as writer:
        writer.add(next(found))
        if folder == "spot":
            writer.add(next(found))
        else:
            with pytest.raises(InputError, match="2 rows of BTCUSDT-LINEAR"):
                writer.add(next(found))


def test_spot_under_a_bare_name_never_replaces_the_perpetual_of_the_catalog(tmp_path):
    def imported(text: str, **options: object) -> CatalogWriter:
        (part,) = parts(tmp_path / "BTCUSDT.csv", text, **options)
        with CatalogWriter(tmp_path / "catalog") as writer:
            writer.add(part)
        return writer

    imported(TWO)
    # A last candle that was not finished may change.
    assert imported(TWO.replace("3,1,2,20", "3,1,2,21")).changed
    other = TWO.replace("1.5", "1.6")
    with pytest.raises(InputError, match=r"2 rows of BTCUSDT-LINEAR.* of the catalog: .*--product"):
        imported(other)
    imported(other, product="SPOT")
    imported(other, product="LINEAR")
    catalog = Catalog(tmp_path / "catalog")
    for instrument in (BTC, SPOT):
        rows = catalog.series("bars", "1h", instrument, 0, FOREVER)
        assert rows.column("close").to_pylist() == [1.6, 2]


FUNDING = {
    "bybit": f"symbol,fundingRate,fundingRateTimestamp\nBTCUSDT,0.0001,{S}000\n",
    "binance": f"calc_time,funding_interval_hours,last_funding_rate\n{S}000,8,0.0001\n",
    "okx": f'[{{"symbol": "BTC/USDT:USDT", "fundingRate": 1e-4, "timestamp": {S}000}}]',
    "percent": "Time,Funding Rate\n2024-01-01,0.0100%\n",
}


@pytest.mark.parametrize("venue", FUNDING)
def test_funding_is_read_as_venues_save_it(tmp_path, venue):
    end = "json" if venue == "okx" else "csv"
    (part,) = parts(tmp_path / f"BTCUSDT-fundingRate-2024-01.{end}", FUNDING[venue])
    assert part.tables["funding", "", BTC].to_pydict() == {"ts": [START], "rate": [0.0001]}
    assert part.assumed == []


def test_marks_come_by_name_and_an_index_never(tmp_path):
    bare = table(f"date,{NAMES}", "2024-01-01 00:00", "2024-01-01 01:00")
    still = bare.replace(",10\n", ",0\n").replace(",20\n", ",0\n")
    for place in ("mark/BTCUSDT.csv", "markPriceKlines/BTCUSDT-1h.csv", "BTCUSDT_mark_1h.csv"):
        (part,) = parts(tmp_path / place, still)
        assert list(part.tables) == [("mark", "1h", BTC)]
    (part,) = parts(tmp_path / "BTCUSDT.csv", bare, kind="mark")
    assert list(part.tables) == [("mark", "1h", BTC)]
    for place in ("BTCUSDT_premium_index_1h.csv", "indexPriceKlines/BTCUSDT-1h.csv"):
        with pytest.raises(InputError, match="index or premium, which are not kept"):
            parts(tmp_path / place, bare)


def test_candles_with_volume_are_no_marks_by_a_folder_alone(tmp_path):
    for place, kind in (("mark/BTCUSDT.csv", "bars"), ("BTCUSDT_mark_1h.csv", "mark")):
        (part,) = parts(tmp_path / place, TWO)
        assert list(part.tables) == [(kind, "1h", BTC)]


def test_the_name_of_a_home_folder_says_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "mark")
    (part,) = parts(tmp_path / "mark" / "data" / "BTCUSDT.csv", TWO)
    assert list(part.tables) == [("bars", "1h", BTC)]


def packed(text: str, name: str = "BTCUSDT-1h-2024-01.csv") -> bytes:
    """A .zip, as of a Mac, with one file, another that is not a table, and the first's shadow."""
    import io

    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, text)
        archive.writestr("CHECKSUM", "0")
        archive.writestr(f"__MACOSX/._{name}", "\0\5\x16\7")
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("BTCUSDT.zip", packed(TWO)),
        (
            "BTCUSDT.csv.gz",
            gzip.compress(TWO[:40].encode(), mtime=0) + gzip.compress(TWO[40:].encode(), mtime=0),
        ),
        ("BTCUSDT.csv", TWO.encode("utf-16")),
        ("BTCUSDT.csv", TWO.encode("utf-8-sig")),
    ],
)
def test_archives_and_encodings_are_opened(tmp_path, name, content):
    (part,) = parts(tmp_path / name, content)
    assert part.tables["bars", "1h", BTC].column("volume").to_pylist() == [10, 20]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("BTCUSDT.csv.gz", gzip.compress(TWO.encode(), mtime=0)[:-20], r"cut short after line \d"),
        ("BTCUSDT.csv.gz", TWO.encode(), "damaged or cut short after line 0"),
        ("BTCUSDT.zip", packed(TWO)[:-30], "damaged or cut short"),
        ("BTCUSDT.csv", TWO.encode("utf-16")[2:], "line 1: a zero byte"),
        ("BTCUSDT.csv", TWO.encode() + b"\xff\xfe", "line 4: not UTF-8"),
        ("BTCUSDT.csv", TWO + "2024-01-01 02:00,1,2\n", "Expected 6 columns, got 3"),
        ("BTCUSDT.csv", TWO.replace("0\n", "0,\n"), "line 2: 7 columns under 6 names"),
        ("BTCUSDT.csv", TWO.replace("1.5", '"1,5"'), r"row 2: column open: .*no comma"),
        ("BTCUSDT.csv", TWO.replace(",10", ","), "row 1: column volume: is empty"),
        ("BTCUSDT.csv", TWO.replace("2024-01-01 01:00", "45292"), "row 2: '45292' is no date of"),
        ("BTCUSDT.csv", table(f"date,day,{NAMES}", *["2024-01-01,1"] * 2), "share their date"),
        ("BTCUSDT.csv", TWO.replace("volume", "Close"), "columns 'close', 'Close' are one"),
        ("BTCUSDT_1d.csv", TWO, "3600 s apart, not 1d"),
        ("BTC_USDT-5m.csv", TWO, "3600 s apart, not 5m"),
        ("BTCUSDT.json", "[[1,2", "line 1: not JSON, or cut short"),
        ("BTCUSDT.json", '{"result": {"list": []}}', "bybit_json"),
        ("BTCUSDT_ETHUSDT.csv", TWO, "several in the file's name"),
        ("BTCUSDT_241227-1h.csv", TWO, "a dated future"),
        ("BTCUSDT.csv", TWO.replace("low,close", "close,low"), "row 1: open or close outside"),
        ("BTC_USDT_USDT-8h-funding_rate.csv", TWO, "no column for rate"),
        ("BTCUSDT.csv", TWO.replace("volume", "vol,volCcy").replace("0\n", "0,0\n"), "contracts"),
        ("BTCUSDT.csv", TWO.replace("volume", "rate"), "both candles and funding: say --kind"),
    ],
)
def test_a_fault_is_one_line_that_names_file_and_place(tmp_path, name, content, words):
    with pytest.raises(InputError, match=rf"{name}.*{words}") as caught:
        parts(tmp_path / name, content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["Candles of Bybit.\n\nOpen, high, low.\n", "Prices, in USDT\n"])
def test_a_text_beside_the_tables_is_left_out_with_a_warning(tmp_path, text):
    (tmp_path / "README.txt").write_text(text)
    with pytest.raises(InputError, match=r"README\.txt: "):
        list(read_files("ohlcv_table", [tmp_path], ImportOptions()))
    (tmp_path / "BTCUSDT.txt").write_text(TWO)
    (tmp_path / "more.txt").write_text(table(f"symbol,date,{NAMES}", *["ETHUSDT,2024-01-01"] * 2))
    found = read_files("ohlcv_table", [tmp_path], ImportOptions())
    part = next(found)
    assert list(part.tables) == [("bars", "1h", BTC)]
    (warning,) = part.warnings
    assert "README.txt" in warning
    # Tables stay tables, whatever their name is, and a named file is read or an error.
    with pytest.raises(InputError, match=r"more\.txt: .*share their date"):
        next(found)
    (tmp_path / "BTCUSDT.txt").write_text(text)
    with pytest.raises(InputError, match=r"BTCUSDT\.txt: "):
        next(read_files("ohlcv_table", [tmp_path], ImportOptions()))


def test_a_mapping_names_other_columns_and_its_faults_have_lines(tmp_path):
    mapping = tmp_path / "columns.yaml"
    mapping.write_text("time: Start\nvolume: Amount\n")
    text = TWO.replace("date", "Start").replace("volume", "Amount")
    (part,) = parts(tmp_path / "BTCUSDT.csv", text, columns=read_mapping(mapping))
    assert part.tables["bars", "1h", BTC].column("volume").to_pylist() == [10, 20]
    with pytest.raises(InputError, match=r"no column 'Start' for time; there is date"):
        parts(tmp_path / "BTCUSDT.csv", TWO, columns=read_mapping(mapping))
    mapping.write_text("time: Start\nvolum: Amount\nopen: [a]\n")
    with pytest.raises(InputError) as caught:
        read_mapping(mapping)
    places = [line.split(" ")[0] for line in str(caught.value).splitlines()]
    assert [place.split(":")[1] for place in places] == ["2", "3"]
    assert "did you mean volume?" in str(caught.value)


def test_rows_that_look_wrong_are_warned_of_at_the_import(tmp_path):
    text = table(f"date,{NAMES}", "2024-01-01 00:10", "2024-01-01 01:10").replace("0.5", "0")
    (candles,) = parts(tmp_path / "BTCUSDT.csv", text)
    (rates,) = parts(tmp_path / "f.csv", "symbol,time,rate\nBTCUSDT,2024-01-01,0.01\n")
    with CatalogWriter(tmp_path / "catalog") as writer:
        writer.add(candles)
        writer.add(rates)
    words = "\n".join(writer.warnings)
    assert len(writer.warnings) == 3
    for expected in ("2 closes that are no multiple of 1h", "1 a price that is not", "percent"):
        assert expected in words
    assert "BTCUSDT.csv: BTCUSDT-LINEAR.BYBIT bars/1h" in words


def test_facts_may_come_first_and_alone(tmp_path):
    with CatalogWriter(tmp_path / "c") as writer:
        writer.add_instruments([told(tick="0.5")])
    assert Catalog(tmp_path / "c").instruments[BTC].tick == "0.5"
    (part,) = parts(tmp_path / "BTCUSDT.csv", TWO)
    with CatalogWriter(tmp_path / "c") as writer:
        writer.add(part)
    catalog = Catalog(tmp_path / "c")
    assert catalog.instruments[BTC].tick == "0.5"
    assert catalog.series("bars", "1h", BTC, 0, FOREVER).num_rows == 2


def test_a_zip_of_many_tables_gives_each(tmp_path):
    path = tmp_path / "BTCUSDT.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for day in ("01", "02"):
            archive.writestr(f"BTCUSDT-1h-2024-01-{day}.csv", TWO.replace("-01 ", f"-{day} "))
    assert [source.name[-6:] for source in load_tables(path)] == ["01.csv", "02.csv"]


@pytest.mark.parametrize(
    ("hours", "said", "interval"),
    [
        # More gaps than neighbours: four are two hours apart, one is one.
        ([0, 2, 4, 5, 7, 9], None, "1h"),
        # No neighbours at all, as of a coin that hardly trades.
        ([0, 2, 5, 7], "1h", "1h"),
        ([0, 4, 8, 12], "1h", None),
        ([0, 7 * 24, 14 * 24], "1d", None),
        ([0, 31 * 24, 59 * 24, 90 * 24], "1d", None),
    ],
)
def test_sparse_candles_keep_their_interval(hours, said, interval):
    stamps = START + np.array(hours) * HOUR
    if interval:
        assert infer_interval(stamps, "f", said) == interval
    else:
        with pytest.raises(InputError, match=f"s apart, not {said}"):
            infer_interval(stamps, "f", said)


def hourly(*opens: float) -> str:
    """A CSV of flat candles that open so many hours after the start."""
    rows = [f"{round((S + 3600 * hour) * 1000)},1,1,1,1,1" for hour in opens]
    return "\n".join([f"date,{NAMES}", *rows])


@pytest.mark.parametrize("name", ["BTCUSDT.csv", "BTCUSDT_1h.csv"])
def test_longer_candles_in_a_file_of_hourly_ones_are_refused_with_their_row(tmp_path, name):
    # Six hours, then every fourth from the sixth on: nine rows are gaps, ten another interval.
    mixed = [*range(6), *range(6, 6 + 4 * 10, 4)]
    text = hourly(*mixed)
    words = r"row 7: from 2024-01-01 06:00 on 10 candles are 4h apart, not 1h.*resample.*--interval"
    with pytest.raises(InputError, match=words):
        parts(tmp_path / name, text)
    # The seventh row's close is an hour after the sixth's, the next one's four.
    with pytest.raises(InputError, match="row 8: from 2024-01-01 10:00 on 9 candles"):
        parts(tmp_path / name, text, stamp="close")
    (part,) = parts(tmp_path / name, text, interval="1h")
    assert "row 7" in "".join(part.warnings)
    (part,) = parts(tmp_path / name, hourly(*mixed[:-1]))
    assert not part.warnings
    # Half of the hours are missing: as many in a row may be chance.
    sparse = np.flatnonzero(np.random.default_rng(0).random(2000) < 0.5)
    chance = np.r_[sparse, sparse[-1] + 2 * np.arange(1, 10)]
    (part,) = parts(tmp_path / name, hourly(*chance))
    assert not part.warnings


@pytest.mark.parametrize("said", [None, "1h"])
def test_stamps_that_jitter_are_called_off_the_grid(tmp_path, said):
    jitter = [0, 4, 1, 3, 0.5, 0]
    text = hourly(*(hour + late / 3600 for hour, late in enumerate(jitter)))
    words = r"candle of 2024-01-01 01:00:04 is not on the grid of 1h: .* by up to 4 s; round"
    with pytest.raises(InputError, match=words):
        parts(tmp_path / "BTCUSDT.csv", text, interval=said)


def test_funding_of_every_minute_is_refused_with_its_row(tmp_path):
    rates = [f"{S + second},BTCUSDT,0.0001" for second in (0, 28800, 28860, 28920)]
    with pytest.raises(InputError, match=r"f\.csv: row 3: a settlement 1 minutes after another"):
        parts(tmp_path / "f.csv", "\n".join(["time,symbol,fundingRate", *rates]))
    # Dates that come twice and jitter of seconds are none.
    rates = [f"{S + second},BTCUSDT,0.0001" for second in (0, 0, 3645, 7200)]
    parts(tmp_path / "f.csv", "\n".join(["time,symbol,fundingRate", *rates]))


@pytest.mark.parametrize(
    ("old", "new", "words"), [("3,1,2", "3,-1,2", "low: -1"), (",20", ",-20", "volume: -20")]
)
def test_a_negative_price_or_volume_is_refused_with_its_row(tmp_path, old, new, words):
    rows = (ROWS[0], ROWS[1].replace(old, new))
    text = table(f"date,{NAMES}", "2024-01-01 00:00", "2024-01-01 01:00", rows=rows)
    with pytest.raises(InputError, match=rf"BTCUSDT\.csv: row 2: column {words} is negative"):
        parts(tmp_path / "BTCUSDT.csv", text)


def test_a_number_too_large_for_the_engine_names_the_file_and_the_candle(tmp_path):
    (part,) = parts(tmp_path / "BTCUSDT.csv", TWO.replace(",20\n", ",20000000000000000000\n"))
    words = r"BTCUSDT\.csv: the candle that closes at 2024-01-01 02:00: volume 2e\+19: .*too large"
    with pytest.raises(InputError, match=words), CatalogWriter(tmp_path / "c") as writer:
        writer.add(part)


def test_a_close_time_is_no_open_and_ends_of_candles_are_their_closes(tmp_path):
    ends = table(f"close_time,{NAMES}", f"{S + 3599}999", f"{S + 7199}999")
    with pytest.raises(InputError, match=r"close_time.*--stamp close"):
        parts(tmp_path / "BTCUSDT.csv", ends)
    (part,) = parts(tmp_path / "BTCUSDT.csv", ends, stamp="close")
    closes = part.tables["bars", "1h", BTC].column("ts").to_pylist()
    assert closes == [START + HOUR, START + 2 * HOUR]
    with pytest.raises(InputError, match=r"close_time.*--stamp close"):
        parts(tmp_path / "BTCUSDT.csv", ends, columns={"time": "close_time"})
