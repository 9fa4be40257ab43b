"""Ticks in the catalog: messages merged by time and id, a file a UTC day, in flat memory."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.enums import BookType
from nautilus_trader.model.identifiers import InstrumentId

from catalog import engine
from catalog.series import BOOK, QUOTES, TICKERS, TRADES
from catalog.storage import days
from catalog.storage.store import Catalog
from catalog.storage.writer import CatalogWriter, rebuild
from catalog.verify import verify
from config.errors import InputError
from tests.catalog.market import BTC, DAY, FOREVER, HOUR, START, candles

SECOND = 1_000_000_000


def book(*rows: tuple[int, ...]) -> pa.Table:
    """Book rows of (seconds after START, seq, flags, side, price, size), as a source gives them."""
    ts, seq, flags, side, price, size = zip(*rows, strict=True)
    stamps = START + np.array([int(s * SECOND) for s in ts])
    return pa.table([stamps, seq, stamps, flags, side, price, size], BOOK.names).cast(BOOK)


def fill(path: Path, *parts: pa.Table, kind: str = "book", instrument: str = BTC) -> CatalogWriter:
    """Import parts of one series."""
    with CatalogWriter(path) as writer:
        for part in parts:
            writer.add_rows(kind, "", instrument, part)
        writer.provenance("hand", "simulated")
    return writer


def stored(path: Path, kind: str = "book") -> pa.Table:
    """All rows of one kind."""
    return Catalog(path).series(kind, "", BTC, 0, FOREVER)


def rows_at(seconds: float, *sizes: float, seq: int = 1) -> list[tuple[float, ...]]:
    """One message: bids at 100, 99 … with these sizes."""
    return [(seconds, seq, 0, 1, 100 - place, size) for place, size in enumerate(sizes)]


MIDNIGHT = DAY // SECOND
"""Seconds from START to the next midnight."""
MESSAGES = [
    rows_at(MIDNIGHT - 8 + place // 2, *[place + 1.0] * (1 + place % 3), seq=place)
    for place in range(24)
]
"""24 messages of one to three rows, two a second, over a midnight."""


def table_of(messages: list[list[tuple[float, ...]]]) -> pa.Table:
    return book(*(row for message in messages for row in message))


@given(
    cuts=st.lists(st.tuples(st.integers(0, 23), st.integers(1, 24)), min_size=1, max_size=5),
    shuffled=st.randoms(use_true_random=False),
)
@settings(deadline=None, max_examples=25)
def test_parts_in_any_order_and_overlap_give_the_same_files(
    tmp_path_factory, cuts, shuffled, monkeypatch_groups
):
    parts = [MESSAGES[start : start + length] for start, length in cuts]
    covered = sorted({m[0][1] for part in parts for m in part})
    straight = tmp_path_factory.mktemp("a")
    fill(straight, table_of([MESSAGES[place] for place in covered]))
    for part in parts:
        shuffled.shuffle(part)
    pieces = tmp_path_factory.mktemp("b")
    fill(pieces, *(table_of(part) for part in parts[:-1]), table_of(parts[-1]))
    one, other = Catalog(straight), Catalog(pieces)
    assert one.manifest.files == other.manifest.files
    for path in one.manifest.files:
        files = [(c.folder / "raw" / path).read_bytes() for c in (one, other)]
        assert files[0] == files[1]
    assert other.provenance[-1].rows == {"book": stored(straight).num_rows}
    assert (other.provenance[-1].replaced, other.provenance[-1].duplicates) == (0, 0)


@pytest.fixture(scope="module")
def monkeypatch_groups():
    """Row groups of four rows and few files, so that merges read many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(days, "ROW_GROUP", 4)
        patch.setattr(days, "GROUPS_READ", 2)
        patch.setattr(days, "MOST_FILES", 2)
        yield


def test_days_are_files_and_reading_joins_them(tmp_path):
    fill(tmp_path, table_of(MESSAGES))
    catalog = Catalog(tmp_path)
    assert list(catalog.manifest.files) == [f"book/2024-01-0{day}/{BTC}.parquet" for day in (1, 2)]
    assert catalog.series("book", "", BTC, 0, FOREVER).equals(table_of(MESSAGES))
    # Open at its start, closed at its end: the two messages of the last second of the day, and
    # the two of midnight.
    cut = catalog.series("book", "", BTC, START + DAY - 2 * SECOND, START + DAY)
    assert cut.equals(table_of(MESSAGES[14:18]))
    assert catalog.intervals("book") == [""]
    first, last = START + DAY - 8 * SECOND, START + DAY + 3 * SECOND
    assert catalog.coverage("book") == {BTC: (first, last, 48)}
    assert catalog.series("trades", "", BTC, 0, FOREVER).equals(TRADES.empty_table())


def test_the_same_import_again_makes_no_new_version(tmp_path):
    fill(tmp_path, table_of(MESSAGES[:10]), table_of(MESSAGES[10:]))
    again = fill(tmp_path, table_of(MESSAGES[5:]))
    assert not again.changed
    assert again.summary is not None
    assert again.summary.rows == {}
    assert Catalog(tmp_path).version == 1


