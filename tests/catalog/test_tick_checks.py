"""What `catalog check` and imports find in ticks, on tables made by hand."""

from pathlib import Path

import pyarrow as pa
import pytest

from catalog.findings import CatalogFinding
from catalog.recordings import AUDIT, COLUMNS
from catalog.series import QUOTES, TRADES
from catalog.storage.store import Catalog
from catalog.storage.writer import CatalogWriter
from catalog.verify import verify
from config.errors import InputError
from tests.catalog.market import BTC, START
from tests.catalog.test_ticks import MIDNIGHT, SECOND, book, fill

SNAPSHOT = [(0, 1, 1, 1, 99, 5), (0, 1, 1, 1, 98, 5), (0, 1, 1, -1, 100, 5), (0, 1, 1, -1, 101, 5)]


def quiet(*seconds: float, seq: int = 2, step: int = 1) -> list[tuple[float, ...]]:
    """Messages that change the size of the bid at 98."""
    return [(s, seq + k * step, 0, 1, 98, 6 + k % 3) for k, s in enumerate(seconds)]


def checked(path: Path) -> dict[str, CatalogFinding]:
    """Findings about ticks by name of the check, each name once."""
    found = [f for f in verify(Catalog(path)) if f.series in ("book", "quotes", "trades")]
    assert len({f.check for f in found}) == len(found)
    return {f.check: f for f in found}


def at(finding: CatalogFinding) -> tuple[str, int, float, float]:
    """Severity, count, and seconds after START of the first and the last."""
    times = [(ns - START) / SECOND for ns in (finding.first, finding.last)]
    return finding.severity, finding.count, *times


def trades(*rows: tuple[float, float], first_id: int = 1) -> pa.Table:
    """Trades of (seconds, price)."""
    stamps = [int(START + s * SECOND) for s, _ in rows]
    ids = range(first_id, first_id + len(rows))
    prices = [float(price) for _, price in rows]
    ones = [1.0] * len(rows)
    return pa.table([stamps, ids, stamps, prices, ones, [1] * len(rows)], TRADES.names)


def test_a_sound_book_and_its_trades_have_no_findings(tmp_path):
    fill(tmp_path, book(*SNAPSHOT, *quiet(*range(1, 50))))
    fill(tmp_path, trades((5, 100), (6, 99), (7, 100.05)), kind="trades")
    assert checked(tmp_path) == {}


def test_a_book_that_is_crossed_after_a_message_is_found_but_not_within_one(tmp_path):
    rows = [
        # Crossed within the message, not after it.
        *((1, 2, 0, 1, 100, 5), (1, 2, 0, -1, 100, 0)),
        # The bid meets the ask at 101, and the next message mends it.
        *((2, 3, 0, 1, 101, 5), (3, 4, 0, 1, 101, 0)),
        # A bid above the ask that is beneath the best, gone with a snapshot.
        *((4, 5, 0, 1, 103, 1), (5, 6, 1, 1, 90, 1), (5, 6, 1, -1, 91, 1)),
    ]
    fill(tmp_path, book(*SNAPSHOT, *rows))
    found = checked(tmp_path)
    assert found.keys() == {"crossed"}
    assert at(found["crossed"]) == ("wrong", 2, 2, 4)


def test_a_crossed_book_is_found_across_midnight(tmp_path):
    late = [(MIDNIGHT + 1, 3, 0, 1, 100, 5)]
    fill(tmp_path, book(*SNAPSHOT, *quiet(*range(1, MIDNIGHT, 50), seq=-5000), *late))
    assert at(checked(tmp_path)["crossed"]) == ("wrong", 1, MIDNIGHT + 1, MIDNIGHT + 1)


def test_ids_that_are_consecutive_tell_missing_messages_and_times_out_of_order(tmp_path):
    rows = [*quiet(*range(1, 40)), *quiet(*range(40, 60), seq=45), *quiet(60.5, seq=44)]
    fill(tmp_path, book(*SNAPSHOT, *rows))
    found = checked(tmp_path)
    assert found.keys() == {"sequence", "time_back"}
    assert at(found["sequence"]) == ("wrong", 1, 40, 40)
    assert at(found["time_back"]) == ("wrong", 1, 60.5, 60.5)


def test_a_gap_that_ends_in_a_snapshot_is_told_only(tmp_path):
    whole = [(40, 100, 1, side, 99.5 - side / 2, 5) for side in (1, -1)]
    fill(tmp_path, book(*SNAPSHOT, *quiet(*range(1, 40)), *whole, *quiet(41, seq=101)))
    found = checked(tmp_path)
    assert (found.keys(), at(found["sequence"])) == ({"sequence"}, ("info", 1, 40, 40))


def test_ids_that_are_not_consecutive_tell_nothing_but_a_source_may(tmp_path):
    rows = [*quiet(*range(1, 40), step=3), (40, 500, 2, 1, 98, 5)]
    fill(tmp_path, book(*SNAPSHOT, *rows))
    found = checked(tmp_path)
    assert (found.keys(), at(found["lost"])) == ({"lost"}, ("wrong", 1, 40, 40))


def test_ids_of_trades_that_are_mostly_consecutive_tell_no_missing_trades(tmp_path):
    ids = [*range(1, 30), *range(45, 90)]
    rows = trades(*((n, 100) for n in range(len(ids)))).set_column(1, "seq", pa.array(ids))
    fill(tmp_path, rows, kind="trades")
    assert checked(tmp_path) == {}
    # Binance's are of one instrument.
    with CatalogWriter(tmp_path / "binance") as writer:
        writer.add_rows("trades", "", BTC, rows)
        writer.provenance("hand", "binance")
    assert at(checked(tmp_path / "binance")["sequence"]) == ("info", 1, 29, 29)


