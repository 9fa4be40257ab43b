"""The tables of a run accept what fits and say what does not."""

from decimal import Decimal

import pyarrow as pa
import pytest

from backtests.results.tables import SCHEMAS, conform, table
from config.errors import DeskError
from tests.builders import fill, small_record


def test_decimals_are_written_as_plain_strings():
    row = fill(1, "AAAUSDT", "BUY", "0.0000001", "10", "10", "0")
    written = table("fills", [row])
    assert written.column("quantity").to_pylist() == ["0.0000001"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fee": None}, r"fills\.fee: empty in some rows"),
        ({"feee": Decimal(1)}, "fills: unknown columns feee"),
        ({"ts": "noon"}, "fills: "),
    ],
    ids=["missing", "unknown", "another type"],
)
def test_a_row_that_does_not_fit_is_named(change, words):
    with pytest.raises(DeskError, match=words):
        table("fills", [fill(1, "AAAUSDT", "BUY", "1", "10", "10", "0") | change])


def test_columns_come_in_the_schemas_order_whatever_order_they_had():
    given = small_record().tables["equity"]
    shuffled = given.select(list(reversed(given.column_names)))
    assert conform("equity", shuffled).schema == SCHEMAS["equity"]


def test_a_missing_and_an_unknown_column_are_both_named():
    given = (
        small_record()
        .tables["equity"]
        .rename_columns(["time", "equity", "cash", "unrealized", "gross", "net", "drawdown"])
    )
    with pytest.raises(DeskError, match="missing: ts; unknown: time"):
        conform("equity", given)


def test_a_type_that_cannot_be_cast_names_the_table():
    given = small_record().tables["equity"]
    words = given.set_column(1, "equity", pa.array(["much"] * len(given)))
    with pytest.raises(DeskError, match="equity: "):
        conform("equity", words)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_table_without_rows_has_its_columns(name):
    assert table(name, []).schema == SCHEMAS[name]
