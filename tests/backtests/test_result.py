"""A result's figures by hand, its books, and the folder that is there wholly or not at all."""

import errno
import json
import os
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtests.results import result
from backtests.results.tables import SCHEMAS, table
from config.errors import DeskError, InputError
from tests.builders import DAY, HOUR, JANUARY, idle_record, small_record, with_rows

DOCUMENTED = """
name start end starting_equity ending_equity net_profit return_pct cagr sharpe sortino
calmar max_drawdown volatility turnover fees funding slippage orders fills trades win_rate
profit_factor exposure config_hash data_hash engine_version elapsed_s"""


def test_the_summary_has_every_documented_key():
    assert set(result.summarise(small_record())) >= set(DOCUMENTED.split())


def test_the_figures_are_as_by_hand():
    summary = result.summarise(small_record())
    expected = {
        "start": "2024-01-01T00:00:00Z",
        "end": "2024-01-05T00:00:00Z",
        "days": 4,
        "net_profit": 7.7,
        "return_pct": 0.77,
        "gross_before_slippage": 11,
        "max_drawdown": 41 / 1025,
        "worst_day": -0.04,
        "traded_notional": 101 + 121 + 100 + 112,
        "exposure": (110 / 1009.4 + 95 / 1025 + 135.8 / 984) / 4,
        "net_exposure": (110 / 1009.4 - 95 / 1025 - 135.8 / 984) / 4,
        "time_in_market": 0.75,
        "orders": 4,
        "fills": 4,
        "trades": 2,
        "trades_open": 0,
        "win_rate": 0.5,
        "profit_factor": 20.2 / 12.5,
        "average_trade": 3.85,
        "average_holding_hours": (24 + 47) / 2,
    }
    for name, value in expected.items():
        assert summary[name] == (value if isinstance(value, str) else pytest.approx(value)), name


YEARLY = ("cagr", "sharpe", "sortino", "calmar", "volatility", "turnover")


