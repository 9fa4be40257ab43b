"""Every format, on hand-made files and on real ones."""

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from catalog.engine import bars_of
from catalog.providers.base import formats
from catalog.providers.freqtrade import Name, parse_name
from catalog.storage.store import Catalog
from catalog.verify import verify
from config.errors import InputError
from tests.catalog.market import BTC, ETH, FOREVER, HOUR, START, candles, imported, parts, shared


def real(catalog: Path, name: str, *places: str, **options: str) -> Catalog:
    """Import real files into a catalog in which nothing is wrong; skip without them."""
    paths = [shared(*place.split("/")) for place in places]
    if not all(path.exists() for path in paths):
        pytest.skip(f"no shared market data: {places}")
    found = imported(catalog, name, *paths, **options)
    assert [finding for finding in verify(found) if finding.severity == "wrong"] == []
    return found


@pytest.mark.parametrize(
    ("name", "file", "words"),
    [
        ("freqtrad", "", r"no format 'freqtrad'.*did you mean freqtrade\?"),
        ("ohlcv_table", "nothing.csv", r"nothing\.csv: no such file"),
    ],
)
def test_a_format_or_file_that_is_not_there_is_named(tmp_path, name, file, words):
    with pytest.raises(InputError, match=words):
        parts(name, tmp_path / file)
    assert list(formats()) == [
        *("binance_stream", "bybit_json", "bybit_stream", "csv_quotes", "freqtrade"),
        *("ohlcv_table", "tardis_csv", "trade_archives"),
    ]


def long_table(interval_ns: int = HOUR) -> pa.Table:
    """A long table as a user has it: open stamps, two symbols, mixed order."""
    rows = []
    for k, symbol in enumerate(("BTC/USDT:USDT", "ETH/USDT:USDT")):
        for row in candles(5, seed=k).to_pylist():
            opened = START + (row["ts"] - START) // HOUR * interval_ns - interval_ns
            rows.append({**row, "symbol": symbol, "date": opened})
    rows = rows[::-1]
    columns = {name: [row[name] for row in rows] for name in rows[0] if name != "ts"}
    return pa.table({**columns, "date": pa.array(columns["date"], pa.timestamp("ns"))})


@pytest.mark.parametrize("suffix", ["parquet", "csv", "csv.gz"])
def test_a_long_table_is_stamped_by_its_closes_and_split_by_symbol(tmp_path, suffix):
    path = tmp_path / f"binance_perps.{suffix}"
    if suffix == "parquet":
        pq.write_table(long_table(), path)
    else:
        plain = tmp_path / "plain"
        pyarrow.csv.write_csv(long_table(), plain)
        content = plain.read_bytes()
        path.write_bytes(gzip.compress(content) if suffix == "csv.gz" else content)

    (part,) = parts("ohlcv_table", path)

    assert part.source_venue == "binance"
    assert set(part.tables) == {("bars", "1h", BTC), ("bars", "1h", ETH)}
    assert part.tables["bars", "1h", BTC].sort_by("ts").equals(candles(5))


def test_options_say_interval_product_and_that_stamps_are_closes(tmp_path):
    path = tmp_path / "BTCUSDT.parquet"
    pq.write_table(candles(1), path)
    said = {"interval": "1h", "product": "SPOT", "source_venue": "okx", "stamp": "close"}
    (part,) = parts("ohlcv_table", path, **said)
    assert part.source_venue == "okx"
    assert part.tables["bars", "1h", "BTCUSDT-SPOT.BYBIT"].equals(candles(1))


def test_funding_is_known_by_its_columns_and_mark_prices_by_their_name_alone(tmp_path):
    dates = pa.array([START, START + 8 * HOUR], pa.timestamp("ns"))
    rates = {"date": dates, "symbol": ["BTCUSDT"] * 2, "funding_rate": [1e-4, -2e-4]}
    pq.write_table(pa.table(rates), tmp_path / "a.parquet")
    marks = long_table().drop_columns(["volume", "turnover"])
    pq.write_table(marks, tmp_path / "mark.parquet")

    first, second = parts("ohlcv_table", tmp_path)

    assert first.tables["funding", "", BTC].column("rate").to_pylist() == [1e-4, -2e-4]
    assert set(second.tables) == {("mark", "1h", BTC), ("mark", "1h", ETH)}
    (tmp_path / "mark.parquet").rename(tmp_path / "perps.parquet")
    with pytest.raises(InputError, match=r"no column for volume .*--kind mark"):
        parts("ohlcv_table", tmp_path / "perps.parquet")


