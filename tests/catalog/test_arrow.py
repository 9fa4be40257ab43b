"""Our Arrow writer against Nautilus's object path: same rows, same metadata, same bars."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from catalog.engine import fixed_point, write_bars
from catalog.instruments import InstrumentInfo
from config.durations import bar_type
from tests.catalog.market import candles, told


def object_path(root: Path, table: pa.Table, info: InstrumentInfo, series: str) -> Path:
    """Write as Nautilus does: one Bar a row."""
    kind = BarType.from_str(series)
    prices, size = info.price_precision, info.size_precision
    bars = [
        Bar(
            kind,
            *(Price(row[name], prices) for name in ("open", "high", "low", "close")),
            Quantity(row["volume"], size),
            row["ts"],
            row["ts"],
        )
        for row in table.to_pylist()
    ]
    ParquetDataCatalog(str(root)).write_data(bars)
    (file,) = root.rglob("*.parquet")
    return file


@pytest.mark.parametrize(("decimals", "tick", "lot"), [(2, "0.01", "0.001"), (5, "0.00001", "1")])
def test_our_files_equal_those_of_the_object_path_row_for_row(tmp_path, decimals, tick, lot):
    info = told(tick=tick, lot=lot)
    series = bar_type(info.id, "1h")
    table = candles(3000, decimals=decimals)
    ours = write_bars(tmp_path / "ours", table, info, "1h")
    theirs = object_path(tmp_path / "theirs", table, info, series)
    assert ours.relative_to(tmp_path / "ours") == theirs.relative_to(tmp_path / "theirs")
    left, right = pq.read_table(ours), pq.read_table(theirs)
    assert left.schema.equals(right.schema, check_metadata=True)
    assert left.equals(right)
    queried = [
        ParquetDataCatalog(str(tmp_path / name)).query(Bar, identifiers=[series])
        for name in ("ours", "theirs")
    ]
    assert len(queried[0]) == 3000
    assert queried[0] == queried[1]


@given(values=st.lists(st.floats(0, 1e9), min_size=1, max_size=50), precision=st.integers(0, 8))
def test_any_price_becomes_the_raw_value_that_the_engine_gives_it(values, precision):
    raw = fixed_point(np.array(values), precision)
    for given_, cell in zip(values, raw, strict=True):
        expected = Quantity(given_, precision).raw
        assert int.from_bytes(cell.as_py(), "little") == expected


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), 1e19])
def test_a_value_that_has_no_raw_form_is_refused(value):
    with pytest.raises(ValueError, match="negative, not finite or too large"):
        fixed_point(np.array([1.0, value]), 2)
