"""Joining rows: the heart of idempotent and extending imports."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.series import KINDS
from catalog.storage import raw
from catalog.storage.raw import RawFiles
from config.errors import InputError
from tests.catalog.market import HOUR, START, candles, funding

TRUTH = KINDS["bars"].normalize(candles(60), "truth")


@given(cuts=st.lists(st.tuples(st.integers(0, 59), st.integers(1, 60)), min_size=1, max_size=6))
@settings(deadline=None)
def test_pieces_of_one_series_join_to_what_they_cover_in_any_order(cuts):
    joined = None
    for start, length in cuts:
        joined = raw.merge(joined, TRUTH.slice(start, length)).table
    rows = [range(start, min(60, start + length)) for start, length in cuts]
    covered = sorted(set().union(*rows))
    assert joined.equals(TRUTH.take(pa.array(covered)))


def test_where_two_sources_differ_the_new_one_wins_and_is_counted():
    old = KINDS["bars"].normalize(candles(10, seed=1), "old")
    new = KINDS["bars"].normalize(candles(6, start=START + 7 * HOUR, seed=2), "new")
    merged = raw.merge(old, new)
    assert (merged.added, merged.replaced, merged.duplicates) == (3, 3, 0)
    assert merged.table.equals(pa.concat_tables([old.slice(0, 7), new]).combine_chunks())


def test_of_contradicting_duplicates_in_one_source_the_last_wins_and_is_counted():
    row = TRUTH.slice(0, 1)
    other = row.set_column(4, "close", pa.array([1.0]))
    merged = raw.merge(None, pa.concat_tables([TRUTH, other, row, other]))
    assert merged.duplicates == 3
    assert merged.table.column("close")[0].as_py() == 1.0
    assert merged.table.num_rows == 60
    # Equal ones are dropped uncounted.
    assert raw.merge(None, pa.concat_tables([TRUTH, TRUTH])) == raw.Merged(TRUTH, 60, 0, 0)


def test_a_missing_turnover_becomes_volume_times_close():
    table = candles(5).set_column(6, "turnover", pa.nulls(5, pa.float64()))
    stored = KINDS["bars"].normalize(table, "x")
    worth = stored.column("volume").to_numpy() * stored.column("close").to_numpy()
    assert np.array_equal(stored.column("turnover").to_numpy(), worth)


def test_funding_stamps_snap_to_the_minute_and_keep_the_original():
    stored = KINDS["funding"].normalize(funding(3, jitter_ms=17), "x")
    assert stored.column("ts").to_pylist() == [START + 8 * k * HOUR for k in range(3)]
    assert stored.column("ts_source")[0].as_py() == START + 17_000_000


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf")])
def test_a_price_that_is_no_number_is_refused_with_its_place(bad):
    closes = pa.array([bad, *candles(5).column("close").to_pylist()[1:]], pa.float64())
    table = candles(5).set_column(4, "close", closes)
    with pytest.raises(InputError, match="bars/1h/A: column close"):
        KINDS["bars"].normalize(table, "bars/1h/A")


def test_a_missing_column_is_named():
    with pytest.raises(InputError, match="no column low"):
        KINDS["mark"].normalize(candles(5).drop_columns(["low"]), "mark/1h/A")


@pytest.mark.parametrize(("first", "last"), [(0, 20_000), (2047, 2049), (5, 5), (19_990, 30_000)])
def test_a_range_is_open_at_its_start_and_closed_at_its_end(tmp_path, first, last):
    table = KINDS["bars"].normalize(candles(20_000), "x")
    raw.write(table, tmp_path / "a.parquet")
    read = RawFiles(tmp_path.joinpath).range("a.parquet", START + first * HOUR, START + last * HOUR)
    assert read.equals(table.slice(first, last - first))


def test_slice_after_slice_gives_every_row_once(tmp_path):
    table = KINDS["bars"].normalize(candles(9000), "x")
    raw.write(table, tmp_path / "a.parquet")
    files = RawFiles(tmp_path.joinpath)
    slices = [
        files.range("a.parquet", START + hour * HOUR, START + (hour + 700) * HOUR)
        for hour in range(0, 9100, 700)
    ]
    assert pa.concat_tables(slices).combine_chunks().equals(table)