CSV = "date,symbol,open,high,low,close,volume\n2024-01-01,BTCUSDT,1,2,1,2,5\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (CSV + "2024-01-02,BTCUSDT,one,2,1,2,5\n", "row 2: column open: 'one' is no number"),
        (CSV + "tomorrow,BTCUSDT,1,2,1,2,5\n", "row 2: 'tomorrow' is no date"),
        (CSV + "2024-01-02,BTCXYZ,1,2,1,2,5\n", "row 2: symbol 'BTCXYZ' ends in"),
        (CSV, "too few to tell the interval; say --interval"),
        (CSV.replace("close", "last"), "no column for close"),
        (CSV.replace("date", "when"), "no column for the date"),
        (CSV + "2024-02-01,BTCUSDT,1,2,1,2,5\n", "which is none of 1m"),
    ],
)
def test_a_wrong_table_is_named_with_the_place(tmp_path, text, words):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(InputError, match=f"^{tmp_path / 'x.csv'}.*{words}"):
        parts("ohlcv_table", tmp_path / "x.csv")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("BTC_USDT_USDT-5m-futures", ("BTCUSDT", "LINEAR", "bars", "5m")),
        ("BTC_USDT-5m-futures", ("BTCUSDT", "LINEAR", "bars", "5m")),
        ("BTC_USDT_USDT-1h-mark", ("BTCUSDT", "LINEAR", "mark", "1h")),
        ("BTC_USDT_USDT-8h-funding_rate", ("BTCUSDT", "LINEAR", "funding", "8h")),
        ("BTC_USDT-1h", ("BTCUSDT", "SPOT", "bars", "1h")),
        ("bybit_linear_ADAUSDT_mark_1h_20250924_20260131", ("ADAUSDT", "LINEAR", "mark", "1h")),
        ("bybit_spot_BTCUSDT_ohlcv_5m_20250916_20251005", ("BTCUSDT", "SPOT", "bars", "5m")),
        (
            "bybit_linear_ADAUSDT_funding_8h_20250924_20260131",
            ("ADAUSDT", "LINEAR", "funding", "8h"),
        ),
        ("XRP_ETH-trades", None),
        ("notes", None),
    ],
)
def test_freqtrades_names_are_understood(name, expected):
    assert parse_name(Path(f"{name}.feather")) == (expected and Name(*expected))


def test_intervals_that_are_not_kept_are_left_out_of_folders_and_refused_by_name(tmp_path):
    table = candles(3, "5m").rename_columns(["date", *candles(3, "5m").column_names[1:]])
    weekly = tmp_path / "BTC_USDT_USDT-1w-futures.feather"
    pyarrow.feather.write_feather(table, weekly)
    pyarrow.feather.write_feather(table, tmp_path / "BTC_USDT_USDT-5m-futures.feather")
    (part,) = parts("freqtrade", tmp_path)
    assert part.note == "left out: BTC_USDT_USDT-1w-futures.feather"
    with pytest.raises(InputError, match=r"1w-futures\.feather: not a name like"):
        parts("freqtrade", weekly)


def test_freqtrades_json_and_parquet_are_read_and_other_contracts_left_out(tmp_path):
    s = START // 10**6
    (tmp_path / "BTC_USDT_USDT-8h-funding_rate.json").write_text(f"[[{s},0.0001,0,0,0,0]]")
    pq.write_table(
        candles(3).rename_columns(["date", *candles(3).column_names[1:]]),
        tmp_path / "BTC_USDT_USDT-1h-mark.parquet",
    )
    (tmp_path / "BTC_USD_BTC-1h-futures.json").write_text("[]")
    found = parts("freqtrade", tmp_path)
    assert [list(part.tables) for part in found] == [[("mark", "1h", BTC)], [("funding", "", BTC)]]
    assert found[0].note == "left out: BTC_USD_BTC-1h-futures.json"
    assert found[1].tables["funding", "", BTC].to_pydict() == {"ts": [START], "rate": [0.0001]}
    with pytest.raises(InputError, match="an inverse contract"):
        parts("freqtrade", tmp_path / "BTC_USD_BTC-1h-futures.json")
    (only,) = parts("freqtrade", tmp_path, symbols=("BTCUSDT",))[:1]
    assert BTC in {key[2] for key in only.tables}
    with pytest.raises(InputError, match="nothing there matches ETHUSDT"):
        parts("freqtrade", tmp_path, symbols=("ETHUSDT",))


