"""Books, trades, quotes and tickers of every format, on hand-made files and on real recordings."""

import gzip
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog.providers import ticks
from catalog.providers.base import Import
from catalog.storage.store import Catalog
from config.errors import InputError
from tests.catalog.market import BTC, ETH, FOREVER, imported, parts, shared

SPOT_BTC = "BTCUSDT-SPOT.BYBIT"
MS = 10**6
T0 = 1_723_161_600_000
"""2024-08-09 00:00 UTC, ms."""
Sides = dict[int, dict[float, float]]
Message = tuple[int, Sides]
"""Id of an update, and the whole book after it."""


def rows(found: list[Import], kind: str, instrument: str = BTC) -> list[tuple]:
    """Rows of one series of all parts."""
    tables = [p.tables[kind, "", instrument] for p in found if (kind, "", instrument) in p.tables]
    return [tuple(row.values()) for row in pa.concat_tables(tables).to_pylist()]


def warnings(found: list[Import]) -> str:
    return "\n".join(text for part in found for text in part.warnings)


def real(pattern: str) -> Path:
    """Find a real recording; skip without it."""
    found = list(shared(*pattern.split("/")[:-1]).glob(pattern.split("/")[-1]))
    if not found:
        pytest.skip(f"no shared market data: {pattern}")
    return found[0]