def test_the_audit_of_a_recording_names_its_holes_and_explains_silences(tmp_path):
    fill(tmp_path, book(*SNAPSHOT, *quiet(*range(1, 100), *range(400, 490))))
    noted = f"2024-01-01T00:01:39.000+00:00,2024-01-01T00:06:39.500+00:00,300.5,{BTC},100,101,"
    (tmp_path / AUDIT).write_text(f"{','.join(COLUMNS)}\n{noted}no recording ran\n")
    (found,) = checked(tmp_path).values()
    assert (found.check, at(found)) == ("recording", ("info", 1, 99, 399.5))
    assert "300.500 s: no recording ran (recording_gaps.csv)" in found.words
    # An import says no more of it.
    with CatalogWriter(tmp_path) as writer:
        writer.add_rows("book", "", BTC, book(*quiet(490, seq=191)), file="f")
    assert writer.warnings == []
    short = noted.replace("00:06:39", "00:01:40")
    (tmp_path / AUDIT).write_text(f"{','.join(COLUMNS)}\n{short}connection lost\n")
    assert checked(tmp_path).keys() == {"recording", "silent"}
    (tmp_path / AUDIT).write_text(f"{','.join(COLUMNS)}\nsoon,later,1,{BTC},1,2,\n")
    with CatalogWriter(tmp_path) as writer:
        writer.add_rows("book", "", BTC, book(*quiet(491, seq=192)), file="f")
    assert "recording_gaps.csv: line 2" in writer.warnings[0]
    with pytest.raises(InputError, match=r"recording_gaps.csv: line 2: .*'soon'"):
        verify(Catalog(tmp_path))


def test_silence_is_measured_by_the_usual_distance_of_messages(tmp_path):
    fill(tmp_path, book(*SNAPSHOT, *quiet(*range(1, 100), *range(160, 250))))
    found = checked(tmp_path)
    assert (found.keys(), at(found["silent"])) == ({"silent"}, ("wrong", 1, 99, 160))
    assert found["silent"].words == "silence of 1.02 min"
    # Once in 30 s is usual here.
    fill(tmp_path / "slow", book(*SNAPSHOT, *quiet(*range(30, 3000, 30), 3061)))
    assert checked(tmp_path / "slow") == {}


def test_trades_outside_the_book_of_the_seconds_around_them_are_found(tmp_path):
    fill(tmp_path, book(*SNAPSHOT, *quiet(*range(1, 50))))
    # 100.05 is within a thousandth; at 60 s nothing is known of the book.
    rows = [(5, 100.05), (6, 100.2), (7, 98.8), (60, 150)]
    fill(tmp_path, trades(*rows), kind="trades")
    found = checked(tmp_path)
    assert (found.keys(), at(found["outside"])) == ({"outside"}, ("wrong", 2, 6, 7))
    fill(tmp_path, trades(*[(8 + k / 100, 99.5) for k in range(300)], first_id=5), kind="trades")
    assert at(checked(tmp_path)["outside"]) == ("info", 2, 6, 7)


def test_crossed_quotes_bad_prices_and_sizes_are_found(tmp_path):
    stamps = [START, START + SECOND, START + 2 * SECOND]
    sides = [[99.0, 100, -1], [100.0, 99, 100], [1.0, 1, 1], [1.0, 1, -1]]
    fill(tmp_path, pa.table([stamps, [1, 5, 9], stamps, *sides], QUOTES.names), kind="quotes")
    fill(tmp_path, trades((0, 99.5), (1, 0)), kind="trades")
    found = [f for f in verify(Catalog(tmp_path)) if f.check in ("crossed", "impossible")]
    assert {(f.series, f.check, at(f)[1:]) for f in found} == {
        ("quotes", "crossed", (1, 1, 1)),
        ("quotes", "impossible", (1, 2, 2)),
        ("trades", "impossible", (1, 1, 1)),
    }


def test_a_book_without_a_snapshot_at_its_start_is_not_known(tmp_path):
    fill(tmp_path, book((-2, 0, 0, 1, 200, 1), (-1, 0, 0, 1, 98, 1), *SNAPSHOT))
    found = checked(tmp_path)
    assert (found.keys(), at(found["no_snapshot"])) == ({"no_snapshot"}, ("wrong", 2, -2, -1))


@pytest.mark.parametrize("again", [False, True])
def test_an_import_warns_of_what_its_rows_show(tmp_path, again):
    parts = [book(*SNAPSHOT, *quiet(2, 3)), book(*quiet(1, seq=9), (4, 10, 0, 1, 105, 1))]
    if again:
        fill(tmp_path, book(*SNAPSHOT, *quiet(2)))
    with CatalogWriter(tmp_path) as writer:
        for part in [pa.concat_tables(parts)]:
            writer.add_rows("book", "", BTC, part, file="a.data")
    assert writer.warnings == [
        f"a.data: {BTC} book: 1 rows that go back in time; they are sorted "
        "(first at 2024-01-01 00:00)",
        f"a.data: {BTC} book: 1 messages after which the best bid is not below the best ask "
        "(first at 2024-01-01 00:00)",
    ]