def answer(result: dict, answered_ms: int = 2 * START // 10**6) -> str:
    """A Bybit v5 answer."""
    return json.dumps({"retCode": 0, "retMsg": "OK", "result": result, "time": answered_ms})


def test_a_bybit_kline_that_is_not_over_is_dropped(tmp_path):
    opens = [START + hour * HOUR for hour in (2, 1, 0)]
    rows = [[str(o // 10**6), "10", "11", "9", "10.5", "3", "31.5"] for o in opens]
    result = {"category": "linear", "symbol": "BTCUSDT", "list": rows}
    answered = (START + 3 * HOUR - 1) // 10**6
    (tmp_path / "k.json").write_text(answer(result, answered))
    (part,) = parts("bybit_json", tmp_path / "k.json")
    table = part.tables["bars", "1h", BTC]
    assert sorted(table.column("ts").to_pylist()) == [START + HOUR, START + 2 * HOUR]
    assert table.column("turnover").to_pylist() == [31.5, 31.5]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ('{"a": 1}', "no field result"),
        ('{"retCode": 10001, "result": {}}', "retCode 10001"),
        (answer({"category": "inverse", "list": []}), "only linear and spot"),
        (answer({"category": "linear", "list": [{"what": 1}]}), "neither klines, funding nor"),
        (answer({"category": "linear", "list": [["1", "2"]]}), "not what Bybit v5 sends"),
    ],
)
def test_what_is_no_bybit_answer_is_refused_with_its_place(tmp_path, text, words):
    path = tmp_path / "x.jsonl"
    good = answer({"category": "linear", "list": []})
    path.write_text(f"{good}\n{text}\n")
    with pytest.raises(InputError, match=f"^{path}:2: .*{words}"):
        parts("bybit_json", path)


UNIVERSE = "binance/universe/binance_linear_319sym_ohlcv_1d_20240110_20250930.parquet"


def test_the_real_daily_universe_comes_in_whole(tmp_path):
    catalog = real(tmp_path, "ohlcv_table", UNIVERSE)

    coverage = catalog.coverage("bars", "1d")
    assert len(coverage) == 319
    assert sum(span.rows for span in coverage.values()) == 126_377
    assert max(span.last for span in coverage.values()) == 1_759_276_800 * 10**9
    assert catalog.provenance[0].source_venue == "binance"
    assert all(info.inferred for info in catalog.instruments.values())
    solana = pa.compute.field("symbol") == "SOLUSDT"
    source = pq.read_table(shared(*UNIVERSE.split("/"))).filter(solana)
    ours = catalog.series("bars", "1d", "SOLUSDT-LINEAR.BYBIT", 0, FOREVER)
    assert ours.column("close").equals(source.column("close"))
    assert ours.column("turnover").equals(source.column("quote_volume"))
    bars = bars_of(catalog, "1d", ["SOLUSDT-LINEAR.BYBIT"], 0, FOREVER)
    for name in ("open", "high", "low", "close", "volume"):
        # The engine's own float() of a price is off in the last bit at times; its text is not.
        values = [float(str(getattr(bar, name))) for bar in bars]
        assert values == source.column(name).to_pylist()


def test_the_real_bybit_set_comes_in_with_mark_prices_and_funding(tmp_path):
    catalog = real(tmp_path, "freqtrade", "bybit/perp_5m_mark_funding")
    assert {len(catalog.coverage(*kind)) for kind in (("bars", "5m"), ("mark", "1h"))} == {5}
    assert {span.rows for span in catalog.coverage("bars", "5m").values()} == {37_440}
    assert {span.rows for span in catalog.coverage("funding").values()} == {389}
    assert (catalog.instruments[BTC].tick, catalog.instruments[BTC].funding_minutes) == ("0.1", 480)
    assert catalog.provenance[0].source_venue == "bybit"
    assert len(catalog.provenance[0].files) == 15


def test_the_real_jittered_funding_keeps_its_stamps(tmp_path):
    catalog = real(tmp_path, "freqtrade", "peer_freqtrade/testdata/futures")
    (instrument,) = catalog.instruments
    assert catalog.intervals("mark") == ["1h", "8h"]
    table = catalog.series("funding", "", instrument, 0, FOREVER)
    ts, source = (table.column(name).to_numpy() for name in ("ts", "ts_source"))
    assert np.all(ts % (8 * HOUR) == 0)
    assert 0 < np.abs(source - ts).max() < 10**9
    assert {f.check for f in verify(catalog)} >= {"jitter"}


def test_the_real_spot_and_perp_of_one_coin_stand_side_by_side(tmp_path):
    catalog = real(tmp_path, "freqtrade", "bybit/spot_perp_parallel")
    assert list(catalog.coverage("bars", "5m")) == [BTC, "BTCUSDT-SPOT.BYBIT"]


def test_the_real_hourly_tables_of_candles_marks_and_funding_join(tmp_path):
    catalog = real(tmp_path, "ohlcv_table", "binance/perp_1h_mark_funding")
    kinds = (("bars", "1h"), ("mark", "1h"), ("funding",))
    assert [len(catalog.coverage(*kind)) for kind in kinds] == [13, 13, 13]
    assert catalog.instruments["KASUSDT-LINEAR.BYBIT"].funding_minutes == 240


def test_bybits_own_examples_give_instruments_and_funding(tmp_path):
    names = ("instruments_spot", "instruments_linear", "funding_history", "klines_linear")
    files = [f"bybit/payload_fixtures/nautilus/http_get_{name}.json" for name in names]
    catalog = real(tmp_path, "bybit_json", *files, interval="1h")

    perp, spot = catalog.instruments[BTC], catalog.instruments["BTCUSDT-SPOT.BYBIT"]
    assert (perp.tick, perp.lot) == ("0.5", "0.001")
    assert (perp.max_leverage, perp.maintenance_margin) == ("100", "0.005")
    assert not perp.inferred
    assert (spot.tick, spot.lot, spot.min_notional) == ("0.1", "0.0001", "10")
    assert catalog.funding([BTC], 0, FOREVER).column("rate").to_pylist() == [0.00015, 0.0001]