def test_figures_a_year_are_by_real_days_and_undefined_under_thirty():
    short = replace(small_record(), end_ns=JANUARY + 30 * DAY - 1)
    assert [result.summarise(short)[name] for name in YEARLY] == [None] * len(YEARLY)
    # Half of the last of 41 UTC days.
    summary = result.summarise(replace(small_record(), end_ns=JANUARY + 81 * DAY // 2))
    days = np.array([9.4 / 1000, 15.6 / 1009.4, -41 / 1025, 23.7 / 984, *[0.0] * 37])
    a_year = 41 / 40.5 * 365
    growth, spread = 1.0077 ** (365 / 40.5) - 1, days.std(ddof=1)
    # Equity stood at 1000, 1009.4, 1025 and 984 for a day each, then at 1007.7.
    average = (1000 + 1009.4 + 1025 + 984 + 36.5 * 1007.7) / 40.5
    expected = {
        "cagr": growth,
        "sharpe": days.mean() / spread * np.sqrt(a_year),
        "sortino": days.mean() * a_year / (np.sqrt((days[2] ** 2) / 41) * np.sqrt(a_year)),
        "calmar": growth / (41 / 1025),
        "volatility": spread * np.sqrt(a_year),
        "turnover": 434 / average * 365 / 40.5,
    }
    for name, value in expected.items():
        assert summary[name] == pytest.approx(value), name


def test_the_summary_counts_verdicts_by_guard_and_refused_orders():
    record = small_record()
    orders = record.tables["orders"].to_pylist()
    orders[-1]["status"] = "DENIED"
    common = {"ts": record.start_ns, "scope": "desk", "multiplier": 1.0, "reason": "12 % lost"}
    found = [("tiers", "shrink"), ("daily", "flatten"), ("tiers", "none"), ("tiers", "shrink")]
    verdicts = [common | {"guard": guard, "action": action} for guard, action in found]
    summary = result.summarise(with_rows(record, orders=orders, verdicts=verdicts))
    assert summary["verdicts"] == {"daily": 1, "tiers": 2}
    assert summary["refused_orders"] == 1


def test_a_run_without_trades_has_nulls_and_no_nan():
    idle = idle_record()
    result.check(idle)
    summary = result.summarise(idle)
    assert summary["return_pct"] == 0
    assert summary["max_drawdown"] == 0
    for name in ("sharpe", "sortino", "calmar", "win_rate", "profit_factor", "average_trade"):
        assert summary[name] is None, name
    json.dumps(summary, allow_nan=False)


def test_an_open_position_is_no_trade_yet():
    record = small_record()
    rows = record.tables["positions"].to_pylist()
    rows[1] |= {"open": True, "ts_closed": None, "exit_px": None}
    summary = result.summarise(with_rows(record, positions=rows))
    assert (summary["trades"], summary["trades_open"], summary["win_rate"]) == (1, 1, 1.0)
    assert summary["average_holding_hours"] == 24


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gross_pnl": Decimal("8.01")}, "starting equity"),
        ({"fees": Decimal("0.51"), "gross_pnl": Decimal("8.01")}, "fills' fees: 0.51 is not 0.5"),
        ({"slippage": Decimal(4)}, "fills' slippage: 4 is not 3"),
        ({"funding": Decimal("0.3"), "gross_pnl": Decimal("7.9")}, "settlements: 0.3 is not 0.2"),
        (
            {"ending_equity": Decimal("1007.71"), "gross_pnl": Decimal("8.01")},
            "last of the curve: 1007.71 is not 1007.7",
        ),
        ({"ending_equity": Decimal("1007.71"), "gross_pnl": Decimal("8.01")}, "positions' net"),
    ],
)
def test_books_that_do_not_close_fail_with_both_numbers(changes, message, tmp_path):
    with pytest.raises(DeskError, match=message):
        result.write(small_record(**changes), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@given(st.decimals("-0.009", "0.009", places=4))
def test_less_than_a_cent_is_no_error(dust):
    result.check(small_record(gross_pnl=Decimal(8) + dust))


@given(st.decimals("0.01", "1000", places=4), st.sampled_from([-1, 1]))
def test_a_cent_is_an_error(wrong, sign):
    with pytest.raises(DeskError, match="to the cent"):
        result.check(small_record(gross_pnl=Decimal(8) + sign * wrong))


def test_the_folder_has_every_table_in_its_schema(tmp_path):
    record = small_record(guard_costs=table("guard_costs", []))
    record.tables.update((name, table(name, [])) for name in (*result.PAIR_TABLES, "fill_mids"))
    written = result.write(record, tmp_path / "out")
    for name, schema in SCHEMAS.items():
        assert pq.read_schema(tmp_path / "out" / f"{name}.parquet").equals(schema)
        assert isinstance(written.table(name), pa.Table)
    assert written.config_yaml == small_record().config_yaml
    assert written.provenance == small_record().provenance
    assert written.summary == result.summarise(record)


def test_guard_costs_have_no_file_where_they_were_not_worked_out(tmp_path):
    written = result.write(small_record(), tmp_path / "out")
    assert written.summary["guard_costs"] is None
    assert not written.has("guard_costs")


def test_writing_twice_gives_the_same_bytes(tmp_path):
    one = result.write(small_record(), tmp_path / "one")
    two = result.write(small_record(), tmp_path / "two")
    names = sorted(path.name for path in one.path.iterdir())
    assert names == sorted(path.name for path in two.path.iterdir())
    for name in names:
        assert (one.path / name).read_bytes() == (two.path / name).read_bytes(), name


def test_an_older_result_is_replaced(tmp_path):
    result.write(small_record(), tmp_path / "out")
    result.write(small_record(name="newer"), tmp_path / "out")
    assert result.read(tmp_path / "out").summary["name"] == "newer"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_place_with_other_files_is_not_touched(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    for place, words in (("", "holds other files than a result"), ("thesis.txt", "a file stands")):
        with pytest.raises(InputError, match=words):
            result.write(small_record(), tmp_path / place)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("older", [False, True])
def test_an_interrupt_while_rendering_leaves_what_was_there(tmp_path, older):
    def interrupted(_):
        raise KeyboardInterrupt

    if older:
        result.write(small_record(), tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        result.write(small_record(name="newer"), tmp_path / "out", interrupted)
    assert [path.name for path in tmp_path.iterdir()] == (["out"] if older else [])
    if older:
        assert result.read(tmp_path / "out").summary["name"] == "small"


def test_a_full_disk_is_said_in_a_sentence_and_leaves_nothing(tmp_path):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(InputError, match="out: cannot be written: No space left on device"):
        result.write(small_record(), tmp_path / "out", full)
    assert list(tmp_path.iterdir()) == []


def test_a_place_without_a_result_says_how_to_make_one(tmp_path):
    with pytest.raises(InputError, match="perpdesk backtest FILE --out"):
        result.read(tmp_path)


def test_a_window_that_starts_within_a_day_counts_its_part_days():
    record = small_record(start_ns=small_record().start_ns + HOUR)
    assert result.summarise(record)["days"] == pytest.approx(4 - 1 / 24)


@pytest.mark.parametrize("place", ["file/sub", "file/sub/deeper"])
def test_a_place_that_cannot_be_written_is_refused_before_any_work(tmp_path, place):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=r"file/sub.*: cannot be written: .*file: Not a directory"):
        result.claim(tmp_path / place)


def test_a_tried_place_stays_empty(tmp_path):
    result.claim(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("fills.parquet", None),
        ("config.yaml", None),
        ("fills.parquet", b"P"),
        ("summary.json", b"{"),
    ],
)
def test_a_missing_or_damaged_file_of_a_result_is_named(tmp_path, name, content):
    file = result.write(small_record(), tmp_path / "out").path / name
    file.unlink() if content is None else file.write_bytes(content)
    more = "" if content else ".*makes the result anew"
    with pytest.raises(InputError, match=rf"out/{name}: cannot be read: {more}"):
        result.read(file.parent).table("fills")


def test_a_result_of_an_earlier_version_is_refused_with_the_command_that_makes_it_anew(tmp_path):
    out = result.write(small_record(), tmp_path / "out").path
    summary = json.loads((out / "summary.json").read_text())
    del summary["how_filled"]["mode"]
    (out / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(InputError, match=r"an earlier version wrote it; .*makes the result anew"):
        result.read(out)