def write(path: Path, *lines: object) -> Path:
    """Write lines: texts as they are, others as JSON."""
    text = "".join(f"{x if isinstance(x, str) else json.dumps(x)}\n" for x in lines)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def zipped(path: Path, name: str = "", text: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        if name:
            archive.writestr(name, text)
    return path


def change(book: Sides, bids: list, asks: list) -> None:
    """Apply levels of a raw message to a plain book."""
    for side, levels in ((1, bids), (-1, asks)):
        for price, size in levels:
            if float(size):
                book[side][float(price)] = float(size)
            else:
                book[side].pop(float(price), None)


def whole(bids: list, asks: list) -> Sides:
    book: Sides = {1: {}, -1: {}}
    change(book, bids, asks)
    return book


def bybit_books(lines: Iterator[str], topic: str) -> Iterator[Message]:
    """Books of a Bybit stream, from the raw text alone."""
    book = whole([], [])
    for line in lines:
        message = json.loads(line)
        if message.get("topic") == topic:
            data = message["data"]
            if message["type"] == "snapshot":
                book = whole([], [])
            change(book, data["b"], data["a"])
            yield data["u"], book


def binance_books(lines: Iterator[str]) -> Iterator[Message]:
    """Books of a Binance recording, from the raw text alone, as Binance documents it."""
    messages = [json.loads(line.partition(" ")[2]) for line in lines]
    (start,) = (m for m in messages if "lastUpdateId" in m)
    diffs = [m["data"] for m in messages if "@depth" in m.get("stream", "")]
    last = start["lastUpdateId"]
    book = whole(start["bids"], start["asks"])
    yield last, book
    for diff in diffs:
        if diff["u"] < last or ("pu" not in diff and diff["u"] == last):
            continue
        change(book, diff["b"], diff["a"])
        yield diff["u"], book


def stored_books(table: pa.Table) -> Iterator[Message]:
    """Books of a stored table, message by message."""
    columns = [table.column(n).to_numpy() for n in ("ts", "seq", "flags", "side", "price", "size")]
    ts, seq = columns[:2]
    begins = np.flatnonzero(np.r_[True, (np.diff(ts) != 0) | (np.diff(seq) != 0)])
    book = whole([], [])
    for low, high in zip(begins, [*begins[1:], len(ts)], strict=True):
        _, ids, flags, side, price, size = (c[low:high].tolist() for c in columns)
        if flags[0] & 1:
            book = whole([], [])
        for one, at, amount in zip(side, price, size, strict=True):
            change(book, *([[(at, amount)], []] if one > 0 else [[], [(at, amount)]]))
        yield ids[0], book


def same_books(table: pa.Table, truth: Iterator[Message]) -> int:
    """Compare every level after every message that changed one; return the number of messages."""
    count, stored = 0, stored_books(table)
    before: Sides = {}
    for update, book in truth:
        if book == before:
            continue
        found, levels = next(stored)
        while found != update:
            assert levels == before, found
            found, levels = next(stored)
        assert levels == book, update
        before = {side: dict(own) for side, own in book.items()}
        count += 1
    return count


@pytest.mark.parametrize(
    ("pattern", "instrument", "counts"),
    [
        pytest.param(
            *(
                "binance/l2_ticks_spot_perp/binance_linear*wsraw*.gz",
                BTC,
                (445_262, 66_089, 21_313),
            ),
            marks=pytest.mark.slow,
        ),
        ("binance/l2_ticks_spot_perp/binance_spot_*wsraw*.gz", SPOT_BTC, (126_073, 28_040, 9_757)),
    ],
)
def test_a_binance_recording_gives_the_book_of_its_raw_file(tmp_path, pattern, instrument, counts):
    path = real(pattern)
    catalog = imported(tmp_path / "catalog", "binance_stream", path)
    found = [catalog.coverage(kind)[instrument].rows for kind in ("book", "quotes", "trades")]
    assert found == list(counts)
    book = catalog.series("book", "", instrument, 0, FOREVER)
    with gzip.open(path, "rt") as lines:
        assert same_books(book, binance_books(lines)) > 3_000
    # The best prices of the book are those of the quotes, at updates that both have.
    tops = {
        row["seq"]: (row["bid"], row["ask"])
        for row in catalog.series("quotes", "", instrument, 0, FOREVER).to_pylist()
    }
    ends = [(u, (max(b[1]), min(b[-1]))) for u, b in stored_books(book) if u in tops]
    assert len(ends) > 50
    assert [top for _, top in ends] == [tops[u] for u, _ in ends]


def test_an_archived_bybit_book_is_that_of_its_raw_file(tmp_path):
    path = real("bybit/l2/*ob500*.data.zip")
    catalog = imported(tmp_path / "catalog", "bybit_stream", path)
    book = catalog.series("book", "", "XRPUSDT-LINEAR.BYBIT", 0, FOREVER)
    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as lines:
        assert same_books(book, bybit_books(lines, "orderbook.500.XRPUSDT")) == 50


def test_a_bybit_recording_gives_its_book_and_the_shallow_topic_quotes(tmp_path):
    path = real("bybit/ws_v5/*.jsonl")
    catalog = imported(tmp_path / "catalog", "bybit_stream", path)
    book = catalog.series("book", "", SPOT_BTC, 0, FOREVER)
    with path.open() as lines:
        assert same_books(book, bybit_books(lines, "orderbook.50.BTCUSDT")) == 19
    quotes = catalog.series("quotes", "", SPOT_BTC, 0, FOREVER).to_pylist()
    with path.open() as lines:
        tops = {u: (*b[1].items(), *b[-1].items()) for u, b in bybit_books(lines, TOP_TOPIC)}
    assert len(quotes) == 14
    for row in quotes:
        assert tops[row["seq"]] == ((row["bid"], row["bid_size"]), (row["ask"], row["ask_size"]))


TOP_TOPIC = "orderbook.1.BTCUSDT"


def test_real_tables_of_tardis_and_of_trades(tmp_path):
    (part, *_) = parts("trade_archives", real("binance/public_data_zip/*aggtrades*.zip"))
    table = part.tables["trades", "", "APEUSDT-LINEAR.BYBIT"]
    assert table.num_rows == 45_342
    assert tuple(table.slice(1, 1).to_pylist()[0].values()) == (
        *(1_729_209_604_056 * MS, 171_927_518, 1_729_209_604_056 * MS),
        *(0.7096, 2254.0, -1),
    )
    inverse = real("tardis_csv/deribit_incremental*.csv")
    with pytest.raises(InputError, match=r"line 2: symbol 'BTC'"):
        parts("tardis_csv", inverse)
    renamed = inverse.read_text().replace("deribit,BTC-PERPETUAL", "bybit,BTCUSDT")
    found = parts("tardis_csv", write(tmp_path / "updates.csv", renamed.strip()))
    assert {row[:5] for row in rows(found, "book")} == {
        (1_585_699_200_245_000_000, 0, 1_585_699_200_355_684_000, 1, -1)
    }
    assert len(rows(found, "book")) == 15
    folder = parts("tardis_csv", inverse.parent)
    assert len(rows(folder, "book")) == 500
    assert warnings(folder).count("left out") == 2


def bybit(topic: str, kind: str, ts: int, data: object, **more: object) -> dict:
    """A message of Bybit v5."""
    return {"topic": topic, "type": kind, "ts": T0 + ts, "data": data, **more}


def book_message(kind: str, ts: int, update: int, bids: list, asks: list, depth: int = 50) -> dict:
    data = {"s": "BTCUSDT", "b": bids, "a": asks, "u": update, "seq": update}
    return bybit(f"orderbook.{depth}.BTCUSDT", kind, ts + 1, data, cts=T0 + ts)


BID, ASK = ["100", "1"], ["101", "2"]
RECORDING = (
    {"op": "subscribe", "success": True},
    book_message("delta", 0, 6, [["99", "1"]], []),
    book_message("snapshot", 10, 7, [BID, ["99", "3"]], [ASK]),
    book_message("delta", 5, 8, [["99", "0"]], []),
    book_message("delta", 20, 8, [["99", "0"]], []),
    book_message("delta", 30, 10, [], [["101", "4"]]),
    book_message("snapshot", 30, 1, [BID], []),
    book_message("snapshot", 40, 5, [BID], [ASK], depth=1),
    book_message("delta", 50, 6, [["100", "0"], ["99", "7"]], [], depth=1),
)


def test_a_bybit_stream_keeps_order_marks_gaps_and_drops_what_has_no_snapshot(tmp_path):
    found = parts("bybit_stream", write(tmp_path / "linear.jsonl", *RECORDING))
    assert rows(found, "book") == [
        ((T0 + 10) * MS, 7, (T0 + 10) * MS, 1, 1, 100.0, 1.0),
        ((T0 + 10) * MS, 7, (T0 + 10) * MS, 1, 1, 99.0, 3.0),
        ((T0 + 10) * MS, 7, (T0 + 10) * MS, 1, -1, 101.0, 2.0),
        ((T0 + 10) * MS, 8, (T0 + 10) * MS, 0, 1, 99.0, 0.0),
        ((T0 + 30) * MS, 10, (T0 + 30) * MS, 2, -1, 101.0, 4.0),
        # A restarted service counts from 1: the snapshot must stay behind what it replaces.
        ((T0 + 30) * MS + 1, 1, (T0 + 30) * MS + 1, 1, 1, 100.0, 1.0),
    ]
    assert rows(found, "quotes") == [
        ((T0 + 40) * MS, 5, (T0 + 40) * MS, 100.0, 101.0, 1.0, 2.0),
        ((T0 + 50) * MS, 6, (T0 + 50) * MS, 99.0, 101.0, 7.0, 2.0),
    ]
    for words in (
        "1 updates of orderbook.50.BTCUSDT before its first snapshot left out (first at line 2)",
        "1 repeated updates of orderbook.50.BTCUSDT left out (first at line 5)",
        "1 gaps in the updates of orderbook.50.BTCUSDT (first at line 6)",
        "book messages whose time goes back take that of the one before (first at line 4)",
    ):
        assert words in warnings(found)


def test_an_import_of_updates_alone_says_that_a_snapshot_is_missing(tmp_path):
    file = write(tmp_path / "linear.jsonl", book_message("delta", 20, 9, [BID], [ASK]))
    words = r"no rows at all\n.*1 updates of .* before its first snapshot left out \(first at line"
    with pytest.raises(InputError, match=words):
        imported(tmp_path / "new", "bybit_stream", file)


def test_a_message_without_levels_leaves_its_flags_to_the_next(tmp_path):
    lines = (
        book_message("snapshot", 10, 7, [BID], [ASK]),
        book_message("delta", 20, 9, [], []),
        book_message("delta", 30, 10, [["99", "1"]], []),
        book_message("snapshot", 40, 11, [], []),
        book_message("delta", 50, 12, [["98", "1"]], []),
    )
    found = rows(parts("bybit_stream", write(tmp_path / "linear.jsonl", *lines)), "book")
    assert [(row[1], row[3]) for row in found] == [(7, 1), (7, 1), (10, 2), (12, 1)]


def test_bybit_trades_and_tickers_with_receive_times_and_what_a_ticker_leaves_out(tmp_path):
    trade = {"s": "BTCUSDT", "S": "Buy", "v": "0.5", "p": "100.5", "i": "a"}
    lines = (
        bybit("tickers.BTCUSDT", "snapshot", 0, {"symbol": "BTCUSDT", "markPrice": "100"}, cs=5),
        bybit(
            *("tickers.BTCUSDT", "delta", 1),
            {"fundingRate": "-0.0001", "nextFundingTime": str(T0 + 28_800_000)},
            cs=6,
        ),
        bybit(
            *("publicTrade.BTCUSDT", "snapshot", 3),
            [{**trade, "T": T0 + 2, "seq": 9}, {**trade, "T": T0 + 2, "seq": 9, "S": "Sell"}],
        ),
        bybit("kline.1.BTCUSDT", "snapshot", 4, []),
    )
    received = [f"{(T0 + 50) * MS + k} {json.dumps(line)}" for k, line in enumerate(lines)]
    found = parts("bybit_stream", write(tmp_path / "perps.jsonl.gz", *received))
    at = (T0 + 50) * MS
    nan = float("nan")
    assert str(rows(found, "tickers")) == str(
        [
            (T0 * MS, 5, at, nan, 100.0, nan, nan, 0),
            ((T0 + 1) * MS, 6, at + 1, nan, 100.0, nan, -0.0001, (T0 + 28_800_000) * MS),
        ]
    )
    assert rows(found, "trades") == [
        ((T0 + 2) * MS, 9, at + 2, 100.5, 0.5, 1),
        ((T0 + 2) * MS, 9, at + 2, 100.5, 0.5, -1),
    ]
    assert "1 messages of kline left out" in warnings(found)


def test_trades_of_one_instant_that_a_files_end_parts_are_all_kept(tmp_path):
    def told(ts: int, *trades: str) -> dict:
        known = {"s": "BTCUSDT", "S": "Buy", "p": "100", "T": T0 + ts, "seq": 9}
        data = [{**known, "i": name, "v": str(ord(name))} for name in trades]
        return bybit("publicTrade.BTCUSDT", "snapshot", ts, data)

    write(tmp_path / "1_linear.jsonl", told(1, "a", "b"), told(2, "c"))
    write(tmp_path / "2_linear.jsonl", told(2, "d"), told(3, "e"))
    # Our recorder begins a file with the trades of the last instant.
    write(tmp_path / "3_linear.jsonl", told(3, "e"), told(3, "f"))
    # Another begins with both messages of it.
    write(tmp_path / "4_linear.jsonl", told(3, "e"), told(3, "f"), told(4, "g"))
    catalog = imported(tmp_path / "catalog", "bybit_stream", tmp_path)
    sizes = catalog.series("trades", "", BTC, 0, FOREVER).column("size").to_pylist()
    assert "".join(chr(int(size)) for size in sizes) == "abcdefg"


def test_a_block_trade_is_not_of_the_book(tmp_path):
    trade = {"s": "BTCUSDT", "S": "Buy", "v": "1", "p": "100", "T": T0, "seq": 9, "BT": False}
    block = trade | {"v": "900", "p": "90", "BT": True}
    line = bybit("publicTrade.BTCUSDT", "snapshot", 1, [block, trade])
    found = parts("bybit_stream", write(tmp_path / "linear.jsonl", line))
    assert [row[3:] for row in rows(found, "trades")] == [(100.0, 1.0, 1)]
    assert "1 block trades left out: not of the book" in warnings(found)


def test_one_instrument_has_one_book_the_deepest(tmp_path):
    deep = book_message("snapshot", 0, 3, [BID], [ASK], depth=200)
    mixed = write(tmp_path / "a_linear.jsonl", book_message("snapshot", 0, 1, [BID], [ASK]), deep)
    found = parts("bybit_stream", mixed)
    assert {row[1] for row in rows(found, "book")} == {3}
    assert "1 messages of orderbook.50.BTCUSDT left out: there is a deeper book" in warnings(found)
    other = write(tmp_path / "b_linear.jsonl", book_message("snapshot", 9, 4, [BID], [ASK]))
    with pytest.raises(InputError, match=r"b_linear.*a_linear\.jsonl has orderbook\.200: two book"):
        parts("bybit_stream", mixed, other)


def test_a_book_is_not_mixed_with_another_of_the_same_time(tmp_path):
    def recording(depth: int, after: int) -> Path:
        changes = [
            book_message("delta", 10 * k + after, 100 * depth + k, [BID], [], depth)
            for k in range(1, 30)
        ]
        first = book_message("snapshot", after, 100 * depth, [BID], [ASK], depth)
        return write(tmp_path / f"linear_{depth}.jsonl", first, *changes)

    catalog = imported(tmp_path / "catalog", "bybit_stream", recording(200, 0))
    with pytest.raises(InputError, match=r"linear_50\.jsonl: its book .* another source"):
        imported(tmp_path / "catalog", "bybit_stream", recording(50, 5))
    assert Catalog(tmp_path / "catalog").version == catalog.version
    # A recording in pieces is one source, whatever comes first.
    lines = recording(200, 0).read_text().splitlines()
    for piece in (lines[:1] + lines[20:], lines[:1] + lines[5:8], lines):
        imported(tmp_path / "pieces", "bybit_stream", write(tmp_path / "linear.jsonl", *piece))
    book = [c.series("book", "", BTC, 0, FOREVER) for c in (catalog, Catalog(tmp_path / "pieces"))]
    assert book[0].column("seq").equals(book[1].column("seq"))


def test_a_rotated_recording_goes_on_in_the_next_file(tmp_path):
    write(tmp_path / "linear_1.jsonl", RECORDING[2])
    write(tmp_path / "linear_2.jsonl", RECORDING[4])
    found = parts("bybit_stream", tmp_path)
    assert [row[1] for row in rows(found, "book")] == [7, 7, 7, 8]
    assert warnings(found) == ""


def test_a_file_may_begin_with_the_book_as_it_is(tmp_path):
    first = [
        book_message("snapshot", T0 + 1, 6, [BID], [ASK]),
        book_message("delta", T0, 7, [], []),
    ]
    again = book_message("snapshot", T0 + 1, 7, [BID], [ASK])
    later = [again, book_message("delta", T0 + 1, 8, [["98", "1"]], [])]
    a, b = write(tmp_path / "1.linear.jsonl", *first), write(tmp_path / "2.linear.jsonl", *later)
    both = rows(parts("bybit_stream", a, b), "book")
    assert [(row[1], row[5]) for row in both] == [(6, 100.0), (6, 101.0), (8, 98.0)]
    assert [row[1] for row in rows(parts("bybit_stream", b), "book")] == [7, 7, 8]


def depth(first: int, last: int, before: int | None, bids: list, ts: int = 0) -> dict:
    """A depth update of Binance: a perpetual's if it tells the update before."""
    more = {} if before is None else {"pu": before, "T": T0 + ts}
    data = {"e": "depthUpdate", "E": T0 + ts, "s": "BTCUSDT", "U": first, "u": last}
    return {"stream": "btcusdt@depth", "data": {**data, "b": bids, "a": [], **more}}


def test_binance_updates_join_their_snapshot_and_a_new_one_mends_a_gap(tmp_path):
    lines = (
        depth(1, 4, 0, [["90", "1"]], 1),
        depth(5, 8, 4, [["91", "1"]], 2),
        {"lastUpdateId": 6, "bids": [BID], "asks": [ASK], "T": T0},
        depth(9, 9, 8, [["92", "1"]], 3),
        {"lastUpdateId": 9, "bids": [], "asks": [ASK]},
        depth(12, 13, 11, [["93", "1"]], 4),
        depth(14, 15, 13, [["94", "1"]], 5),
        {"lastUpdateId": 14, "bids": [["95", "1"]], "asks": [ASK], "T": T0 + 4},
        depth(16, 16, 15, [["96", "1"]], 6),
    )
    found = parts("binance_stream", write(tmp_path / "a.jsonl", *lines))
    assert [(r[0] // MS - T0, r[1], r[3], r[5]) for r in rows(found, "book")] == [
        *((0, 6, 1, 100.0), (0, 6, 1, 101.0)),
        *((2, 8, 0, 91.0), (3, 9, 0, 92.0), (4, 13, 2, 93.0), (5, 15, 0, 94.0)),
        # The snapshot is older than the book: at no time it takes the book back.
        *((5, 15, 1, 95.0), (5, 15, 1, 94.0), (5, 15, 1, 101.0), (6, 16, 0, 96.0)),
    ]
    assert "1 gaps in the depth updates of BTCUSDT-LINEAR.BYBIT (first at line 6)" in warnings(
        found
    )
    keys = [row[:2] for row in rows(found, "book")]
    assert keys == sorted(keys)


def test_binance_trades_and_tops_of_spot_take_the_exchanges_clock(tmp_path):
    trade = {"e": "trade", "E": T0, "T": T0, "s": "BTCUSDT", "t": 5, "p": "1", "q": "2", "m": True}
    top = {"u": 3, "s": "BTCUSDT", "b": "1", "B": "2", "a": "3", "A": "4"}
    local = (T0 - 700) * MS
    spot = write(
        tmp_path / "spot.txt",
        f"{local} {json.dumps(trade)}",
        f"{local + 50} {json.dumps({'stream': 'btcusdt@bookTicker', 'data': top})}",
    )
    found = parts("binance_stream", spot)
    assert rows(found, "trades", SPOT_BTC) == [(T0 * MS, 5, local, 1.0, 2.0, -1)]
    at = local + 50
    assert rows(found, "quotes", SPOT_BTC) == [(T0 * MS + 50, 3, at, 1.0, 3.0, 2.0, 4.0)]
    assert "1 tops of book without a time" in warnings(found)
    fund = {**trade, "X": "INSURANCE_FUND"}
    perp = write(tmp_path / "perp.txt", {**trade, "X": "MARKET", "m": False}, fund)
    found = parts("binance_stream", perp)
    assert [row[-1] for row in rows(found, "trades")] == [1]
    assert "1 trades of INSURANCE_FUND left out" in warnings(found)


PERP = "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,f,RPI\n"


def test_bybits_public_trades_of_perpetuals_and_of_spot(tmp_path):
    lines = [f"{T0 // 1000}.25{k},BTCUSDT,{s},0.00{k + 1},10{k}.5,ZeroPlusTick,x-{k},1,1,1,0"
             for k, s in ((0, "Buy"), (0, "Sell"), (1, "Buy"))]  # fmt: skip
    wanted = [
        (T0 * MS + 250 * MS, 0, T0 * MS + 250 * MS, 100.5, 0.001, 1),
        (T0 * MS + 250 * MS, 1, T0 * MS + 250 * MS, 100.5, 0.001, -1),
        (T0 * MS + 251 * MS, 0, T0 * MS + 251 * MS, 101.5, 0.002, 1),
    ]
    for order, numbers in ((1, [0, 1, 0]), (-1, [-1, 0, 0])):  # In 2020 from new to old.
        path = write(tmp_path / f"{order}.csv.gz", (PERP + "\n".join(lines[::order])))
        found = parts("trade_archives", path)
        assert [row[::2] for row in rows(found, "trades")] == [row[::2] for row in wanted]
        assert [row[1] for row in rows(found, "trades")] == numbers
        assert warnings(found) == ""
    spot = f"id,timestamp,price,volume,side\n1,{T0},1.5,2,buy\n2,{T0},1.5,3,sell"
    found = parts("trade_archives", write(tmp_path / "BTCUSDT_2024-08-09.csv.gz", spot))
    assert rows(found, "trades", SPOT_BTC) == [
        (T0 * MS, 0, T0 * MS, 1.5, 2.0, 1),
        (T0 * MS, 1, T0 * MS, 1.5, 3.0, -1),
    ]


def test_binances_archives_without_names_of_columns(tmp_path):
    aggregated = f"7,1.5,2,1,1,{T0}000,True,True\n8,1.6,2,1,1,{T0}001,False,True\n"
    spot = zipped(tmp_path / "a.zip", "BTCUSDT-aggTrades-2025-01-01.csv", aggregated)
    assert rows(parts("trade_archives", spot), "trades", SPOT_BTC) == [
        (T0 * MS, 7, T0 * MS, 1.5, 2.0, -1),
        (T0 * MS + 1000, 8, T0 * MS + 1000, 1.6, 2.0, 1),
    ]
    with pytest.raises(
        InputError, match=r"t.csv: .*True: no line of names; keep .*BTCUSDT-aggTrades-"
    ):
        parts("trade_archives", write(tmp_path / "t.csv", aggregated))


TARDIS = f"bybit,BTCUSDT,{T0}000,{T0}500"
SIDES = ("asks", "bids")
UPDATES = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount\n"


def test_tardis_updates_are_joined_to_messages_also_across_parts(tmp_path, monkeypatch):
    lines = [
        f"{TARDIS},false,bid,90,1",
        *(f"{TARDIS[:-1]}{k // 3},true,{s},{100 + k},1" for k, s in enumerate(("bid",) * 5)),
        *(f"bybit,BTCUSDT,{T0 + 1}000,{T0 + 2}000,false,ask,{k},0" for k in (1, 2)),
        f"bybit,BTCUSDT,{T0}000,{T0 + 3}000,false,ask,3,0",
    ]
    path = write(tmp_path / "u.csv", UPDATES + "\n".join(lines))
    found = parts("tardis_csv", path)
    keys = [(row[0] // MS - T0, row[1], row[3], row[5]) for row in rows(found, "book")]
    assert keys == [
        *((0, 1, 1, 100.0 + k) for k in range(5)),
        *((1, 0, 0, 1.0), (1, 0, 0, 2.0), (1, 1, 0, 3.0)),
    ]
    assert "1 updates before the first snapshot" in warnings(found)
    assert "1 rows or messages whose time goes back" in warnings(found)
    monkeypatch.setattr(ticks, "BLOCK_BYTES", 150)
    cut = parts("tardis_csv", path)
    assert len(cut) > 4
    assert rows(cut, "book") == rows(found, "book")


def test_tardis_trades_quotes_and_snapshots(tmp_path):
    trades = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"
    path = write(tmp_path / "t.csv", f"{trades}{TARDIS},a,buy,1,2\n{TARDIS},b,unknown,1,3")
    at = (T0 * MS, 0, T0 * MS + 500_000)
    wanted = [(*at, 1.0, 2.0, 1), (T0 * MS, 1, T0 * MS + 500_000, 1.0, 3.0, 0)]
    assert rows(parts("tardis_csv", path), "trades") == wanted
    numbered = write(
        tmp_path / "n.csv", path.read_text().replace(",a,", ",71,").replace(",b,", ",70,")
    )
    assert [row[1] for row in rows(parts("tardis_csv", numbered), "trades")] == [71, 70]
    quotes = "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount\n"
    path = write(tmp_path / "q.csv", f"{quotes}{TARDIS},4,3,1,2\n{TARDIS},,,1,2")
    assert rows(parts("tardis_csv", path), "quotes") == [(*at, 1.0, 3.0, 2.0, 4.0)]
    assert "1 quotes without a bid or an ask" in warnings(parts("tardis_csv", path))
    names = [f"{s}[{k}].{w}" for k in (0, 1) for s in SIDES for w in ("price", "amount")]
    path = write(
        tmp_path / "s.csv",
        f"exchange,symbol,timestamp,local_timestamp,{','.join(names)}\n{TARDIS},3,4,1,2,5,6,,".replace(
            "bybit", "binance"
        ),
    )
    assert rows(parts("tardis_csv", path), "book", SPOT_BTC) == [
        (*at, 1, 1, 1.0, 2.0),
        (*at, 1, -1, 3.0, 4.0),
        (*at, 1, -1, 5.0, 6.0),
    ]


def test_plain_quotes_with_and_without_time_and_sizes(tmp_path):
    timed = (
        f"timestamp,symbol,bid,ask,bid_size,ask_size\n{T0},BTCUSDT,1,2,3,4\n{T0},BTCUSDT,1,2,3,5"
    )
    found = parts("csv_quotes", write(tmp_path / "a.csv", timed))
    assert rows(found, "quotes") == [
        (T0 * MS, 0, T0 * MS, 1.0, 2.0, 3.0, 4.0),
        (T0 * MS, 1, T0 * MS, 1.0, 2.0, 3.0, 5.0),
    ]
    assert warnings(found) == ""
    bare = write(tmp_path / "quotes_2024-08-09.csv", "symbol,bid,ask", "BTCUSDT,1,2", "ETHUSDT,3,4")
    found = parts("csv_quotes", bare)
    first, second = (T0 + 1000) * MS, (T0 + 2000) * MS
    assert rows(found, "quotes") == [(first, 0, first, 1.0, 2.0, 1e6, 1e6)]
    assert rows(found, "quotes", ETH) == [(second, 0, second, 3.0, 4.0, 1e6, 1e6)]
    assert "no timestamp: its rows are put 1 s apart from 2024-08-09 00:00 UTC" in warnings(found)
    assert "no sizes: each side is taken to hold 1,000,000 coins" in warnings(found)
    two = write(
        tmp_path / "b.csv", f"exch_ts_ms,update_id,local_ts_ns,symbol,bid,ask\n1,1,{T0},BTCUSDT,1,2"
    )
    assert "b.csv: exch_ts_ms not used: the quotes' time is that of local_ts_ns" in warnings(
        parts("csv_quotes", two)
    )
    found = parts("csv_quotes", bare, interval="1m")
    assert rows(found, "quotes", ETH)[0][0] == (T0 + 120_000) * MS


def test_two_rows_out_of_order_do_not_turn_the_file_around(tmp_path, monkeypatch):
    monkeypatch.setattr(ticks, "BLOCK_BYTES", 256)
    found_at = [("ETHUSDT", k) for k in range(5)] + [("BTCUSDT", 3), ("BTCUSDT", 2)]
    found_at += [("BTCUSDT", k) for k in range(4, 20)]
    quotes = [f"{T0 + k},{name},1,2,3,4" for name, k in found_at]
    path = write(tmp_path / "a.csv", "timestamp,symbol,bid,ask,bid_size,ask_size", *quotes)
    found = parts("csv_quotes", path)
    assert len(found) > 3
    assert [row[0] // MS - T0 for row in rows(found, "quotes")] == [3, 3, *range(4, 20)]
    assert "1 quotes whose time goes back" in warnings(found)
    # From new to old, and its first part holds another symbol alone.
    found_at = [(name, k) for name in ("ETHUSDT", "BTCUSDT") for k in range(20, 0, -1)]
    quotes = [f"{T0 + k},{name},1,2,3,4" for name, k in found_at]
    path = write(tmp_path / "b.csv", "timestamp,symbol,bid,ask,bid_size,ask_size", *quotes)
    found = parts("csv_quotes", path, symbols=("BTCUSDT",))
    assert sorted(row[0] // MS - T0 for row in rows(found, "quotes")) == [*range(1, 21)]


QUOTES = "timestamp,symbol,bid,ask,bid_size,ask_size"


def quote(ms: int, bid: float) -> str:
    return f"{T0 + ms},BTCUSDT,{bid},100,1,1"


def test_quotes_far_out_of_order_are_sorted_and_those_that_come_again_left_out(tmp_path):
    lines = (
        *(quote(0, 1), quote(1000, 2), quote(86_400_000, 3)),
        # 60 ms before the latest is within the clocks' jitter, in the same row of quotes.
        *(quote(2000, 4), quote(1940, 5), quote(2100, 6), quote(2100, 7), quote(2100, 6)),
        # A quote that was late, and two that were there.
        *(quote(1000, 8), quote(2000, 4), quote(2100, 7)),
    )
    found = parts("csv_quotes", write(tmp_path / "a.csv", QUOTES, *lines))
    assert [(row[0] // MS - T0, row[1], row[3]) for row in rows(found, "quotes")] == [
        *((0, 0, 1), (1000, 0, 2), (1000, 1, 8), (2000, 0, 4), (2000, 1, 5)),
        *((2100, 0, 6), (2100, 1, 7), (2100, 2, 6), (86_400_000, 0, 3)),
    ]
    told = warnings(found)
    words = (
        "2 quotes far behind the one before: sorted by time (first at line 5, by up to 86,398 s)"
    )
    assert words in told
    assert "one before (first at line 6, by up to 0.06 s)" in told
    assert "2 quotes that come again left out" in told


def test_rows_of_a_part_that_is_read_already_are_refused_with_their_line(tmp_path, monkeypatch):
    monkeypatch.setattr(ticks, "BLOCK_BYTES", 100)
    in_order = [quote(k * 1000, 9) for k in (11, 12, 13, 14, 15, 16)]
    path = write(tmp_path / "a.csv", QUOTES, *in_order, quote(3000, 9))
    with pytest.raises(InputError, match=r"a.csv: line 8: the time goes back by 13 s, .*: sort"):
        parts("csv_quotes", path)
    # Where a part ends is no fault of the file: what is a little late takes the time of that end.
    found = parts("csv_quotes", write(tmp_path / "b.csv", QUOTES, *in_order, quote(6000, 8)))
    at = [(row[0] // MS - T0, row[1]) for row in rows(found, "quotes")]
    assert at[-4:] == [(14_000, 0), (14_000, 1), (15_000, 0), (16_000, 0)]
    assert "1 quotes whose time goes back take that of the one before" in warnings(found)
    late = f"bybit,BTCUSDT,{T0 - 10_001}000,{T0 + 1}000,false,ask,3,0"
    path = write(tmp_path / "u.csv", UPDATES + f"{TARDIS},true,bid,90,1", late)
    with pytest.raises(InputError, match=r"u.csv: line 3: .* by 10.001 s, and messages of a book"):
        parts("tardis_csv", path)


def test_days_of_trades_in_the_wrong_order_keep_their_times_and_a_trade_counts_once(
    tmp_path, monkeypatch
):
    lines = [f"{T0 // 1000 + s}.5,BTCUSDT,Buy,{s + 1},1,x,{name}" for s, name in enumerate("abc")]
    late = [line.replace(f"{T0 // 1000}", f"{T0 // 1000 + 86_400}") for line in lines[:1]]
    path = write(tmp_path / "a.csv", PERP.replace(",grossValue,homeNotional,f,RPI", "").strip(),
                 *late, *lines, lines[2].replace(",c", ",d"), *lines, *late)  # fmt: skip
    for size in (ticks.BLOCK_BYTES, 400):
        monkeypatch.setattr(ticks, "BLOCK_BYTES", size)
        found = parts("trade_archives", path)
        seconds = [((row[0] // MS - T0) / 1000, row[1], row[4]) for row in rows(found, "trades")]
        assert seconds == [*((0.5, 0, 1), (1.5, 0, 2), (2.5, 0, 3), (2.5, 1, 3), (86_400.5, 0, 1))]
        assert "4 trades that come again, with the same trdMatchID, left out" in warnings(found)


def test_trades_that_binances_ids_miss_are_counted_with_line_and_ids(tmp_path):
    ids = (7, 8, 8, 11, 12, 22)
    text = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"
    lines = (f"{k},1,2,{k},{k},{T0 + k},true" for k in ids)
    found = parts("trade_archives", write(tmp_path / "BTCUSDT.csv", text, *lines))
    assert [row[1] for row in rows(found, "trades")] == [7, 8, 11, 12, 22]
    missing = f"11 trades of {BTC} are missing by their ids (first before line {{}}: 9 to 10)"
    assert missing.format(5) in warnings(found)
    assert "1 trades that come again, with the same agg_trade_id" in warnings(found)
    trade = {"e": "trade", "s": "BTCUSDT", "p": "1", "q": "2", "m": True, "E": T0}
    stream = [{**trade, "t": k, "T": T0 + k, "X": "MARKET"} for k in (7, 8, 11, 12, 22)]
    stream.insert(2, {**stream[0], "X": "ADL", "t": 9})
    found = parts("binance_stream", write(tmp_path / "a.jsonl", *stream))
    assert f"10 trades of {BTC} are missing by their ids (first before line 4: 10 to 10)" in (
        warnings(found)
    )


@pytest.mark.parametrize(
    ("name", "file", "text", "words"),
    [
        ("bybit_stream", "a.jsonl", 'x\n{"topic": ""}\n', "line 1: not what Bybit v5 sends"),
        ("bybit_stream", "a.jsonl", '{"op": "ping"}\n', "no message of orderbook"),
        (
            "bybit_stream",
            "linear.jsonl",
            json.dumps(book_message("snapshot", 0, 1, [["-1", "1"]], [ASK])) + "\n",
            "line 1: price -1",
        ),
        (
            "bybit_stream",
            "linear.jsonl",
            json.dumps(book_message("snapshot", 0, 1, [["a", "1"]], [ASK])) + "\n",
            r"line 1: not what Bybit v5 sends: .*\$\.b\[0\]\[0\]",
        ),
        (
            "bybit_stream",
            "linear.jsonl",
            json.dumps(book_message("snapshot", 0, 1, [BID], [ASK])).replace(f"{T0}", "1723161600")
            + "\n",
            r"line 1: .*the time 1723161600 is no UNIX time in milliseconds of 2010",
        ),
        ("binance_stream", "a.jsonl", json.dumps(depth(1, 2, 0, [])) + "\n", "no snapshot"),
        ("binance_stream", "a.jsonl", "\n{}\n[]\n", "line 3: not what Binance sends"),
        ("trade_archives", "a.csv", "a,b\n1,2\n", "neither trades of Bybit nor .*there is a, b"),
        (
            "trade_archives",
            "a.csv",
            PERP + f"{T0},BTCUSDT,Hold,1,1,x,x,1,1,1,1\n",
            "line 2: side 'Hold'",
        ),
        (
            "trade_archives",
            "a.csv",
            PERP + f"{T0},BTCUSD,Buy,1,1,x,x,1,1,1,1\n",
            "line 2: .*inverse contract",
        ),
        ("tardis_csv", "a.csv", UPDATES + f"{TARDIS},true,bid,1,x\n", r"line 2.*invalid value 'x'"),
        ("tardis_csv", "a.csv", UPDATES + "bybit,BTCUSDT,1,2,true,bid,1,1\n", "is no date of 2001"),
        ("tardis_csv", "a.csv", "a,b\n1,2\n", "not incremental_book_L2"),
        ("csv_quotes", "a.csv", "symbol,bid\nBTCUSDT,1\n", "line 1: no column ask"),
        ("csv_quotes", "a.csv", "symbol,bid,ask\nBTCUSDT,1,2\nBTCUSDT,0,2\n", "line 3: bid 0"),
        ("csv_quotes", "a.csv", "bid,ask\n1,2\n", "no column symbol"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(tmp_path, name, file, text, words):
    (tmp_path / file).write_text(text)
    with pytest.raises(InputError, match=rf"{file}.*{words}"):
        parts(name, tmp_path / file)


@pytest.mark.parametrize("name", ["trade_archives", "csv_quotes", "tardis_csv"])
def test_a_file_that_is_no_csv_is_not_printed_whole(tmp_path, name):
    listed = write(tmp_path / "a.json", "[" + "[1570752011620, null\x1b], " * 999)
    with pytest.raises(InputError, match=r"a\.json.* there is \[\[1570752011620, null\]") as caught:
        parts(name, listed)
    words = str(caught.value).partition("there is ")[2]
    assert len(words) <= 201
    assert words.endswith("…")
    pq.write_table(pa.table({"price": [1.0]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet: a Parquet file, not CSV") as caught:
        parts(name, tmp_path / "a.parquet")
    assert str(caught.value).isprintable()


def test_symbols_that_a_recording_does_not_have_are_named(tmp_path):
    spot = write(tmp_path / "spot.jsonl", {"u": 3, "s": "BTCUSDT", **dict.fromkeys("bBaA", "1")})
    linear = write(tmp_path / "linear.jsonl", *RECORDING)
    for name, path in (("binance_stream", spot), ("bybit_stream", linear)):
        with pytest.raises(InputError, match="nothing there matches ETHUSDT"):
            parts(name, path, symbols=("ETHUSDT",))


def test_a_folder_is_read_without_what_is_of_another_kind(tmp_path):
    write(tmp_path / "linear.jsonl", *RECORDING)
    write(tmp_path / "linear_klines.jsonl", bybit("kline.1.BTCUSDT", "snapshot", 4, []))
    write(tmp_path / "notes.txt", "what I did")
    found = parts("bybit_stream", tmp_path)
    assert len(rows(found, "book")) == 6
    assert "klines.jsonl: no message of orderbook, publicTrade or" in warnings(found)
    assert "notes.txt: line 1: not what Bybit v5 sends" in warnings(found)
    write(tmp_path / "a.csv", "symbol,bid,ask", "BTCUSDT,1,2")
    write(tmp_path / "b.csv", "1,2")
    assert "b.csv: line 1: no column bid; there is 1, 2; left out" in warnings(
        parts("csv_quotes", tmp_path)
    )
    (tmp_path / "a.csv").unlink()
    with pytest.raises(InputError, match=r"b\.csv: neither trades of Bybit"):
        parts("trade_archives", tmp_path)


def test_a_folder_is_read_without_files_of_inverse_contracts_but_not_half_a_file(
    tmp_path, monkeypatch
):
    good, inverse = (f"{T0},{name},Buy,1,1,x,x,1,1,1,1" for name in ("BTCUSDT", "BTCUSD"))
    write(tmp_path / "a.csv", PERP + inverse)
    write(tmp_path / "b.csv", PERP + good)
    found = parts("trade_archives", tmp_path)
    assert len(rows(found, "trades")) == 1
    assert "a.csv: line 2: symbol 'BTCUSD'" in warnings(found)
    write(tmp_path / "c.csv", PERP + good, inverse)
    for size in (ticks.BLOCK_BYTES, 140):  # Lines 2 and 3 in one part, and in two.
        monkeypatch.setattr(ticks, "BLOCK_BYTES", size)
        with pytest.raises(InputError, match=r"c\.csv: line 3: symbol 'BTCUSD'"):
            parts("trade_archives", tmp_path)


def test_a_folder_of_binances_recordings_has_a_snapshot_for_each_file(tmp_path):
    start = {"lastUpdateId": 6, "bids": [BID], "asks": [ASK]}
    write(tmp_path / "a.jsonl", depth(5, 7, 4, []), start, depth(8, 8, 7, [["92", "1"]]))
    write(tmp_path / "b.jsonl", start, depth(7, 9, None, [["93", "1"]]))
    found = parts("binance_stream", tmp_path)
    assert [row[5] for row in rows(found, "book")] == [100.0, 101.0, 92.0]
    assert [row[5] for row in rows(found, "book", SPOT_BTC)] == [100.0, 101.0, 93.0]
    write(tmp_path / "c.jsonl", depth(9, 9, 8, []), depth(10, 10, None, []), start)
    with pytest.raises(InputError, match=r"c\.jsonl: line 3: .*a snapshot, but whose"):
        parts("binance_stream", tmp_path)


def test_a_recording_that_ends_within_a_line_is_read_up_to_it(tmp_path):
    path = write(tmp_path / "linear.jsonl", *RECORDING[2:])
    path.write_text(path.read_text() + '{"topic": "orderb')
    found = parts("bybit_stream", path)
    assert len(rows(found, "book")) == 6
    assert "line cut short; left out (first at line 8)" in warnings(found)
    whole = gzip.compress(path.read_bytes())
    (tmp_path / "linear_2.jsonl.gz").write_bytes(whole[:-20])
    with pytest.raises(InputError, match=r"damaged or cut short after line \d"):
        parts("bybit_stream", tmp_path / "linear_2.jsonl.gz")


def test_an_archive_that_holds_nothing_of_its_format_is_named_with_the_right_one(tmp_path):
    data = zipped(tmp_path / "xrp.data.zip", "xrp_ob500.data", "{}")
    with pytest.raises(
        InputError, match=r"zip: no \.csv in it but xrp_ob500\.data: .* bybit_stream"
    ):
        parts("tardis_csv", data)
    table = zipped(tmp_path / "a.zip", "a.csv", "a,b")
    with pytest.raises(InputError, match=r"a\.zip: no \.data or .* a\.csv: .* trade_archives"):
        parts("bybit_stream", table)
    with pytest.raises(InputError, match=r"empty\.zip: no \.csv in it but nothing$"):
        parts("csv_quotes", zipped(tmp_path / "empty.zip"))
    write(tmp_path / "q.csv", "symbol,bid,ask", "BTCUSDT,1,2")
    for path in (table, tmp_path / "empty.zip"):
        path.unlink()
    found = parts("csv_quotes", tmp_path)
    assert len(rows(found, "quotes")) == 1
    assert "xrp.data.zip: no .csv in it" in warnings(found)
    # What a Mac adds, in archives and beside files.
    (tmp_path / "._q.csv").write_bytes(b"\0\5\x16\7")
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("__MACOSX/._r.csv", "\0\5\x16\7")
        archive.writestr("r.csv", "symbol,bid,ask\nBTCUSDT,1,2\n")
    found = parts("csv_quotes", tmp_path)
    assert len(rows(found, "quotes")) == 2
    assert "r.csv: line 1: no column" not in warnings(found)


@pytest.mark.parametrize(
    ("name", "first", "line"),
    [
        ("csv_quotes", "symbol,bid,ask", "BTCUSDT,1,2"),
        ("trade_archives", PERP.strip(), f"{T0},BTCUSDT,Buy,1,1,x,x,1,1,1,1"),
        ("tardis_csv", UPDATES.strip(), f"{TARDIS},true,bid,1,1"),
        ("bybit_stream", *[json.dumps(RECORDING[2])] * 2),
        ("binance_stream", '{"lastUpdateId": 6, "bids": [], "asks": []}', json.dumps({"data": {}})),
    ],
)
def test_an_archive_that_is_cut_short_is_named_with_the_line(tmp_path, name, first, line):
    # Stored, not deflated: without the checksum and the last line it ends within the one before.
    whole = gzip.compress("\n".join([first, *[line] * 200]).encode(), compresslevel=0)
    path = tmp_path / "linear.csv.gz"
    path.write_bytes(whole[: len(whole) - 8 - 2 * len(line)])
    with pytest.raises(InputError, match=r"linear\.csv\.gz: .* cut short after line 1(98|99) \("):
        parts(name, path)
    path.write_bytes(whole[:9])
    with pytest.raises(InputError, match=r"linear\.csv\.gz: .* cut short after line 0 \("):
        parts(name, path)


def raw_rows(catalog: Catalog) -> dict[str, list]:
    """All that is stored, by file."""
    found = {}
    for path in catalog.manifest.files:
        found[path] = pq.read_table(catalog.folder / "raw" / path, partitioning=None).to_pylist()
    return found


@pytest.mark.parametrize(
    ("name", "pattern", "options"),
    [
        ("bybit_stream", "bybit/ws_v5/*.jsonl", {"product": "SPOT"}),
        ("bybit_stream", "bybit/l2/*ob500*.data.zip", {}),
        ("tardis_csv", "tardis_csv/binance*.csv", {}),
        ("trade_archives", "binance/public_data_zip/*aggtrades*.zip", {}),
        pytest.param(
            *("binance_stream", "binance/l2_ticks_spot_perp/binance_spot_*wsraw*.gz", {}),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_real_file_and_its_copy_give_what_the_file_gives(tmp_path, name, pattern, options):
    path = real(pattern)
    once = imported(tmp_path / "once", name, path, **options)
    twice = imported(tmp_path / "twice", name, path, path, **options)
    assert raw_rows(twice) == raw_rows(once)
    assert f"{path}: the same as {path}; left out" in warnings(parts(name, path, path, **options))


BINANCE = (
    {"lastUpdateId": 6, "bids": [BID], "asks": [ASK]},
    *(depth(k, k, k - 1, [[f"{80 + k}", "1"]], k) for k in range(7, 30)),
)
BYBIT = (
    book_message("delta", 3, 8, [["99", "8"]], []),
    book_message("snapshot", 10, 9, [BID], [ASK]),
    *(book_message("delta", 10 * k, k, [["99", f"{k}"]], []) for k in range(10, 20)),
    # The service is started again, and counts from 1.
    book_message("snapshot", 200, 1, [BID], [ASK]),
    *(book_message("delta", 200 + k, k, [["98", f"{k}"]], []) for k in range(2, 6)),
)


CSV = (
    ["timestamp,symbol,bid,ask", *(f"{T0 + k},BTCUSDT,1,{k + 2}" for k in range(20))],
    ["timestamp,symbol,side,size,price", *(f"{T0 + k},BTCUSDT,Buy,1,{k + 2}" for k in range(20))],
    [
        *(UPDATES.strip(), f"{TARDIS},true,bid,1,1", f"{TARDIS},true,ask,2,1"),
        *(f"bybit,BTCUSDT,{T0 + k}000,{T0 + k}500,false,bid,1,{k}" for k in range(1, 20)),
    ],
)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("bybit_stream", BYBIT),
        ("binance_stream", BINANCE),
        ("csv_quotes", CSV[0]),
        ("trade_archives", CSV[1]),
        ("tardis_csv", CSV[2]),
    ],
)
def test_files_that_overlap_merge_by_time_and_are_not_moved(tmp_path, name, lines):
    suffix = "jsonl" if name.endswith("stream") else "csv"
    whole = write(tmp_path / f"linear_a.{suffix}", *lines)
    once = raw_rows(imported(tmp_path / "once", name, whole))
    packed = write(tmp_path / f"linear_b.{suffix}.gz", *lines)
    start = write(tmp_path / f"linear_c.{suffix}", *lines[:6])
    for files in ((whole, packed), (whole, start), (start, whole), (packed, start, whole)):
        assert raw_rows(imported(tmp_path / "-".join(f.name for f in files), name, *files)) == once
    if suffix == "jsonl":
        start, joined = (write(tmp_path / f"linear_{n}.jsonl", *lines[:12] * n) for n in (1, 2))
        stored = [raw_rows(imported(tmp_path / file.stem, name, file)) for file in (start, joined)]
        assert stored[0] == stored[1]


def test_long_recordings_come_in_parts_of_whole_messages(tmp_path, monkeypatch):
    monkeypatch.setattr(ticks, "PART_ROWS", 2)
    trade = {"s": "BTCUSDT", "S": "Buy", "v": "1", "p": "1", "T": T0}
    lines = [
        bybit("publicTrade.BTCUSDT", "snapshot", 1, [{**trade, "seq": seq}])
        for seq in (1, 1, 1, 2, 3, 3)
    ]
    found = parts("bybit_stream", write(tmp_path / "linear.jsonl", *lines))
    sizes = [[row[1] for row in rows([part], "trades")] for part in found if part.tables]
    assert sizes == [[1, 1, 1], [2, 3, 3]]
