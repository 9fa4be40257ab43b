"""Whole runs on the small demo market: what they leave, and that nothing looks ahead."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from backtests.engine.feed import PRINT_DELAY_NS
from backtests.results.recorder import decisions_of
from backtests.results.result import Result, read
from backtests.run import prepare, run
from backtests.session import backtest_document
from catalog.panel import panel
from catalog.providers.demo import generate
from catalog.storage.store import Catalog
from catalog.storage.writer import CatalogWriter
from config.errors import InputError
from config.load import load
from tests.conftest import SMALL, WriteRun

HOUR = 3_600_000_000_000
TABLES = ("orders", "fills", "positions", "equity", "decisions", "funding", "verdicts")


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


def test_the_cash_identity_holds_to_the_cent(result: Result) -> None:
    s = result.summary
    total = s["starting_equity"] + s["gross_pnl"] - s["fees"] + s["funding"]
    assert abs(total - s["ending_equity"]) < 0.005


def test_the_curve_ends_where_the_books_end(result: Result) -> None:
    curve = result.table("equity")
    assert curve.column("equity")[-1].as_py() == pytest.approx(
        result.summary["ending_equity"], abs=0.005
    )


def test_repeating_a_run_gives_the_same_figures_orders_and_fills(
    write_run: WriteRun, tmp_path: Path
) -> None:
    file = write_run()
    first = backtest_document(file, out=tmp_path / "first")
    second = backtest_document(file, out=tmp_path / "second")
    assert comparable(first) == comparable(second)
    assert tables_of(first) == tables_of(second)


def test_the_written_config_reruns_to_the_same(write_run: WriteRun, tmp_path: Path) -> None:
    first = backtest_document(
        write_run(),
        ("venue.leverage=2", "venue.slippage={model: fixed_bps, bps: 5}"),
        out=tmp_path / "first",
    )
    again = backtest_document(first / "config.yaml", out=tmp_path / "again")
    assert comparable(first) == comparable(again)
    assert tables_of(first) == tables_of(again)


@pytest.mark.parametrize("days", [1, 7])
def test_the_length_of_a_slice_changes_nothing(
    write_run: WriteRun, tmp_path: Path, days: int
) -> None:
    whole = backtest_document(write_run("whole", slice_days=90), out=tmp_path / "whole")
    sliced = backtest_document(write_run("sliced", slice_days=days), out=tmp_path / "sliced")
    assert tables_of(whole) == tables_of(sliced)


def test_orders_fill_at_the_next_open_after_their_decision(
    result: Result, demo_catalog: Path
) -> None:
    catalog = Catalog(demo_catalog)
    ids = sorted(catalog.instruments)
    start, end = result.summary["start_ns"], result.summary["end_ns"]
    hours = panel(catalog, "1h", ids, start, end)
    created = {
        row["client_order_id"]: row["ts_created"] for row in result.table("orders").to_pylist()
    }
    fills = [row for row in result.table("fills").to_pylist() if row["kind"] == "order"]
    assert len(fills) > 100
    for fill in fills:
        decided = created[fill["client_order_id"]]
        assert fill["ts"] > decided
        opened = fill["ts"] - PRINT_DELAY_NS
        assert opened == -(-decided // HOUR) * HOUR
        row = int(np.searchsorted(hours.ts, opened + HOUR))
        price = hours.open[row, hours.ids.index(fill["instrument"])]
        assert float(fill["reference_price"]) == pytest.approx(price, rel=1e-12)
        worse = float(fill["price"]) - price
        assert (worse > 0) == (fill["side"] == "BUY")


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


def test_decisions_see_the_last_complete_candle_only(result: Result) -> None:
    for decision in decisions_of(result.table("decisions")):
        assert decision.ts - decision.data_ts == 5 * 60 * 1_000_000_000
        assert decision.data_ts % (24 * HOUR) == 0


def test_a_window_past_the_data_is_refused_with_the_day_they_end(write_run: WriteRun) -> None:
    file = write_run(window={"start": "2023-02-01", "end": "2024-01-01"})
    with pytest.raises(InputError, match=r"the data of the universe end 2023-05-01"):
        prepare(load(file).document)


def test_doubled_fees_cost_twice_as_much(write_run: WriteRun) -> None:
    plain = prepare(load(write_run()).document)
    double = prepare(
        load(write_run(), ("venue.fees.linear={maker: 0.0004, taker: 0.0011}",)).document
    )
    one, two = run(plain), run(double)
    per_notional = [float(o.fees / o.turnover) for o in (one, two)]
    assert per_notional == pytest.approx([0.00055, 0.0011], rel=1e-6)


def test_one_print_later_is_one_hour_later(write_run: WriteRun) -> None:
    prepared = prepare(load(write_run()).document)
    soon, late = run(prepared), run(prepared, prints_to_wait=2)
    first_soon = soon.tables["fills"].column("ts")[0].as_py()
    first_late = late.tables["fills"].column("ts")[0].as_py()
    assert first_late - first_soon == HOUR


def test_without_slippage_fills_are_at_the_open(write_run: WriteRun) -> None:
    outcome = run(prepare(load(write_run(), ("venue.slippage={model: none}",)).document))
    assert outcome.slippage == Decimal(0)
    fills = outcome.tables["fills"].to_pylist()
    assert all(row["price"] == row["reference_price"] for row in fills)


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
    outcome = run(prepare(load(write_run(), ["venue.fills=signal_close"]).document))
    assert set(outcome.tables["orders"].column("status").to_pylist()) == {"FILLED"}
    assert not any("orders wait" in words for words in outcome.warnings)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["venue.starting_balance=5"], "is below the exchange's minimum 5"),
        (["strategies.reversal.params.lookback=999"], "left out: not enough history for a score ("),
        (["universe.instruments=[BTCUSDT-LINEAR.BYBIT]"], "no instrument got a weight, of 1"),
    ],
)
def test_a_run_without_a_trade_says_why(
    write_run: WriteRun, changes: list[str], words: str
) -> None:
    outcome = run(prepare(load(write_run(), changes).document))
    assert not len(outcome.tables["fills"])
    assert any(w.startswith("Nothing was traded.") and words in w for w in outcome.warnings)


def test_refused_orders_are_told_with_the_first_reason(write_run: WriteRun) -> None:
    changes = ["venue.leverage=1", "strategies.reversal.params.gross_leverage=2"]
    outcome = run(prepare(load(write_run(), changes).document))
    told = next(words for words in outcome.warnings if "refused before the venue" in words)
    assert "gross exposure" in told
    assert "(1 x equity" in told


def test_no_exit_is_too_large_for_the_venue(tmp_path: Path, write_run: WriteRun) -> None:
    made = generate(SMALL)
    small = []
    for info in made.instruments:
        price = made.tables["bars", "1d", info.id].column("close")[0].as_py()
        largest = (int(4_000 / price / float(info.lot)) + 1) * Decimal(info.lot)
        small.append(msgspec.structs.replace(info, max_qty=f"{largest:f}"))
    with CatalogWriter(tmp_path / "small_orders") as writer:
        writer.add(dataclasses.replace(made, instruments=small))
    file = write_run("small_orders", catalog=str(tmp_path / "small_orders"))
    in_parts = run(prepare(load(file).document))
    in_one = run(prepare(load(write_run()).document))
    assert set(in_parts.tables["orders"].column("status").to_pylist()) == {"FILLED"}
    assert len(in_parts.tables["orders"]) > 2 * len(in_one.tables["orders"])
    assert in_parts.tables["equity"].column("equity").to_pylist() == pytest.approx(
        in_one.tables["equity"].column("equity").to_pylist(), abs=0.01
    )


def test_finer_candles_that_cover_a_part_of_the_window_are_not_filled_on(
    tmp_path: Path, write_run: WriteRun
) -> None:
    made = generate(SMALL)
    march = load(write_run()).document.window.end_ns - 31 * 24 * HOUR
    late = {
        key: table.filter(pc.greater(table.column("ts"), march))
        if key[:2] == ("bars", "1h")
        else table
        for key, table in made.tables.items()
    }
    kept = {key: table for key, table in (made.tables | late).items() if len(table)}
    with CatalogWriter(tmp_path / "late") as writer:
        writer.add(dataclasses.replace(made, tables=kept))
    file = write_run("late", catalog=str(tmp_path / "late"))
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