def test_a_message_that_comes_again_replaces_the_old_one_whole(tmp_path):
    fill(tmp_path, book(*rows_at(1, 5, 6, 7), *rows_at(2, 1), *rows_at(3, 4, seq=9)))
    writer = fill(tmp_path, book(*rows_at(1, 5, 8), *rows_at(2, 1), *rows_at(4, 2)))
    expected = book(*rows_at(1, 5, 8), *rows_at(2, 1), *rows_at(3, 4, seq=9), *rows_at(4, 2))
    assert stored(tmp_path).equals(expected)
    assert writer.summary is not None
    # Two rows stand where three stood; one is new.
    assert (writer.summary.replaced, writer.summary.rows) == (2, {"book": 3})


def test_of_contradicting_messages_in_one_import_the_last_wins_and_is_counted(tmp_path):
    writer = fill(tmp_path, book(*rows_at(1, 5, 6)), book(*rows_at(1, 7)), book(*rows_at(1, 8)))
    assert stored(tmp_path).equals(book(*rows_at(1, 8)))
    assert writer.summary is not None
    assert (writer.summary.duplicates, writer.summary.rows) == (3, {"book": 1})


def test_a_message_that_comes_again_in_the_same_part_is_kept_once(tmp_path):
    """As where a recorder joined two connections, or files that overlap, to one file."""
    writer = fill(tmp_path, book(*rows_at(1, 5, 6), *rows_at(2, 1), *rows_at(1, 7), *rows_at(2, 1)))
    assert stored(tmp_path).equals(book(*rows_at(1, 7), *rows_at(2, 1)))
    assert writer.summary is not None
    assert (writer.summary.duplicates, writer.summary.rows) == (2, {"book": 2})


def test_another_day_is_not_written_again(tmp_path):
    fill(tmp_path, table_of(MESSAGES[:16]))
    before = Catalog(tmp_path)
    fill(tmp_path, table_of(MESSAGES[16:]))
    name = f"raw/book/2024-01-01/{BTC}.parquet"
    assert (before.folder / name).samefile(Catalog(tmp_path).folder / name)


