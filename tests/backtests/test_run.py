"""Whole runs on the small demo market: what they leave, and that nothing looks ahead."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from backtests.results.result import Result, read
from backtests.results.summary_text import _turned_away
from backtests.run import prepare, run
from backtests.session import backtest_document
from catalog.providers.base import Import
from config.errors import DeskError, InputError
from config.load import load
from strategies.order_ids import protective
from tests.backtests.planned import write_planned
from tests.builders_engine import A
from tests.conftest import WriteRun, written

HOUR = 3_600_000_000_000
DAY = 24 * HOUR
SHORT = {"window": {"start": "2023-02-01", "end": "2023-02-15"}}
TABLES = ("orders", "fills", "positions", "equity", "decisions", "funding", "verdicts", "prices")


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, demo_catalog: Path) -> Result:
    folder = tmp_path_factory.mktemp("run")
    file = folder / "shared.yaml"
    file.write_text(
        f"kind: backtest\nname: shared\ncatalog: {demo_catalog}\n"
        "window: {start: 2023-02-01, end: 2023-04-01}\n"
        "strategies:\n  reversal:\n    use: strategies.xs_reversal:XSReversal\n"
        "    params: {fraction: 0.25}\n",
        encoding="utf-8",
    )
    return read(backtest_document(file, out=folder / "out"))


def tables_of(folder: Path) -> dict[str, list[dict[str, object]]]:
    return {name: pq.read_table(folder / f"{name}.parquet").to_pylist() for name in TABLES}


def comparable(folder: Path) -> dict[str, object]:
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return {key: value for key, value in summary.items() if key not in ("elapsed_s", "started")}


def test_a_run_leaves_every_file_of_the_result_folder(result: Result) -> None:
    there = {path.name for path in result.path.iterdir()}
    wanted = {"summary.json", "config.yaml", "report.html"} | {f"{t}.parquet" for t in TABLES}
    assert wanted <= there


@pytest.mark.parametrize(
    ("plan", "why"), [([], r"SystemExit\(0\)"), ([(1, A, "1")], r"SystemExit\('no more'\)")]
)
def test_a_strategy_that_ends_the_process_is_an_error_that_names_it(
    plan: list[tuple[int, str, str]], why: str, tmp_path: Path
) -> None:
    file = write_planned(tmp_path, {A: [100.0] * 24}, plan, {})
    own = "tests.backtests.planned:Ending"
    words = rf"plan \({own}\) ends the process, by {why} at .*planned.py:\d+; .* nothing is written"
    with pytest.raises(DeskError, match=words):
        backtest_document(file, (f"strategies.plan.use={own}",), out=tmp_path / "out")
    assert not list((tmp_path / "out").glob("*"))


def test_a_repeated_run_and_its_written_config_give_the_same(
    write_run: WriteRun, tmp_path: Path
) -> None:
    changes = ("venue.leverage=2", "venue.slippage={model: fixed_bps, bps: 5}")
    file = write_run(**SHORT)
    first = backtest_document(file, changes, out=tmp_path / "first")
    second = backtest_document(file, changes, out=tmp_path / "second")
    again = backtest_document(first / "config.yaml", out=tmp_path / "again")
    for other in (second, again):
        assert comparable(first) == comparable(other)
        assert tables_of(first) == tables_of(other)


def test_an_order_filled_by_a_slices_last_print_is_recorded_once(
    write_run: WriteRun, tmp_path: Path
) -> None:
    # The guard leaves the market as a day's hour ends, on 6 March its last but one.
    window = {"start": "2023-02-27", "end": "2023-03-10"}
    daily = {"use": "actors.guards.daily_loss:DailyLoss", "params": {"limit_pct": 0.005}}
    for days in (1, 90):
        run = write_run(f"d{days}", slice_days=days, actors={"daily": daily}, window=window)
        backtest_document(run, out=tmp_path / str(days))
    whole = tables_of(tmp_path / "90")
    left = [row["ts_created"] for row in whole["orders"] if row["reason"] == "flatten"]
    assert any(int(str(ts)) % DAY == 23 * HOUR - 1 for ts in left)
    assert tables_of(tmp_path / "1") == whole


def test_a_fill_leads_to_the_decision_that_it_carries_out(result: Result) -> None:
    decided = {row["decision_id"]: row["ts"] for row in result.table("decisions").to_pylist()}
    ordered = {row["client_order_id"]: row for row in result.table("orders").to_pylist()}
    fills = result.table("fills").to_pylist()
    assert len({fill["execution_id"] for fill in fills}) == len(fills)
    for fill in fills:
        order = ordered[fill["client_order_id"]]
        assert order["decision_id"] == fill["decision_id"]
        assert decided[fill["decision_id"]] == order["ts_created"]
        assert order["reason"] in ("rebalance", "flatten")
        assert (fill["fee_coin"], fill["source"]) == ("USDT", "backtest")


def test_a_window_past_the_data_is_refused_with_the_day_they_end(write_run: WriteRun) -> None:
    file = write_run(window={"start": "2023-02-01", "end": "2024-01-01"})
    with pytest.raises(InputError, match=r"the data of the universe end 2023-05-01"):
        prepare(load(file).document)


@pytest.mark.parametrize("slice_days", [1, 30])
def test_a_fill_after_the_last_close_is_in_the_curve(write_run: WriteRun, slice_days: int) -> None:
    # Decided at midnight, filled a second later; the window ends before that candle closes.
    file = write_run(
        window={"start": "2023-02-01", "end": "2023-02-05T00:30:00"}, slice_days=slice_days
    )
    outcome = run(prepare(load(file, ["strategies.reversal.params.at=00:00"]).document))
    end = load(file).document.window.end_ns
    assert max(outcome.tables["fills"].column("ts").to_pylist()) > end - HOUR // 2
    curve = outcome.tables["equity"]
    assert curve.column("ts")[-1].as_py() == end
    assert curve.column("equity")[-1].as_py() == pytest.approx(
        float(outcome.ending_equity), abs=1e-6
    )


def test_a_window_shorter_than_a_candle_runs(write_run: WriteRun) -> None:
    file = write_run(window={"start": "2023-02-01", "end": "2023-02-01T00:30:00"})
    outcome = run(prepare(load(file).document))
    assert outcome.ending_equity == outcome.starting_equity
    assert "Nothing was traded: none of" in " ".join(outcome.warnings)


def test_fills_at_the_signals_close_begin_with_the_first_decision(write_run: WriteRun) -> None:
    outcome = run(prepare(load(write_run(**SHORT), ["venue.fills=signal_close"]).document))
    assert set(outcome.tables["orders"].column("status").to_pylist()) == {"FILLED"}
    assert not any("orders wait" in words for words in outcome.warnings)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["venue.starting_balance=5"], "is below the exchange's minimum 5"),
        (
            ["strategies.reversal.params.lookback=999"],
            "left out: no score: too little history, or the strategy gives none (",
        ),
        (["universe.instruments=[BTCUSDT-LINEAR.BYBIT]"], "no instrument got a weight, of 1"),
    ],
)
def test_a_run_without_a_trade_says_why(
    write_run: WriteRun, changes: list[str], words: str
) -> None:
    outcome = run(prepare(load(write_run(**SHORT), changes).document))
    assert not len(outcome.tables["fills"])
    assert any(w.startswith("Nothing was traded.") and words in w for w in outcome.warnings)


@pytest.mark.parametrize(("length", "words"), [(2, []), (20, ["85 candles of 1d"])])
def test_data_that_begin_too_late_for_a_filter_are_warned_of(
    write_run: WriteRun, length: int, words: list[str]
) -> None:
    changes = [f"strategies.reversal.params.slope_filter={{length: {length}}}"]
    found = run(prepare(load(write_run(**SHORT), changes).document)).warnings
    late = [w for w in found if "it may hold less" in w]
    assert [w.split("needs ")[1].split(",")[0] for w in late] == words
    # The data begin on 1 January, with the candle that closes a day later.
    assert not late or "before 2023-03-27 00:00" in late[0]


def test_refused_orders_are_warned_of_with_the_first_reason(write_run: WriteRun) -> None:
    of_rules = ("gross_leverage=2", "max_weight=0.5")
    changes = ["venue.leverage=1", *(f"strategies.reversal.params.{rule}" for rule in of_rules)]
    outcome = run(prepare(load(write_run(**SHORT), changes).document))
    warning = next(words for words in outcome.warnings if "refused before the venue" in words)
    assert "gross exposure" in warning
    assert "(1 x equity" in warning


def test_no_exit_is_too_large_for_the_venue(
    tmp_path: Path, demo_market: Import, write_run: WriteRun
) -> None:
    small = []
    for info in demo_market.instruments:
        price = demo_market.tables["bars", "1d", info.id].column("close")[0].as_py()
        largest = (int(4_000 / price / float(info.lot)) + 1) * Decimal(info.lot)
        small.append(msgspec.structs.replace(info, max_qty=f"{largest:f}"))
    catalog = written(tmp_path / "small_orders", demo_market, instruments=small)
    file = write_run("small_orders", catalog=str(catalog), **SHORT)
    in_parts = run(prepare(load(file).document))
    in_one = run(prepare(load(write_run(**SHORT)).document))
    assert set(in_parts.tables["orders"].column("status").to_pylist()) == {"FILLED"}
    assert len(in_parts.tables["orders"]) > 2 * len(in_one.tables["orders"])
    assert in_parts.tables["equity"].column("equity").to_pylist() == pytest.approx(
        in_one.tables["equity"].column("equity").to_pylist(), abs=0.01
    )


def test_finer_candles_that_cover_a_part_of_the_window_are_not_filled_on(
    tmp_path: Path, demo_market: Import, write_run: WriteRun
) -> None:
    march = load(write_run()).document.window.end_ns - 31 * 24 * HOUR
    late = {
        key: table.filter(pc.greater(table.column("ts"), march))
        if key[:2] == ("bars", "1h")
        else table
        for key, table in demo_market.tables.items()
    }
    kept = {key: table for key, table in late.items() if len(table)}
    file = write_run("late", catalog=str(written(tmp_path / "late", demo_market, tables=kept)))
    assert prepare(load(file).document).feed.execution_interval == "1d"
    assert prepare(load(write_run()).document).feed.execution_interval == "1h"
    document = load(file, ["venue.execution_interval=1h"]).document
    with pytest.raises(InputError, match="1h candles of the universe, which orders fill on, begin"):
        prepare(document)
    document = load(file, ["strategies.reversal.params.interval=1h"]).document
    with pytest.raises(
        InputError, match=r"1h candles .* strategies\.reversal ranks, begin 2023-03"
    ):
        prepare(document)


def test_orders_that_followed_a_position_are_not_warned_of_as_cancelled():
    names = ["bt-a-1-1", *(protective("bt-a-1-", number) for number in (2, 3))]
    columns = {"client_order_id": names, "status": ["FILLED", "CANCELED", "CANCELED"]}
    assert _turned_away(pa.table(columns | {"reason": ["", "", ""]}), True) == []
    columns["status"] = ["CANCELED"] * 3
    orders = pa.table(columns | {"reason": ["", "", ""]})
    assert [
        text.partition(": ")[2] for on in (True, False) for text in _turned_away(orders, on)
    ] == [
        "the next decision, or the end, came before the next open.",
        "the price moved on, their time was over, or a decision or the end came first.",
    ]


def test_refused_stops_are_no_refused_orders():
    """Both would be read as the same trouble, and a stop that met a closed position is none."""
    names = ["bt-a-1-1", "bt-a-1-2", *(protective("bt-a-1-", number) for number in (3, 4, 5))]
    columns = {"client_order_id": names, "status": ["FILLED", *["REJECTED"] * 3, "FILLED"]}
    orders, stops = _turned_away(
        pa.table(columns | {"reason": ["", "why", "gone", "gone", ""]}), True
    )
    assert orders.startswith("1 of 2 orders were refused by the venue (the first: why)")
    assert stops.startswith("2 of 3 stops and take-profits were refused by the venue, as their")


PAIR = ["BTCUSDT-LINEAR.BYBIT", "ETHUSDT-LINEAR.BYBIT"]
PLAIN = {"pairs": [PAIR], "hedge": {"model": "ratio", "z_lookback": 20}, "entry": 0.6, "exit": 0.3}


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (
            PLAIN | {"max_leg": 1},
            ["1 pair had a z-score, none", "times, as it is too small for lots of both legs"],
        ),
        (PLAIN | {"entry": 19, "stop": 20}, ["1 pair had a z-score, none"]),
        (
            {"select": {"formation": 60, "every": "1d", "level": 1e-9, "lags": 1}},
            ["0 pairs had a z-score, none"],
        ),
    ],
)
def test_pairs_without_a_trade_say_why(
    write_run: WriteRun, tmp_path: Path, params: dict[str, object], words: list[str]
) -> None:
    file = write_run(
        window={"start": "2023-02-01", "end": "2023-02-03"},
        strategies={"pairs": {"use": "strategies.pairs:Pairs", "params": params}},
    )
    folder = backtest_document(file, out=tmp_path / "out")
    said = read(folder).summary["warnings"]
    assert all(any(part in words for words in said) for part in words)
    assert not any("no decision" in words for words in said)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert ("Selection of pairs" in page) == ("select" in params)
    assert "No pair was entered." in page