def test_an_instrument_of_ticks_alone_is_inferred_and_rebuild_keeps_them(tmp_path):
    fill(tmp_path, book((1, 1, 1, 1, 99.5, 2.25), (1, 1, 1, -1, 100.125, 3)))
    fill(tmp_path, book((DAY // SECOND, 2, 0, 1, 99.5, 2)))
    info = Catalog(tmp_path).instruments[BTC]
    assert (info.tick, info.lot, info.inferred) == ("0.001", "0.01", True)
    assert info.listed_ns == START + SECOND
    rows = stored(tmp_path)
    rebuild(tmp_path)
    assert stored(tmp_path).equals(rows)
    with CatalogWriter(tmp_path) as writer:
        writer.add_rows("bars", "1h", BTC, candles(5))
    assert Catalog(tmp_path).instruments[BTC].listed_ns == START


def test_the_other_kinds_are_kept_too_and_a_time_of_receipt_may_lack(tmp_path):
    stamps, nan = [START + SECOND, START + HOUR], float("nan")
    trades = pa.table(
        [stamps, [7, 8], [1.5, 2], [1.0, 3], [1, 0]], ["ts", "seq", *TRADES.names[3:]]
    )
    quotes = pa.table([stamps, [7, 8], stamps, *[[1.0, 2]] * 4], QUOTES.names)
    tickers = pa.table(
        [stamps, [7, 8], stamps, [1.5, nan], [nan, nan], [2.0, 2], [0.0, 1e-4], [0, START]],
        TICKERS.names,
    )
    for kind, table in (("trades", trades), ("quotes", quotes), ("tickers", tickers)):
        fill(tmp_path, table, kind=kind)
        assert not fill(tmp_path, table, kind=kind).changed
    assert stored(tmp_path, "trades").column("ts_recv").to_pylist() == stamps
    assert stored(tmp_path, "tickers").column("mark").null_count == 0
    assert Catalog(tmp_path).coverage("tickers")[BTC].rows == 2


def test_a_book_of_the_engine_equals_a_plain_dictionary_after_every_message(tmp_path):
    rng = np.random.default_rng(4)
    rows = []
    for seq in range(300):
        whole = seq % 100 == 0
        for level in rng.choice(20, 10 if whole else rng.integers(1, 4), replace=False):
            side, price = (1, 100 - level / 2) if level < 10 else (-1, 96 + level / 2)
            # Zero removes a level, there or not.
            size = rng.integers(1 if whole else 0, 5) / 8
            rows.append((seq / 10, seq, int(whole), side, price, size))
    fill(tmp_path, book(*rows))
    messages = engine.book(stored(tmp_path), Catalog(tmp_path).instruments[BTC])
    assert len(messages) == 300
    own = OrderBook(InstrumentId.from_str(BTC), BookType.L2_MBP)
    plain: dict[tuple[int, float], float] = {}
    for seq, message in enumerate(messages):
        own.apply_deltas(message)
        if seq % 100 == 0:
            plain.clear()
        for _, _, _, side, price, size in (row for row in rows if row[1] == seq):
            plain[side, price] = size
        levels = {key: size for key, size in plain.items() if size}
        found = {(1, float(x.price)): float(x.size()) for x in own.bids()}
        found |= {(-1, float(x.price)): float(x.size()) for x in own.asks()}
        assert found == levels
    first, second = messages[:2]
    assert [(d.is_clear, d.flags) for d in first.deltas[:2]] == [(True, 32), (False, 32)]
    assert [d.flags for d in first.deltas[2:]] == [32] * 8 + [32 | 128]
    assert [d.flags for d in second.deltas] == [0] * (len(second.deltas) - 1) + [128]
    assert (first.ts_init, second.ts_event, second.sequence) == (START, START + SECOND // 10, 1)


def test_the_book_at_a_time_is_replayed_from_the_last_snapshot(tmp_path, monkeypatch_groups):
    late = MIDNIGHT + 7300
    rows = [
        *((1, 1, 1, 1, 99, 5), (1, 1, 1, -1, 100, 5), (2, 2, 0, 1, 98, 5), (3, 3, 2, 1, 99, 4)),
        *((late, 4, 0, 1, 99, 0), (late, 4, 0, -1, 100.5, 2)),
        *((late + 1, 5, 1, 1, 97, 1), (late + 1, 5, 1, -1, 98, 1)),
    ]
    fill(tmp_path, book(*rows))
    catalog = Catalog(tmp_path)

    def levels(seconds: float) -> list[tuple[float, ...]]:
        made = catalog.book_at(BTC, START + int(seconds * SECOND))
        assert set(made.column("ts").to_pylist()) <= {START + int(seconds * SECOND)}
        assert set(made.column("flags").to_pylist()) <= {1}
        columns = (made.column(name).to_pylist() for name in ("seq", "side", "price", "size"))
        return list(zip(*columns, strict=True))

    assert levels(0.5) == []
    assert levels(2) == [(2, 1, 99, 5), (2, 1, 98, 5), (2, -1, 100, 5)]
    assert levels(late - 1) == [(3, 1, 99, 4), (3, 1, 98, 5), (3, -1, 100, 5)]
    assert levels(late) == [(4, 1, 98, 5), (4, -1, 100, 5), (4, -1, 100.5, 2)]
    assert levels(late + 9) == [(5, 1, 97, 1), (5, -1, 98, 1)]


def test_trades_and_quotes_of_the_engine_have_the_instruments_decimals(tmp_path):
    stamps = [START + SECOND] * 2
    trades = pa.table([stamps, [7, 8], stamps, [1.5, 2], [0.25, 3], [-1, 0]], TRADES.names)
    quotes = pa.table(
        [stamps, [7, 8], stamps, [1.0, 2], [1.5, 3], [4.0, 5], [6.0, 7]], QUOTES.names
    )
    fill(tmp_path, trades, kind="trades")
    fill(tmp_path, quotes, kind="quotes")
    info = Catalog(tmp_path).instruments[BTC]
    assert [str(t) for t in engine.trades(stored(tmp_path, "trades"), info)] == [
        f"{BTC},1.5,0.25,SELLER,7,{stamps[0]}",
        f"{BTC},2.0,3.00,NO_AGGRESSOR,8,{stamps[0]}",
    ]
    assert [str(q) for q in engine.quotes(stored(tmp_path, "quotes"), info)] == [
        f"{BTC},1.0,1.5,4.00,6.00,{stamps[0]}",
        f"{BTC},2.0,3.0,5.00,7.00,{stamps[0]}",
    ]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ((1, 1, 0, 0, 100, 1), "column side has a value that is none of"),
        ((1, 1, 4, 1, 100, 1), "column flags has a value that is none of"),
        ((1, 1, 0, 1, float("nan"), 1), "column price has a null or a number that is not finite"),
    ],
)
def test_a_row_that_means_nothing_is_refused(tmp_path, row, words):
    with pytest.raises(InputError, match=f"book/{BTC}: {words}"):
        fill(tmp_path, book(row))


def test_a_changed_file_is_found(tmp_path):
    fill(tmp_path, table_of(MESSAGES))
    assert not [f for f in verify(Catalog(tmp_path)) if f.check == "damaged"]
    (file,) = tmp_path.glob("versions/1/raw/book/2024-01-02/*.parquet")
    other = Path(str(file).replace("01-02", "01-01"))
    file.write_bytes(other.read_bytes())
    (found,) = [f for f in verify(Catalog(tmp_path)) if f.check == "damaged"]
    assert "not those that were imported" in found.words
    file.write_bytes(b"x")
    (found,) = [f for f in verify(Catalog(tmp_path)) if f.check == "damaged"]
    assert "cannot be read" in found.words
